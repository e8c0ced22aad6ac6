// Handlers and Caller: the types of both sides of a contract.
import type { WaitOptions } from "../async/wait.ts";
import type { CallDefinition } from "./contract.ts";
import type { CallContext } from "./context.ts";
import type { CallTypes } from "./shapes.ts";

/** Names of the calls of a contract. */
export type CallNames<C> = Exclude<keyof C & string, "~contract">;

/** What a handler of many outputs may return: an async generator, mostly. */
export type Outputs<T> = AsyncIterable<T> | Iterable<T>;

/** The handler of one call. */
export type HandlerOf<Definition> = Definition extends CallDefinition<infer Kind, infer Types>
  ? HandlerOfKind<Kind, Types>
  : never;

/** The handler of a call of this kind. */
export type HandlerOfKind<Kind, Types extends CallTypes> = Kind extends "call"
  ? (input: Types["received"], context: CallContext) => Types["output"] | Promise<Types["output"]>
  : Kind extends "feed" ? (
      input: Types["received"],
      context: CallContext,
    ) => Outputs<Types["output"]> | Promise<Outputs<Types["output"]>>
  : Kind extends "collect" ? (
      inputs: AsyncIterable<Types["received"]>,
      context: CallContext,
    ) => Types["output"] | Promise<Types["output"]>
  : (
    inputs: AsyncIterable<Types["received"]>,
    context: CallContext,
  ) => Outputs<Types["output"]> | Promise<Outputs<Types["output"]>>;

/** A handler for each call of a contract. */
export type Handlers<C> = { readonly [Name in CallNames<C>]: HandlerOf<C[Name]> };

/** Options of a call with one answer. */
export interface CallOptions extends WaitOptions {
  /** Gives up: the call rejects with its reason, and the handler's signal fires. */
  signal?: AbortSignal | undefined;
  /**
   * Time in ms for the whole call, which its handler is given too; `Infinity` for no limit.
   *
   * @default {what the contract says, else what the caller says, else 30000 for a call and no limit
   * for a collect}
   */
  timeoutMs?: number | undefined;
}

/** Options of a call with many answers. */
export interface FeedOptions {
  /** Gives up: the iteration throws its reason, and the handler's signal fires. */
  signal?: AbortSignal | undefined;
  /** Time in ms for all of it. @default {what the contract says, else no limit} */
  timeoutMs?: number | undefined;
  /** Time in ms until the peer has accepted it. @default {10000} */
  openTimeoutMs?: number | undefined;
  /** Longest time in ms that a waiting reader waits for the next value. @default {no limit} */
  idleTimeoutMs?: number | undefined;
}

/**
 * The answers of a feed or a talk. The call begins with the first `next`, that of `for await`
 * included. Leaving the loop ends the call, and its handler.
 */
export interface Feed<T> extends AsyncIterableIterator<T, undefined, unknown>, AsyncDisposable {
  /** Waits for the next value; `done` once the handler has returned. */
  next(): Promise<IteratorResult<T, undefined>>;
  /** Ends the call: the handler's signal fires. Resolves at once, also while a `next` waits. */
  return(): Promise<IteratorResult<T, undefined>>;
}

/** What a caller passes in where there are many values. */
export type Inputs<T> = AsyncIterable<T> | Iterable<T>;

/** The method of one call. */
export type MethodOf<Definition> = Definition extends CallDefinition<infer Kind, infer Types>
  ? MethodOfKind<Kind, Types>
  : never;

/** The method of a call of this kind. An input that may be `undefined` may be left out. */
export type MethodOfKind<Kind, Types extends CallTypes> = Kind extends "call"
  ? undefined extends Types["input"]
    ? (input?: Types["input"], options?: CallOptions) => Promise<Types["result"]>
  : (input: Types["input"], options?: CallOptions) => Promise<Types["result"]>
  : Kind extends "feed"
    ? undefined extends Types["input"]
      ? (input?: Types["input"], options?: FeedOptions) => Feed<Types["result"]>
    : (input: Types["input"], options?: FeedOptions) => Feed<Types["result"]>
  : Kind extends "collect"
    ? (inputs: Inputs<Types["input"]>, options?: CallOptions) => Promise<Types["result"]>
  : (inputs: Inputs<Types["input"]>, options?: FeedOptions) => Feed<Types["result"]>;

/** The calling side of a contract: a method for each call. */
export type Caller<C> = { readonly [Name in CallNames<C>]: MethodOf<C[Name]> };
