// Telemetry with providers in memory: which spans there are and whose children, what is counted, and that
// nothing is when off.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect, RemoteError, serve } from "@parley/parley";
import { connectIpc, listenIpc } from "@parley/parley/ipc";
import { hub, join, mount } from "@parley/parley/wire";
import { context, SpanKind, trace } from "@opentelemetry/api";
import { PlainLink } from "../../../ipc/secure/frame_link.ts";
import { IpcLink } from "../../../ipc/link/link.ts";
import {
  encodeFrame,
  FrameKind,
  IpcFrameReader,
  TAKES_CONTEXTS_TAG,
} from "../../../ipc/protocol/frames.ts";
import { memoryPair } from "../../../net/transport/memory_pair.ts";
import {
  loadTelemetry,
  lookForTelemetry,
  observeCounters,
  telemetryOn,
} from "../../../stats/telemetry/telemetry.ts";
import { Channel } from "../../ipc/channels.ts";
import { testCerts } from "../../support/programs/certs.ts";
import { text } from "../../support/bytes.ts";
import { TestTelemetry } from "../../support/telemetry.ts";
import { until } from "../../support/wait.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const GOOD = `00-${TRACE}-${SPAN}-01`;

/** Looks for providers, as whatever connects or listens does. */
async function look(): Promise<boolean> {
  if (lookForTelemetry()) await loadTelemetry();
  return telemetryOn();
}

/** Runs `work` in a span of the test's own; returns the ids of that. */
async function inSpan(work: () => Promise<void>): Promise<{ traceId: string; spanId: string }> {
  const span = trace.getTracer("test").startSpan("test");
  await context.with(trace.setSpan(context.active(), span), work);
  span.end();
  return span.spanContext();
}

Deno.test("telemetryOn() tells whether a provider of either kind is registered, as of the last look", async () => {
  assertEquals(await look(), false);
  for (const kinds of [{ meters: false }, { traces: false }, {}]) {
    {
      using _telemetry = new TestTelemetry(kinds);
      assertEquals(await look(), true);
    }
    assertEquals(await look(), false);
  }
});

Deno.test("serve() and connect() make spans of connects, handshakes and connections", async () => {
  using telemetry = new TestTelemetry();
  const { ca, server: tls } = await testCerts();
  await using server = serve({ tls }, async (conn) => {
    trace.getTracer("test").startSpan("handler").end();
    for await (const message of conn) await conn.send(message);
  });
  await server.ready;
  const caller = await inSpan(async () => {
    await using conn = await connect({
      ...server.addr,
      hostname: "localhost",
      tls: { caCerts: [ca.cert] },
    });
    await conn.send("hi");
    await conn.receive();
  });
  const [connecting, connection] = [
    await telemetry.span("connect"),
    await telemetry.span("connection"),
  ];
  const [handshake, handler] = [await telemetry.span("handshake"), await telemetry.span("handler")];
  assertEquals([connecting.traceId, connecting.parentId], [caller.traceId, caller.spanId]);
  assertEquals([connecting.kind, connection.kind], [SpanKind.CLIENT, SpanKind.SERVER]);
  assertEquals(handler.parentId, connection.spanId);
  assert(server.addr.transport === "tcp");
  for (const span of [connecting, handshake, connection]) {
    assertEquals(span.attributes["server.port"], server.addr.port, span.name);
    assertEquals(span.attributes["network.transport"], "tcp");
    assertEquals(span.attributes["network.peer.address"], "127.0.0.1");
    assertEquals(span.attributes["tls.protocol.version"], "1.3");
    assertEquals([span.failed, span.attributes["error.type"]], [false, undefined]);
  }
  assertEquals(telemetry.durations.map(({ name }) => name).sort(), [
    "parley.connect.duration",
    "parley.handshake.duration",
  ]);
});

