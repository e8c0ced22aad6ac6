/**
 * Typed calls between two programs: a contract that both import, handlers on one side, and an object
 * with a method for each call on the other. Either side of a connection may answer.
 *
 * - {@linkcode contract} holds {@linkcode call} (one value in, one out), {@linkcode feed} (one in,
 *   many out), {@linkcode collect} (many in, one out) and {@linkcode talk} (many in, many out).
 * - {@linkcode answer} runs handlers; {@linkcode caller} returns the methods.
 * - {@linkcode CallError} is how a handler fails a call with a code and data of its own.
 *
 * @example A server answers, and its client calls
 * ```ts
 * import { answer, call, caller, contract } from "@parley/parley/calls";
 * import { join, mount } from "@parley/parley/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const greeter = contract({ greet: call<{ name: string }, string>() });
 *
 * await using server = mount({ insecureAnyone: true });
 * answer(server, greeter, { greet: ({ name }, { peer }) => `Hello, ${name}; you are ${peer}` });
 * await server.ready;
 *
 * await using wire = join({ ...server.addr, identity: "ada" });
 * const remote = caller(wire, greeter);
 * assertEquals(await remote.greet({ name: "Ada" }), "Hello, Ada; you are ada");
 * ```
 *
 * @module
 */
export {
  type AnyContract,
  call,
  type CallDefinition,
  type CallOf,
  type CallSettings,
  collect,
  type Contract,
  contract,
  type ContractInfo,
  type ContractOptions,
  type Declare,
  type Definitions,
  feed,
  type ShapedCallSettings,
  talk,
} from "./contract.ts";
export type {
  CallTypes,
  ErrorShapes,
  NoErrors,
  PlainTypes,
  ReceivedAs,
  SentAs,
  Shape,
  ShapedTypes,
} from "./shapes.ts";
export { answer, type AnswerOptions } from "./answer.ts";
export { caller, type CallerOptions } from "./caller.ts";
export type { AuthorizeCall, CallRequest } from "./answerer.ts";
export { CallError, CallErrorBase, type DeclaredError, isCallError } from "./call_error.ts";
export { type CallContext, type ContextKey, contextKey } from "./context.ts";
export type { Middleware, MiddlewareCall } from "./middleware.ts";
export type { CallErrorContext, OnCallError } from "./reporter.ts";
export type { AnswerTarget, CallVia } from "./ports/find.ts";
export type {
  CallAnswerer,
  CallHost,
  CallPort,
  CallStream,
  IncomingCall,
  OutgoingCall,
} from "./ports/port.ts";
export type { WireTarget, WireVia } from "./ports/wire_port.ts";
export type { CallLink } from "./ports/port.ts";
export type { CallHead, CallKind } from "./protocol/head.ts";
export type {
  Caller,
  CallNames,
  CallOptions,
  Feed,
  FeedOptions,
  HandlerOf,
  HandlerOfKind,
  Handlers,
  Inputs,
  MethodOf,
  MethodOfKind,
  Outputs,
} from "./types.ts";
