// LinkTelemetry: what a link of IPC tells OpenTelemetry, and the trace contexts that travel beside its queries.
import type { IpcTraffic } from "../../stats/data/counters.ts";
import {
  type Labels,
  measure,
  type Measured,
  observeCounters,
  type Operation,
  telemetryOn,
} from "../../stats/telemetry/telemetry.ts";
import {
  decodeTraceContext,
  encodeTraceContext,
  type TraceParts,
} from "../../stats/telemetry/trace_context.ts";
import { FrameKind, TAKES_CONTEXTS_TAG } from "../protocol/frames.ts";
import type { Outbox } from "./outbox.ts";

const NOTHING: Uint8Array = new Uint8Array(0);

/** What is observed of a link. */
interface ObservedLink {
  readonly closed: Promise<unknown>;
  stats(): IpcTraffic;
}

/** Telemetry of one link; without a provider it does nothing. */
export class LinkTelemetry {
  readonly #labels: Labels;
  /** Whether the other side has said that it takes trace contexts. */
  #peerTakesContexts = false;
  /** What the last context frame said, and about which query. */
  #context: { readonly id: number; readonly data: Uint8Array } | null = null;

  /** Makes it for a link of this channel. */
  constructor(channel: string) {
    this.#labels = { "parley.protocol": "ipc", "parley.ipc.channel": channel };
  }

  /** The link begins: says that we take trace contexts, and has its counters exported. */
  start(link: ObservedLink, outbox: Pick<Outbox, "add">): void {
    if (!telemetryOn()) return;
    outbox.add(FrameKind.ping, TAKES_CONTEXTS_TAG, NOTHING);
    const unobserve = observeCounters(this.#labels, () => ({ ...link.stats() }));
    void link.closed.then(unobserve);
  }

  /** A ping came: the one with the highest tag says that the other side takes trace contexts. */
  onPing(tag: number): void {
    if (tag === TAKES_CONTEXTS_TAG) this.#peerTakesContexts = true;
  }

  /** A trace context came: that of the query of this id, which comes next. */
  onContext(id: number, data: Uint8Array): void {
    this.#context = telemetryOn() ? { id, data } : null;
  }

  /** What the other side said about the query that has just come. */
  parentOf(id: number): TraceParts | undefined {
    const context = this.#context;
    if (context === null) return undefined;
    this.#context = null;
    return context.id === id ? decodeTraceContext(context.data) : undefined;
  }

  /** Asks within a span; `ask` is given the trace context to send, if the other side takes any. */
  ask(ask: (context: Uint8Array | undefined) => Promise<Uint8Array>): Promise<Uint8Array> {
    return measure(this.#operation("query", "client", "rpc.client.call.duration"), (measured: Measured) => {
      const context = this.#peerTakesContexts ? measured.traceContext : undefined;
      return ask(context && encodeTraceContext(context));
    });
  }

  /** Answers within a span, the child of the asker's. */
  answer<T>(parent: TraceParts | undefined, answer: () => T | Promise<T>): Promise<T> {
    const operation = this.#operation("answer", "server", "rpc.server.call.duration");
    return measure({ ...operation, parent }, answer);
  }

  #operation(name: string, kind: Operation["kind"], duration: Operation["duration"]): Operation {
    const channel = this.#labels["parley.ipc.channel"];
    const labels = { "rpc.system.name": "parley", "rpc.method": `${channel}/query`, ...this.#labels };
    return { name: `${name} ${channel}`, kind, labels, duration };
  }
}