Deno.test("connect() tells in its span why it failed, by a code alone", async () => {
  using telemetry = new TestTelemetry();
  await assertRejects(() => connect({ path: "/nowhere/at/all.sock" }));
  const { attributes, failed } = await telemetry.span("connect");
  assertEquals(failed, true);
  assertMatch(String(attributes["error.type"]), /^ERR_[A-Z_]+$/);
  assertEquals(telemetry.durations[0]?.labels["error.type"], attributes["error.type"]);
});

Deno.test("telemetry exports the very counters that stats() tells, and keeps their sums after the end", async () => {
  using telemetry = new TestTelemetry({ traces: false });
  await look();
  const atFirst = telemetry.read("parley.connection.messages");
  let labels = {};
  {
    await using server = serve(async (conn) => {
      for await (const message of conn) await conn.send(message);
    });
    await server.ready;
    assert(server.addr.transport === "tcp");
    labels = { "server.port": server.addr.port, "parley.role": "server" };
    await using conn = await connect(server.addr);
    for (let i = 0; i < 10; i++) {
      await conn.send("hello");
      await conn.receive();
    }
    const { overall } = server.stats();
    const read = (direction: string) =>
      telemetry.read("parley.connection.io", { ...labels, "network.io.direction": direction });
    assertEquals([read("receive"), read("transmit")], [overall.bytesIn, overall.bytesOut]);
    assertEquals(overall.messagesIn, 10);
    assertEquals(telemetry.read("parley.connection.active", labels), 1);
    assertEquals(
      telemetry.read("parley.connection.active", { ...labels, "parley.role": "client" }),
      1,
    );
  }
  assertEquals(telemetry.read("parley.connection.opened", labels), 1);
  assertEquals(telemetry.read("parley.connection.closed", labels), 1);
  assertEquals(telemetry.read("parley.connection.active", labels), 0);
  // Ten each way, as the server and as the client counted them.
  assertEquals(telemetry.read("parley.connection.messages") - atFirst, 40);
});

Deno.test("telemetry of a wire makes the handler's span a child of the opener's", async () => {
  using telemetry = new TestTelemetry();
  await using server = mount({ insecureAnyone: true });
  server.handle("greet", async (stream) => {
    trace.getTracer("test").startSpan("handler").end();
    await stream.write("hi");
  });
  await server.ready;
  await using wire = join({ ...server.addr, identity: "me" });
  const caller = await inSpan(async () => {
    const stream = await wire.open("greet", { meta: { mine: 1 } });
    assertEquals(await new Response(stream.readable).text(), "hi");
    await stream.close();
  });
  const [open, serving] = [await telemetry.span("open greet"), await telemetry.span("serve greet")];
  assertEquals([open.traceId, open.parentId, open.kind], [
    caller.traceId,
    caller.spanId,
    SpanKind.CLIENT,
  ]);
  assertEquals([serving.traceId, serving.parentId, serving.kind], [
    caller.traceId,
    open.spanId,
    SpanKind.SERVER,
  ]);
  assertEquals((await telemetry.span("handler")).parentId, serving.spanId);
  assertEquals(serving.attributes["parley.peer.identity"], "me");
  assertEquals(serving.attributes["network.peer.address"], "127.0.0.1");
  const opened = { "parley.protocol": "wire", "parley.stream.side": "ours" };
  assert(telemetry.read("parley.stream.opened", opened) >= 2, "the control stream and ours");
});

Deno.test("telemetry of a hub goes on through it: opener, hub, handler", async () => {
  using telemetry = new TestTelemetry();
  await using server = hub({ insecureAnyone: true });
  await server.ready;
  await using alice = join({ ...server.addr, identity: "alice" });
  await using bob = join({ ...server.addr, identity: "bob" });
  let seen: unknown;
  bob.handle("chat", async (stream) => {
    seen = stream.meta["tracestate"];
    await stream.write("hi");
  });
  await Promise.all([alice.ready, bob.ready]);
  const stream = await alice.peer("bob").open("chat", {
    meta: { traceparent: GOOD, tracestate: "a=1" },
  });
  await new Response(stream.readable).text();
  await stream.close();
  const [route, serving] = [await telemetry.span("route"), await telemetry.span("serve chat")];
  // What the caller puts there himself is left alone.
  assertEquals([route.traceId, route.parentId], [TRACE, SPAN]);
  assertEquals([serving.traceId, serving.parentId, serving.tracestate], [
    TRACE,
    route.spanId,
    "a=1",
  ]);
  assertEquals(seen, "a=1");
  await assertRejects(() => alice.peer("nobody").open("chat"), RemoteError);
  const failed =
    (await telemetry.span("open chat"), telemetry.spans.filter(({ name }) => name === "open chat"));
  assert(failed.some(({ attributes }) => attributes["error.type"] === "ERR_NO_PEER"));
});

