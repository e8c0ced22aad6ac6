// TimeoutWatch: finds out that a connection is idle, its peer silent or too slow to read, or a message too slow to come.
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Transport } from "../net/transport/transport.ts";
import type { Inbox } from "./inbox.ts";
import type { ResolvedConnectionOptions } from "./options.ts";
import { UnchangedTimer } from "../async/unchanged_timer.ts";
import type { WriteQueue } from "./write_queue.ts";

/** How long a write may wait before the kernel is asked what it still holds, in ms: asking is dear, and most waits are short. */
const ASK_AFTER_MS = 1000;

/** What a {@linkcode TimeoutWatch} looks at. */
export interface WatchParts {
  readonly transport: Transport;
  readonly inbox: Inbox;
  readonly queue: WriteQueue;
  readonly onTimeout: (error: Error) => void;
}

/**
 * Compares counters from one sweep to the next, so that nothing is spent on a message. Times are exact to the interval of
 * the sweep.
 */
export class TimeoutWatch {
  readonly #options: ResolvedConnectionOptions;
  readonly #parts: WatchParts;
  readonly #traffic = new UnchangedTimer();
  readonly #received = new UnchangedTimer();
  readonly #writes = new UnchangedTimer();
  readonly #messages = new UnchangedTimer();
  /** When a rate limit was last seen to hold the peer back. */
  #heldBackAtMs = -Infinity;
  /** What the kernel held when it was last asked during the write that waits; `null` before that, and where it does not say. */
  #held: number | null = null;
  /** Bytes that left the kernel while a write waited. */
  #drainedBytes = 0;

  constructor(options: ResolvedConnectionOptions, parts: WatchParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** The shortest time that is watched, in ms. */
  get shortestMs(): number {
    const { idleTimeoutMs, receiveTimeoutMs, writeTimeoutMs, messageTimeoutMs } = this.#options;
    const times = [idleTimeoutMs, receiveTimeoutMs, writeTimeoutMs, messageTimeoutMs];
    return Math.min(...times.filter((ms) => ms > 0));
  }

  /** How long nothing has moved, in ms. */
  idleMs(nowMs: number): number {
    const { inbox, queue } = this.#parts;
    return this.#traffic.unchangedMs(inbox.bytesIn + queue.takenBytes, nowMs);
  }

  /** Looks at the counters. `isOpen` is false once the connection is being closed: then the peer owes no more than to take the rest. */
  sweep(nowMs: number, isOpen: boolean): void {
    if (this.#isSlowConsumer(nowMs)) return this.#slowConsumer();
    if (!isOpen) return;
    const { idleTimeoutMs, messageTimeoutMs } = this.#options;
    const { inbox, queue, onTimeout } = this.#parts;
    // A message is late only while we wait for its rest: a slow reader on our side is no fault of the peer.
    if (messageTimeoutMs > 0 && inbox.waitsForRest) {
      if (this.#messages.unchangedMs(inbox.messagesIn, nowMs) >= messageTimeoutMs) return this.#slowMessage();
    } else this.#messages.unchangedMs(-1, nowMs);
    if (this.#isSilent(nowMs)) return this.#silentPeer();
    // Silence that our limit asked for is no silence: the time begins anew once the limit lets the peer go on.
    if (inbox.keepsRate) this.#heldBackAtMs = nowMs;
    const idleMs = Math.min(this.idleMs(nowMs), nowMs - this.#heldBackAtMs);
    if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs && !queue.writing) {
      onTimeout(
        new TimeoutError(
          "ERR_IDLE_TIMEOUT",
          `The connection was closed because nothing moved on it for ${idleTimeoutMs} ms`,
        ),
      );
    }
  }

  /** Whether the peer has taken nothing for too long. */
  #isSlowConsumer(nowMs: number): boolean {
    const { queue } = this.#parts;
    const { writeTimeoutMs } = this.#options;
    if (!queue.writing) {
      this.#held = null;
      this.#writes.unchangedMs(-1, nowMs);
      return false;
    }
    const waitedMs = this.#writes.unchangedMs(queue.takenBytes + this.#drainedBytes, nowMs);
    if (waitedMs === 0) this.#held = null;
    if (waitedMs >= writeTimeoutMs / 4) queue.slowDown();
    if (this.#held === null) {
      if (waitedMs >= Math.min(ASK_AFTER_MS, writeTimeoutMs / 4)) this.#held = this.#askKernel();
    } else if (waitedMs >= writeTimeoutMs) this.#countDrained();
    return this.#writes.unchangedMs(queue.takenBytes + this.#drainedBytes, nowMs) >= writeTimeoutMs;
  }

  /** The kernel takes the next bytes only once it is rid of many: what left it meanwhile is what the peer took. */
  #countDrained(): void {
    const held = this.#askKernel() ?? this.#held!;
    if (held < this.#held!) this.#drainedBytes += this.#held! - held;
    this.#held = held;
  }

  #askKernel(): number | null {
    return this.#parts.transport.unacknowledgedBytes?.() ?? null;
  }

  /** Whether the peer has sent nothing for too long. */
  #isSilent(nowMs: number): boolean {
    const { inbox, queue } = this.#parts;
    const { receiveTimeoutMs } = this.#options;
    if (receiveTimeoutMs === 0) return false;
    const counts = inbox.isReading && !queue.writing;
    return this.#received.unchangedMs(counts ? inbox.bytesIn : -1, nowMs) >= receiveTimeoutMs && counts;
  }

  #silentPeer(): void {
    this.#parts.onTimeout(
      new TimeoutError(
        "ERR_IDLE_TIMEOUT",
        `The connection was closed because nothing was received on it for ${this.#options.receiveTimeoutMs} ms`,
      ),
    );
  }

  #slowConsumer(): void {
    const { queuedBytes } = this.#parts.queue;
    this.#parts.onTimeout(
      new ClosedError(
        "ERR_SLOW_CONSUMER",
        `The connection was closed because the peer read none of the ${queuedBytes} bytes that wait for it within ` +
          `${this.#options.writeTimeoutMs} ms`,
        { unsentBytes: queuedBytes },
      ),
    );
  }

  #slowMessage(): void {
    this.#parts.onTimeout(
      new TimeoutError(
        "ERR_READ_TIMEOUT",
        `The connection was closed as a message that had begun did not end within ${this.#options.messageTimeoutMs} ms: ` +
          `${this.#parts.inbox.heldBytes} bytes of it came`,
      ),
    );
  }
}
