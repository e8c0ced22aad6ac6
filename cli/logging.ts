// openLogger(): a logger that writes lines to standard error.
import type { Logger } from "../logger.ts";
import type { LOG_FORMATS, LOG_LEVELS } from "./flags/logging.ts";
import { say } from "./talk.ts";

/** Options of {@linkcode openLogger}. */
export interface LoggingOptions {
  /** How much is told. */
  readonly level: (typeof LOG_LEVELS)[number];
  /** Form of a line. */
  readonly format: (typeof LOG_FORMATS)[number];
}

/** Makes a logger. */
export function openLogger({ level, format }: LoggingOptions): Logger {
  const order = ["off", "error", "warn", "info", "debug"];
  const line = (own: string) => (message: string, fields: Record<string, unknown> = {}) => {
    if (order.indexOf(own) > order.indexOf(level)) return;
    const plain = { ...fields, ...fields.error === undefined ? {} : { error: String(fields.error) } };
    say(
      format === "json"
        ? JSON.stringify({ level: own, message, ...plain })
        : `${own}: ${message} ${Object.entries(plain).map(([name, value]) => `${name}=${value}`).join(" ")}`
          .trimEnd(),
    );
  };
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}
