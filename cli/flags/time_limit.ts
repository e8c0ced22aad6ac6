// TimeLimit: the time that `--timeout` allows for all that a command does.
import { DeadlineSignal } from "../../async/deadline.ts";
import { TimeoutError, type TimeoutErrorCode } from "../../errors.ts";
import type { Arguments } from "../command/arguments.ts";

/** Options of {@linkcode TimeLimit}. */
export interface TimeLimitOptions {
  /** What a command that was given no time has for its last step, in ms; `Infinity` for no limit. */
  readonly byDefaultMs: number;
  /** Code of the error when the time is over. */
  readonly code: TimeoutErrorCode;
  /** What could not be done, for the error: `Cannot ask`. */
  readonly action: string;
}

/** The time that `--timeout` allows for all of it, from the start of the command. */
export class TimeLimit implements Disposable {
  /** Aborts when the time that was typed is over; never where none was. */
  readonly signal: AbortSignal;
  readonly #byDefaultMs: number;
  readonly #endMs: number | null;
  readonly #deadline: DeadlineSignal;

  /** Starts the clock. */
  constructor(args: Arguments, { byDefaultMs, code, action }: TimeLimitOptions) {
    const isLimited = args.text("timeout") !== undefined;
    const timeoutMs = isLimited
      ? args.ms("timeout", { byDefault: 0, least: 1, most: 24 * 3600e3 })
      : Infinity;
    this.#byDefaultMs = byDefaultMs;
    this.#endMs = isLimited ? performance.now() + timeoutMs : null;
    const late = () => {
      const text = `${action} within ${timeoutMs} ms, connecting and the input included`;
      return new TimeoutError(code, text);
    };
    this.#deadline = new DeadlineSignal({ timeoutMs, late });
    this.signal = this.#deadline.signal;
  }

  /** What is left of it, in ms; infinite where no time was typed. */
  get leftMs(): number {
    return this.#endMs === null ? Infinity : this.#endMs - performance.now();
  }

  /** Longest time for the last step from now on, in ms. */
  get lastStepMs(): number {
    return this.#endMs === null ? this.#byDefaultMs : Math.max(1, Math.round(this.leftMs));
  }

  /** Stops the clock. */
  [Symbol.dispose](): void {
    this.#deadline.stop();
  }
}
