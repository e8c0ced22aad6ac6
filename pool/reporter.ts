// PoolReporter: reports errors of a pool that no caller learns of.
import { ignoreRejection } from "../async/rejections.ts";
import { ErrorChannel, type ErrorLine, type HookContext } from "../log/error_channel.ts";
import type { Logger } from "../log/logger.ts";

/** Where in a pool an error came up. */
export interface PoolErrorContext {
  /**
   * `"hook"`: a function of the application (`isReusable`, `isRetriable`, `onError`) threw or
   * returned a promise; the pool went on with the careful answer. `"health"`: a backend became
   * unwell, and this is what its check threw. `"lookup"`: a name could not be looked up; known
   * addresses stay. `"use"`: a call of `pool.use` failed, and nothing waits for its promise.
   */
  readonly phase: "hook" | "health" | "lookup" | "use";
  /** Name of the backend, where there is one. */
  readonly backend?: string | undefined;
}

type OnError = (error: unknown, context: PoolErrorContext) => void;

/** Log lines by phase. */
const TEXTS: Readonly<Record<PoolErrorContext["phase"], string>> = {
  hook: "A function that was given to the pool failed",
  health: "A backend of the pool is unwell",
  lookup: "The pool cannot look up a name",
  use: "A call of pool.use() failed, and its promise was not awaited",
};

/** Reports errors of one pool. Every method may be called at any moment. None throws. */
export class PoolReporter extends ErrorChannel<PoolErrorContext, "warn"> {
  constructor(onError: OnError | undefined, logger: Pick<Logger, "warn"> = console) {
    super({ onError, logger });
  }

  /** Reports an error. */
  report(error: unknown, context: PoolErrorContext): void {
    this.deliver(error, context);
  }

  /**
   * Returns the answer of a function of the application. Reports what it throws, and a promise that
   * it returns; both count as `false`.
   */
  ask(name: string, question: () => unknown, backend?: string): boolean {
    const failed = (error: unknown) =>
      this.report(error, { phase: "hook", ...backend !== undefined && { backend } });
    try {
      const answer = question();
      if (typeof (answer as PromiseLike<unknown> | null | undefined)?.then !== "function") {
        return Boolean(answer);
      }
      ignoreRejection(Promise.resolve(answer));
      failed(
        new TypeError(`Cannot use what "${name}" returned: it must be a boolean, got a promise`),
      );
    } catch (error) {
      failed(error);
    }
    return false;
  }

  protected override kindOf(_error: unknown, context: PoolErrorContext | HookContext): string {
    const { phase, backend }: PoolErrorContext = context;
    return `${phase} ${backend}`;
  }

  protected override lineOf(
    error: unknown,
    context: PoolErrorContext | HookContext,
  ): ErrorLine<"warn"> {
    const { phase, backend }: PoolErrorContext = context;
    // A fault in the application's own code needs its stack.
    const isOwn = phase === "hook" || phase === "use";
    return {
      level: "warn",
      message: TEXTS[phase],
      fields: { phase, backend, ...isOwn && { error } },
    };
  }
}
