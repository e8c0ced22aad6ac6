// TimeoutWatch: finds out that a connection is idle, its peer too slow to read, or a message too slow to come.
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Inbox } from "./inbox.ts";
import type { ResolvedConnectionOptions } from "./options.ts";
import { Stillness } from "./stillness.ts";
import type { WriteQueue } from "./write_queue.ts";

/**
 * Compares counters from one sweep to the next, so that nothing is spent on a message. Times are exact to the interval of
 * the sweep.
 */
export class TimeoutWatch {
  readonly #options: ResolvedConnectionOptions;
  readonly #inbox: Inbox;
  readonly #queue: WriteQueue;
  readonly #onTimeout: (error: Error) => void;
  readonly #traffic = new Stillness();
  readonly #writes = new Stillness();
  readonly #messages = new Stillness();
  /** When a rate limit was last seen to hold the peer back. */
  #heldBackAtMs = -Infinity;

  constructor(
    options: ResolvedConnectionOptions,
    inbox: Inbox,
    queue: WriteQueue,
    onTimeout: (error: Error) => void,
  ) {
    this.#options = options;
    this.#inbox = inbox;
    this.#queue = queue;
    this.#onTimeout = onTimeout;
  }

  /** The shortest time that is watched, in ms. */
  get shortestMs(): number {
    const { idleTimeoutMs, writeTimeoutMs, messageTimeoutMs } = this.#options;
    return Math.min(...[idleTimeoutMs, writeTimeoutMs, messageTimeoutMs].filter((ms) => ms > 0));
  }

  /** How long nothing has moved, in ms. */
  idleMs(nowMs: number): number {
    return this.#traffic.lastedMs(this.#inbox.bytesIn + this.#queue.writtenBytes, nowMs);
  }

  /** Looks at the counters. */
  sweep(nowMs: number): void {
    const { idleTimeoutMs, writeTimeoutMs, messageTimeoutMs } = this.#options;
    const inbox = this.#inbox;
    const queue = this.#queue;
    if (queue.writing) {
      if (this.#writes.lastedMs(queue.writtenBytes, nowMs) >= writeTimeoutMs) return this.#slowConsumer();
    } else this.#writes.lastedMs(-1, nowMs);
    // A message is late only while we wait for its rest: a slow reader on our side is no fault of the peer.
    if (messageTimeoutMs > 0 && inbox.waitsForRest) {
      if (this.#messages.lastedMs(inbox.messagesIn, nowMs) >= messageTimeoutMs) return this.#slowMessage();
    } else this.#messages.lastedMs(-1, nowMs);
    // Silence that our limit asked for is no silence: the time begins anew once the limit lets the peer go on.
    if (inbox.keepsRate) this.#heldBackAtMs = nowMs;
    const idleMs = Math.min(this.idleMs(nowMs), nowMs - this.#heldBackAtMs);
    if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs && !queue.writing) {
      this.#onTimeout(
        new TimeoutError(
          "ERR_IDLE_TIMEOUT",
          `The connection was closed as nothing moved on it for ${idleTimeoutMs} ms`,
        ),
      );
    }
  }

  #slowConsumer(): void {
    const { queuedBytes } = this.#queue;
    this.#onTimeout(
      new ClosedError(
        "ERR_SLOW_CONSUMER",
        `The connection was closed as the peer took none of ${queuedBytes} bytes within ${this.#options.writeTimeoutMs} ms`,
        { unsentBytes: queuedBytes },
      ),
    );
  }

  #slowMessage(): void {
    this.#onTimeout(
      new TimeoutError(
        "ERR_READ_TIMEOUT",
        `The connection was closed as a message that had begun did not end within ${this.#options.messageTimeoutMs} ms: ` +
          `${this.#inbox.heldBytes} bytes of it came`,
      ),
    );
  }
}
