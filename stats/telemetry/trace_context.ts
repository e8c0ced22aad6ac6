// Trace context: W3C traceparent and tracestate, written for a peer and read from one that is not trusted.

/** A position in a trace, as text that travels: W3C Trace Context, section 3. */
export interface TraceContext {
  /** `00-<trace id>-<span id>-<flags>`, 55 characters. */
  readonly traceparent: string;
  /** What tracing systems add about it; absent when there is none. */
  readonly tracestate?: string | undefined;
}

/** A {@linkcode TraceContext}, taken apart. */
export interface TraceParts {
  /** 32 hex digits, not all 0. */
  readonly traceId: string;
  /** 16 hex digits, not all 0. */
  readonly spanId: string;
  /** Bits; 1 says that the caller recorded its span. */
  readonly traceFlags: number;
  /** As it is sent; absent when there is none. */
  readonly tracestate?: string | undefined;
}

/**
 * Version, trace id, parent id and flags, and in versions after 00 more behind another dash (section 3.2.2).
 */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

/** An id without a meaning (sections 3.2.2.3 and 3.2.2.4). */
const ALL_ZERO = /^0+$/;

/** A version that does not exist (section 3.2.2.1). */
const NO_VERSION = "ff";

/** Longest traceparent that is looked at: one of version 00 has 55 characters. */
const MAX_TRACEPARENT_LENGTH = 256;

/** Longest tracestate that is sent or taken: as much as must be passed on (section 3.3.1.5). */
const MAX_TRACESTATE_LENGTH = 512;

/** Printable ASCII: what a tracestate is made of (section 3.3.1.3). */
const PRINTABLE = /^[ -~]+$/;

/** The flags that version 00 knows: sampled. */
const KNOWN_FLAGS = 1;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The text of a span's context; `undefined` for a span that is not recorded.
 *
 * @example
 * ```ts
 * import { formatTraceContext } from "./trace_context.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const traceId = "0af7651916cd43dd8448eb211c80319c";
 * assertEquals(formatTraceContext({ traceId, spanId: "b7ad6b7169203331", traceFlags: 1 }), {
 *   traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
 * });
 * ```
 */
export function formatTraceContext(parts: TraceParts): TraceContext | undefined {
  const { traceId, spanId, traceFlags, tracestate } = parts;
  const traceparent = `00-${traceId}-${spanId}-${(traceFlags & KNOWN_FLAGS) === 1 ? "01" : "00"}`;
  if (readTraceContext({ traceparent }) === undefined) return undefined;
  return isTracestate(tracestate) ? { traceparent, tracestate } : { traceparent };
}

/**
 * Reads what a peer sent. What is not as it should be is left out and makes no error: `undefined` without a
 * good traceparent; a bad tracestate is dropped alone.
 *
 * @example
 * ```ts
 * import { readTraceContext } from "./trace_context.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
 * assertEquals(readTraceContext({ traceparent })?.spanId, "b7ad6b7169203331");
 * assertEquals(readTraceContext({ traceparent: "00-zz" }), undefined);
 * ```
 */
export function readTraceContext(
  carrier: { readonly traceparent?: unknown; readonly tracestate?: unknown },
): TraceParts | undefined {
  const { traceparent, tracestate } = carrier;
  if (typeof traceparent !== "string" || traceparent.length > MAX_TRACEPARENT_LENGTH) {
    return undefined;
  }
  const match = TRACEPARENT.exec(traceparent);
  if (match === null) return undefined;
  const [, version = "", traceId = "", spanId = "", flags = "", more] = match;
  if (version === NO_VERSION || (version === "00" && more !== "")) return undefined;
  if (ALL_ZERO.test(traceId) || ALL_ZERO.test(spanId)) return undefined;
  const parts = { traceId, spanId, traceFlags: parseInt(flags, 16) & KNOWN_FLAGS };
  return isTracestate(tracestate) ? { ...parts, tracestate } : parts;
}

/** Bytes for where there is no object to put it in: traceparent, and behind a line feed the tracestate. */
export function encodeTraceContext({ traceparent, tracestate }: TraceContext): Uint8Array {
  return new TextEncoder().encode(
    tracestate === undefined ? traceparent : `${traceparent}\n${tracestate}`,
  );
}

/** Reads {@linkcode encodeTraceContext}; `undefined` for all that is no trace context. */
export function decodeTraceContext(bytes: Uint8Array): TraceParts | undefined {
  if (bytes.length > MAX_TRACE_CONTEXT_BYTES) return undefined;
  try {
    const [traceparent, tracestate] = decoder.decode(bytes).split("\n", 2);
    return readTraceContext({ traceparent, tracestate });
  } catch {
    return undefined;
  }
}

/** Most bytes of an encoded trace context. */
export const MAX_TRACE_CONTEXT_BYTES: number = MAX_TRACEPARENT_LENGTH + 1 + MAX_TRACESTATE_LENGTH;

function isTracestate(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TRACESTATE_LENGTH &&
    PRINTABLE.test(value);
}
