// CallContext: what a handler learns of a call beside its input.
import { DeadlineSignal } from "../async/deadline.ts";
import { TimeoutError } from "../errors.ts";
import type { CallLink, IncomingCall } from "./ports/port.ts";

/** The key of a value that middleware leaves for handlers, with the value's type. */
export interface ContextKey<T> {
  /** Name, for people. */
  readonly name: string;
  /** The type of the value; there is nothing here at run time. */
  readonly "~value"?: T | undefined;
}

/**
 * Makes a key by which middleware leaves a value of a type for handlers.
 *
 * @example
 * ```ts
 * import { contextKey } from "@parley/parley/calls";
 *
 * const user = contextKey<{ name: string }>("user");
 * ```
 */
export function contextKey<T>(name: string): ContextKey<T> {
  return Object.freeze({ name });
}

/** What a handler learns of a call. */
export interface CallContext {
  /**
   * Fires when the caller gives up, when its time is over, and when it is gone; never after the
   * handler has returned.
   */
  readonly signal: AbortSignal;
  /**
   * Who calls, as authenticated: the identity of a wire's peer, the subject of a TLS client's
   * certificate. `undefined` for the server of a joined wire, and where connections have no names.
   */
  readonly peer: string | undefined;
  /** When the caller stops waiting, in ms since the epoch by our clock; `Infinity` for never. */
  readonly deadlineMs: number;
  /** The whole name of the call. */
  readonly name: string;
  /** What the call came over: the session, the client or the connection of the caller. */
  readonly via: CallLink;
  /** A value that middleware left; `undefined` when it left none. */
  get<T>(key: ContextKey<T>): T | undefined;
}

/** Longest time that a timer can wait, in ms. */
const MAX_TIMER_MS = 0x7fffffff;

/** The context of one call. Its signal is made when a handler first asks for it: most never do. */
export class HandlerContext implements CallContext {
  readonly #call: IncomingCall;
  /** When the call came, or its handler had to know: reading the clock costs as much as a reply. */
  #arrivedMs: number | undefined;
  #deadline: DeadlineSignal | undefined;
  #blamed: unknown;
  #values: Map<ContextKey<unknown>, unknown> | undefined;

  /** Makes the context of a call that has just come. */
  constructor(call: IncomingCall) {
    this.#call = call;
  }

  /** The handler goes on after this turn: from now on time counts. */
  startClock(): void {
    this.#arrivedMs ??= performance.now();
  }

  /** Time in ms since the clock started, and starts it. */
  #runningMs(): number {
    const nowMs = performance.now();
    return nowMs - (this.#arrivedMs ??= nowMs);
  }

  get signal(): AbortSignal {
    if (this.#deadline === undefined) {
      const { caller, head: { timeoutMs, name } } = this.#call;
      const leftMs = timeoutMs === 0
        ? Infinity
        : Math.min(MAX_TIMER_MS, Math.max(1, timeoutMs - this.#runningMs()));
      const late = () =>
        new TimeoutError(
          "ERR_CALL_TIMEOUT",
          `Cannot answer "${name}": its caller waits ${timeoutMs} ms and no longer`,
        );
      this.#deadline = new DeadlineSignal({ signal: caller.signal, timeoutMs: leftMs, late });
    }
    return this.#deadline.signal;
  }

  get peer(): string | undefined {
    return this.#call.peer;
  }

  get deadlineMs(): number {
    const { timeoutMs } = this.#call.head;
    if (timeoutMs === 0) return Infinity;
    return Date.now() + timeoutMs - this.#runningMs();
  }

  get name(): string {
    return this.#call.head.name;
  }

  get via(): CallLink {
    return this.#call.via;
  }

  get<T>(key: ContextKey<T>): T | undefined {
    return this.#values?.get(key) as T | undefined;
  }

  /** Leaves a value for handlers. */
  set<T>(key: ContextKey<T>, value: T): void {
    (this.#values ??= new Map()).set(key, value);
  }

  /** Notes that an error is the caller's fault: it learns of it. Returns the error. */
  blame(error: unknown): unknown {
    this.#blamed = error;
    return error;
  }

  /** Most bytes of one reply. */
  get maxReplyBytes(): number {
    return this.#call.maxReplyBytes ?? Infinity;
  }

  /** Whether an error is the caller's fault. */
  isBlamed(error: unknown): boolean {
    return error !== undefined && error === this.#blamed;
  }

  /** Whether an error says only that the caller no longer waits. */
  isOutcomeOf(error: unknown): boolean {
    const signal = this.#deadline?.signal;
    if (signal === undefined || !signal.aborted) return false;
    return error === signal.reason || (error as Error | null)?.cause === signal.reason;
  }

  /** The call is over: its timer and its listener go. */
  end(): void {
    this.#deadline?.stop();
  }
}