Deno.test("telemetry of a wire ignores a malformed trace context, and leaves room for what callers say", async () => {
  using telemetry = new TestTelemetry();
  await using server = mount({ insecureAnyone: true });
  const metas: number[] = [];
  server.handle("any", (stream) => void metas.push(Object.keys(stream.meta).length));
  await server.ready;
  await using wire = join({ ...server.addr, identity: "me" });
  for (const traceparent of ["00-zz", 5, null, { a: 1 }, "x".repeat(9000)]) {
    const stream = await wire.open("any", { meta: { traceparent } });
    await stream.close();
    const span = await telemetry.span("serve any");
    assertEquals(span.parentId, undefined);
    telemetry.spans.length = 0;
  }
  // A meta that only just fits must not fail as we would add to it.
  const stream = await wire.open("any", { meta: { big: "x".repeat(16 * 1024 - 60) } });
  await stream.close();
  await until("all are served", () => metas.length === 6);
  assertEquals(metas, [1, 1, 1, 1, 1, 1]);
});

Deno.test("telemetry of IPC makes the answer's span a child of the query's, in both directions", async () => {
  using telemetry = new TestTelemetry();
  await using channel = new Channel();
  await using server = await listenIpc({
    ...channel.options,
    onQuery: async (data) => {
      await Promise.resolve();
      trace.getTracer("test").startSpan("handler").end();
      if (text(data) === "fail") throw new RemoteError("ERR_MINE", "on purpose");
      return data;
    },
  });
  await using client = await connectIpc({ ...channel.options, onQuery: () => "pong" });
  const caller = await inSpan(async () => void await client.query("ping"));
  const [query, answer] = [await telemetry.span("query test"), await telemetry.span("answer test")];
  assertEquals([query.traceId, query.parentId, query.kind], [
    caller.traceId,
    caller.spanId,
    SpanKind.CLIENT,
  ]);
  assertEquals([answer.traceId, answer.parentId, answer.kind], [
    caller.traceId,
    query.spanId,
    SpanKind.SERVER,
  ]);
  assertEquals((await telemetry.span("handler")).parentId, answer.spanId);
  assertEquals(query.attributes["rpc.system.name"], "parley");
  telemetry.spans.length = 0;

  assertEquals(text(await server.query("x")), "pong");
  assertEquals(
    (await telemetry.span("answer test")).parentId,
    (await telemetry.span("query test")).spanId,
  );
  telemetry.spans.length = 0;

  await assertRejects(() => client.query("fail"), RemoteError);
  assertEquals((await telemetry.span("query test")).attributes["error.type"], "ERR_MINE");
  const labels = { "parley.ipc.channel": "test" };
  assertEquals(
    telemetry.read("parley.query.count", { ...labels, "network.io.direction": "transmit" }),
    3,
  );
  assertEquals(
    telemetry.read("parley.query.count", { ...labels, "network.io.direction": "receive" }),
    3,
  );
  assertEquals(telemetry.read("parley.connection.active", labels), 1);
});

/** A link, and its far end in the test's hands. */
class Line {
  readonly frames: [FrameKind, number][] = [];
  readonly link: IpcLink;
  readonly #far: ReturnType<typeof memoryPair>[1];
  #reading: Promise<void>;

