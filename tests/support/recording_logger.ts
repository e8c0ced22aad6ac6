// A logger that keeps its lines, for tests of what is logged.
import type { Logger } from "../../log/logger.ts";

/** A logger, and what it was given: level, message and fields of each line. */
export function recorder(): { readonly logger: Logger; readonly lines: unknown[][] } {
  const lines: unknown[][] = [];
  const take = (level: string) => (message: string, fields?: unknown) =>
    void lines.push([level, message, fields]);
  return {
    logger: { debug: take("debug"), info: take("info"), warn: take("warn"), error: take("error") },
    lines,
  };
}
