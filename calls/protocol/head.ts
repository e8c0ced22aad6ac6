// CallHead: what a caller says about a call before its input; pure.
import { decodeText, takeBytes } from "../../collections/short_text.ts";
import { ProtocolError } from "../../errors.ts";

/** How many values a call takes and returns: one and one, one and many, many and one, many and many. */
export type CallKind = "call" | "feed" | "collect" | "talk";

/** What comes before the input of a call. */
export interface CallHead {
  /** How many values go in and come out. */
  readonly kind: CallKind;
  /** The call's whole name: that of its contract and its own, with a dot between. */
  readonly name: string;
  /** Version of the caller's contract; `""` when it has none. */
  readonly version: string;
  /** Time in ms that the caller still waits; 0 for no limit. */
  readonly timeoutMs: number;
  /** The caller's trace context: `traceparent`, line feed, `tracestate`; `""` for none. */
  readonly trace: string;
}

/** A head that was read, and where the input begins behind it. */
export interface ReadHead {
  readonly head: CallHead;
  readonly end: number;
}

/** Longest name or version, in bytes. */
export const MAX_NAME_BYTES = 255;
/** Longest trace context, in bytes. */
const MAX_TRACE_BYTES = 769;

const KINDS: readonly CallKind[] = ["call", "feed", "collect", "talk"];
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The part of a head that is the same for every call of one name: kind, name and version. */
export function encodeHeadStart(
  { kind, name, version }: Omit<CallHead, "timeoutMs" | "trace">,
): Uint8Array {
  const nameBytes = encoder.encode(name);
  const versionBytes = encoder.encode(version);
  const bytes = new Uint8Array(3 + nameBytes.length + versionBytes.length);
  bytes[0] = KINDS.indexOf(kind) + 1;
  bytes[1] = nameBytes.length;
  bytes.set(nameBytes, 2);
  bytes[2 + nameBytes.length] = versionBytes.length;
  bytes.set(versionBytes, 3 + nameBytes.length);
  return bytes;
}

/** Where {@linkcode encodeHead} puts a head. */
export interface HeadPlace {
  /** Bytes before it that are free for the carrier. @default {0} */
  readonly leadBytes?: number | undefined;
  /** Array to begin in, if all fits. @default {a new one} */
  readonly into?: Uint8Array | undefined;
}

/** A head, and `input` behind it, in one array. */
export function encodeHead(
  start: Uint8Array,
  { timeoutMs, trace }: Pick<CallHead, "timeoutMs" | "trace">,
  input: Uint8Array,
  { leadBytes = 0, into }: HeadPlace = {},
): Uint8Array {
  const traceBytes = trace === "" ? EMPTY : encoder.encode(trace);
  let at = leadBytes + start.length;
  const inputAt = at + 6 + traceBytes.length;
  const length = inputAt + input.length;
  const bytes = into !== undefined && length <= into.length
    ? into.subarray(0, length)
    : takeBytes(length);
  bytes.set(start, leadBytes);
  // No DataView: making one costs more than all the rest.
  bytes[at++] = timeoutMs >>> 24;
  bytes[at++] = timeoutMs >>> 16;
  bytes[at++] = timeoutMs >>> 8;
  bytes[at++] = timeoutMs;
  bytes[at++] = traceBytes.length >>> 8;
  bytes[at++] = traceBytes.length;
  if (traceBytes.length > 0) bytes.set(traceBytes, at);
  bytes.set(input, inputAt);
  return bytes;
}

const EMPTY = new Uint8Array(0);

/** What a head begins with, as it was read once. */
interface HeadStart {
  readonly bytes: Uint8Array;
  readonly kind: CallKind;
  readonly name: string;
  readonly version: string;
}

/** How many starts are remembered: a power of two. */
const RECENT_STARTS = 64;

/**
 * Starts that were read lately, by a hash of their bytes: few names are called again and again. A peer that
 * sends many names drives others out, and costs them the time to read their name anew.
 */
const recent: (HeadStart | undefined)[] = new Array(RECENT_STARTS).fill(undefined);

/**
 * Reads the head at `at`.
 *
 * @throws {ProtocolError} `ERR_CALL_FRAME` when it is none
 */
export function readHead(bytes: Uint8Array, at = 0): ReadHead {
  const nameEnd = at + 2 + (bytes[at + 1] ?? 0);
  const startEnd = nameEnd + 1 + (bytes[nameEnd] ?? 0);
  const traceAt = startEnd + 6;
  if (traceAt > bytes.length) throw malformed("it is cut");
  const { kind, name, version } = readStart(bytes, at, startEnd);
  const traceBytes = bytes[startEnd + 4]! << 8 | bytes[startEnd + 5]!;
  const end = traceAt + traceBytes;
  if (traceBytes > MAX_TRACE_BYTES || end > bytes.length) throw malformed("it is cut");
  const timeoutMs = readUint32(bytes, startEnd);
  const trace = traceBytes === 0 ? "" : readText(bytes.subarray(traceAt, end));
  return { head: { kind, name, version, timeoutMs, trace }, end };
}

/** Reads kind, name and version from `at` to `end`, which is where they end. */
function readStart(bytes: Uint8Array, at: number, end: number): HeadStart {
  let hash = 0;
  for (let i = at; i < end; i++) hash = Math.imul(hash, 31) + bytes[i]! | 0;
  const place = hash & (RECENT_STARTS - 1);
  const known = recent[place];
  if (known !== undefined && isSame(known.bytes, bytes, at, end)) return known;
  const kind = KINDS[bytes[at]! - 1];
  if (kind === undefined) throw malformed("its kind is unknown");
  const nameEnd = at + 2 + bytes[at + 1]!;
  return recent[place] = {
    bytes: bytes.slice(at, end),
    kind,
    name: readText(bytes.subarray(at + 2, nameEnd)),
    version: readText(bytes.subarray(nameEnd + 1, end)),
  };
}

function isSame(known: Uint8Array, bytes: Uint8Array, at: number, end: number): boolean {
  if (known.length !== end - at) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[at + i]) return false;
  return true;
}

function readText(bytes: Uint8Array): string {
  try {
    return decodeText(bytes, decoder);
  } catch {
    throw malformed("it is no UTF-8");
  }
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

function malformed(why: string): ProtocolError {
  return new ProtocolError("ERR_CALL_FRAME", `Cannot read the head of a call: ${why}`);
}
