// Logger: the four methods that Parley calls; console, @std/log and LogTape satisfy it.

/**
 * Where Parley reports errors that no caller learns of. `console` fits, and the loggers of
 * `@std/log` and LogTape. Texts that came from a peer are escaped and cut before they get here.
 */
export interface Logger {
  /** A detail for finding a fault. */
  debug(message: string, fields?: Record<string, unknown>): void;
  /** An event that the owner of the program may want to know of. */
  info(message: string, fields?: Record<string, unknown>): void;
  /** Something that may need a look. */
  warn(message: string, fields?: Record<string, unknown>): void;
  /** Something that failed. */
  error(message: string, fields?: Record<string, unknown>): void;
}

/** The logger where the user set none: warnings and errors to the console, nothing else. */
export const consoleLogger: Logger = {
  debug() {},
  info() {},
  warn: (message, fields) =>
    // deno-lint-ignore no-console
    fields === undefined ? console.warn(message) : console.warn(message, fields),
  error: (message, fields) =>
    // deno-lint-ignore no-console
    fields === undefined ? console.error(message) : console.error(message, fields),
};
