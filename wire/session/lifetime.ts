// Lifetime: a signal and a time limit over the whole life of a stream, from its opening on.
import { watchWait } from "../../async/wait.ts";
import { TimeoutError } from "../../errors.ts";
import { checkDurationMs } from "../../options/check.ts";
import type { MuxStream } from "../../mux/stream.ts";
import type { OptionNames } from "../../options/names.ts";

/** What ends a stream from outside; see `lifetime` of `OpenOptions`. */
export interface StreamLifetime {
  /** Resets the stream. */
  signal?: AbortSignal | undefined;
  /** Time in ms from the call of `open` on, after which the stream is reset. @default {no limit} */
  timeoutMs?: number | undefined;
}

/** Names in {@linkcode StreamLifetime}. */
export const STREAM_LIFETIME_NAMES: OptionNames<StreamLifetime> = {
  signal: true,
  timeoutMs: true,
};

/** Checks a lifetime before any I/O. @throws {TypeError | RangeError} when something is wrong */
export function checkLifetime(action: string, lifetime: StreamLifetime): void {
  if (typeof lifetime !== "object" || lifetime === null) {
    throw new TypeError(`${action}: "lifetime" must be an object, current value is ${lifetime}`);
  }
  const { signal, timeoutMs } = lifetime;
  if (timeoutMs !== undefined) checkDurationMs(action, "lifetime.timeoutMs", timeoutMs);
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new TypeError(
    `${action}: "lifetime.signal" must be an AbortSignal, current value is ${typeof signal}`,
  );
}

/**
 * Watches over one stream: while it is opened by {@linkcode signal}, from then on by {@linkcode cover}. Call
 * {@linkcode end} when the opening failed.
 */
export class Lifetime {
  readonly #over = new AbortController();
  readonly #stopWatching: () => void;
  readonly #stopOpening: () => void;

  /** Begins; `opening` ends the opening alone. @throws the reason of a signal that has fired already */
  constructor(lifetime: StreamLifetime, opening: AbortSignal | undefined) {
    lifetime.signal?.throwIfAborted();
    opening?.throwIfAborted();
    const cancel = (reason: unknown) => this.#over.abort(reason);
    this.#stopWatching = watchWait(lifetime, {
      cancel,
      timeout: (ms) =>
        new TimeoutError(
          "ERR_READ_TIMEOUT",
          `Cannot go on with the stream: its lifetime of ${ms} ms is over`,
        ),
    });
    this.#stopOpening = watchWait({ signal: opening }, { cancel });
  }

  /** Fires when the lifetime is over, or the opening was given up. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** The stream is open: resets it when its lifetime is over. */
  cover(mux: MuxStream): void {
    this.#stopOpening();
    const { signal } = this;
    const reset = () => mux.reset(signal.reason);
    if (signal.aborted) return reset();
    signal.addEventListener("abort", reset, { once: true });
    void mux.closed.then(() => this.end());
  }

  /** Stops watching. */
  end(): void {
    this.#stopOpening();
    this.#stopWatching();
  }
}
