// PoolReporter: brings errors that no caller of a pool can learn to onError or the logger, without a flood and without a throw.
import { callHook } from "../log/call_hook.ts";
import { ignoreRejection } from "../async/rejections.ts";
import { errorForLog, KindRateLimiter } from "../log/text.ts";
import type { Logger } from "../log/logger.ts";

/** Where in a pool an error came up. */
export interface PoolErrorContext {
  /**
   * `"hook"`: a function of the application (`isReusable`, `isRetriable`, `onError`) threw or returned a promise; the pool went on
   * with the careful answer. `"health"`: a backend became unwell, and this is what its check threw. `"lookup"`: a name could not
   * be looked up; known addresses stay. `"use"`: a call of `pool.use` failed, and nothing waits for its promise.
   */
  readonly phase: "hook" | "health" | "lookup" | "use";
  /** Name of the backend, where there is one. */
  readonly backend?: string | undefined;
}

type OnError = (error: unknown, context: PoolErrorContext) => void;

/** What is said of each phase in the log. */
const TEXTS: Readonly<Record<PoolErrorContext["phase"], string>> = {
  hook: "A function that was given to the pool failed",
  health: "A backend of the pool is unwell",
  lookup: "The pool cannot look up a name",
  use: "A call of pool.use() failed, and its promise was not awaited",
};

/** Where the errors of a pool go. */
export class PoolReporter {
  readonly #onError: OnError | undefined;
  readonly #logger: Pick<Logger, "warn">;
  readonly #lines = new KindRateLimiter();

  constructor(onError: OnError | undefined, logger: Pick<Logger, "warn"> = console) {
    this.#onError = onError;
    this.#logger = logger;
  }

  /** Reports an error. Never throws. */
  report(error: unknown, context: PoolErrorContext): void {
    const onError = this.#onError;
    if (onError === undefined) return this.#log(error, context);
    callHook(() => onError(error, context), (thrown) => this.#log(thrown, { phase: "hook" }));
  }

  /** Asks a function of the application; what it throws, and a promise that it returns, is reported and counts as `false`. */
  ask(name: string, question: () => unknown, backend?: string): boolean {
    const failed = (error: unknown) =>
      this.report(error, { phase: "hook", ...backend !== undefined && { backend } });
    try {
      const answer = question();
      if (typeof (answer as PromiseLike<unknown> | null | undefined)?.then !== "function") {
        return Boolean(answer);
      }
      ignoreRejection(Promise.resolve(answer));
      failed(new TypeError(`Cannot use what "${name}" returned: it must be a boolean, got a promise`));
    } catch (error) {
      failed(error);
    }
    return false;
  }

  #log(error: unknown, { phase, backend }: PoolErrorContext): void {
    const line = this.#lines.ask(`${phase} ${backend}`, performance.now());
    if (!line.write) return;
    const text = errorForLog(error, line.leftOut);
    // Where the fault is in the application's own code, its stack says where.
    const fields = phase === "hook" || phase === "use" ? { phase, backend, error } : { phase, backend };
    // A logger that fails, at once or later, must not end the pool.
    callHook(() => this.#logger.warn(`${TEXTS[phase]}: ${text}`, fields), () => {});
  }
}
