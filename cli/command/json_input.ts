// parseJson(): JSON as people type it; what is wrong with it is reported with its place.
import { UsageError } from "./usage.ts";

/**
 * Reads JSON.
 *
 * @param what What the text is, for the message: `JSON`, `Line 3 of standard input`
 * @throws {UsageError} when it is none, with the line and column where it stops being so
 */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${what} is not valid: ${faultText(text)}`);
  }
}

function faultText(text: string): string {
  const at = findFault(text);
  const before = text.slice(0, at).split("\n");
  const place = `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
  const [found] = text.slice(at);
  const fault = found === undefined
    ? "it ends too early"
    : `${JSON.stringify(found)} is unexpected`;
  return `${fault} at ${place}${hintFor(text, at)}`;
}

/** What was probably meant, where that can be seen: shells take quotes away. */
function hintFor(text: string, at: number): string {
  if (/^[\p{L}_][\p{L}\d_ -]{0,59}$/u.test(text)) {
    return `: text is typed as '${JSON.stringify(text)}'`;
  }
  if (/[{,]\s*$/.test(text.slice(0, at)) && /^[\p{L}_']/u.test(text.slice(at))) {
    return `: names and texts are in double quotes, as in '{"name": "text"}'`;
  }
  return "";
}

/** One token, and the spaces before it. */
const TOKEN =
  // deno-lint-ignore no-control-regex -- JSON has none of those in its texts
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)))/y;

/** What may come next. */
type Expected = "value" | "value or ]" | "name" | "name or }" | ":" | "rest" | "end";

/**
 * Finds where a text stops being JSON; its length when it ends too early. The text must be wrong
 * somewhere.
 */
function findFault(text: string): number {
  const open: string[] = [];
  let expected: Expected = "value";
  for (let at = 0;;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) return faultWithin(text, at);
    const [whole, sign, string] = match;
    const start = at + whole.length - (sign ?? string ?? match[3] ?? "").length;
    const next = step(expected, sign ?? (string === undefined ? "scalar" : "string"), open);
    if (next === null) return start;
    expected = next;
    at += whole.length;
  }
}

/** Returns what may follow a token, or `null` where it may not be. */
function step(expected: Expected, token: string, open: string[]): Expected | null {
  const isValueDue = expected.startsWith("value");
  switch (token) {
    case "{":
    case "[":
      if (!isValueDue) return null;
      open.push(token);
      return token === "{" ? "name or }" : "value or ]";
    case "}":
      if (open.at(-1) !== "{" || (expected !== "rest" && expected !== "name or }")) return null;
      return closed(open);
    case "]":
      if (open.at(-1) !== "[" || (expected !== "rest" && expected !== "value or ]")) return null;
      return closed(open);
    case ",":
      if (expected !== "rest") return null;
      return open.at(-1) === "{" ? "name" : "value";
    case ":":
      return expected === ":" ? "value" : null;
    case "string":
      if (expected.startsWith("name")) return ":";
  }
  if (!isValueDue) return null;
  return open.length === 0 ? "end" : "rest";
}

function closed(open: string[]): Expected {
  open.pop();
  return open.length === 0 ? "end" : "rest";
}

/** The place of the fault in what is no token at `at`: in a text that is not closed, its end. */
function faultWithin(text: string, at: number): number {
  const rest = text.slice(at);
  const start = at + rest.length - rest.trimStart().length;
  if (text[start] !== '"') return start;
  // deno-lint-ignore no-control-regex -- as above
  const inside = /^"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*/.exec(text.slice(start));
  return start + (inside?.[0].length ?? 0);
}
