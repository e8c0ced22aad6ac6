// The streams of a session: by id, their ids in order, those that are gone, and those with a deadline.
import { ProtocolError } from "../errors.ts";
import type { Clock } from "../clock.ts";
import type { MuxRole } from "./options.ts";
import { isOpening } from "./state.ts";
import type { StreamCore } from "./stream_core.ts";

/** How far behind the highest id of the peer a skipped one may still be used. */
const MAX_SKIPPED_IDS = 1024;
/** Streams that we reset whose late frames are still told from noise. */
const MAX_GRAVES = 1024;

/** Ids that the peer may open: of its parity, upward, each once. */
export class PeerIds {
  readonly #parity: number;
  readonly #skipped: Set<number> | undefined;
  #highest: number;

  /** `role` is our own; `reordered` allows what `MuxSessionOptions.reorderedIds` says. */
  constructor(role: MuxRole, reordered: boolean) {
    this.#parity = role === "client" ? 0 : 1;
    this.#highest = role === "client" ? 0 : -1;
    this.#skipped = reordered ? new Set() : undefined;
  }

  /** True when the id was opened some time. */
  wasUsed(id: number): boolean {
    return id % 2 === this.#parity && id <= this.#highest && !this.#skipped?.has(id);
  }

  /**
   * Takes a new id.
   *
   * @throws {ProtocolError} `ERR_MUX_STREAM_ID` for the wrong parity and for an id used before or passed over
   */
  take(id: number): void {
    if (id % 2 !== this.#parity) throw badId(id, "the parity is ours");
    if (id > this.#highest) {
      this.#skip(id);
      this.#highest = id;
    } else if (!this.#skipped?.delete(id)) {
      throw badId(id, `the highest was ${this.#highest}`);
    }
  }

  #skip(id: number): void {
    if (this.#skipped === undefined) return;
    for (let skipped = Math.max(this.#highest + 2, id - 2 * MAX_SKIPPED_IDS); skipped < id; skipped += 2) {
      this.#skipped.add(skipped);
    }
    for (const old of this.#skipped) {
      if (this.#skipped.size <= MAX_SKIPPED_IDS) break;
      this.#skipped.delete(old);
    }
  }
}

function badId(id: number, why: string): ProtocolError {
  return new ProtocolError("ERR_MUX_STREAM_ID", `Cannot take stream ${id} as a new one: ${why}`);
}

/**
 * Streams that ended by RST on our side, with what the peer may have sent before it knew. Bytes within that are
 * no noise. Bounded: the oldest go first.
 */
export class Graves {
  readonly #left = new Map<number, number>();

  /** Remembers a stream. */
  add(id: number, availableBytes: number): void {
    this.#left.set(id, availableBytes);
    if (this.#left.size > MAX_GRAVES) {
      for (const oldest of this.#left.keys()) {
        this.#left.delete(oldest);
        break;
      }
    }
  }

  /** Bytes that may still come; `undefined` when the stream is not known. */
  bytesLeft(id: number): number | undefined {
    return this.#left.get(id);
  }

  /** Counts bytes that came. */
  take(id: number, bytes: number): void {
    this.#left.set(id, (this.#left.get(id) ?? 0) - bytes);
  }

  /** The peer knows by now. */
  forget(id: number): void {
    this.#left.delete(id);
  }
}

/** Options of {@linkcode Deadlines}. */
export interface DeadlineOptions {
  readonly clock: Clock;
  readonly openTimeoutMs: number;
  readonly halfCloseTimeoutMs: number;
  /** The time of a stream is up. */
  readonly onLate: (core: StreamCore, what: "open" | "halfClose") => void;
}

/** Streams that wait for an answer or for the peer's FIN; one timer for all. */
export class Deadlines {
  readonly #options: DeadlineOptions;
  readonly #entries = new Map<StreamCore, { at: number; bytes: number }>();
  readonly #sweepMs: number;
  #cancel: (() => void) | undefined;

  constructor(options: DeadlineOptions) {
    this.#options = options;
    this.#sweepMs = Math.max(1, Math.min(5000, options.openTimeoutMs / 10, options.halfCloseTimeoutMs / 10));
  }

  /** Begins to watch a stream, or begins anew. */
  watch(core: StreamCore): void {
    const { clock, openTimeoutMs, halfCloseTimeoutMs } = this.#options;
    const timeoutMs = isOpening(core.state) ? openTimeoutMs : halfCloseTimeoutMs;
    this.#entries.set(core, { at: clock.now() + timeoutMs, bytes: core.receiver.receivedBytes });
    this.#cancel ??= clock.after(this.#sweepMs, () => this.#sweep());
  }

  /** Ends watching a stream. */
  unwatch(core: StreamCore): void {
    this.#entries.delete(core);
  }

  /** Ends it all. */
  stop(): void {
    this.#cancel?.();
    this.#entries.clear();
  }

  #sweep(): void {
    this.#cancel = undefined;
    const now = this.#options.clock.now();
    for (const [core, entry] of this.#entries) {
      if (entry.at > now) continue;
      const opening = isOpening(core.state);
      if (!opening && (core.receiver.hasReader || core.receiver.receivedBytes !== entry.bytes)) {
        this.watch(core);
      } else this.#options.onLate(core, opening ? "open" : "halfClose");
    }
    if (this.#entries.size > 0) {
      this.#cancel ??= this.#options.clock.after(this.#sweepMs, () => this.#sweep());
    }
  }
}
