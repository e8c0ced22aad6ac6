// Logging options: how much a command logs, and in which form.
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";

/** How much is logged, from most to least; each level includes those behind it. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "off"] as const;
/** Forms that a line of the log can have. */
export const LOG_FORMATS = ["text", "json"] as const;

/** Logging options of a command that logs lines of `byDefault` and above. */
export function logFlags(byDefault: (typeof LOG_LEVELS)[number]): readonly Flag[] {
  return [
    {
      name: "log-level",
      value: "LEVEL",
      about: `How much to tell: ${LOG_LEVELS.join(", ")} (default: ${byDefault})`,
      choices: LOG_LEVELS,
    },
    {
      name: "log-format",
      value: "FORM",
      about: "Lines for people (text) or objects (json) on standard error (default: text)",
      choices: LOG_FORMATS,
    },
  ];
}

/** Options of a command that runs for long. */
export const LOG_FLAGS: readonly Flag[] = logFlags("info");

/** What the options of a command say. */
export function loggingOf(
  args: Arguments,
  byDefault: (typeof LOG_LEVELS)[number] = "info",
): { readonly level: (typeof LOG_LEVELS)[number]; readonly format: (typeof LOG_FORMATS)[number] } {
  return {
    level: args.choice("log-level", LOG_LEVELS, byDefault),
    format: args.choice("log-format", LOG_FORMATS, "text"),
  };
}
