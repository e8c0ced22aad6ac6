// ErrorChannel: brings errors that no caller learns of to onError or the log, never too often.
import { ParleyError } from "../errors.ts";
import { callHook } from "./call_hook.ts";
import type { Logger } from "./logger.ts";
import { errorForLog, KindRateLimiter, type LogDecision } from "./text.ts";

/** Where an error came up: the part that all channels have. */
export interface ErrorContext {
  /** What was being done; from a fixed set of the program. */
  readonly phase: string;
}

/** The context of an error that `onError` itself threw. */
export interface HookContext {
  readonly phase: "hook";
}

/** A line of the log about an error. */
export interface ErrorLine<Level extends keyof Logger = keyof Logger> {
  /** How much the error matters. */
  readonly level: Level;
  /** What it is about, from a fixed set; the text of the error follows after a colon. */
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** Options of an {@linkcode ErrorChannel}. */
export interface ErrorChannelOptions<Context, Level extends keyof Logger> {
  /** Takes every error in place of the log. */
  readonly onError: ((error: unknown, context: Context) => void) | undefined;
  /** Where lines go when there is no `onError`, or when it fails. */
  readonly logger: Pick<Logger, Level>;
}

/** The decision of `limit` to report an error. */
export const REPORT: LogDecision = { write: true, leftOut: 0 };

/**
 * The way of an error to the owner of a server, a wire, a channel or a pool. Each extends it by
 * what it knows of its errors.
 * ```text
 * deliver() ─▶ keep() ─▶ limit() ─▶ onError, if there is one
 *               │          │           │ absent, or it fails
 *          statistics   left out       ▼
 *                                   ten lines of a kind in ten seconds ─▶ the logger
 * ```
 * {@linkcode deliver} may be called at any moment, from within `onError` too. It never throws.
 *
 * @typeParam Context Where an error came up, as `onError` learns it
 * @typeParam Level Levels of the lines
 *
 * @example
 * ```ts
 * import { ErrorChannel, type ErrorLine } from "./error_channel.ts";
 * import { assertEquals } from "@std/assert";
 *
 * class Reporter extends ErrorChannel<{ phase: "lookup" }, "warn"> {
 *   report(error: unknown): void {
 *     this.deliver(error, { phase: "lookup" });
 *   }
 *   protected override lineOf(): ErrorLine<"warn"> {
 *     return { level: "warn", message: "Cannot look up a name", fields: {} };
 *   }
 * }
 * const lines: string[] = [];
 * const reporter = new Reporter({ onError: undefined, logger: { warn: (line) => lines.push(line) } });
 * reporter.report(new Error("no\nanswer"));
 * assertEquals(lines, ["Cannot look up a name: Error: no\\nanswer"]);
 * ```
 */
export abstract class ErrorChannel<
  Context extends ErrorContext,
  Level extends keyof Logger = keyof Logger,
> {
  readonly #onError: ((error: unknown, context: Context) => void) | undefined;
  readonly #logger: Pick<Logger, Level>;
  readonly #lines = new KindRateLimiter();

  /** Makes a channel that has reported nothing yet. */
  constructor({ onError, logger }: ErrorChannelOptions<Context, Level>) {
    this.#onError = onError;
    this.#logger = logger;
  }

  /** Brings an error to its owner, before which `leftOut` more like it were not reported. */
  protected deliver(error: unknown, context: Context, leftOut: number = 0): void {
    this.keep(error, context, 1 + leftOut);
    const nowMs = performance.now();
    const decision = this.limit(error, context, nowMs);
    if (!decision.write) return;
    const leftOutInAll = leftOut + decision.leftOut;
    const onError = this.#onError;
    if (onError === undefined) return this.#log(error, context, leftOutInAll, nowMs);
    callHook(() => onError(error, context), (thrown) => {
      this.#log(thrown, { phase: "hook" }, 0, performance.now());
    });
  }

  /**
   * Keeps an error for statistics, which stands for `count` of its kind. By default nothing is
   * kept.
   */
  protected keep(_error: unknown, _context: Context, _count: number): void {}

  /**
   * Decides whether an error is reported at all: strangers cause some as often as they like. By
   * default each is.
   */
  protected limit(_error: unknown, _context: Context, _nowMs: number): LogDecision {
    return REPORT;
  }

  /**
   * The kind of a line, from a fixed set of the program: lines of one kind are limited together.
   */
  protected kindOf(error: unknown, { phase }: Context | HookContext): string {
    return `${phase} ${error instanceof ParleyError ? error.code : ""}`;
  }

  /**
   * Returns the line of an error. The text of the error, and how many were left out, follow its
   * message.
   */
  protected abstract lineOf(
    error: unknown,
    context: Context | HookContext,
    leftOut: number,
  ): ErrorLine<Level>;

  #log(error: unknown, context: Context | HookContext, leftOutBefore: number, nowMs: number): void {
    const decision = this.#lines.ask(this.kindOf(error, context), nowMs);
    if (!decision.write) return;
    const leftOut = decision.leftOut + leftOutBefore;
    const { level, message, fields } = this.lineOf(error, context, leftOut);
    const text = errorForLog(error, leftOut);
    const logger = this.#logger;
    // A logger that fails, at once or later, cannot be reported anywhere. It must not end anything.
    callHook(() => logger[level](`${message}: ${text}`, fields), () => {});
  }
}
