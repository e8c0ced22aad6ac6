// TimeoutWatch: finds out that a connection is idle, its peer silent or too slow to read, or a
// message too slow to come.
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Transport } from "../net/transport/transport.ts";
import type { ResolvedConnectionOptions } from "./options.ts";
import type { ReceiveQueue } from "./receive_queue.ts";
import { UnchangedTimer } from "../async/unchanged_timer.ts";
import type { WriteQueue } from "./write_queue.ts";

/**
 * How long a write may wait before the kernel is asked what it still holds, in ms: asking is dear,
 * and most waits are short.
 */
const ASK_AFTER_MS = 1000;

/** The connection that a {@linkcode TimeoutWatch} looks at and reports to. */
export interface WatchedConnection {
  readonly transport: Transport;
  readonly receiveQueue: ReceiveQueue;
  readonly writeQueue: WriteQueue;
  /** Current state of the connection. */
  readonly state: "open" | "closing" | "closed";
  /** A time has run out. */
  onTimeout(error: Error): void;
}

/**
 * Compares counters from one sweep to the next, so that nothing is spent on a message. Times are
 * exact to the interval of the sweep.
 *
 * Not for concurrent use: the sweep of its connection calls it.
 */
export class TimeoutWatch {
  readonly #options: ResolvedConnectionOptions;
  readonly #connection: WatchedConnection;
  readonly #traffic = new UnchangedTimer();
  readonly #received = new UnchangedTimer();
  readonly #writes = new UnchangedTimer();
  readonly #messages = new UnchangedTimer();
  /** When a rate limit was last seen to hold the peer back, or a call to be under way. */
  #heldBackAtMs = -Infinity;
  /**
   * What the kernel held when it was last asked during the write that waits; `null` before that,
   * and where it does not say.
   */
  #held: number | null = null;
  /** Bytes that left the kernel while a write waited. */
  #drainedBytes = 0;

  constructor(options: ResolvedConnectionOptions, connection: WatchedConnection) {
    this.#options = options;
    this.#connection = connection;
  }

  /** The shortest time that is watched, in ms. */
  get shortestMs(): number {
    const { idleTimeoutMs, receiveTimeoutMs, writeTimeoutMs, messageTimeoutMs } = this.#options;
    const times = [idleTimeoutMs, receiveTimeoutMs, writeTimeoutMs, messageTimeoutMs];
    return Math.min(...times.filter((ms) => ms > 0));
  }

  /** How long nothing has moved, in ms. */
  idleMs(nowMs: number): number {
    const { receiveQueue, writeQueue } = this.#connection;
    return this.#traffic.unchangedMs(receiveQueue.bytesIn + writeQueue.takenBytes, nowMs);
  }

  /**
   * Looks at the counters. Once the connection is being closed the peer owes no more than to take
   * the rest.
   */
  sweep(nowMs: number): void {
    if (this.#isSlowConsumer(nowMs)) return this.#slowConsumer();
    if (this.#connection.state !== "open") return;
    const { idleTimeoutMs, messageTimeoutMs } = this.#options;
    const { receiveQueue, writeQueue } = this.#connection;
    // A message is late only while we wait for its rest: a slow reader on our side is no fault of the peer.
    if (messageTimeoutMs > 0 && receiveQueue.waitsForRest) {
      if (this.#messages.unchangedMs(receiveQueue.messagesIn, nowMs) >= messageTimeoutMs) {
        return this.#slowMessage();
      }
    } else this.#messages.unchangedMs(-1, nowMs);
    if (this.#isSilent(nowMs)) return this.#silentPeer();
    // Silence that our limit asked for is no silence: the time begins anew once the limit lets the
    // peer go on. While a call is under way, its caller waits for the handler and says nothing.
    if (receiveQueue.keepsRate || receiveQueue.reader.isBusy) this.#heldBackAtMs = nowMs;
    const idleMs = Math.min(this.idleMs(nowMs), nowMs - this.#heldBackAtMs);
    if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs && !writeQueue.writing) {
      this.#connection.onTimeout(
        new TimeoutError(
          "ERR_IDLE_TIMEOUT",
          `The connection was closed because nothing moved on it for ${idleTimeoutMs} ms`,
        ),
      );
    }
  }

  /** Whether the peer has taken nothing for too long. */
  #isSlowConsumer(nowMs: number): boolean {
    const { writeQueue } = this.#connection;
    const { writeTimeoutMs } = this.#options;
    if (!writeQueue.writing) {
      this.#held = null;
      this.#writes.unchangedMs(-1, nowMs);
      return false;
    }
    const waitedMs = this.#writes.unchangedMs(writeQueue.takenBytes + this.#drainedBytes, nowMs);
    if (waitedMs === 0) this.#held = null;
    if (waitedMs >= writeTimeoutMs / 4) writeQueue.slowDown();
    if (this.#held === null) {
      if (waitedMs >= Math.min(ASK_AFTER_MS, writeTimeoutMs / 4)) this.#held = this.#askKernel();
    } else if (waitedMs >= writeTimeoutMs) this.#countDrained();
    return this.#writes.unchangedMs(writeQueue.takenBytes + this.#drainedBytes, nowMs) >=
      writeTimeoutMs;
  }

  /**
   * The kernel takes the next bytes only once it is rid of many: what left it meanwhile is what the
   * peer took.
   */
  #countDrained(): void {
    const held = this.#askKernel() ?? this.#held!;
    if (held < this.#held!) this.#drainedBytes += this.#held! - held;
    this.#held = held;
  }

  #askKernel(): number | null {
    return this.#connection.transport.unacknowledgedBytes?.() ?? null;
  }

  /** Whether the peer has sent nothing for too long. */
  #isSilent(nowMs: number): boolean {
    const { receiveQueue, writeQueue } = this.#connection;
    const { receiveTimeoutMs } = this.#options;
    if (receiveTimeoutMs === 0) return false;
    const counts = receiveQueue.isReading && !writeQueue.writing;
    return this.#received.unchangedMs(counts ? receiveQueue.bytesIn : -1, nowMs) >=
        receiveTimeoutMs &&
      counts;
  }

  #silentPeer(): void {
    this.#connection.onTimeout(
      new TimeoutError(
        "ERR_IDLE_TIMEOUT",
        `The connection was closed because nothing was received on it for ${this.#options.receiveTimeoutMs} ms`,
      ),
    );
  }

  #slowConsumer(): void {
    const { queuedBytes } = this.#connection.writeQueue;
    this.#connection.onTimeout(
      new ClosedError(
        "ERR_SLOW_CONSUMER",
        `The connection was closed because the peer read none of the ${queuedBytes} bytes that wait for it within ` +
          `${this.#options.writeTimeoutMs} ms`,
        { unsentBytes: queuedBytes },
      ),
    );
  }

  #slowMessage(): void {
    this.#connection.onTimeout(
      new TimeoutError(
        "ERR_READ_TIMEOUT",
        `The connection was closed as a message that had begun did not end within ${this.#options.messageTimeoutMs} ms: ` +
          `${this.#connection.receiveQueue.heldBytes} bytes of it came`,
      ),
    );
  }
}
