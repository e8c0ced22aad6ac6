// Telemetry: spans and metrics through the OpenTelemetry API where a provider is registered, and nothing
// where none is.
import type * as Api from "@opentelemetry/api";
import { chosenCode, errorCode } from "../data/error_codes.ts";
import type { Address, TlsInfo } from "../../net/transport/transport.ts";
import { formatTraceContext, type TraceContext, type TraceParts } from "./trace_context.ts";
import {
  createMetering,
  type DurationName,
  type Labels,
  type Metering,
} from "./telemetry_metrics.ts";

export type { DurationName, Labels } from "./telemetry_metrics.ts";
export { observeCounters } from "./telemetry_metrics.ts";

/** Name of what measures, as exporters show it. */
const SCOPE = "@parley/parley";

/**
 * Where version 1 of the API keeps what is registered. A program that has registered nothing does not pay for
 * loading the API, some 20 ms at start.
 */
const REGISTERED = Symbol.for("opentelemetry.js.api.1");

/** Something whose time is taken. */
export interface Operation {
  /** Name of the span; one of few. */
  readonly name: string;
  /** Whether the other side is asked, has asked, or neither. */
  readonly kind: "client" | "server" | "internal";
  /** Attributes of the span and of its duration; one of few values each. */
  readonly labels: Labels;
  /** Attributes of the span alone. */
  readonly details?: Labels | undefined;
  /** Where its duration is recorded. @default {nowhere} */
  readonly duration?: DurationName | undefined;
  /**
   * What a peer says is its parent; without it a `server` begins a trace, others are children of what runs
   * now.
   */
  readonly parent?: TraceParts | undefined;
}

/** The API and what is registered with it. */
interface Providers {
  readonly api: typeof Api;
  readonly traced: boolean;
  readonly metered: boolean;
  readonly meters: Api.MeterProvider;
  readonly tracers: Api.TracerProvider;
  readonly tracer: Api.Tracer;
  readonly metering: Metering;
}

let on = false;
let loaded: typeof Api | null = null;
let providers: Providers | null = null;

/** Whether anything is measured: the one check on the way of a connection, a stream or a query. */
export function telemetryOn(): boolean {
  return on;
}

/**
 * Looks whether a provider is registered. Whatever connects or listens does so first; what is registered
 * later is seen by what is made after it.
 *
 * @returns Whether {@linkcode loadTelemetry} must be awaited before anything can be measured
 */
export function lookForTelemetry(): boolean {
  if (Reflect.get(globalThis, REGISTERED) === undefined) {
    on = false;
    return false;
  }
  if (loaded === null) return true;
  inspect(loaded);
  return false;
}

/** Loads the API, and looks again. Never rejects: a program that cannot be measured works all the same. */
export async function loadTelemetry(): Promise<void> {
  try {
    loaded ??= await import("@opentelemetry/api");
  } catch {
    return;
  }
  inspect(loaded);
}

function inspect(api: typeof Api): void {
  const tracers = api.trace.getTracerProvider();
  const meters = api.metrics.getMeterProvider();
  const traced = isTracing(tracers);
  const known = providers;
  if (known?.tracers === tracers && known.meters === meters && known.traced === traced) {
    on = known.traced || known.metered;
    return;
  }
  const metered = meters.getMeter(SCOPE) !== api.createNoopMeter();
  on = traced || metered;
  const metering = known?.meters === meters
    ? known.metering
    : createMetering(meters.getMeter(SCOPE));
  providers = { api, traced, metered, meters, tracers, tracer: tracers.getTracer(SCOPE), metering };
}

/** Whether a provider is more than the API's stand-in for one that may come. */
function isTracing(provider: Api.TracerProvider): boolean {
  if (!("getDelegateTracer" in provider)) return true;
  return (provider as Api.ProxyTracerProvider).getDelegateTracer(SCOPE) !== undefined;
}

/** An operation under way. */
export class Measured {
  readonly #operation: Operation;
  readonly #providers: Providers;
  readonly #context: Api.Context;
  readonly #span: Api.Span;
  readonly #startMs = performance.now();
  #labels: Labels;
  #ended = false;

