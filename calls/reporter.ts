// CallReporter: brings what a handler threw to the owner of the answering side.
import { ErrorChannel, type ErrorLine, type HookContext } from "../log/error_channel.ts";
import { consoleLogger, type Logger } from "../log/logger.ts";

/** Where an error came up. */
export interface CallErrorContext {
  /** A handler, middleware or `authorize` failed. */
  readonly phase: "call";
  /** The whole name of the call. */
  readonly name: string;
  /** Who called; see `CallContext`. */
  readonly peer: string | undefined;
}

/** Takes errors that a caller does not learn of. */
export type OnCallError = (error: unknown, context: CallErrorContext) => void;

/** Reports errors of handlers. Never throws. */
export class CallReporter extends ErrorChannel<CallErrorContext, "error"> {
  /** Makes a reporter to `onError`, or to the logger. */
  constructor({ onError, logger }: {
    readonly onError: OnCallError | undefined;
    readonly logger: Logger | undefined;
  }) {
    super({ onError, logger: logger ?? consoleLogger });
  }

  /** Reports what a handler threw. */
  report(error: unknown, context: CallErrorContext): void {
    this.deliver(error, context);
  }

  protected override lineOf(
    _error: unknown,
    context: CallErrorContext | HookContext,
  ): ErrorLine<"error"> {
    if (context.phase === "hook") {
      return { level: "error", message: '"onError" of answer() failed', fields: {} };
    }
    const { name, peer } = context;
    return { level: "error", message: `The call "${name}" failed`, fields: { name, peer } };
  }
}
