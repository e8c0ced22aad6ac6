// LinkTelemetry: what a link reports to OpenTelemetry, and the trace contexts of its queries.
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
  /** The last context frame: the id of its query, and its data. */
  #context: { readonly id: number; readonly data: Uint8Array } | null = null;

  /** Makes it for a link of this channel. */
  constructor(channel: string) {
    this.#labels = { "parley.protocol": "ipc", "parley.ipc.channel": channel };
  }

  /** The link begins: announces that this side takes trace contexts, and exports the counters. */
  start(link: ObservedLink, outbox: Pick<Outbox, "add">): void {
    if (!telemetryOn()) return;
    outbox.add(FrameKind.ping, TAKES_CONTEXTS_TAG, NOTHING);
    const unobserve = observeCounters(this.#labels, () => ({ ...link.stats() }));
    void link.closed.then(unobserve);
  }

  /** Takes a ping: the highest tag says that the other side takes trace contexts. */
  onPing(tag: number): void {
    if (tag === TAKES_CONTEXTS_TAG) this.#peerTakesContexts = true;
  }

  /** Takes the trace context of the query of this id, which comes next. */
  onContext(id: number, data: Uint8Array): void {
    this.#context = telemetryOn() ? { id, data } : null;
  }

  /** Returns the trace context of the query that has just come. */
  parentOf(id: number): TraceParts | undefined {
    const context = this.#context;
    if (context === null) return undefined;
    this.#context = null;
    return context.id === id ? decodeTraceContext(context.data) : undefined;
  }

  /** Asks within a span. `ask` gets the trace context to send, if the other side takes any. */
  ask(ask: (context: Uint8Array | undefined) => Promise<Uint8Array>): Promise<Uint8Array> {
    return measure(
      this.#operation("query", "client", "rpc.client.call.duration"),
      (measured: Measured) => {
        const context = this.#peerTakesContexts ? measured.traceContext : undefined;
        return ask(context && encodeTraceContext(context));
      },
    );
  }

  /** Answers within a span, the child of the caller's. */
  answer<T>(parent: TraceParts | undefined, answer: () => T | Promise<T>): Promise<T> {
    const operation = this.#operation("answer", "server", "rpc.server.call.duration");
    return measure({ ...operation, parent }, answer);
  }

  #operation(name: string, kind: Operation["kind"], duration: Operation["duration"]): Operation {
    const channel = this.#labels["parley.ipc.channel"];
    const labels = {
      "rpc.system.name": "parley",
      "rpc.method": `${channel}/query`,
      ...this.#labels,
    };
    return { name: `${name} ${channel}`, kind, labels, duration };
  }
}
