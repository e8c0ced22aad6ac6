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

/** Longest time in ms for which a connection is not looked at: a number that stays small. */
const MAX_REST_MS = 3_600_000;

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
  /** Made when they are needed: most of many connections are idle. */
  #received: UnchangedTimer | null = null;
  #writes: UnchangedTimer | null = null;
  #messages: UnchangedTimer | null = null;
  /** When a rate limit was last seen to hold the peer back, or a call to be under way. */
  #heldBackAtMs: number | null = null;
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
    // 0 is off.
    return Math.min(
      idleTimeoutMs || Infinity,
      receiveTimeoutMs || Infinity,
      writeTimeoutMs || Infinity,
      messageTimeoutMs || Infinity,
    );
  }

  /** How long nothing has moved, in ms. */
  idleMs(nowMs: number): number {
    const { receiveQueue, writeQueue } = this.#connection;
    return this.#traffic.unchangedMs(receiveQueue.bytesIn + writeQueue.takenBytes, nowMs);
  }

  /**
   * Returns the time before which no time can run out as long as nothing moves; `nowMs` unless the
   * connection is at rest. Call it after {@linkcode sweep}.
   */
  restsUntilMs(nowMs: number): number {
    const { receiveQueue, writeQueue, state } = this.#connection;
    const { idleTimeoutMs, receiveTimeoutMs } = this.#options;
    const isAtRest = state === "open" && writeQueue.queuedBytes === 0 && !writeQueue.writing &&
      receiveQueue.heldBytes === 0 && !receiveQueue.reader.isBusy;
    if (!isAtRest) return nowMs;
    let untilMs = nowMs + MAX_REST_MS;
    if (idleTimeoutMs > 0) untilMs = Math.min(untilMs, nowMs + idleTimeoutMs - this.#idleMs(nowMs));
    if (receiveTimeoutMs === 0) return untilMs;
    if (!receiveQueue.isReading) return nowMs;
    return Math.min(untilMs, nowMs + receiveTimeoutMs - this.#silentMs(nowMs));
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
      this.#messages ??= new UnchangedTimer();
      if (this.#messages.unchangedMs(receiveQueue.messagesIn, nowMs) >= messageTimeoutMs) {
        return this.#slowMessage();
      }
    } else this.#messages = null;
    if (this.#isSilent(nowMs)) return this.#silentPeer();
    // Silence that our limit asked for is no silence: the time begins anew once the limit lets the
    // peer go on. While a call is under way, its caller waits for the handler and says nothing.
    if (receiveQueue.keepsRate || receiveQueue.reader.isBusy) this.#heldBackAtMs = nowMs;
    if (idleTimeoutMs > 0 && this.#idleMs(nowMs) >= idleTimeoutMs && !writeQueue.writing) {
      this.#connection.onTimeout(
        new TimeoutError(
          "ERR_IDLE_TIMEOUT",
          `The connection was closed because nothing moved on it for ${idleTimeoutMs} ms`,
        ),
      );
    }
  }

  /** How long the peer could have moved something and did not, in ms. */
  #idleMs(nowMs: number): number {
    const idleMs = this.idleMs(nowMs);
    return this.#heldBackAtMs === null ? idleMs : Math.min(idleMs, nowMs - this.#heldBackAtMs);
  }

  /** Whether the peer has taken nothing for too long. */
  #isSlowConsumer(nowMs: number): boolean {
    const { writeQueue } = this.#connection;
    const { writeTimeoutMs } = this.#options;
    if (!writeQueue.writing) {
      this.#held = null;
      this.#writes = null;
      return false;
    }
    const writes = this.#writes ??= new UnchangedTimer();
    const waitedMs = writes.unchangedMs(writeQueue.takenBytes + this.#drainedBytes, nowMs);
    if (waitedMs === 0) this.#held = null;
    if (waitedMs >= writeTimeoutMs / 4) writeQueue.slowDown();
    if (this.#held === null) {
      if (waitedMs >= Math.min(ASK_AFTER_MS, writeTimeoutMs / 4)) this.#held = this.#askKernel();
    } else if (waitedMs >= writeTimeoutMs) this.#countDrained();
    return writes.unchangedMs(writeQueue.takenBytes + this.#drainedBytes, nowMs) >= writeTimeoutMs;
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
    const { receiveTimeoutMs } = this.#options;
    return receiveTimeoutMs > 0 && this.#silentMs(nowMs) >= receiveTimeoutMs;
  }

  /** How long the peer could have sent something and did not, in ms. */
  #silentMs(nowMs: number): number {
    const { receiveQueue, writeQueue } = this.#connection;
    if (!receiveQueue.isReading || writeQueue.writing) {
      this.#received = null;
      return 0;
    }
    return (this.#received ??= new UnchangedTimer()).unchangedMs(receiveQueue.bytesIn, nowMs);
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