  constructor() {
    const [near, far] = memoryPair({ bufferBytes: 1 << 20 });
    const sizes = { peerMaxMessageBytes: 1000, peerMaxRecordBytes: 1000, maxRecordBytes: 1000 };
    const info = {
      ...sizes,
      role: "server" as const,
      sessionId: new Uint8Array(16),
      exporter: new Uint8Array(48),
    };
    this.#far = far;
    this.link = new IpcLink(new PlainLink(near, info, new Uint8Array(0)), {
      limits: {
        ...{ channel: "line", maxMessageBytes: 1000, highWaterBytes: 5000, maxQueuedBytes: 20_000 },
        ...{
          readAheadBytes: 5000,
          maxQueriesInFlight: 10,
          maxQueriesRunning: 3,
          closeTimeoutMs: 1000,
        },
        ...{ keepaliveMs: 0, keepaliveTimeoutMs: 1000, writeTimeoutMs: 1000, messageTimeoutMs: 0 },
      },
      onQuery: (data) => data,
      inbox: { full: false, overfull: false, onRoom: () => {}, receive: () => {} },
      onHandlerError: () => {},
    });
    this.link.start();
    this.#reading = this.#read();
  }

  /** Sends frames as the far side. */
  async say(...frames: [FrameKind, number, string][]): Promise<void> {
    for (const [kind, tag, data] of frames) {
      await this.#far.write(encodeFrame(kind, tag, new TextEncoder().encode(data)));
    }
  }

  /** Waits for a frame of this kind, and returns the kinds of all so far. */
  async heard(kind: FrameKind, count = 1): Promise<FrameKind[]> {
    const kinds = () => this.frames.map(([kind]) => kind);
    await until(`frame ${kind}`, () => kinds().filter((heard) => heard === kind).length >= count);
    return kinds();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link.abort(new Error("The test is over"));
    this.#far.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const decoder = new IpcFrameReader(1000);
    try {
      for (let chunk = await this.#far.read(); chunk !== null; chunk = await this.#far.read()) {
        decoder.push(chunk, (kind, tag) => this.frames.push([kind, tag]));
      }
    } catch {
      // The test closed it.
    }
  }
}

Deno.test("telemetry of IPC sends contexts only to a side that says it takes them", async () => {
  using _telemetry = new TestTelemetry();
  await look();
  await using line = new Line();
  void line.link.query(new Uint8Array(3), 1000).catch(() => {});
  // Our own word comes as a ping, which every peer can answer.
  assertEquals(await line.heard(FrameKind.query), [FrameKind.ping, FrameKind.query]);
  assertEquals(line.frames[0], [FrameKind.ping, TAKES_CONTEXTS_TAG]);
  await line.say([FrameKind.ping, TAKES_CONTEXTS_TAG, ""]);
  await line.heard(FrameKind.pong);
  void line.link.query(new Uint8Array(3), 1000).catch(() => {});
  const kinds = await line.heard(FrameKind.query, 2);
  assertEquals(kinds.slice(-2), [FrameKind.context, FrameKind.query]);
  const [context, query] = line.frames.slice(-2);
  assertEquals(context?.[1], query?.[1], "the context names the query that follows it");
});

Deno.test("telemetry of IPC believes a context only for the query behind it, and only a good one", async () => {
  using telemetry = new TestTelemetry();
  await look();
  await using line = new Line();
  const cases: [string, [FrameKind, number, string][], string | undefined][] = [
    ["good", [[FrameKind.context, 1, GOOD]], SPAN],
    ["of another query", [[FrameKind.context, 9, GOOD]], undefined],
    ["none again", [], undefined],
    ["malformed", [[FrameKind.context, 1, "00-zz"]], undefined],
    ["no text", [[FrameKind.context, 1, "\0\n\n\xff"]], undefined],
    [
      "the last counts",
      [[FrameKind.context, 1, "x"], [FrameKind.context, 1, `${GOOD}\na=1`]],
      SPAN,
    ],
  ];
  for (const [what, before, parentId] of cases) {
    telemetry.spans.length = 0;
    await line.say(...before, [FrameKind.query, 1, "x"]);
    assertEquals((await telemetry.span("answer line")).parentId, parentId, what);
  }
  assertEquals(line.link.isOpen, true);
});

