// Telemetry of the wire: spans of named streams, from their opener through a hub to their handler,
// and the counters of sessions.
import {
  begin,
  type Labels,
  measure,
  type Measured,
  observeCounters,
  peerDetails,
  serverLabels,
  telemetryOn,
} from "../../stats/telemetry/telemetry.ts";
import { readTraceContext } from "../../stats/telemetry/trace_context.ts";
import type { FrameChannel } from "../protocol/frame_stream.ts";
import { MAX_FRAME_BYTES, type Meta, type Open, type StreamRefusal } from "../protocol/frames.ts";
import type { EstablishedSession } from "./established.ts";
import type { Address } from "../../net/transport/transport.ts";
import type { WireStats } from "../../stats/data/snapshots.ts";

/** Bytes of a frame that are left free for what a hub adds to it. */
const ROOM_BYTES = 512;

/** An OPEN of ours. */
type OurOpen = Partial<Open> & { readonly name: string };

/** Has the counters of a session exported until it is over; nothing without a provider. */
export function observeSession({ mux, transport }: EstablishedSession): void {
  if (!telemetryOn()) return;
  const { "network.transport": kind = "" } = peerDetails(transport.remoteAddr);
  const labels = { "parley.protocol": "wire", "network.transport": kind };
  void mux.closed.then(observeCounters(labels, () => ({ ...mux.stats() })));
}

/** A mounted wire, as far as its counters go. */
interface ObservedMount {
  readonly addr: Address;
  readonly finished: Promise<void>;
  stats(): WireStats;
}

/**
 * Has the counters of a server exported until it has finished; what its sessions count themselves
 * is not among them.
 */
export function observeMount(wire: ObservedMount): void {
  if (!telemetryOn()) return;
  const labels = { "parley.protocol": "wire", "parley.role": "server", ...serverLabels(wire.addr) };
  const unobserve = observeCounters(labels, () => {
    const { overall } = wire.stats();
    return {
      connectionsOpened: overall.connectionsOpened,
      connectionsClosed: overall.connectionsClosed,
      connectionsRefused: overall.connectionsRefused,
      connectionsReplaced: overall.connectionsReplaced,
      handshakeFailures: overall.handshakeFailures,
      handshakeTimeouts: overall.handshakeTimeouts,
    };
  });
  void wire.finished.then(unobserve);
}

/**
 * Opens a stream within a span that ends with it; the far side gets its context, so that the span
 * of the handler becomes a child.
 */
export async function openMeasured(
  established: EstablishedSession,
  open: OurOpen,
  send: (open: OurOpen) => Promise<FrameChannel>,
): Promise<FrameChannel> {
  const measured = begin({
    name: `open ${open.name}`,
    kind: "client",
    labels: streamLabels(open.name, "client"),
    details: {
      "parley.stream.name": open.name,
      ...peerDetails(established.transport.remoteAddr),
      ...open.to && { "parley.peer.identity": open.to },
    },
    duration: "parley.stream.duration",
  });
  try {
    const opened = await send({ ...open, meta: withContext(open, measured) });
    void opened.mux.closed.then((error) => measured.end(error));
    return opened;
  } catch (error) {
    measured.end(error);
    throw error;
  }
}

/** Runs a handler within a span, the child of the opener's. */
export function serveMeasured(
  established: EstablishedSession,
  { name, from, meta }: {
    readonly name: string;
    readonly from: string | undefined;
    readonly meta: Meta;
  },
  serve: () => Promise<void> | void,
): Promise<void> {
  return measure({
    name: `serve ${name}`,
    kind: "server",
    labels: streamLabels(name, "server"),
    details: {
      "parley.stream.name": name,
      ...peerDetails(established.transport.remoteAddr),
      ...from !== undefined && { "parley.peer.identity": from },
    },
    duration: "parley.stream.duration",
    parent: readTraceContext(meta),
  }, serve);
}

/**
 * Brings a stream to another peer within a span, the child of the opener's and the parent of the
 * handler's.
 */
export function routeMeasured(
  open: Open,
  to: string,
  connect: (open: Open) => Promise<StreamRefusal | undefined>,
): Promise<StreamRefusal | undefined> {
  return measure({
    name: "route",
    kind: "server",
    labels: { "parley.protocol": "wire" },
    details: { "parley.stream.name": open.name, "parley.peer.identity": to },
    parent: readTraceContext(open.meta),
  }, async (measured) => {
    const { traceparent: _traceparent, tracestate: _tracestate, ...meta } = open.meta;
    const code = await connect({ ...open, meta: withContext({ ...open, meta }, measured) });
    if (code !== undefined) measured.add({ "error.type": code });
    return code;
  });
}

/** Joins a session within a span: dialling, TLS and the greeting. */
export function joinMeasured(
  where: Labels,
  identity: string,
  join: () => Promise<EstablishedSession>,
): Promise<EstablishedSession> {
  return measure({
    name: "connect",
    kind: "client",
    labels: { "parley.protocol": "wire", ...where },
    details: { "parley.identity": identity },
    duration: "parley.connect.duration",
  }, join);
}

/** Names of streams that metrics tell apart; of each a series is kept for ever. */
const MAX_NAMES = 100;

const names = new Set<string>();

/** The labels of a stream: `_OTHER` for its name once a hundred others are known. */
function streamLabels(name: string, role: string): Labels {
  const isKnown = names.has(name) || names.size < MAX_NAMES;
  if (isKnown) names.add(name);
  return {
    "parley.protocol": "wire",
    "parley.stream.name": isKnown ? name : "_OTHER",
    "parley.role": role,
  };
}

/** The meta of a stream, with the trace context where it fits and the caller has not put one there. */
function withContext({ name, to, meta = {} }: OurOpen, measured: Measured): Meta {
  const context = measured.traceContext;
  if (context === undefined || Object.hasOwn(meta, "traceparent")) return meta;
  const told = { ...meta, ...context };
  const bytes = new TextEncoder().encode(JSON.stringify({ name, to, meta: told })).length;
  return bytes + ROOM_BYTES <= MAX_FRAME_BYTES ? told : meta;
}
