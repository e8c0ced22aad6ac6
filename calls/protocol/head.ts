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

/**
 * Reads the head at `at`.
 *
 * @throws {ProtocolError} `ERR_CALL_FRAME` when it is none
 */
export function readHead(bytes: Uint8Array, at = 0): ReadHead {
  const kind = KINDS[(bytes[at] ?? 0) - 1];
  if (kind === undefined) throw malformed("its kind is unknown");
  const nameEnd = at + 2 + (bytes[at + 1] ?? 0);
  const versionEnd = nameEnd + 1 + (bytes[nameEnd] ?? 0);
  const traceAt = versionEnd + 6;
  if (traceAt > bytes.length) throw malformed("it is cut");
  const traceBytes = bytes[versionEnd + 4]! << 8 | bytes[versionEnd + 5]!;
  const end = traceAt + traceBytes;
  if (traceBytes > MAX_TRACE_BYTES || end > bytes.length) throw malformed("it is cut");
  try {
    const head = {
      kind,
      name: decodeText(bytes.subarray(at + 2, nameEnd), decoder),
      version: nameEnd + 1 === versionEnd
        ? ""
        : decodeText(bytes.subarray(nameEnd + 1, versionEnd), decoder),
      timeoutMs: (bytes[versionEnd]! << 24 | bytes[versionEnd + 1]! << 16 |
        bytes[versionEnd + 2]! << 8 | bytes[versionEnd + 3]!) >>> 0,
      trace: traceBytes === 0 ? "" : decoder.decode(bytes.subarray(traceAt, end)),
    };
    return { head, end };
  } catch {
    throw malformed("it is no UTF-8");
  }
}

function malformed(why: string): ProtocolError {
  return new ProtocolError("ERR_CALL_FRAME", `Cannot read the head of a call: ${why}`);
}
