// answer(): the answering side of a contract: its handlers, on whatever carries the calls.
import { checkFunction, checkLogger } from "../options/check.ts";
import { checkOptionNames, meantName, type OptionNames } from "../options/names.ts";
import type { Logger } from "../log/logger.ts";
import { Answerer, type AuthorizeCall } from "./answerer.ts";
import type { CallContext } from "./context.ts";
import { type AnyContract, callsOf, infoOf, wholeName } from "./contract.ts";
import type { Middleware } from "./middleware.ts";
import { type AnswerTarget, hostFor } from "./ports/find.ts";
import { CallReporter, type OnCallError } from "./reporter.ts";
import type { Handlers } from "./types.ts";

/** Options of {@linkcode answer}. */
export interface AnswerOptions {
  /**
   * Whether a call may be made; what is not `true` refuses it with `ERR_FORBIDDEN`. An error
   * refuses with `ERR_HANDLER`, and is reported.
   *
   * @default {every call that reaches this side}
   */
  authorize?: AuthorizeCall | undefined;
  /** Runs around each handler, the first outermost. @default {nothing} */
  middleware?: readonly Middleware[] | undefined;
  /** Takes what handlers throw, apart from `CallError`. @default {the logger} */
  onError?: OnCallError | undefined;
  /** Takes these errors otherwise. @default {the console} */
  logger?: Logger | undefined;
}

const ANSWER_NAMES: OptionNames<AnswerOptions> = {
  authorize: true,
  middleware: true,
  onError: true,
  logger: true,
};

/** A handler whose type is known where its contract is. */
type AnyHandler = (input: unknown, context: CallContext) => unknown;

/**
 * Answers the calls of a contract, from now on, for every peer that the target has.
 *
 * @param target what the calls come over
 * @param handlers a handler for each call of the contract; always awaited
 * @returns ends it: calls under way finish, later ones are refused with `ERR_UNKNOWN_CALL`
 * @throws {TypeError} when a handler is missing or has no call, when the target answers a call of
 * this name already, or when an option is wrong
 */
export function answer<C extends AnyContract>(
  target: AnswerTarget,
  contract: C,
  handlers: Handlers<C>,
  options: AnswerOptions = {},
): () => void {
  const action = "Cannot answer";
  checkOptionNames(action, options, ANSWER_NAMES);
  const info = infoOf(action, contract);
  const { authorize, middleware = [], onError, logger } = options;
  if (authorize !== undefined) checkFunction(action, "authorize", authorize);
  if (onError !== undefined) checkFunction(action, "onError", onError);
  if (logger !== undefined) checkLogger(action, logger);
  for (const each of middleware) checkFunction(action, "middleware", each);
  const calls = callsOf(contract);
  checkHandlers(action, calls.map(([name]) => name), handlers);
  const reporter = new CallReporter({ onError, logger });
  const host = hostFor(target);
  const added: string[] = [];
  const stop = () => {
    for (const name of added.splice(0)) host.remove(name);
  };
  try {
    for (const [name, definition] of calls) {
      const handler = Reflect.get(handlers, name) as AnyHandler;
      const whole = wholeName(info, name);
      const parts = { name: whole, version: info.version, definition, authorize, middleware };
      const bound: AnyHandler = (input, context) => handler.call(handlers, input, context);
      host.add(whole, new Answerer({ ...parts, handler: bound, reporter }));
      added.push(whole);
    }
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}

function checkHandlers(action: string, names: readonly string[], handlers: object): void {
  if (typeof handlers !== "object" || handlers === null) {
    throw new TypeError(`${action}: "handlers" must be an object with a function for each call`);
  }
  for (const name of names) {
    const handler: unknown = Reflect.get(handlers, name);
    // A call may be named as a method that every object has.
    const isInherited = handler === Reflect.get(Object.prototype, name);
    if (typeof handler === "function" && !isInherited) continue;
    throw new TypeError(`${action}: the handler of "${name}" is missing`);
  }
  // An object of a class has fields and methods of its own beside its handlers.
  const prototype: unknown = Object.getPrototypeOf(handlers);
  if (prototype !== Object.prototype && prototype !== null) return;
  for (const name of Object.keys(handlers)) {
    if (names.includes(name)) continue;
    const meant = meantName(name, names);
    throw new TypeError(
      `${action}: the contract has no call "${name}"${
        meant === undefined ? "" : `: did you mean "${meant}"?`
      }`,
    );
  }
}
