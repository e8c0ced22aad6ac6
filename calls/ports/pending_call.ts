// PendingCall: a call on its way, until its reply comes, its caller gives up, or it is lost.
import type { Clock } from "../../async/clock.ts";
import { watchWait } from "../../async/wait.ts";
import { type ClosedError, TimeoutError } from "../../errors.ts";
import type { OutgoingCall } from "./port.ts";

/** What becomes of a call whose connection ends. */
export interface CallOwner {
  /**
   * Decides about a call that its connection has lost. `isUntouched` says whether the other side
   * has certainly not begun it.
   */
  onLost(call: PendingCall, error: ClosedError, isUntouched: boolean): void;
}

/** What holds a call for now. */
export interface CallHolder {
  /** The call is over, because its caller has given up. */
  onGivenUp(call: PendingCall): void;
}

/**
 * One call and its promise. The first of reply, failure and giving up counts; whatever comes
 * later is ignored. Its holder may change: a client passes it from one link to the next.
 */
export class PendingCall {
  readonly call: OutgoingCall;
  readonly owner: CallOwner;
  /** Settles with what the call makes of its reply, or of what ended it. */
  readonly outcome: Promise<unknown>;
  /** What holds the call; `null` while it is passed on. */
  holder: CallHolder | null = null;
  /** Id on the connection that it was sent on. */
  id = 0;
  /** Whether it was not sent at once, or is sent again: then less than its whole time is left. */
  hasWaited = false;
  /** Why it was lost last; `undefined` when it never was. */
  lastLoss: unknown;
  /** How many of its links the other side broke. */
  faults = 0;
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #stopWatch: () => void;

  /**
   * Begins to count the time of a call whose signal has not aborted.
   *
   * @param peer how errors name the other side
   */
  constructor(call: OutgoingCall, owner: CallOwner, clock: Clock, peer: string) {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.call = call;
    this.owner = owner;
    this.#clock = clock;
    this.#startedMs = clock.now();
    this.outcome = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal, timeoutMs } = call;
    const late = () => this.#giveUp(tooLate(call, peer, this.lastLoss));
    // Most calls have no signal, and need no more than the timer.
    this.#stopWatch = signal === undefined && timeoutMs !== Infinity
      ? clock.after(timeoutMs, late)
      : watchWait(call, {
        clock,
        cancel: (reason) => this.#giveUp(reason),
        timeout: () => tooLate(call, peer, this.lastLoss),
      });
  }

  /** What is left of the time, in ms, for a call that has waited; `undefined` for all of it. */
  get leftMs(): number | undefined {
    const { timeoutMs } = this.call;
    if (!this.hasWaited || timeoutMs === Infinity) return undefined;
    return Math.max(1, timeoutMs - (this.#clock.now() - this.#startedMs));
  }

  /** The reply has come. */
  resolve(reply: Uint8Array): void {
    this.#end();
    try {
      this.#resolve(this.call.read(reply));
    } catch (error) {
      this.#reject(error);
    }
  }

  /** There will be no reply. */
  reject(reason: unknown): void {
    this.#end();
    this.#reject(this.call.explain(reason));
  }

  /** The connection has ended, or takes no more calls. */
  lose(error: ClosedError, isUntouched: boolean): void {
    this.holder = null;
    this.hasWaited = true;
    this.lastLoss = error;
    this.owner.onLost(this, error, isUntouched);
  }

  #giveUp(reason: unknown): void {
    const { holder } = this;
    this.reject(reason);
    holder?.onGivenUp(this);
  }

  #end(): void {
    this.holder = null;
    this.#stopWatch();
  }
}

function tooLate({ name, timeoutMs }: OutgoingCall, peer: string, cause: unknown): TimeoutError {
  return new TimeoutError(
    "ERR_CALL_TIMEOUT",
    `Cannot call "${name}" within ${timeoutMs} ms: ${peer} has not answered`,
    { cause },
  );
}

/** Rejects calls that are lost: where there is no other connection for them. */
export const REJECT_LOST: CallOwner = {
  onLost: (call, error) => call.reject(error),
};
