// TestTelemetry: providers of OpenTelemetry that keep in memory what they receive, registered until
// they are disposed of.
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes,
  type BatchObservableCallback,
  type Context,
  context,
  type ContextManager,
  createNoopMeter,
  type Histogram,
  type Meter,
  metrics,
  type Observable,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { until } from "./wait.ts";

/** A span that has ended. */
export interface TestSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly tracestate: string | undefined;
  readonly failed: boolean;
  readonly attributes: Attributes;
}

/** Providers for one test. */
export class TestTelemetry implements Disposable {
  /** Spans that have ended, in that order. */
  readonly spans: TestSpan[] = [];
  /** Durations that were recorded. */
  readonly durations: { readonly name: string; readonly labels: Attributes }[] = [];
  readonly #callbacks: BatchObservableCallback[] = [];

  constructor(
    { traces = true, meters = true }: {
      traces?: boolean | undefined;
      meters?: boolean | undefined;
    } = {},
  ) {
    if (traces) {
      context.setGlobalContextManager(new StorageContextManager());
      trace.setGlobalTracerProvider({ getTracer: () => this.#tracer() });
    }
    if (meters) metrics.setGlobalMeterProvider({ getMeter: () => this.#meter });
  }

  /** The ended span of this name, once there is one. */
  async span(name: string): Promise<TestSpan> {
    await until(`the span ${name} ends`, () => this.spans.some((span) => span.name === name));
    return this.spans.find((span) => span.name === name)!;
  }

  /** What an exporter would read now: the sum over all attributes by `name`, or those that have `labels`. */
  read(name: string, labels: Attributes = {}): number {
    let sum = 0;
    const observe = (instrument: Observable, value: number, given: Attributes = {}) => {
      const isMeant = Object.entries(labels).every(([key, wanted]) => given[key] === wanted);
      if ((instrument as unknown as { name: string }).name === name && isMeant) sum += value;
    };
    for (const callback of this.#callbacks) callback({ observe } as Parameters<typeof callback>[0]);
    return sum;
  }

  /** Takes the providers away again. */
  [Symbol.dispose](): void {
    trace.disable();
    metrics.disable();
    context.disable();
  }

  readonly #meter: Meter = Object.assign(Object.create(createNoopMeter()), {
    createObservableCounter: (name: string) => ({ name }),
    createObservableUpDownCounter: (name: string) => ({ name }),
    createHistogram: (name: string): Histogram => ({
      record: (_value, labels = {}) => void this.durations.push({ name, labels }),
    }),
    addBatchObservableCallback: (callback: BatchObservableCallback) =>
      void this.#callbacks.push(callback),
  });

  #tracer(): Tracer {
    const startSpan = (
      name: string,
      options: SpanOptions = {},
      parent: Context = context.active(),
    ): Span => {
      const outer = trace.getSpanContext(parent);
      const ids: SpanContext = {
        traceId: outer?.traceId ?? randomHex(16),
        spanId: randomHex(8),
        traceFlags: 1,
        ...outer?.traceState !== undefined && { traceState: outer.traceState },
      };
      const attributes: Attributes = { ...options.attributes };
      let failed = false;
      let ended = false;
      const span = {
        spanContext: () => ids,
        setAttributes: (more: Attributes) => (Object.assign(attributes, more), span),
        setStatus: () => (failed = true, span),
        isRecording: () => !ended,
        end: () => {
          if (ended) throw new Error(`The span ${name} ended twice`);
          ended = true;
          this.spans.push({
            ...{ name, failed, attributes, kind: options.kind ?? 0, parentId: outer?.spanId },
            ...{
              traceId: ids.traceId,
              spanId: ids.spanId,
              tracestate: ids.traceState?.serialize(),
            },
          });
        },
      } as unknown as Span;
      return span;
    };
    return {
      startSpan,
      startActiveSpan: () => {
        throw new Error("Not needed");
      },
    };
  }
}

/** Keeps contexts over `await`, as Deno's own does. */
class StorageContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<Args extends unknown[], Call extends (...args: Args) => ReturnType<Call>>(
    inner: Context,
    call: Call,
    self?: ThisParameterType<Call>,
    ...args: Args
  ): ReturnType<Call> {
    return this.#storage.run(inner, () => call.apply(self, args));
  }

  bind<T>(_context: Context, target: T): T {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}

function randomHex(bytes: number): string {
  return Array.from(
    crypto.getRandomValues(new Uint8Array(bytes)),
    (byte) => byte.toString(16).padStart(2, "0"),
  )
    .join("");
}