  constructor(operation: Operation, now: Providers) {
    const { name, kind, labels, details, parent } = operation;
    const { api, tracer } = now;
    this.#operation = operation;
    this.#providers = now;
    this.#labels = labels;
    const outer = parent !== undefined || kind === "server"
      ? remoteContext(api, parent)
      : api.context.active();
    const attributes = { ...labels, ...details };
    this.#span = tracer.startSpan(name, { kind: spanKind(api, kind), attributes }, outer);
    this.#context = api.trace.setSpan(outer, this.#span);
  }

  /** What to send to a peer, so that its spans become children; `undefined` when nothing records. */
  get traceContext(): TraceContext | undefined {
    const { traceState, ...parts } = this.#span.spanContext();
    return formatTraceContext({ ...parts, tracestate: traceState?.serialize() });
  }

  /** Adds attributes that were not known before; `details` go to the span alone. */
  add(labels: Labels, details: Labels = {}): void {
    this.#labels = { ...this.#labels, ...labels };
    this.#span.setAttributes({ ...labels, ...details });
  }

  /** Calls `work` as part of the operation: spans that it starts are children. */
  run<T>(work: () => T): T {
    return this.#providers.api.context.with(this.#context, work);
  }

  /** The operation is over; it has failed when `error` is given. Only the first call counts. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const { api, metering } = this.#providers;
    const { duration } = this.#operation;
    if (error !== undefined) {
      // A span may say what the peer or the handler chose; of a metric each value is a series that
      // is kept for ever.
      this.add({ "error.type": errorCode(error) }, { "error.type": chosenCode(error) });
      this.#span.setStatus({ code: api.SpanStatusCode.ERROR });
    }
    if (duration !== undefined) {
      metering.record(
        duration,
        (performance.now() - this.#startMs) / 1000,
        this.#labels,
        this.#context,
      );
    }
    this.#span.end();
  }
}

/** Begins to measure; only while {@linkcode telemetryOn}. */
export function begin(operation: Operation): Measured {
  if (providers === null) throw new TypeError("Cannot measure: no provider is registered");
  return new Measured(operation, providers);
}

/** Measures `work`, which runs as part of the operation; only while {@linkcode telemetryOn}. */
export async function measure<T>(
  operation: Operation,
  work: (measured: Measured) => T | Promise<T>,
): Promise<T> {
  const measured = begin(operation);
  try {
    const result = await measured.run(() => work(measured));
    measured.end();
    return result;
  } catch (error) {
    measured.end(error ?? new Error("undefined was thrown"));
    throw error;
  }
}

/** Attributes of where a server is. */
export function serverLabels(
  where: Address | { hostname?: string | undefined; port?: number | undefined } | { path: string },
): Labels {
  if ("path" in where) return { "server.address": where.path, "network.transport": "unix" };
  if ("name" in where) return { "server.address": where.name, "network.transport": "pipe" };
  const { hostname = "127.0.0.1", port = 0 } = where;
  return { "server.address": hostname, "server.port": port, "network.transport": "tcp" };
}

/** Attributes of the other end. */
export function peerDetails(address: Address): Labels {
  if (address.transport !== "tcp") {
    return { "network.transport": address.transport === "unix" ? "unix" : "pipe" };
  }
  const { hostname, port } = address;
  return {
    "network.transport": "tcp",
    "network.type": hostname.includes(":") ? "ipv6" : "ipv4",
    "network.peer.address": hostname,
    "network.peer.port": port,
  };
}

/** Attributes of a TLS session: none without one. */
export function tlsLabels(tls: TlsInfo | undefined): Labels {
  if (tls === undefined) return {};
  const version = /^TLSv(\d(?:\.\d)?)$/.exec(tls.protocol ?? "")?.[1];
  return {
    "tls.protocol.name": "tls",
    ...version !== undefined && { "tls.protocol.version": version },
  };
}

function remoteContext(api: typeof Api, parent: TraceParts | undefined): Api.Context {
  if (parent === undefined) return api.ROOT_CONTEXT;
  const { tracestate, ...parts } = parent;
  const state = tracestate === undefined ? {} : { traceState: api.createTraceState(tracestate) };
  return api.trace.setSpanContext(api.ROOT_CONTEXT, { ...parts, ...state, isRemote: true });
}

function spanKind(api: typeof Api, kind: Operation["kind"]): Api.SpanKind {
  if (kind === "internal") return api.SpanKind.INTERNAL;
  return kind === "client" ? api.SpanKind.CLIENT : api.SpanKind.SERVER;
}
