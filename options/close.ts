// CloseOptions: how long an orderly end may take.
import { checkDurationMs } from "./check.ts";
import { checkOptionNames, type OptionNames } from "./names.ts";

/** How a link closes, or a server shuts down. */
export interface CloseOptions {
  /**
   * Longest time in ms for everything to end in order, 0 to 2147483647; then the rest is cut.
   * @default {see the class}
   */
  timeoutMs?: number | undefined;
}

const NAMES: OptionNames<CloseOptions> = { timeoutMs: true };

/**
 * Checks the options of a close, before anything ends.
 *
 * @param action What is tried, such as `Cannot close`
 * @param fallbackMs The time when the caller set none
 * @returns the time in ms
 * @throws {TypeError} when there is no such option, or the time is no number
 * @throws {RangeError} when the time is out of range
 */
export function closeTimeout(action: string, options: CloseOptions, fallbackMs: number): number {
  checkOptionNames(action, options, NAMES);
  const { timeoutMs = fallbackMs } = options;
  return checkDurationMs(action, "timeoutMs", timeoutMs, { minMs: 0 });
}
