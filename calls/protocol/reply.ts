// Replies: what an answerer sends for each value, and for a failure: one byte and data; pure.
import { takeBytes } from "../../collections/short_text.ts";
import { ProtocolError, type SchemaIssue } from "../../errors.ts";

/** A failure, as it crosses. */
export interface Failure {
  /** Whether the handler chose the code, by a `CallError`, or Parley. */
  readonly by: "handler" | "parley";
  readonly code: string;
  readonly message: string;
  /** What the handler adds; JSON. */
  readonly data?: unknown;
  /** What is wrong with the input. */
  readonly issues?: readonly SchemaIssue[] | undefined;
}

/** A reply that was read. */
export type Reply =
  | { readonly kind: "value"; readonly payload: Uint8Array }
  | { readonly kind: "failure"; readonly failure: Failure };

/** The first byte of a reply. */
const Tag = { value: 0, failedByHandler: 1, failedByParley: 2 } as const;

/** Longest code, in characters. */
const MAX_CODE_CHARACTERS = 64;
/** Longest text of a failure, in characters. */
const MAX_TEXT_CHARACTERS = 1024;
/** Most issues in a failure. */
const MAX_ISSUES = 16;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes before a value or a failure: a zero byte, and a value behind it, are the reply of a value. */
export const REPLY_HEAD_BYTES = 1;

/** The reply that carries a value. */
export function encodeValue(payload: Uint8Array): Uint8Array {
  const reply = takeBytes(REPLY_HEAD_BYTES + payload.length);
  reply.set(payload, REPLY_HEAD_BYTES);
  return reply;
}

/** The reply of a failure. @throws {TypeError} when its data cannot be JSON */
export function encodeFailure({ by, code, message, data, issues }: Failure): Uint8Array {
  const json = JSON.stringify({
    code,
    message: message.slice(0, MAX_TEXT_CHARACTERS),
    data,
    issues,
  });
  const reply = encodeValue(encoder.encode(json));
  reply[0] = by === "handler" ? Tag.failedByHandler : Tag.failedByParley;
  return reply;
}

/** Whether a reply carries a value. */
export function isValue(reply: Uint8Array): boolean {
  return reply[0] === Tag.value;
}

/**
 * Reads a reply.
 *
 * @throws {ProtocolError} `ERR_CALL_FRAME` when it is none
 */
export function readReply(bytes: Uint8Array): Reply {
  if (!isValue(bytes)) return { kind: "failure", failure: readFailed(bytes) };
  return { kind: "value", payload: bytes.subarray(REPLY_HEAD_BYTES) };
}

/**
 * Reads a reply that carries no value.
 *
 * @throws {ProtocolError} `ERR_CALL_FRAME` when it is none
 */
export function readFailed(bytes: Uint8Array): Failure {
  const payload = bytes.subarray(REPLY_HEAD_BYTES);
  switch (bytes[0]) {
    case Tag.failedByHandler:
      return readFailure("handler", payload);
    case Tag.failedByParley:
      return readFailure("parley", payload);
    default:
      throw malformed("its kind is unknown");
  }
}

function readFailure(by: Failure["by"], payload: Uint8Array): Failure {
  let json: unknown;
  try {
    json = JSON.parse(decoder.decode(payload));
  } catch {
    throw malformed("its failure is no JSON");
  }
  if (typeof json !== "object" || json === null) throw malformed("its failure is no object");
  const { code, message, data, issues } = json as Record<string, unknown>;
  if (typeof code !== "string" || code === "" || code.length > MAX_CODE_CHARACTERS) {
    throw malformed("its failure has no code");
  }
  const text = typeof message === "string" ? message.slice(0, MAX_TEXT_CHARACTERS) : "";
  return { by, code, message: text, data, issues: readIssues(issues) };
}

function readIssues(value: unknown): SchemaIssue[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_ISSUES).map((issue) => {
    const { path, message } = (issue ?? {}) as Record<string, unknown>;
    return {
      path: Array.isArray(path) ? path.filter(isPathPart) : [],
      message: typeof message === "string" ? message.slice(0, MAX_TEXT_CHARACTERS) : "",
    };
  });
}

function isPathPart(part: unknown): part is string | number {
  return typeof part === "string" || typeof part === "number";
}

function malformed(why: string): ProtocolError {
  return new ProtocolError("ERR_CALL_FRAME", `Cannot read a reply: ${why}`);
}
