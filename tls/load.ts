// Loads credentials: from options to checked PEM text, and again when the files change.
import { callHook } from "../log/call_hook.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { Resolved } from "../options/resolved.ts";
import { SERVER_TLS_NAMES } from "./option_names.ts";
import { TlsError } from "../errors.ts";
import type {
  CredentialSource,
  ServerCredentials,
  ServerTlsOptions,
  TlsBackend,
  TlsVersion,
} from "./handshake/options.ts";
import { ExpiryWatch } from "./expiry.ts";
import { type LoadedCredentials, type LoadPlan, planServer } from "./plan.ts";
import { resolveCommonTls } from "./resolve.ts";
import { FileWatcher, signFiles, systemClock, type WatchClock } from "./watch.ts";

export { resolveClientTls } from "./plan.ts";

/** How watched files are reloaded, and what is called then. */
export interface ReloadOptions {
  /** Called when new credentials have come into force. */
  onReload?: (() => void) | undefined;
  /**
   * Called when changed files cannot be used; the old credentials stay in force and the files are
   * tried again at each look. It also learns that a certificate in force ends, whether files are
   * watched or not: `ERR_CERT_EXPIRING` 14 and 3 days before (for one that lives less than 42 days,
   * when a third and a tenth of its life are left), `ERR_CERT_EXPIRED` when it has ended.
   *
   * @default {a warning to the console}
   */
  onError?: ((error: unknown) => void) | undefined;
  /**
   * Time between two looks at watched files in ms, 10 to 3600000.
   *
   * @default {2000} a rotation has days, a person who tries it waits for seconds, and two `stat`
   * calls cost next to nothing
   */
  watchIntervalMs?: number | undefined;
  /**
   * How long in ms watched files may be unfit before {@linkcode onError} is called, 0 to 3600000. A rotation
   * that writes one file after the other is unfit in between.
   *
   * @default {10000} the slowest copy of two small files
   */
  watchGraceMs?: number | undefined;
  /** Source of time, for tests. @default {the clock of the machine} */
  clock?: WatchClock | undefined;
}

/** Options of {@linkcode loadTls}. */
export type LoadTlsOptions = ServerTlsOptions & ReloadOptions;

const NAMES: OptionNames<LoadTlsOptions> = {
  ...SERVER_TLS_NAMES,
  onReload: true,
  onError: true,
  watchIntervalMs: true,
  watchGraceMs: true,
  clock: true,
};

/**
 * Credentials that were checked before anything listens. Pass them as `tls` to one server or
 * several, which then follow the same files. Closing a server leaves them open. Any number of
 * servers may use them concurrently.
 */
export class LoadedTls {
  /** Lowest version spoken. */
  readonly minVersion: TlsVersion;
  /** Highest version spoken. */
  readonly maxVersion: TlsVersion;
  /** Application protocols (ALPN), in order of preference; empty for none. */
  readonly alpnProtocols: readonly string[];
  /** Which implementation carries the sessions. */
  readonly backend: TlsBackend;
  readonly #source: LiveCredentials;

  private constructor(options: ServerTlsOptions, source: LiveCredentials) {
    const common = resolveCommonTls(options);
    this.minVersion = common.minVersion;
    this.maxVersion = common.maxVersion;
    this.alpnProtocols = common.alpnProtocols;
    this.backend = common.backend;
    this.#source = source;
  }

  /** Loads and checks; {@linkcode loadTls} is its public name. */
  static async load(options: LoadTlsOptions): Promise<LoadedTls> {
    return new LoadedTls(options, await openLive(options, options));
  }

  /** Makes a view of `loaded` for one server, whose `close` ends that view only. */
  static share(loaded: LoadedTls): CredentialSource {
    const ends = new Set<() => void>();
    return {
      get current() {
        return loaded.#source.current;
      },
      get notAfter() {
        return loaded.#source.notAfter;
      },
      subscribe(listener) {
        const end = loaded.#source.subscribe(listener);
        ends.add(end);
        return () => {
          ends.delete(end);
          end();
        };
      },
      close() {
        for (const end of ends) end();
        ends.clear();
      },
    };
  }

  /** Current certificate chain, PEM, leaf first. */
  get cert(): string {
    return this.#source.current.cert;
  }

  /** Current private key, PEM. */
  get key(): string {
    return this.#source.current.key;
  }

  /** CA certificates of clients, PEM; `undefined` when no client certificate is asked for. */
  get clientCa(): readonly string[] | undefined {
    const { clientCa } = this.#source.current;
    return clientCa.length === 0 ? undefined : clientCa;
  }

  /**
   * Fingerprints of the only client certificates that are let in; `undefined` where authorities
   * decide, or none is asked for.
   */
  get pin(): readonly string[] | undefined {
    const { pins } = this.#source.current;
    return pins && [...pins];
  }

  /** When the first of the current certificates expires: raise an alarm some weeks before. */
  get notAfter(): Date {
    return this.#source.notAfter;
  }

  /** Stops watching files and expiry. The current credentials stay in use. Idempotent. */
  close(): void {
    this.#source.close();
  }

