// StreamDeadlines: streams that the peer must answer or end in time.
import type { Clock } from "../async/clock.ts";
import { LinkedSet } from "../collections/linked_set.ts";
import { isOpening } from "./state.ts";
import type { StreamCore } from "./stream_core.ts";

/** Options of {@linkcode StreamDeadlines}. */
export interface StreamDeadlinesOptions {
  readonly clock: Clock;
  readonly openTimeoutMs: number;
  readonly halfCloseTimeoutMs: number;
  /** The time of a stream is up. */
  readonly onLate: (core: StreamCore, what: "open" | "halfClose") => void;
}

/**
 * Streams that the peer has not answered yet, and streams that the application has closed and the
 * peer has not ended. One timer for all.
 */
export class StreamDeadlines {
  readonly #options: StreamDeadlinesOptions;
  readonly #streams = new LinkedSet<StreamCore>();
  readonly #sweepMs: number;
  #cancel: (() => void) | undefined;

  constructor(options: StreamDeadlinesOptions) {
    this.#options = options;
    this.#sweepMs = Math.max(
      1,
      Math.min(5000, options.openTimeoutMs / 10, options.halfCloseTimeoutMs / 10),
    );
  }

  /** Begins to watch a stream, or begins anew. */
  watch(core: StreamCore): void {
    const { clock, openTimeoutMs, halfCloseTimeoutMs } = this.#options;
    const timeoutMs = isOpening(core.state) ? openTimeoutMs : halfCloseTimeoutMs;
    core.dueMs = clock.now() + timeoutMs;
    core.dueBytes = transferredBytes(core);
    if (core.duePlace?.isIn !== true) core.duePlace = this.#streams.add(core);
    this.#cancel ??= clock.after(this.#sweepMs, () => this.#sweep());
  }

  /** Ends watching a stream. */
  unwatch(core: StreamCore): void {
    if (core.duePlace !== undefined) this.#streams.remove(core.duePlace);
  }

  /** Ends it all. */
  stop(): void {
    this.#cancel?.();
    this.#streams.clear();
  }

  #sweep(): void {
    this.#cancel = undefined;
    const now = this.#options.clock.now();
    for (const core of this.#streams.values()) {
      if (core.dueMs > now || core.duePlace?.isIn !== true) continue;
      const opening = isOpening(core.state);
      if (!opening && transferredBytes(core) !== core.dueBytes) this.watch(core);
      else this.#options.onLate(core, opening ? "open" : "halfClose");
    }
    if (this.#streams.size > 0) {
      this.#cancel ??= this.#options.clock.after(this.#sweepMs, () => this.#sweep());
    }
  }
}

/** Bytes that went either way: while they move, the peer does its part. */
function transferredBytes(core: StreamCore): number {
  return core.receiver.receivedBytes + core.sender.sentBytes;
}
