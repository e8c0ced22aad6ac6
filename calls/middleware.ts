// Middleware: what runs around each call, on either side: logging, authentication, limits.
import type { ContextKey } from "./context.ts";
import type { CallLink } from "./ports/port.ts";
import type { CallKind } from "./protocol/head.ts";

/** A call, as middleware sees it on its way in and out. */
export interface MiddlewareCall {
  /** Which side this is. */
  readonly side: "caller" | "answerer";
  /** The whole name of the call. */
  readonly name: string;
  /** How many values go in and come out. */
  readonly kind: CallKind;
  /**
   * The input: validated at the answerer, as it will be sent at the caller; an async iterable where
   * there are many. What middleware sets here goes on.
   */
  input: unknown;
  /** Who calls, at the answerer; see `CallContext`. */
  readonly peer: string | undefined;
  /** Fires when the call is given up; at the caller the signal that was passed in, if any. */
  readonly signal: AbortSignal | undefined;
  /** What the call came over; at the caller `undefined`. */
  readonly via: CallLink | undefined;
  /** A value that middleware left. */
  get<T>(key: ContextKey<T>): T | undefined;
  /** Leaves a value for what runs inside; at the answerer for the handler too. */
  set<T>(key: ContextKey<T>, value: T): void;
}

/**
 * Runs around a call. `next` runs the rest and resolves with the output: for a feed or a talk an
 * async iterable, which middleware may wrap. What it throws fails the call, as what a handler
 * throws; what it returns is the output.
 */
export type Middleware = (
  call: MiddlewareCall,
  next: () => Promise<unknown>,
) => Promise<unknown>;

/** Runs `last` inside all middleware, the first outermost. */
export function runThrough(
  middleware: readonly Middleware[],
  call: MiddlewareCall,
  last: () => Promise<unknown>,
): Promise<unknown> {
  const run = (index: number): Promise<unknown> => {
    const each = middleware[index];
    return each === undefined ? last() : each(call, () => run(index + 1));
  };
  return run(0);
}