Deno.test("without a provider nothing is said to peers, measured or kept, and contexts are taken and ignored", async () => {
  assertEquals(await look(), false);
  await using line = new Line();
  await line.say([FrameKind.ping, TAKES_CONTEXTS_TAG, ""], [FrameKind.context, 1, GOOD], [
    FrameKind.query,
    1,
    "x",
  ]);
  await line.heard(FrameKind.answer);
  void line.link.query(new Uint8Array(3), 1000).catch(() => {});
  assertEquals(await line.heard(FrameKind.query), [
    FrameKind.pong,
    FrameKind.answer,
    FrameKind.query,
  ]);

  await using server = mount({ insecureAnyone: true });
  const metas: unknown[] = [];
  server.handle("any", (stream) => void metas.push(stream.meta));
  await server.ready;
  await using wire = join({ ...server.addr, identity: "me" });
  const stream = await wire.open("any");
  await stream.close();
  await until("it is served", () => metas.length === 1);
  assertEquals(metas, [{}]);
  using telemetry = new TestTelemetry();
  await look();
  // Started before the provider came: it is not seen.
  assertEquals(telemetry.read("parley.connection.active", { "parley.protocol": "wire" }), 0);
});

Deno.test("observeCounters() keeps a bounded number of different attributes apart, and loses no count", async () => {
  using telemetry = new TestTelemetry({ traces: false });
  await look();
  const stops = Array.from({ length: 1500 }, (_, index) => {
    return observeCounters(
      { "server.address": `overflow-${index}` },
      () => ({ connectFailures: 2 }),
    );
  });
  const failed = () =>
    telemetry.read("parley.connection.failed", { "error.type": "connect_failed" });
  assertEquals(failed(), 3000);
  assert(telemetry.read("parley.connection.failed", { "otel.metric.overflow": "true" }) >= 1000);
  for (const stop of stops) stop();
  for (const stop of stops) stop();
  assertEquals(failed(), 3000);
});

Deno.test("telemetry labels durations with few values of error.type, whatever codes a peer or a handler makes up", async () => {
  using telemetry = new TestTelemetry();
  await using channel = new Channel();
  let asked = 0;
  await using server = await listenIpc({
    ...channel.options,
    onError() {},
    onQuery() {
      throw new RemoteError(`ERR_${String.fromCharCode(65 + asked % 26, 65 + asked++ / 26)}`, "no");
    },
  });
  await using client = await connectIpc(channel.options);
  for (let count = 0; count < 60; count++) {
    await assertRejects(() => client.query("?"), RemoteError);
  }
  const types = (name: string) =>
    new Set(
      telemetry.durations.filter((one) => one.name === name).map(({ labels }) =>
        labels["error.type"]
      ),
    );
  assertEquals([...types("rpc.client.call.duration")], ["_OTHER"]);
  assertEquals([...types("rpc.server.call.duration")], ["_OTHER"]);
  assertEquals(server.stats().overall.handlerErrors, 0, "they are answers");
});

Deno.test("telemetry labels durations with a hundred names of streams, and has the real one in the span", async () => {
  using telemetry = new TestTelemetry();
  await look();
  await using server = mount({ insecureAnyone: true });
  const names = Array.from({ length: 120 }, (_, index) => `bounded-${index}`);
  for (const name of names) server.handle(name, () => {});
  await server.ready;
  await using wire = join({ ...server.addr, identity: "me" });
  for (const name of names) await (await wire.open(name)).closed;
  const span = await telemetry.span("open bounded-119");
  assertEquals(span.attributes["parley.stream.name"], "bounded-119");
  const labels = new Set(telemetry.durations.map(({ labels }) => labels["parley.stream.name"]));
  assert(labels.size <= 102 && labels.has("_OTHER"), `${labels.size}`);
});
