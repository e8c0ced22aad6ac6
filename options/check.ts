// Checks of option values: a wrong type is a TypeError, a value out of range a RangeError, both
// before any I/O.
import type { Logger } from "../log/logger.ts";

/** Longest time that a timer of the platform can wait, in milliseconds (about 24.8 days). */
export const MAX_TIMER_MS = 2_147_483_647;

/** Longest part of a wrong text that an error message repeats, in characters. */
const MAX_SHOWN_CHARACTERS = 64;

/**
 * Checks an option that must be a whole number from `min` to `max`.
 *
 * @param action What is being tried, such as `Cannot listen`; the error message begins with it
 * @returns `value`, as a number
 * @throws {TypeError} when it is no number
 * @throws {RangeError} when it is no whole number, or out of range
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(checkInteger("Cannot listen", "maxPending", 100, 1, 65_536), 100);
 * assertThrows(
 *   () => checkInteger("Cannot listen", "maxPending", 0, 1, 65_536),
 *   RangeError,
 *   `Cannot listen: "maxPending" must be 1 to 65536, current value is 0`,
 * );
 * ```
 */
export function checkInteger(
  action: string,
  name: string,
  value: unknown,
  min: number,
  max: number,
): number {
  const number = checkType(action, name, value, "number");
  if (!Number.isInteger(number)) {
    throw new RangeError(complaint(action, name, `a whole number, ${min} to ${max}`, value));
  }
  if (number < min || number > max) {
    throw new RangeError(complaint(action, name, `${min} to ${max}`, value));
  }
  return number;
}

/**
 * Checks an option that must be a finite number from `min` to `max`; fractions are fine.
 *
 * @returns `value`, as a number
 * @throws {TypeError} when it is no number
 * @throws {RangeError} when it is out of range
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(checkNumber("Cannot listen", "messagesPerSecond", 0.5, 0.001, 1e9), 0.5);
 * ```
 */
export function checkNumber(
  action: string,
  name: string,
  value: unknown,
  min: number,
  max: number,
): number {
  const number = checkType(action, name, value, "number");
  if (!(number >= min && number <= max)) {
    throw new RangeError(complaint(action, name, `${min} to ${max}`, value));
  }
  return number;
}

/** What a duration may be; see {@linkcode checkDurationMs}. */
export interface DurationRule {
  /** Shortest that is allowed, in milliseconds. @default {1} */
  readonly minMs?: number | undefined;
  /** Longest that is allowed, in milliseconds. @default {2147483647, what a timer can wait} */
  readonly maxMs?: number | undefined;
  /** Whether `0` is allowed beside the range, and means "off". @default {false} */
  readonly allowOff?: boolean | undefined;
  /** Whether `Infinity` is allowed beside the range, and means "no limit of time". @default {false} */
  readonly allowInfinity?: boolean | undefined;
}

/**
 * Checks an option that must be a duration in milliseconds.
 *
 * @returns `value`, as a number; `0` for "off" and `Infinity` for "no limit" only where the rule allows them
 * @throws {TypeError} when it is no number
 * @throws {RangeError} when it is out of range
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(checkDurationMs("Cannot listen", "idleTimeoutMs", 0, { allowOff: true }), 0);
 * assertThrows(() => checkDurationMs("Cannot listen", "idleTimeoutMs", -1), RangeError);
 * ```
 */
export function checkDurationMs(
  action: string,
  name: string,
  value: unknown,
  rule: DurationRule = {},
): number {
  const { minMs = 1, maxMs = MAX_TIMER_MS, allowOff = false, allowInfinity = false } = rule;
  const number = checkType(action, name, value, "number");
  if (allowOff && number === 0) return 0;
  if (allowInfinity && number === Infinity) return Infinity;
  if (number >= minMs && number <= maxMs) return number;
  const wanted = (allowOff ? "0 (off) or " : "") + `${minMs} to ${maxMs}` +
    (allowInfinity ? " or Infinity" : "");
  throw new RangeError(complaint(action, name, wanted, value));
}

/**
 * Checks an option that must be `true` or `false`.
 *
 * @returns `value`, as a boolean
 * @throws {TypeError} when it is anything else
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(checkBoolean("Cannot dial", "noDelay", true), true);
 * ```
 */
export function checkBoolean(action: string, name: string, value: unknown): boolean {
  return checkType(action, name, value, "boolean");
}

/**
 * Checks an option that must be one of a few texts.
 *
 * @returns `value`, as one of `allowed`
 * @throws {TypeError} when it is no text
 * @throws {RangeError} when it is another text
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(
 *   () => checkOneOf("Cannot frame", "endian", "middle", ["big", "little"]),
 *   RangeError,
 *   `Cannot frame: "endian" must be "big" or "little", current value is "middle"`,
 * );
 * ```
 */
