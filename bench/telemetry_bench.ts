// Telemetry: what a stream, a query and a message cost without a provider, and with one that keeps nothing.
import { connect, serve } from "@parley/parley";
import { connectIpc, listenIpc } from "@parley/parley/ipc";
import { join, mount } from "@parley/parley/wire";
import {
  context,
  createNoopMeter,
  INVALID_SPAN_CONTEXT,
  metrics,
  type Span,
  trace,
} from "@opentelemetry/api";

const MESSAGES = 20_000;
const STREAMS = 2_000;
const QUERIES = 10_000;
const AT_ONCE = 64;
const DATA = new Uint8Array(64).fill(97);

/** A span that costs as little as a span can. */
const SPAN = {
  spanContext: () => ({
    ...INVALID_SPAN_CONTEXT,
    traceId: "1".repeat(32),
    spanId: "1".repeat(16),
    traceFlags: 1,
  }),
  setAttributes: () => SPAN,
  setStatus: () => SPAN,
  end: () => {},
} as unknown as Span;

/** Registers providers that keep nothing, for as long as they are not disposed of. */
function register(): Disposable {
  trace.setGlobalTracerProvider({
    getTracer: () => ({ startSpan: () => SPAN, startActiveSpan: () => {} }),
  });
  // Another than the API's own no-op, which counts as none.
  metrics.setGlobalMeterProvider({ getMeter: () => Object.create(createNoopMeter()) });
  return {
    [Symbol.dispose]: () => {
      trace.disable();
      metrics.disable();
      context.disable();
    },
  };
}

async function inTurns(total: number, work: () => Promise<void>): Promise<void> {
  let left = total;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (left-- > 0) await work();
  }));
}

async function echoMessages(bench: Deno.BenchContext): Promise<void> {
  await using server = serve(async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  await server.ready;
  await using conn = await connect(server.addr);
  bench.start();
  const sending = (async () => {
    for (let i = 0; i < MESSAGES; i++) await conn.send(DATA);
  })();
  for (let i = 0; i < MESSAGES; i++) await conn.receive();
  await sending;
  bench.end();
}

async function openStreams(bench: Deno.BenchContext): Promise<void> {
  await using server = mount({ insecureAnyone: true });
  server.handle("echo", async (stream) => {
    for await (const chunk of stream) await stream.write(chunk);
  });
  await server.ready;
  await using wire = join({ ...server.addr, identity: "bench" });
  await wire.ready;
  bench.start();
  await inTurns(STREAMS, async () => {
    const stream = await wire.open("echo");
    await stream.write(DATA);
    await stream.closeWrite();
    while (await stream.read() !== null);
  });
  bench.end();
}

async function askQueries(bench: Deno.BenchContext): Promise<void> {
  const name = `bench-${Deno.pid}`;
  await using _server = await listenIpc({ name, onQuery: (data) => data });
  await using client = await connectIpc({ name });
  bench.start();
  await inTurns(QUERIES, async () => void await client.query(DATA));
  bench.end();
}

const WORK: Record<string, (bench: Deno.BenchContext) => Promise<void>> = {
  [`${MESSAGES} messages of 64 B, TCP`]: echoMessages,
  [`${STREAMS} streams of 64 B, ${AT_ONCE} at once, TCP`]: openStreams,
  [`${QUERIES} queries of 64 B, ${AT_ONCE} in flight, encrypted`]: askQueries,
};

for (const [group, work] of Object.entries(WORK)) {
  Deno.bench({ name: "without a provider", group, baseline: true }, work);
  Deno.bench({ name: "with providers that keep nothing", group }, async (bench) => {
    using _registered = register();
    await work(bench);
  });
}
