// openLogger(): what commands log, through LogTape, to standard error: text for people or JSON for machines.
import {
  configureSync,
  getLogger,
  type LogLevel as TapeLevel,
  type LogRecord,
} from "@logtape/logtape";
import type { Logger } from "../../log/logger.ts";
import type { LOG_FORMATS, LOG_LEVELS } from "./logging.ts";
import { jsonText, visible } from "../output/json_text.ts";
import { sayThrough, writeError } from "../output/talk.ts";

/** The least level that is written; `off` writes nothing. */
export type LogLevel = (typeof LOG_LEVELS)[number];
/** Text for people, or one JSON object per line. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Options of {@linkcode openLogger}. */
export interface LoggingOptions {
  /** Lines below it are not written. @default {"info"} */
  readonly level?: LogLevel | undefined;
  /** How a line looks. @default {"text"} */
  readonly format?: LogFormat | undefined;
  /** Colours in text. @default {where standard error is a terminal, unless NO_COLOR is set} */
  readonly colours?: boolean | undefined;
  /** Takes each line, without its end. @default {standard error} */
  readonly write?: ((line: string) => void) | undefined;
}

/** Longest text of one field or message, in UTF-16 units: a log is no place for a message of a megabyte. */
const MAX_TEXT_LENGTH = 4096;

/** Deepest nesting of fields that is shown. */
const MAX_DEPTH = 4;

/** Most entries of one list or object that are shown. */
const MAX_ENTRIES = 64;

/** Names of fields whose values must not appear in a log. */
const SECRET_NAME =
  /secret|token|passw|passphrase|credential|authorization|cookie|private|psk|^keys?$/i;

/** What stands where a secret would. */
const HIDDEN = "[hidden]";

/** Colours by level, as numbers of the terminal's escapes. */
const COLOURS: Readonly<Record<LogLevel, number>> = {
  debug: 90,
  info: 36,
  warn: 33,
  error: 31,
  off: 0,
};

/**
 * Opens the log of the process: a second call replaces the first. A line is written when its method returns.
 * A field whose name suggests a secret (`token`, `password`, …) is hidden, and bytes are shown by their
 * number only.
 *
 * As text: `12:30:01.250 WARN  A handshake failed  phase=handshake connection=7`. As JSON, always these
 * names: `{"time":"2026-01-31T12:30:01.250Z","level":"warn","message":"…","fields":{…}}`, where an error is
 * `{"name","code","message","stack","cause"}`.
 *
 * @example
 * ```ts
 * import { openLogger } from "./logger.ts";
 *
 * const logger = openLogger({ level: "debug", format: "json" });
 * logger.info("Listening", { port: 5555 });
 * ```
 */
export function openLogger(options: LoggingOptions = {}): Logger {
  const { level = "info", format = "text", write = writeError } = options;
  const { colours = !Deno.noColor && Deno.stderr.isTerminal() } = options;
  const line = format === "json" ? asJson : (record: LogRecord) => asText(record, colours);
  configureSync({
    reset: true,
    sinks: { out: (record) => write(line(record)) },
    loggers: [
      { category: "parley", sinks: ["out"], lowestLevel: tapeLevel(level) },
      { category: ["logtape", "meta"], sinks: ["out"], lowestLevel: "error" },
    ],
  });
  // A program that reads objects gets nothing else from standard error.
  sayThrough(
    format !== "json" ? null : (message, level) => {
      write(jsonText({ time: new Date().toISOString(), level, message, fields: {} }));
    },
  );
  const tape = getLogger("parley");
  return {
    debug: (message, fields) => tape.debug(literal(message), fields),
    info: (message, fields) => tape.info(literal(message), fields),
    warn: (message, fields) => tape.warn(literal(message), fields),
    error: (message, fields) => tape.error(literal(message), fields),
  };
}

/**
 * For the library, where a command itself prints what people want to know: that is printed once, the rest at
 * debug.
 */
export function forLibrary(logger: Logger): Logger {
  return { ...logger, info: logger.debug, warn: logger.debug };
}

/** The level in LogTape's words; null lets nothing through. */
function tapeLevel(level: LogLevel): TapeLevel | null {
  if (level === "off") return null;
  return level === "warn" ? "warning" : level;
}

/** The message as it is: LogTape would take what stands in braces for the name of a field. */
function literal(message: string): string {
  return message.replaceAll("{", "{{").replaceAll("}", "}}");
}

function levelOf(record: LogRecord): LogLevel {
  if (record.level === "warning") return "warn";
  if (record.level === "fatal") return "error";
  return record.level === "trace" ? "debug" : record.level;
}

function messageOf(record: LogRecord): string {
  return cut(record.message.map(String).join(""));
}

function asJson(record: LogRecord): string {
  return jsonText({
    time: new Date(record.timestamp).toISOString(),
    level: levelOf(record),
    message: messageOf(record),
    fields: plain(record.properties, MAX_DEPTH),
  });
}

function asText(record: LogRecord, colours: boolean): string {
  const level = levelOf(record);
  const paint = (text: string, colour: number) => colours ? `\x1b[${colour}m${text}\x1b[0m` : text;
  const fields = Object.entries(plain(record.properties, MAX_DEPTH) as Record<string, unknown>)
    .map(([name, value]) => ` ${visible(name)}=${visible(fieldText(value))}`).join("");
  return [
    paint(timeOfDay(new Date(record.timestamp)), COLOURS.debug),
    paint(level.toUpperCase().padEnd(5), COLOURS[level]),
    visible(messageOf(record)) + (fields === "" ? "" : ` ${paint(fields, COLOURS.debug)}`),
  ].join(" ");
}

/** The time by the clock on the wall. */
function timeOfDay(date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** A value behind its name: words as they are, all else as JSON; an error without its stack. */
function fieldText(value: unknown): string {
  if (typeof value === "string") return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  const withoutStacks = (name: string, inner: unknown) => name === "stack" ? undefined : inner;
  return JSON.stringify(value, withoutStacks) ?? String(value);
}

/** The value as JSON can carry it: bounded, without secrets, without circles. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === "string") return cut(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value === undefined || value === null || typeof value === "boolean") return value;
  if (typeof value !== "object") return `[${typeof value}]`;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return `[${value.byteLength} bytes]`;
  }
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? "[no date]" : value.toISOString();
  }
  if (depth === 0) return "[…]";
  if (value instanceof Error) return plainError(value, depth);
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ENTRIES).map((entry) => plain(entry, depth - 1));
  }
  const entries = Object.entries(value).slice(0, MAX_ENTRIES);
  return Object.fromEntries(entries.map(([name, inner]) => [
    cut(name),
    SECRET_NAME.test(name) ? HIDDEN : plain(inner, depth - 1),
  ]));
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown };
  return {
    name: cut(error.name),
    code: typeof code === "string" ? cut(code) : undefined,
    message: cut(error.message),
    stack: cut(error.stack ?? ""),
    cause: error.cause === undefined ? undefined : plain(error.cause, depth - 1),
  };
}

function cut(text: string): string {
  return text.length <= MAX_TEXT_LENGTH
    ? text
    : `${text.slice(0, MAX_TEXT_LENGTH - 1).toWellFormed()}…`;
}
