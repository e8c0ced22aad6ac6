// Framing options: how bytes become messages, as people type it.
import {
  chunked,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  raw,
  varintPrefixed,
} from "../../framing.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";
import { UsageError } from "../command/usage.ts";

/** What completes the name of a framing. */
export const FRAMING_NAMES: readonly string[] = [
  "lines",
  "crlf",
  "u8",
  "u16",
  "u32",
  "u64",
  "u16le",
  "u32le",
  "u64le",
  "varint",
  "chunked",
  "fixed:64",
  "raw",
];

const FORMS = FRAMING_NAMES.join(", ").replace("fixed:64, raw", "fixed:BYTES or raw");

/** Options of a command that sends or receives messages. */
export const FRAMING_FLAGS: readonly Flag[] = [
  {
    name: "framing",
    value: "NAME",
    about: `How bytes become messages: ${FORMS} (default: lines)`,
    choices: FRAMING_NAMES,
  },
  { name: "max-message", value: "BYTES", about: "Greatest message (default: 1MiB)" },
];

/** Greatest message that may be asked for. */
const MOST_BYTES = 2 ** 30;

/** How messages are told apart on the pipes of a program. */
export interface PipeFraming {
  /** How bytes become messages. */
  readonly framing: Framing;
  /** What ends the last message where nothing does; nothing where it must be whole. */
  readonly lastEnd: Uint8Array;
}

/**
 * What an option about pipes says: the framing that it names, or else `byDefault`.
 *
 * @throws {UsageError} when there is none of that name
 */
export function pipeFramingOf(args: Arguments, option: string, byDefault: string): PipeFraming {
  return pipeFraming(args.text(option) ?? byDefault, option);
}

/** A framing of a pipe by its name. @throws {UsageError} when there is none of that name */
export function pipeFraming(name: string, option?: string): PipeFraming {
  const lastEnd = { lines: "\n", crlf: "\r\n" }[name] ?? "";
  return { framing: parseFraming(name, option), lastEnd: new TextEncoder().encode(lastEnd) };
}

/** What the options say, by the names of the library's options. */
export interface FramingChoice {
  /** What was typed for it. */
  readonly name: string;
  /** How bytes become messages. */
  readonly framing: Framing;
  /** Whether each message is a line, so that a terminal can show it. */
  readonly lines: boolean;
  /** Greatest message. */
  readonly maxMessageBytes: number;
}

/** What the options of a command say. */
export function framingOf(args: Arguments): FramingChoice {
  const name = args.text("framing") ?? "lines";
  return {
    name,
    framing: parseFraming(name),
    lines: name === "lines" || name === "crlf",
    maxMessageBytes: args.bytes("max-message", { byDefault: 2 ** 20, least: 1, most: MOST_BYTES }),
  };
}

/**
 * Reads the name of a framing.
 *
 * @param option Which option names it, for the message
 * @throws {UsageError} when there is none of that name
 */
export function parseFraming(name: string, option = "framing"): Framing {
  const [, bits, end] = /^u(8|16|32|64)(le)?$/.exec(name) ?? [];
  if (bits !== undefined) {
    const bytes = Number(bits) / 8 as 1 | 2 | 4 | 8;
    return lengthPrefixed({ bytes, endian: end === "le" ? "little" : "big" });
  }
  const [, length] = /^fixed:([1-9]\d{0,8})$/.exec(name) ?? [];
  if (length !== undefined) return fixedLength(Number(length));
  switch (name) {
    case "lines":
      return delimited("\n");
    case "crlf":
      return delimited("\r\n");
    case "varint":
      return varintPrefixed();
    case "chunked":
      return chunked();
    case "raw":
      return raw();
    default:
      throw new UsageError(`Option "--${option}" is ${FORMS}, not "${name}"`);
  }
}
