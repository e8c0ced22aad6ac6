// Spans and durations of calls, on both sides, where a telemetry provider is registered.
import { begin, measure, type Measured, type Operation } from "../stats/telemetry/telemetry.ts";
import { decodeTraceContext, encodeTraceContext } from "../stats/telemetry/trace_context.ts";
import type { IncomingCall } from "./ports/port.ts";

/** Names of calls that metrics tell apart; of each a series is kept for ever. */
const MAX_NAMES = 100;

const names = new Set<string>();
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The labels of a call: `_OTHER` for its name once a hundred others are known. */
function labelsOf(name: string): Readonly<Record<string, string>> {
  const isKnown = names.has(name) || names.size < MAX_NAMES;
  if (isKnown) names.add(name);
  return { "rpc.system.name": "parley", "rpc.method": isKnown ? name : "_OTHER" };
}

/** Runs the calling side of a call within a span; `work` gets what its head says of the trace. */
export function callMeasured<T>(
  name: string,
  peer: string,
  work: (trace: string) => Promise<T>,
): Promise<T> {
  return measure(operationOf(name, peer), (measured) => work(traceOf(measured)));
}

/** Begins the span of a call with many outputs, which its reader ends. */
export function beginCall(name: string, peer: string): Measured {
  return begin(operationOf(name, peer));
}

/** What the head of a call says of the trace. */
export function traceOf({ traceContext }: Measured): string {
  return traceContext === undefined ? "" : decoder.decode(encodeTraceContext(traceContext));
}

function operationOf(name: string, peer: string): Operation {
  return {
    name: `call ${name}`,
    kind: "client",
    labels: labelsOf(name),
    details: { "parley.call.name": name, "parley.call.peer": peer },
    duration: "rpc.client.call.duration",
  };
}

/** Runs the answering side of a call within a span, the child of the caller's. */
export function answerMeasured<T>(
  { head: { name, trace }, peer }: IncomingCall,
  work: () => T | Promise<T>,
): Promise<T> {
  return measure({
    name: `answer ${name}`,
    kind: "server",
    labels: labelsOf(name),
    details: {
      "parley.call.name": name,
      ...peer !== undefined && { "parley.peer.identity": peer },
    },
    duration: "rpc.server.call.duration",
    parent: trace === "" ? undefined : decodeTraceContext(encoder.encode(trace)),
  }, work);
}
