// LinkWatch: finds out that the other side is dead, does not read, or stops inside a message.
import { UnchangedTimer } from "../../async/unchanged_timer.ts";
import { ClosedError, TimeoutError } from "../../errors.ts";
import { FRAME_HEAD_BYTES } from "../protocol/frames.ts";
import type { Pings } from "./pings.ts";

/** Times that are watched, in ms; 0 is off. */
export interface LinkWatchOptions {
  /** Silence after which the other side gets a ping. */
  readonly keepaliveMs: number;
  /** Time it has to answer. */
  readonly keepaliveTimeoutMs: number;
  /** Longest time in which it takes none of the bytes that wait for it. */
  readonly writeTimeoutMs: number;
  /** Longest time from the first byte of a message to its last. */
  readonly messageTimeoutMs: number;
}

/** What of an `IpcLink` the watch uses. */
export interface WatchedLink {
  /**
   * Asks for signs of life, and sends some: this process lives, but its application does not read.
   */
  readonly pings: Pick<Pings, "ask" | "sendUnsolicitedPong">;
  /** Ends the link. */
  abort(error: Error): void;
}

/** What a link looks like at one moment. */
export interface LinkLook {
  /** We do not read. */
  readonly paused: boolean;
  /** A write is under way. */
  readonly writing: boolean;
  /** Bytes written so far. */
  readonly writtenBytes: number;
  /** Bytes that wait, those of the write under way included. */
  readonly queuedBytes: number;
  /** A frame has begun whose rest is to come. */
  readonly inFrame: boolean;
  /** Frames received so far. */
  readonly framesIn: number;
}

/** Time between two looks above which this process slept: the silence was not the other side's. */
const ASLEEP_MS = 5000;
/**
 * Longest time between two signs of life while we do not read, in ms. The other side waits for them
 * by its own options, which this side does not know. The first one after the other side has gone
 * fails: so a side that does not read finds that out.
 */
const SIGN_MS = 1000;

/** Compares one look with the next, so that a message costs nothing. */
export class LinkWatch {
  readonly #options: LinkWatchOptions;
  readonly #link: WatchedLink;
  readonly #writes = new UnchangedTimer();
  readonly #frames = new UnchangedTimer();
  #inputs = 0;
  readonly #silence = new UnchangedTimer();
  #pingedAtMs: number | null = null;
  #lookedAtMs = -Infinity;
  #signAtMs = -Infinity;

  /** Watches `link`. */
  constructor(options: LinkWatchOptions, link: WatchedLink) {
    this.#options = options;
    this.#link = link;
  }

  /** Bytes came. */
  sawInput(): void {
    this.#inputs++;
  }

  /** Looks at the link. `nowMs` is of any clock that only goes forward. */
  tick(nowMs: number, look: LinkLook): void {
    const slept = nowMs - this.#lookedAtMs > ASLEEP_MS;
    this.#lookedAtMs = nowMs;
    if (slept) {
      // The other side may have sent something meanwhile that was not read yet.
      this.#inputs++;
      this.#pingedAtMs = null;
      this.#writes.unchangedMs(-1, nowMs);
      this.#frames.unchangedMs(-1, nowMs);
    }
    this.#watchWrites(nowMs, look);
    this.#watchMessage(nowMs, look);
    this.#sendSigns(nowMs, look);
    if (this.#options.keepaliveMs > 0) this.#watchLife(nowMs, look);
  }

  #watchWrites(nowMs: number, { writing, writtenBytes, queuedBytes }: LinkLook): void {
    const { writeTimeoutMs } = this.#options;
    // When both sides do not read, a sign of life that waits to be written is no fault.
    const owes = writing && queuedBytes > FRAME_HEAD_BYTES;
    const stillMs = this.#writes.unchangedMs(owes ? writtenBytes : -1, nowMs);
    if (!owes || stillMs < writeTimeoutMs) return;
    this.#link.abort(
      new ClosedError(
        "ERR_SLOW_CONSUMER",
        `The connection was closed because the other side read none of ${queuedBytes} bytes within ${writeTimeoutMs} ms`,
        { unsentBytes: queuedBytes },
      ),
    );
  }

  #watchMessage(nowMs: number, { paused, inFrame, framesIn }: LinkLook): void {
    const { messageTimeoutMs } = this.#options;
    const watched = inFrame && !paused && messageTimeoutMs > 0;
    const stillMs = this.#frames.unchangedMs(watched ? framesIn : -1, nowMs);
    if (!watched || stillMs < messageTimeoutMs) return;
    this.#link.abort(
      new TimeoutError(
        "ERR_READ_TIMEOUT",
        `The connection was closed as a message that had begun did not end within ${messageTimeoutMs} ms`,
      ),
    );
  }

  #sendSigns(nowMs: number, { paused, writing }: LinkLook): void {
    if (
      !paused || writing ||
      nowMs - this.#signAtMs < Math.min(SIGN_MS, this.#options.keepaliveMs || SIGN_MS)
    ) return;
    this.#signAtMs = nowMs;
    this.#link.pings.sendUnsolicitedPong();
  }

  #watchLife(nowMs: number, { paused, writing }: LinkLook): void {
    const { keepaliveMs, keepaliveTimeoutMs } = this.#options;
    // While this side does not read, the silence is its own. While a write is under way its own
    // limit holds, and a ping would wait behind it.
    if (paused || writing) {
      this.#inputs++;
      this.#pingedAtMs = null;
    }
    const silentMs = this.#silence.unchangedMs(this.#inputs, nowMs);
    if (silentMs === 0) this.#pingedAtMs = null;
    if (this.#pingedAtMs === null) {
      if (silentMs < keepaliveMs) return;
      this.#pingedAtMs = nowMs;
      this.#link.pings.ask();
      return;
    }
    if (nowMs - this.#pingedAtMs < keepaliveTimeoutMs) return;
    this.#link.abort(
      new TimeoutError(
        "ERR_KEEPALIVE_TIMEOUT",
        `The connection was closed because the other side gave no sign of life within ${keepaliveTimeoutMs} ms`,
      ),
    );
  }
}

/** The shortest time that is watched, in ms: how often a sweeper must look at the link. */
export function shortestMs(options: LinkWatchOptions): number {
  const { keepaliveMs, keepaliveTimeoutMs, writeTimeoutMs, messageTimeoutMs } = options;
  return Math.min(
    ...[keepaliveMs, keepaliveTimeoutMs, writeTimeoutMs, messageTimeoutMs].filter((ms) => ms > 0),
  );
}
