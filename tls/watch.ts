// Watches files by polling, and reloads what was made of them.
//
// Polling sees every change: editors that replace files, links that are swapped (certbot,
// Kubernetes), network file systems that send no events. It needs no permission for the directory,
// and its timer, unlike Deno.watchFs, does not keep the process alive.

/** Time as a watcher needs it; a test passes one that it moves by hand. */
export interface WatchClock {
  /** Returns the current time, in milliseconds since 1970. */
  now(): number;
  /**
   * Calls `run` once, after `delayMs`. Returns the function that cancels that. Must not keep the
   * process alive.
   */
  schedule(run: () => Promise<void>, delayMs: number): () => void;
}

/** Options of {@linkcode FileWatcher}. */
export interface FileWatcherOptions {
  /** Paths of the files. */
  readonly files: readonly string[];
  /** Time between two looks, in milliseconds. */
  readonly intervalMs: number;
  /** How long files may be unfit before that is reported, in milliseconds: during a rotation they are. */
  readonly graceMs: number;
  /** Source of time. */
  readonly clock: WatchClock;
  /** Loads everything again. When it rejects, the files are unfit, and it is called again. */
  readonly reload: () => Promise<void>;
  /** Called once for each state of the files that stays unfit. */
  readonly onUnfit: (error: unknown) => void;
}

/**
 * ```
 *            files changed                      reload failed
 *   steady ─────────────────▶ reload ─────────────────────────▶ unfit ──┐ each look:
 *      ▲                        │ done                            ▲     │ reload again,
 *      └────────────────────────┴─────────────────────────────────┴─────┘ told after graceMs
 * ```
 */
type WatchState =
  | { readonly kind: "steady"; readonly signature: string }
  | {
    readonly kind: "unfit";
    readonly signature: string;
    readonly sinceMs: number;
    readonly told: boolean;
  }
  | { readonly kind: "closed" };

/**
 * A file system's clock may tick this slowly (FAT: 2 s): changes within one tick cannot be told apart by
 * time.
 */
const coarsestTickMs = 2000;

/** The clock of the machine. */
export const systemClock: WatchClock = {
  now: () => Date.now(),
  schedule(run, delayMs) {
    const timer = setTimeout(() => void run(), delayMs);
    Deno.unrefTimer(timer);
    return () => clearTimeout(timer);
  },
};

/** Looks at files again and again until it is closed. */
export class FileWatcher {
  readonly #options: FileWatcherOptions;
  #state: WatchState;
  #cancel: () => void = () => {};

  /** Starts watching; `signature` is that of {@linkcode signFiles} from before the files were last read. */
  constructor(options: FileWatcherOptions, signature: string) {
    this.#options = options;
    this.#state = { kind: "steady", signature };
    this.#plan();
  }

  /**
   * Ends watching. A reload under way runs out; {@linkcode closed} keeps it from having an effect.
   * Idempotent.
   */
  close(): void {
    this.#state = { kind: "closed" };
    this.#cancel();
  }

  /** Whether {@linkcode close} was called. */
  get closed(): boolean {
    return this.#state.kind === "closed";
  }

  #plan(): void {
    const { clock, intervalMs } = this.#options;
    this.#cancel = clock.schedule(async () => {
      await this.#look();
      if (!this.closed) this.#plan();
    }, intervalMs);
  }

  async #look(): Promise<void> {
    const { files, clock, reload } = this.#options;
    const signature = await signFiles(files, clock.now());
    const before = this.#state;
    if (before.kind === "closed") return;
    if (before.kind === "steady" && before.signature === signature) return;
    try {
      await reload();
      if (!this.closed) this.#state = { kind: "steady", signature };
    } catch (error) {
      if (!this.closed) this.#state = this.#failed(before, signature, error);
    }
  }

  #failed(before: WatchState, signature: string, error: unknown): WatchState {
    const { clock, graceMs, onUnfit } = this.#options;
    const now = clock.now();
    if (before.kind !== "unfit" || before.signature !== signature) {
      return { kind: "unfit", signature, sinceMs: now, told: false };
    }
    if (before.told || now - before.sinceMs < graceMs) return before;
    onUnfit(error);
    return { ...before, told: true };
  }
}

/**
 * Returns in one text which versions of `files` there are. Links are followed, so that a swapped link shows.
 * A file that changed a moment ago could change again without a trace in its times: then the text is never
 * the same twice.
 */
export async function signFiles(files: readonly string[], now: number): Promise<string> {
  const parts = await Promise.all(files.map((file) => signFile(file, now)));
  return parts.join("\n");
}

async function signFile(file: string, now: number): Promise<string> {
  try {
    const { dev, ino, size, mtime, ctime } = await Deno.stat(file);
    const changed = Math.max(mtime?.getTime() ?? 0, ctime?.getTime() ?? 0);
    const unsure = Math.abs(now - changed) < coarsestTickMs ? ` at ${now}` : "";
    return `${dev} ${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}${unsure}`;
  } catch (error) {
    return error instanceof Error ? error.name : "unknown";
  }
}
