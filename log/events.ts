// EventLog: lines about what happens, limited per kind, to a logger that may be absent and may throw.
import { callHook } from "./call_hook.ts";
import { errorText, escapeForLog, KindRateLimiter } from "./text.ts";
import type { Logger } from "./logger.ts";

/** One line. */
export interface LogEvent {
  /** How much it matters. */
  readonly level: keyof Logger;
  /** What it is about: lines of one kind are limited together. From a fixed set, never from a peer. */
  readonly kind: string;
  /** The same for every line of a kind, but for words from a fixed set. */
  readonly message: string;
  /** What differs. Texts are escaped and cut; an error is logged by its code and its message. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Writes lines to a logger. Ten of a kind in ten seconds at most; the next line counts in `leftOut`
 * those that were not.
 *
 * @example
 * ```ts
 * import { EventLog } from "./events.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const lines: unknown[] = [];
 * const log = new EventLog({ ...console, info: (message, fields) => lines.push([message, fields]) });
 * log.tell({ level: "info", kind: "joined", message: "Joined", fields: { identity: "a\nb" } });
 * assertEquals(lines, [["Joined", { identity: "a\\nb" }]]);
 * ```
 */
export class EventLog {
  readonly #logger: Logger | undefined;
  readonly #limiter = new KindRateLimiter();

  /** Makes one; without a logger it does nothing. */
  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  /** Writes a line, unless there were too many like it. Never throws. */
  tell({ level, kind, message, fields = {} }: LogEvent): void {
    if (this.#logger === undefined) return;
    const line = this.#limiter.ask(kind, performance.now());
    if (!line.write) return;
    const { leftOut } = line;
    const logger = this.#logger;
    const shown = { ...plain(fields), ...leftOut > 0 && { leftOut } };
    // A logger that fails, at once or later, must not end anything.
    callHook(() => logger[level](message, shown), () => {});
  }
}

/** Fields as a log can have them; those that are absent are left out. */
function plain(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(fields).filter(([, value]) =>
    value !== undefined && value !== null
  );
  return Object.fromEntries(entries.map(([name, value]) => [name, plainValue(value)]));
}

function plainValue(value: unknown): unknown {
  if (typeof value === "string") return escapeForLog(value);
  if (!(value instanceof Error)) return value;
  const code = codeOf(value);
  return code === undefined ? errorText(value) : escapeForLog(`${code}: ${value.message}`);
}

/**
 * The code of an error whose code and message can be read: those of the application may have
 * getters that throw.
 */
function codeOf(error: Error): string | undefined {
  try {
    const { code, message } = error as { code?: unknown; message: unknown };
    return typeof code === "string" && typeof message === "string" ? code : undefined;
  } catch {
    return undefined;
  }
}
