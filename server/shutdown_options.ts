// shutdownTimes(): how a drain of a server is bounded, checked.
import { checkDurationMs } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";

/** How the drain of a server may be bounded. */
export interface ShutdownOptions {
  /** Ms for connections to end in order, then the rest is cut; 0 for no limit. @default {`drainTimeoutMs`} */
  timeoutMs?: number | undefined;
  /** Ms before that, in which the server works on but is not ready. @default {`drainDelayMs`} */
  delayMs?: number | undefined;
}

const NAMES: OptionNames<ShutdownOptions> = { timeoutMs: true, delayMs: true };

/** The times of a drain, in ms; 0 for none. */
export interface ShutdownTimes {
  readonly timeoutMs: number;
  readonly delayMs: number;
}

/**
 * Checks the options of a drain, and takes what they leave out from those of the server.
 *
 * @throws {TypeError | RangeError} when one is wrong, or there is no such option
 */
export function shutdownTimes(
  options: ShutdownOptions,
  { drainTimeoutMs, drainDelayMs }: {
    readonly drainTimeoutMs: number;
    readonly drainDelayMs: number;
  },
): ShutdownTimes {
  const { timeoutMs = drainTimeoutMs, delayMs = drainDelayMs } = options;
  checkOptionNames("Cannot shut down", options, NAMES);
  checkDurationMs("Cannot shut down", "timeoutMs", timeoutMs, { allowOff: true });
  checkDurationMs("Cannot shut down", "delayMs", delayMs, { allowOff: true });
  return { timeoutMs, delayMs };
}
