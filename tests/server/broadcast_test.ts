// broadcast(): nine readers and one that has stopped, over real sockets; and what costs whom what.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  broadcast,
  type BroadcastOptions,
  type BroadcastResult,
  ClosedError,
  connect,
  Connection,
  FramingError,
  memoryPair,
  serve,
  type ServeOptions,
  type Server,
  TimeoutError,
} from "@parley/parley";
import { type Codec, json, typed } from "@parley/parley/codec";
import { atRest, openDescriptors, settles, until } from "../support/wait.ts";

const READERS = 9;
const MESSAGE_BYTES = 64 * 1024;

/** A server with nine clients that read all, and one that reads nothing. */
class Audience implements AsyncDisposable {
  readonly server: Server;
  readonly #clients: Connection[];
  readonly #stopped: Deno.TcpConn;
  /** Numbers of the messages that each reader has got. */
  readonly seen: number[][] = [];
  readonly #reading: Promise<void>[];

  private constructor(server: Server, clients: Connection[], stopped: Deno.TcpConn) {
    this.server = server;
    this.#clients = clients;
    this.#stopped = stopped;
    this.#reading = clients.map(async (client, at) => {
      const numbers: number[] = this.seen[at] = [];
      for await (const message of client) {
        numbers.push(new DataView(message.buffer, message.byteOffset).getUint32(0));
      }
    });
  }

  static async gather(options: ServeOptions = {}): Promise<Audience> {
    const server = serve(
      { onError: () => {}, ...options },
      (conn) => new Promise((resolve) => conn.signal.addEventListener("abort", () => resolve())),
    );
    await server.ready;
    const addr = server.addr as Deno.NetAddr;
    const stopped = await Deno.connect({ hostname: addr.hostname, port: addr.port });
    await until("the one that stops is first", () => server.connections.size === 1);
    const clients = await Promise.all(
      Array.from({ length: READERS }, () => connect({ hostname: addr.hostname, port: addr.port })),
    );
    await until("all are connected", () => server.connections.size === READERS + 1);
    return new Audience(server, clients, stopped);
  }

  /** The server's side of the client that reads nothing. */
  get slow(): Connection {
    return this.#slow ??= [...this.server.connections.values()][0]!;
  }
  #slow: Connection | undefined;

  /** Broadcasts numbered messages until `isEnough` says so; returns the results. */
  async send(
    options: BroadcastOptions,
    isEnough: (result: BroadcastResult, sent: number) => boolean,
    from = 0,
  ): Promise<BroadcastResult[]> {
    const results: BroadcastResult[] = [];
    for (let number = from;; number++) {
      const message = new Uint8Array(MESSAGE_BYTES);
      new DataView(message.buffer).setUint32(0, number);
      const result = await broadcast(this.server.connections, message, options);
      results.push(result);
      if (isEnough(result, results.length)) return results;
    }
  }

  /** Waits until the readers have got `count` messages each, and checks that none is missing. */
  async allGot(count: number): Promise<void> {
    const wanted = Array.from({ length: count }, (_, number) => number);
    await until("the readers have all", () => this.seen.every(({ length }) => length >= count));
    for (const numbers of this.seen) assertEquals(numbers, wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.abort();
    await Promise.allSettled(this.#reading);
    try {
      this.#stopped.close();
    } catch { /* it was closed by the server's side */ }
    this.server.abort();
    await this.server.finished.catch(() => {});
  }
}

const total = (results: readonly BroadcastResult[], key: keyof BroadcastResult) =>
  results.reduce((sum, result) => sum + result[key], 0);

Deno.test("broadcast drop: the one that stopped misses messages, the nine get each", async () => {
  const before = openDescriptors();
  {
    await using audience = await Audience.gather();
    const results: BroadcastResult[] = [];
    // Half of what a queue holds at a time, as live data comes: in steps that peers keep up with.
    while (results.length < 400) {
      const step = results.length + 8;
      results.push(
        ...await audience.send({ slow: "drop" }, (_, sent) => sent === 8, results.length),
      );
      await audience.allGot(step);
    }
    const dropped = total(results, "dropped");
    assert(dropped > 0, "nothing was dropped");
    assertEquals(total(results, "sent"), 4000 - dropped);
    assertEquals([total(results, "ended"), total(results, "failed")], [0, 0]);
    assertEquals(audience.slow.status, "open");
  }
  await until("every descriptor is free", () => openDescriptors() <= before);
});

Deno.test("broadcast end, the default: the one that stopped ends with ERR_SLOW_CONSUMER, the nine get each", async () => {
  await using audience = await Audience.gather();
  const { slow } = audience;
  const results: BroadcastResult[] = [];
  while (results.length < 2000 && results.at(-1)?.ended !== 1) {
    const isEnough = ({ ended }: BroadcastResult, sent: number) => ended > 0 || sent === 8;
    results.push(...await audience.send({}, isEnough, results.length));
    await audience.allGot(results.length);
  }
  assertEquals(results.at(-1), { sent: READERS, dropped: 0, ended: 1, failed: 0 });
  assertEquals(total(results.slice(0, -1), "sent"), (results.length - 1) * (READERS + 1));
  const { error } = await settles("the slow connection is gone", slow.closed);
  assertEquals(error instanceof ClosedError && error.code, "ERR_SLOW_CONSUMER");
  await audience.allGot(results.length);
  await until("it has left", () => audience.server.connections.size === READERS);
  assertEquals(await broadcast(audience.server.connections, new Uint8Array(8)), {
    sent: READERS,
    dropped: 0,
    ended: 0,
    failed: 0,
  });
});

Deno.test("broadcast wait: the nine have it at once, the wait ends by its time or its signal", async () => {
  await using audience = await Audience.gather({ highWaterBytes: 1000 });
  const { slow } = audience;
  while (slow.sending.hasRoom) {
    void slow.send(new Uint8Array(2 ** 20)).catch(() => {});
    await atRest(() => slow.sending.writtenBytes);
  }
  const message = new Uint8Array(MESSAGE_BYTES);
  const late = await assertRejects(
    () =>
      settles(
        "the wait",
        broadcast(audience.server.connections, message, { slow: "wait", timeoutMs: 20 }),
      ),
    TimeoutError,
    "within 20 ms",
  );
  assertEquals(late.code, "ERR_WRITE_TIMEOUT");
  const controller = new AbortController();
  const reason = new Error("enough");
  message[3] = 1;
  const waiting = broadcast(audience.server.connections, message, {
    slow: "wait",
    signal: controller.signal,
  });
  await audience.allGot(2);
  controller.abort(reason);
  assertEquals(await assertRejects(() => settles("the wait", waiting)), reason);
  // The end of the slow one ends the wait too, and is counted.
  const last = broadcast(audience.server.connections, new Uint8Array(4), { slow: "wait" });
  slow.abort(new Error("thrown out"));
  assertEquals(await settles("the wait", last), { sent: READERS, dropped: 0, ended: 0, failed: 1 });
});

Deno.test("broadcast drop: a caller that awaits is no faster than the fastest peer, which misses nothing", async () => {
  const server = serve({ onError: () => {}, highWaterBytes: MESSAGE_BYTES }, async (conn) => {
    for await (const _ of conn);
  });
  await server.ready;
  const client = await connect(server.addr);
  let got = 0;
  const reading = (async () => {
    for await (const _ of client) got++;
  })();
  await until("it is connected", () => server.connections.size === 1);
  let dropped = 0;
  for (let sent = 0; sent < 300; sent++) {
    const result = await broadcast(server.connections, new Uint8Array(MESSAGE_BYTES), {
      slow: "drop",
    });
    dropped += result.dropped;
  }
  await until("it has the rest", () => got === 300 - dropped);
  // A caller that did not wait would lose nearly all; the machine may stop for longer than it waits.
  assert(dropped <= 10, `${dropped} were dropped`);
  await client.close();
  await reading;
  await server.shutdown();
});

/** Two connections over memory; the test reads the far one. */
function pair(options: { maxMessageBytes?: number } = {}): [Connection, Connection] {
  const [near, far] = memoryPair();
  return [new Connection(near, options), new Connection(far)];
}

Deno.test("broadcast: one peer's end, or a framing that refuses the message, costs the others nothing", async () => {
  const [a, farA] = pair();
  const [gone, farGone] = pair();
  const [small, farSmall] = pair({ maxMessageBytes: 3 });
  const [b, farB] = pair();
  gone.abort(new FramingError("ERR_FRAME_MALFORMED", "the peer's fault"));
  await gone.closed;
  for (const slow of ["drop", "end", "wait"] as const) {
    assertEquals(await broadcast([a, gone, b], slow, { slow }), {
      sent: 2,
      dropped: 0,
      ended: 0,
      failed: 1,
    });
    const refused = await assertRejects(
      () => broadcast(new Set([small, a, b]), `more ${slow}`, { slow }),
      FramingError,
    );
    assertEquals(refused.code, "ERR_FRAME_TOO_LARGE");
    for (const far of [farA, farB]) {
      assertEquals(new TextDecoder().decode((await far.receive())!), slow);
      assertEquals(new TextDecoder().decode((await far.receive())!), `more ${slow}`);
    }
  }
  assertEquals(small.status, "open");
  for (const each of [a, farA, farGone, small, farSmall, b, farB]) each.abort();
});

Deno.test("broadcast: typed connections share the bytes of a codec, and a value without any sends nothing", async () => {
  let encoded = 0;
  const counting: Codec<unknown> = {
    ...json(),
    encode(value) {
      encoded++;
      return json().encode(value);
    },
  };
  const pairs = Array.from({ length: 5 }, () => pair());
  const links = pairs.map(([near]) => typed(near, counting));
  const fars = pairs.map(([, far]) => typed(far, json<{ id: number }>()));
  const byId = new Map(links.map((link, id) => [id, link] as const));
  assertEquals((await broadcast(byId, { id: 1 })).sent, 5);
  assertEquals(encoded, 1);
  await assertRejects(() => broadcast(links, undefined), TypeError, "Cannot send");
  await assertRejects(() => broadcast(links.values(), () => 1), TypeError, "Cannot send");
  assertEquals((await broadcast(links.values(), { id: 2 })).sent, 5);
  for (const far of fars) {
    assertEquals([await far.receive(), await far.receive()], [{ id: 1 }, { id: 2 }]);
  }
  assertEquals(await broadcast([], "to no peer at all"), {
    sent: 0,
    dropped: 0,
    ended: 0,
    failed: 0,
  });
  for (const [near, far] of pairs) [near.abort(), far.abort()];
});

Deno.test("broadcast refuses wrong options and messages before anything is sent", async () => {
  const [near, far] = pair();
  const wrong: [unknown, unknown, typeof TypeError | typeof RangeError, string][] = [
    ["m", { slow: "sometimes" }, RangeError, `"slow" must be`],
    ["m", { solw: "drop" }, TypeError, `did you mean "slow"`],
    ["m", { slow: "wait", timeoutMs: -1 }, RangeError, `"timeoutMs"`],
    ["m", { slow: "wait", signal: 1 }, TypeError, `"signal"`],
    [5, {}, TypeError, "must be a string or a Uint8Array"],
  ];
  for (const [message, options, kind, text] of wrong) {
    await assertRejects(
      () => broadcast([near], message as string, options as BroadcastOptions),
      kind,
      text,
    );
  }
  const reason = new Error("before");
  const aborted = { slow: "wait", signal: AbortSignal.abort(reason) } as const;
  assertEquals(await assertRejects(() => broadcast([near], "m", aborted)), reason);
  assertEquals(near.stats().messagesOut, 0);
  near.abort();
  far.abort();
});