  /** The same as {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Loads and checks certificates before anything listens: the texts parse, the chain is in order, it is time
 * for it and it is for servers, and the key belongs to it. The result is given as `tls` to `serve()`. With
 * `watch: true` changed files come into force for new connections, without a restart; what cannot be used
 * never does.
 *
 * @throws {TypeError} when options contradict each other, or the text of an option is not what it must be
 * @throws {TlsError} `ERR_CERT_MALFORMED` when the content of a file is not what it must be: it may
 * be whole again a moment later; `ERR_CERT_EXPIRED` (or not yet valid), `ERR_CERT_KEY_MISMATCH`,
 * `ERR_CERT_UNTRUSTED` (chain out of order, or not for servers), `ERR_CERT_WRONG_HOST` (one of
 * `sni` is not for its name)
 * @throws {Deno.errors.NotFound} when a file is absent; other errors of the file system keep their class as
 * well
 *
 * @example
 * ```ts
 * import { createCa, createCertificate, loadTls } from "@parley/parley/tls";
 * import { assert } from "@std/assert";
 *
 * const ca = await createCa();
 * using tls = await loadTls(await createCertificate({ ca, hosts: ["localhost"] }));
 * assert(tls.notAfter > new Date());
 * ```
 */
export function loadTls(options: LoadTlsOptions): Promise<LoadedTls> {
  checkOptionNames("Cannot load the certificates", options, NAMES);
  return LoadedTls.load(options);
}

/**
 * Loads and checks the credentials of one server, and follows watched files until it is closed. The `tls`
 * of a server may be a {@linkcode LoadedTls}: then the result follows that.
 *
 * @throws as {@linkcode loadTls} does
 */
export async function openServerCredentials(
  options: ServerTlsOptions,
  reload: ReloadOptions = {},
): Promise<CredentialSource> {
  return options instanceof LoadedTls ? LoadedTls.share(options) : await openLive(options, reload);
}

/** Current credentials, which a watcher may replace. */
class LiveCredentials implements CredentialSource {
  #current: LoadedCredentials;
  readonly #listeners = new Set<(next: ServerCredentials) => void>();
  readonly #expiry: ExpiryWatch;
  #watcher: FileWatcher | undefined;

  constructor(first: LoadedCredentials, { clock, onError }: Resolved<ReloadOptions>) {
    this.#current = first;
    this.#expiry = new ExpiryWatch({ current: () => this.#current.end, clock, onEnding: onError });
  }

  get current(): ServerCredentials {
    return this.#current;
  }

  get notAfter(): Date {
    return this.#current.end.notAfter;
  }

  subscribe(listener: (next: ServerCredentials) => void): () => void {
    // A function of its own, because the same listener may be added twice.
    const entry = (next: ServerCredentials) => listener(next);
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  close(): void {
    this.#expiry.close();
    this.#watcher?.close();
    this.#listeners.clear();
  }

  watch(plan: LoadPlan, options: Resolved<ReloadOptions>, signature: string): void {
    const { clock, onReload, onError, watchIntervalMs, watchGraceMs } = options;
    const watcher = new FileWatcher({
      files: plan.watchedFiles,
      intervalMs: watchIntervalMs,
      graceMs: watchGraceMs,
      clock,
      onUnfit: onError,
      reload: async () => {
        const next = await plan.load(clock.now());
        if (watcher.closed || sameCredentials(next, this.#current)) return;
        this.#current = next;
        this.#expiry.renew();
        for (const listener of this.#listeners) callHook(() => listener(next), onError);
        callHook(onReload, onError);
      },
    }, signature);
    this.#watcher = watcher;
  }
}

async function openLive(
  options: ServerTlsOptions,
  reload: ReloadOptions,
): Promise<LiveCredentials> {
  const resolved = resolveReload(reload);
  const plan = planServer(options);
  // The signature is taken before reading, so that a change in between shows at the first look.
  const signature = await signFiles(plan.watchedFiles, resolved.clock.now());
  const live = new LiveCredentials(await plan.load(resolved.clock.now()), resolved);
  if (plan.watchedFiles.length > 0) live.watch(plan, resolved, signature);
  return live;
}

function resolveReload(options: ReloadOptions): Resolved<ReloadOptions> {
  const { watchIntervalMs = 2000, watchGraceMs = 10_000, clock = systemClock } = options;
  checkRange(watchIntervalMs, "watchIntervalMs", 10);
  checkRange(watchGraceMs, "watchGraceMs", 0);
  const given = options.onError ?? warnOnConsole;
  // Timers call it: an error that it throws, or rejects with, would end the process.
  const onError = (error: unknown) => callHook(() => given(error), tellFailedHook);
  return {
    onReload: options.onReload ?? (() => {}),
    onError,
    watchIntervalMs,
    watchGraceMs,
    clock,
  };
}

function checkRange(value: number, name: string, min: number): void {
  if (Number.isInteger(value) && value >= min && value <= 3_600_000) return;
  throw new RangeError(
    `Cannot watch files: "${name}" must be ${min} to 3600000, current value is ${value}`,
  );
}

function warnOnConsole(error: unknown): void {
  const isEnding = error instanceof TlsError && error.code === "ERR_CERT_EXPIRING";
  const text = isEnding
    ? "A certificate ends soon:"
    : "Certificates cannot be used, those in force stay so:";
  // deno-lint-ignore no-console -- a rotation that fails in silence ends in an outage
  console.warn(text, error);
}

function tellFailedHook(thrown: unknown): void {
  // deno-lint-ignore no-console -- the place that errors are reported to has failed
  console.error("onError of loadTls() failed:", thrown);
}

function sameCredentials(a: ServerCredentials, b: ServerCredentials): boolean {
  const flat = ({ cert, key, clientCa, pins, sni }: ServerCredentials) =>
    JSON.stringify([
      cert,
      key,
      clientCa,
      [...pins ?? []],
      [...sni].map(([name, one]) => [name, one.cert, one.key]),
    ]);
  return flat(a) === flat(b);
}
