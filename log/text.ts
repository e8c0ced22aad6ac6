// Makes text from a peer fit for a log: escaped, cut, and not too often.

/**
 * What is escaped: control characters (ESC and the C1 ones too, which terminals obey), line and
 * paragraph separators, invisible and bidirectional marks, lone surrogates. The backslash as well,
 * or a peer could write what looks like an escape.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\\]/u;

const UNSAFE_ALL = new RegExp(UNSAFE.source, "gu");

/** Shows that text was cut. */
const CUT_MARK = "…";

/** Short escapes; all others are `\xHH`, `\uHHHH` or `\u{H…}`. */
const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

/**
 * Makes text that came from a peer fit for a log line or a terminal: one line, nothing that a
 * terminal obeys or that hides or turns text around, and at most `maxCharacters` long. Whatever its
 * length, only as much of it is read as is shown.
 *
 * @param maxCharacters Most characters (UTF-16 units) that come back; a cut text ends with `…`
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(escapeForLog("agent\x1b[31m\nERROR all is lost"), "agent\\x1b[31m\\nERROR all is lost");
 * assertEquals(escapeForLog("abcdef", 4), "abc…");
 * ```
 */
export function escapeForLog(text: string, maxCharacters: number = 256): string {
  if (text.length <= maxCharacters && !UNSAFE.test(text)) return text;
  let out = "";
  // Length of the longest start of `out` that leaves room for the mark.
  let fitting = 0;
  for (let index = 0; index < text.length;) {
    const codePoint = text.codePointAt(index) ?? 0;
    const character = String.fromCodePoint(codePoint);
    out += UNSAFE.test(character) ? escape(character, codePoint) : character;
    if (out.length > maxCharacters) return out.slice(0, fitting) + CUT_MARK.slice(0, maxCharacters);
    if (out.length <= maxCharacters - CUT_MARK.length) fitting = out.length;
    index += character.length;
  }
  return out;
}

/**
 * Returns the name and the message of an error, or the text of what else was thrown, fit for a log
 * line. Never throws: application code may throw what has no text, or a getter that throws itself.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(errorText(new TypeError("no\nway")), "TypeError: no\\nway");
 * assertEquals(errorText(Object.create(null)), "what was thrown has no text");
 * ```
 */
export function errorText(error: unknown): string {
  try {
    return escapeForLog(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  } catch {
    return "what was thrown has no text";
  }
}

/**
 * Makes text that came from a peer fit to be shown on a terminal as it is read by people: nothing
 * that a terminal obeys or that hides or turns text around. Unlike {@linkcode escapeForLog} it
 * keeps tabs and backslashes, and cuts nothing.
 *
 * @param keepLines Whether line feeds stay as well
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(escapeForTerminal("C:\\agent\x1b[2J"), "C:\\agent\\x1b[2J");
 * ```
 */
export function escapeForTerminal(text: string, keepLines: boolean = false): string {
  if (!UNSAFE.test(text)) return text;
  const kept = keepLines ? "\\\t\n" : "\\\t";
  return text.replace(
    UNSAFE_ALL,
    (character) =>
      kept.includes(character) ? character : escape(character, character.codePointAt(0) ?? 0),
  );
}

/**
 * Describes an error on one line of a log: its class, its message, and how many more like it were
 * left out before it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(errorForLog(new TypeError("a\nb"), 2), "TypeError: a\\nb (2 more like it were left out)");
 * ```
 */
export function errorForLog(error: unknown, leftOut: number = 0): string {
  const text = errorText(error);
  return leftOut === 0 ? text : `${text} (${leftOut} more like it were left out)`;
}

function escape(character: string, codePoint: number): string {
  const short = SHORT_ESCAPES.get(character);
  if (short !== undefined) return short;
  const hex = codePoint.toString(16);
  if (codePoint <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  if (codePoint <= 0xffff) return `\\u${hex.padStart(4, "0")}`;
  return `\\u{${hex}}`;
}

/** Options of {@linkcode KindRateLimiter}. */
export interface KindRateLimiterOptions {
  /** Lines of one kind in one interval. @default {10, enough to see what is wrong} */
  readonly maxPerInterval?: number | undefined;
  /** Length of the interval, in milliseconds. @default {10000} */
  readonly intervalMs?: number | undefined;
  /** Kinds that are told apart; those beyond share one allowance. @default {256} */
  readonly maxKinds?: number | undefined;
}

/** What to do with a line. */
export type LogDecision =
  | {
    /** Write it. */
    readonly write: true;
    /** Lines of this kind that were left out since the last one that was written. */
    readonly leftOut: number;
  }
  | {
    /** Leave it out. */
    readonly write: false;
  };

/** Lines of one kind in the interval under way. */
interface Interval {
  startMs: number;
  written: number;
  leftOut: number;
}

/**
 * Limits log lines per kind, so that a peer cannot fill a disk, nor hide one kind of line among another.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const limiter = new KindRateLimiter({ maxPerInterval: 1, intervalMs: 1000 });
 * assertEquals(limiter.ask("handshake_failed", 0), { write: true, leftOut: 0 });
 * assertEquals(limiter.ask("handshake_failed", 1), { write: false });
 * assertEquals(limiter.ask("handshake_failed", 1000), { write: true, leftOut: 1 });
 * ```
 */
export class KindRateLimiter {
  readonly #maxPerInterval: number;
  readonly #intervalMs: number;
  readonly #maxKinds: number;
  readonly #kinds: Map<string, Interval> = new Map();
  readonly #others: Interval = { startMs: -Infinity, written: 0, leftOut: 0 };

  /** Makes a limiter that has seen nothing yet. */
  constructor(options: KindRateLimiterOptions = {}) {
    const { maxPerInterval = 10, intervalMs = 10_000, maxKinds = 256 } = options;
    this.#maxPerInterval = maxPerInterval;
    this.#intervalMs = intervalMs;
    this.#maxKinds = maxKinds;
  }

  /**
   * Decides on a line.
   *
   * @param kind What the line is about, from a fixed set of the program, never from a peer
   */
  ask(kind: string, nowMs: number): LogDecision {
    const interval = this.#intervalOf(kind);
    const elapsedMs = nowMs - interval.startMs;
    if (elapsedMs >= this.#intervalMs || elapsedMs < 0) {
      interval.startMs = nowMs;
      interval.written = 0;
    }
    if (interval.written >= this.#maxPerInterval) {
      interval.leftOut++;
      return { write: false };
    }
    const { leftOut } = interval;
    interval.written++;
    interval.leftOut = 0;
    return { write: true, leftOut };
  }

  #intervalOf(kind: string): Interval {
    const known = this.#kinds.get(kind);
    if (known !== undefined) return known;
    if (this.#kinds.size >= this.#maxKinds) return this.#others;
    const fresh: Interval = { startMs: -Infinity, written: 0, leftOut: 0 };
    this.#kinds.set(kind, fresh);
    return fresh;
  }
}
