// LinkWatch: finds out that the other side is dead, does not read, or does not end what it began.
import { UnchangedTimer } from "../../async/unchanged_timer.ts";
import { ClosedError, TimeoutError } from "../../errors.ts";
import { FRAME_HEAD_BYTES } from "../protocol/frames.ts";

/** Times that are watched, in ms; 0 is off. */
export interface LinkWatchOptions {
  /** Silence after which the other side is asked whether it lives. */
  readonly keepaliveMs: number;
  /** Time it has to answer. */
  readonly keepaliveTimeoutMs: number;
  /** Longest time in which it takes none of the bytes that wait for it. */
  readonly writeTimeoutMs: number;
  /** Longest time from the first byte of a message to its last. */
  readonly messageTimeoutMs: number;
}

/** What the watch can do. */
export interface LinkWatchActions {
  /** Asks the other side for a sign of life. */
  ping(): void;
  /** Sends a sign that the other side did not ask for: we live, but our application does not read. */
  stillHere(): void;
  /** Ends the link. */
  fail(error: Error): void;
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

/** More than this between two looks, and it was us who slept. */
const ASLEEP_MS = 5000;
/**
 * Longest time between two signs of life while we do not read, in ms. The other side waits for them by its own options, which we do
 * not know; and the first one after it has gone fails, which is how a side that does not read finds that out.
 */
const SIGN_MS = 1000;

/** Compares one look with the next, so that nothing is spent on a message. */
export class LinkWatch {
  readonly #options: LinkWatchOptions;
  readonly #actions: LinkWatchActions;
  readonly #writes = new UnchangedTimer();
  readonly #frames = new UnchangedTimer();
  #inputs = 0;
  readonly #silence = new UnchangedTimer();
  #pingedAtMs: number | null = null;
  #lookedAtMs = -Infinity;
  #signAtMs = -Infinity;

  /** Makes a watch. */
  constructor(options: LinkWatchOptions, actions: LinkWatchActions) {
    this.#options = options;
    this.#actions = actions;
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
      // Nothing can be said of the other side before it had its chance to be heard.
      this.#inputs++;
      this.#pingedAtMs = null;
      this.#writes.unchangedMs(-1, nowMs);
      this.#frames.unchangedMs(-1, nowMs);
    }
    this.#watchWrites(nowMs, look);
    this.#watchMessage(nowMs, look);
    this.#giveSigns(nowMs, look);
    if (this.#options.keepaliveMs > 0) this.#watchLife(nowMs, look);
  }

  #watchWrites(nowMs: number, { writing, writtenBytes, queuedBytes }: LinkLook): void {
    const { writeTimeoutMs } = this.#options;
    // That no sign of life fits in is no fault of a side that does not read either: two that rest owe each other nothing.
    const owes = writing && queuedBytes > FRAME_HEAD_BYTES;
    const stillMs = this.#writes.unchangedMs(owes ? writtenBytes : -1, nowMs);
    if (!owes || stillMs < writeTimeoutMs) return;
    this.#actions.fail(
      new ClosedError(
        "ERR_SLOW_CONSUMER",
        `The connection was closed as the other side took none of ${queuedBytes} bytes within ${writeTimeoutMs} ms`,
        { unsentBytes: queuedBytes },
      ),
    );
  }

  #watchMessage(nowMs: number, { paused, inFrame, framesIn }: LinkLook): void {
    const { messageTimeoutMs } = this.#options;
    const watched = inFrame && !paused && messageTimeoutMs > 0;
    const stillMs = this.#frames.unchangedMs(watched ? framesIn : -1, nowMs);
    if (!watched || stillMs < messageTimeoutMs) return;
    this.#actions.fail(
      new TimeoutError(
        "ERR_READ_TIMEOUT",
        `The connection was closed as a message that had begun did not end within ${messageTimeoutMs} ms`,
      ),
    );
  }

  #giveSigns(nowMs: number, { paused, writing }: LinkLook): void {
    if (
      !paused || writing || nowMs - this.#signAtMs < Math.min(SIGN_MS, this.#options.keepaliveMs || SIGN_MS)
    ) return;
    this.#signAtMs = nowMs;
    this.#actions.stillHere();
  }

  #watchLife(nowMs: number, { paused, writing }: LinkLook): void {
    const { keepaliveMs, keepaliveTimeoutMs } = this.#options;
    // Silence is ours while we do not read. While a write is under way its own time limit holds: a ping would wait behind it.
    if (paused || writing) {
      this.#inputs++;
      this.#pingedAtMs = null;
    }
    const silentMs = this.#silence.unchangedMs(this.#inputs, nowMs);
    if (silentMs === 0) this.#pingedAtMs = null;
    if (this.#pingedAtMs === null) {
      if (silentMs < keepaliveMs) return;
      this.#pingedAtMs = nowMs;
      this.#actions.ping();
      return;
    }
    if (nowMs - this.#pingedAtMs < keepaliveTimeoutMs) return;
    this.#actions.fail(
      new TimeoutError(
        "ERR_KEEPALIVE_TIMEOUT",
        `The connection was closed as the other side gave no sign of life within ${keepaliveTimeoutMs} ms`,
      ),
    );
  }
}