export function checkOneOf<Text extends string>(
  action: string,
  name: string,
  value: unknown,
  allowed: readonly Text[],
): Text {
  const text = checkType(action, name, value, "string");
  const found = allowed.find((candidate) => candidate === text);
  if (found !== undefined) return found;
  const quoted = allowed.map((candidate) => `"${candidate}"`);
  const last = quoted.pop() ?? "nothing";
  const wanted = quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`;
  throw new RangeError(complaint(action, name, wanted, value));
}

/**
 * Checks an option that must be a text of `min` to `max` characters (UTF-16 units).
 *
 * @returns `value`, as a string
 * @throws {TypeError} when it is no text
 * @throws {RangeError} when it is too short or too long
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => checkText("Cannot dial", "hostname", "", 1, 253), RangeError, `"hostname" must be`);
 * ```
 */
export function checkText(
  action: string,
  name: string,
  value: unknown,
  min: number,
  max: number,
): string {
  const text = checkType(action, name, value, "string");
  if (text.length < min || text.length > max) {
    throw new RangeError(complaint(action, name, `a text of ${min} to ${max} characters`, value));
  }
  return text;
}

/**
 * Checks an option that must be a function.
 *
 * @throws {TypeError} when it is anything else
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => checkFunction("Cannot listen", "onError", "log"), TypeError, `"onError" must be a function`);
 * ```
 */
export function checkFunction(action: string, name: string, value: unknown): void {
  checkType(action, name, value, "function");
}

/**
 * Checks that an argument can be iterated over, and is no text: its items would be its
 * characters, which is never meant.
 *
 * @throws {TypeError} when it is anything else
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * checkIterable("Cannot send", "messages", ["one", "two"]);
 * assertThrows(() => checkIterable("Cannot send", "messages", "one"), TypeError);
 * ```
 */
export function checkIterable(action: string, name: string, value: unknown): void {
  if (typeof value === "object" && value !== null && Symbol.iterator in value) return;
  throw new TypeError(
    `${action}: "${name}" must be an array or another iterable, got ${typeof value}`,
  );
}

/**
 * Checks the signal of a wait, which may be absent. The error names what was passed instead.
 *
 * @throws {TypeError} when it is no `AbortSignal`
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * checkSignal("Cannot receive", new AbortController().signal);
 * assertThrows(() => checkSignal("Cannot receive", new AbortController()), TypeError, `"signal"`);
 * ```
 */
export function checkSignal(action: string, value: unknown): void {
  if (value === undefined || value instanceof AbortSignal) return;
  throw new TypeError(complaint(action, "signal", "an AbortSignal", value));
}

/**
 * Checks a logger of the user's.
 *
 * @throws {TypeError} when it lacks one of the four methods
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import type { Logger } from "../log/logger.ts";
 *
 * assertThrows(() => checkLogger("Cannot listen", {} as Logger), TypeError, `"debug" is none`);
 * checkLogger("Cannot listen", console);
 * ```
 */
export function checkLogger<Given extends Logger | undefined>(
  action: string,
  logger: Given,
): Given {
  if (logger === undefined) return logger;
  for (const level of ["debug", "info", "warn", "error"] as const) {
    if (typeof logger?.[level] === "function") continue;
    throw new TypeError(
      `${action}: "logger" must have the methods debug, info, warn and error: "${level}" is none`,
    );
  }
  return logger;
}

/** The types that {@linkcode checkType} tells apart, and how a message calls them. */
const TYPE_NAMES = {
  number: "a number",
  boolean: "true or false",
  string: "a text",
  function: "a function",
} as const;

interface TypeOf {
  number: number;
  boolean: boolean;
  string: string;
  function: unknown;
}

export function checkType<Name extends keyof TypeOf>(
  action: string,
  name: string,
  value: unknown,
  type: Name,
): TypeOf[Name] {
  const actual: string = typeof value;
  if (actual === type) return value as TypeOf[Name];
  throw new TypeError(complaint(action, name, TYPE_NAMES[type], value));
}

function complaint(action: string, name: string, wanted: string, value: unknown): string {
  return `${action}: "${name}" must be ${wanted}, current value is ${show(value)}`;
}

/** Shows what was given, short: an object's content may be large, or secret. */
function show(value: unknown): string {
  if (typeof value === "string") {
    return value.length > MAX_SHOWN_CHARACTERS
      ? `a text of ${value.length} characters`
      : JSON.stringify(value);
  }
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? "an array" : "an object";
  }
  return String(value);
}
