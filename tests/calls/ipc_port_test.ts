// Calls over IPC on real sockets: servers, their clients and pairs, in both directions, to their end.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  answer,
  call,
  type CallContext,
  caller,
  collect,
  contract,
  feed,
  talk,
} from "@parley/parley/calls";
import { bytes } from "@parley/parley/codec";
import {
  connectIpc,
  type EncryptionProvider,
  type IpcClient,
  type IpcPeer,
  type IpcServer,
  type IpcServerClient,
  listenIpc,
  pairIpc,
  SecretKey,
} from "@parley/parley/ipc";
import { ClosedError, ParleyError } from "../../errors.ts";
import { assertCode, Channel, text } from "../ipc/channels.ts";
import { atRest, settles, until } from "../support/wait.ts";

const desk = contract({
  add: call<{ a: number; b: number }, number>(),
  who: call<void, string>(),
  hang: call<void, void>(),
  echo: call({ input: bytes(), output: bytes() }),
  ticks: feed<number, number>(),
  sum: collect<number, number>(),
  shout: talk<string, string>(),
  blocks: feed({ input: bytes(), output: bytes() }),
}, { name: "desk" });

type Side = IpcServer | IpcServerClient | IpcClient | IpcPeer;

/** One side that answers, and what its handlers saw. */
class Desk {
  readonly contexts: CallContext[] = [];
  /** What the handlers threw. */
  readonly errors: unknown[] = [];
  yielded = 0;
  left = 0;
  readonly stop: () => void;

  constructor(target: Side, name: string) {
    this.stop = answer(target, desk, {
      add: ({ a, b }) => a + b,
      who: (_, context) => {
        this.contexts.push(context);
        return name;
      },
      hang: (_, context) => {
        this.contexts.push(context);
        const { signal } = context;
        return new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        );
      },
      echo: (data) => data,
      ticks: (count) => this.#count(count),
      sum: async (numbers) => {
        let sum = 0;
        for await (const number of numbers) sum += number;
        return sum;
      },
      shout: async function* (lines) {
        for await (const line of lines) yield line.toUpperCase();
      },
      blocks: (block, context) => {
        this.contexts.push(context);
        return this.#blocks(block);
      },
    }, { onError: (error) => this.errors.push(error) });
  }

  async *#count(count: number): AsyncGenerator<number> {
    for (let at = 0; at < count; at++) yield at;
  }

  /** The block again and again, without end. */
  async *#blocks(block: Uint8Array): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        yield block;
        this.yielded++;
      }
    } finally {
      this.left++;
    }
  }
}

/** Makes a call of every kind. */
async function callAll(via: Exclude<Side, IpcServer>, name: string): Promise<void> {
  const remote = caller(via, desk);
  assertEquals(await remote.who(), name);
  assertEquals(await remote.add({ a: 1, b: 2 }), 3);
  assertEquals(
    await Array.fromAsync(remote.ticks(1000)),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  assertEquals(await remote.sum([1, 2, 3]), 6);
  assertEquals(await Array.fromAsync(remote.shout(["a", "b"])), ["A", "B"]);
}

/** The client of a server with that number, in the order in which they came. */
function clientOf(server: IpcServer, at = 0): IpcServerClient {
  return [...server.clients.values()][at]!;
}

const XOR: EncryptionProvider = {
  name: "xor",
  seal: (plain, { exporter, sequence }) =>
    plain.map((byte, i) => byte ^ exporter[(i + sequence) % 48]!),
  open: (sealed, { exporter, sequence }) =>
    sealed.map((byte, i) => byte ^ exporter[(i + sequence) % 48]!),
};

Deno.test("calls over IPC go both ways between a server and two clients, whose handlers know each other by `via`", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  const served = new Desk(server, "server");
  await using one = await connectIpc(channel.options);
  await using two = await connectIpc(channel.options);
  const desks = [new Desk(one, "one"), new Desk(two, "two")];
  await callAll(one, "server");
  await callAll(two, "server");
  assertEquals(served.contexts.map(({ via }) => via), [clientOf(server, 0), clientOf(server, 1)]);
  assertEquals(served.contexts.map(({ peer }) => peer), [undefined, undefined]);
  await Promise.all([callAll(clientOf(server, 0), "one"), callAll(clientOf(server, 1), "two")]);
  assertEquals(desks.map(({ contexts }) => contexts[0]?.via), [one, two]);
  assertThrows(() => caller(server as never, desk), TypeError);
});

Deno.test("calls over IPC go both ways in a pair, at the same time", async () => {
  await using channel = new Channel();
  await using one = await pairIpc(channel.options, () => "");
  await using two = await pairIpc(channel.options, () => "");
  const answering = new Desk(one, "one");
  new Desk(two, "two");
  await settles("the pair", one.connected());
  await Promise.all([callAll(one, "two"), callAll(two, "one")]);
  assertEquals(answering.contexts[0]?.via, one);
});

for (
  const [what, options] of Object.entries({
    "in the clear": { encryption: false },
    "with a provider": { encryption: XOR },
    "with small limits": { maxMessageBytes: 1024, maxRecordBytes: 1024, highWaterBytes: 1 },
    "over TCP": { transport: "tcp" as const, secret: SecretKey.generate() },
  })
) {
  Deno.test(`calls over IPC work ${what}`, async () => {
    await using channel = new Channel();
    const { path, ...rest } = channel.options;
    const isTcp = "transport" in options;
    const common = isTcp ? { ...rest, ...options } : { ...rest, path, ...options };
    await using server = await listenIpc({ ...common, ...(isTcp ? { port: 0 } : {}) });
    const port = server.addr.transport === "tcp" ? { port: server.addr.port } : {};
    await using client = await connectIpc({ ...common, ...port });
    new Desk(server, "server");
    new Desk(client, "client");
    await Promise.all([callAll(client, "server"), callAll(clientOf(server), "client")]);
    let blocks = 0;
    for await (const block of caller(client, desk).blocks(new Uint8Array(50_000).fill(7))) {
      assert(block.length === 50_000 && block.every((byte) => byte === 7));
      if (++blocks === 100) break;
    }
  });
}

Deno.test("calls over IPC count their bytes on both sides alike", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  new Desk(server, "server");
  const client = await connectIpc({ ...channel.options, encryption: true });
  await callAll(client, "server");
  await client.close();
  await until("the server knows", () => server.clients.size === 0);
  const [near, far] = [client.stats().overall, server.stats().overall];
  assertEquals([near.bytesOut, near.bytesIn], [far.bytesIn, far.bytesOut]);
  assertEquals([near.queriesOut, far.queriesIn], [2, 2]);
  assert(near.bytesIn > 4000, "streams are among them");
});

Deno.test("calls over IPC are answered by a client of a server where its own handlers have them, and else by the server's", async () => {
  await using channel = new Channel();
  const only = contract({ here: call<void, string>(), many: feed<void, string>() });
  await using server = await listenIpc({
    ...channel.options,
    onClient: (client) => {
      answer(client, only, { here: () => "its own", many: () => ["its", "own"] });
    },
  });
  new Desk(server, "server");
  await using client = await connectIpc(channel.options);
  await callAll(client, "server");
  assertEquals(await caller(client, only).here(), "its own");
  assertEquals(await Array.fromAsync(caller(client, only).many()), ["its", "own"]);
});

Deno.test("answer() of an IPC client holds for every connection, and so does caller()", async () => {
  await using channel = new Channel();
  const first = await listenIpc(channel.options);
  new Desk(first, "first");
  await using client = await connectIpc(channel.options);
  new Desk(client, "client");
  const remote = caller(client, desk);
  await callAll(client, "first");
  await callAll(clientOf(first), "client");
  await first.shutdown();
  const waiting = [remote.who(), Array.fromAsync(remote.ticks(3))];
  await using second = await listenIpc(channel.options);
  new Desk(second, "second");
  assertEquals(await settles("calls that waited", Promise.all(waiting)), ["second", [0, 1, 2]]);
  await callAll(client, "second");
  await callAll(clientOf(second), "client");
});

Deno.test("onQuery keeps the queries that are no calls, and sees no call", async () => {
  await using channel = new Channel();
  const seen: string[] = [];
  const onQuery = (data: Uint8Array) => {
    seen.push(text(data));
    return data.toReversed();
  };
  await using server = await listenIpc({ ...channel.options, onQuery });
  await using client = await connectIpc(channel.options);
  const remote = caller(client, desk);
  await assertCode("ERR_UNKNOWN_CALL", () => remote.add({ a: 1, b: 2 }), "no handler of calls");
  await assertCode("ERR_UNKNOWN_CALL", () => remote.ticks(1).next(), "no handler of streams");
  const { stop } = new Desk(server, "server");
  await callAll(client, "server");
  assertEquals(text(await client.query("abc")), "cba");
  assertEquals(
    await client.query(new Uint8Array([0, 99, 97, 108, 108, 2])), //
    new Uint8Array([2, 108, 108, 97, 99, 0]),
  );
  assertEquals(seen.length, 2);
  await assertCode("ERR_NO_HANDLER", () => clientOf(server).query("?"));
  stop();
  await assertCode("ERR_UNKNOWN_CALL", () => remote.add({ a: 1, b: 2 }), "no longer");
  await assertCode("ERR_UNKNOWN_CALL", () => remote.ticks(1).next(), "no longer, as a stream");
  assertEquals(seen.length, 2);
  assertEquals(server.stats().overall.handlerErrors, 0);
});

Deno.test("a call over IPC takes its time and no longer, and its handler hears that the caller gave up", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  const served = new Desk(server, "server");
  await using client = await connectIpc({ ...channel.options, queryTimeoutMs: 1 });
  const remote = caller(client, desk, { timeoutMs: Infinity });
  assertEquals(await remote.add({ a: 1, b: 2 }), 3, "without a limit");
  const late = await assertRejects(() => remote.hang(undefined, { timeoutMs: 30 }), ParleyError);
  assertEquals(late.code, "ERR_CALL_TIMEOUT");
  const controller = new AbortController();
  const given = assertRejects(() => remote.hang(undefined, { signal: controller.signal }));
  await until("the handler runs", () => served.contexts.length === 2);
  controller.abort(new Error("enough"));
  assertEquals((await given as Error).message, "enough");
  await until("both handlers know", () => served.contexts.every(({ signal }) => signal.aborted));
  const error = await assertRejects(() => remote.echo(new Uint8Array(4_000_000)), ParleyError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  assertEquals(await remote.add({ a: 1, b: 2 }), 3, "goes on");
});

Deno.test("a feed over IPC stalls when its reader stops, and queries, calls and messages go on", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, onQuery: (data) => data });
  const served = new Desk(server, "server");
  await using client = await connectIpc(channel.options);
  const block = new Uint8Array(10_000);
  const feeds = Array.from({ length: 3 }, () => caller(client, desk).blocks(block));
  for (const each of feeds) await each.next();
  await atRest(() => served.yielded);
  for (let at = 0; at < 50; at++) {
    assertEquals(text(await client.query("still here")), "still here");
    assertEquals(await caller(client, desk).add({ a: at, b: 1 }), at + 1);
  }
  await client.send(1, "hello");
  assertEquals(text((await server.receive({ timeoutMs: 5000 }))?.data), "hello");
  const stalled = served.yielded;
  assert(stalled < 3 * 60, `${stalled} blocks of 10 kB fit three windows`);
  for (let at = 0; at < 100; at++) await feeds[0]!.next();
  assert(served.yielded >= stalled + 90, "the one that is read goes on");
  for (const each of feeds) await each.return();
  await until("every generator is left", () => served.left === 3);
});

Deno.test("a feed over IPC that is left runs its generator's finally within 100 ms", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  const served = new Desk(server, "server");
  await using client = await connectIpc(channel.options);
  const times: number[] = [];
  for (let at = 1; at <= 5; at++) {
    for await (const _ of caller(client, desk).blocks(new Uint8Array(1000))) break;
    const startMs = performance.now();
    await until("the generator is left", () => served.left === at);
    times.push(performance.now() - startMs);
  }
  assert(Math.min(...times) < 100, `${times}`);
  assert(served.contexts.every(({ signal }) => signal.aborted));
});

Deno.test("a feed over IPC in full flow keeps no query waiting, and queries in full flow no feed", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, onQuery: (data) => data });
  new Desk(server, "server");
  await using client = await connectIpc(channel.options);
  let blocks = 0;
  let isOver = false;
  const reading = (async () => {
    for await (const _ of caller(client, desk).blocks(new Uint8Array(30_000))) {
      blocks++;
      if (isOver) break;
    }
  })();
  const large = new Uint8Array(100_000);
  let answers = 0;
  const asking = Array.from({ length: 32 }, async () => {
    while (!isOver) {
      await client.query(large, { timeoutMs: 20_000 });
      answers++;
    }
  });
  await until("both got on", () => blocks >= 200 && answers >= 200);
  isOver = true;
  await settles("the end of both", Promise.all([reading, ...asking]));
});

Deno.test("every call over IPC settles when its link is killed in the middle, on both sides", async () => {
  for (const end of ["client", "server"] as const) {
    await using channel = new Channel();
    await using server = await listenIpc(channel.options);
    const served = new Desk(server, "server");
    const client = await connectIpc({ ...channel.options, reconnect: false });
    const remote = caller(client, desk);
    const blocks = remote.blocks(new Uint8Array(1000));
    await blocks.next();
    const never = async function* <T>(first: T) {
      yield first;
      await new Promise(() => {});
    };
    const calls = [
      (async () => {
        for await (const _ of blocks);
      })(),
      remote.hang(undefined, { timeoutMs: Infinity }),
      remote.sum(never(1)),
      (async () => {
        for await (const _ of remote.shout(never("a")));
      })(),
    ].map((each) => each.then(() => "done", (error) => (error as ParleyError).code));
    await until("the handlers run", () => served.contexts.length === 2);
    if (end === "client") client.abort();
    else clientOf(server).abort();
    const codes = await settles("the calls", Promise.all(calls));
    const code = end === "client" ? "ERR_CLOSED" : "ERR_RESET";
    assertEquals(codes, [code, code, code, code]);
    await until("the generator is left", () => served.left === 1);
    await until("the handlers know", () => served.contexts.every(({ signal }) => signal.aborted));
    await settles("the client", client.closed);
  }
});

Deno.test("close() of an IPC channel waits for its streams, and cuts them when its time is over", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  const served = new Desk(server, "server");
  const talking = await connectIpc(channel.options);
  const lines = new TransformStream<string, string>();
  const writer = lines.writable.getWriter();
  const answers = caller(talking, desk).shout(lines.readable);
  void writer.write("a").catch(() => {});
  assertEquals(await answers.next(), { done: false, value: "A" });
  const closed = talking.close();
  await assertCode("ERR_CLOSED", () => caller(talking, desk).ticks(1).next(), "no new ones");
  await until("the other side learns of it", async () => {
    const asked = caller(clientOf(server), desk).ticks(1).next();
    return await asked.then(() => "", ({ code }) => code) === "ERR_GOING_AWAY";
  });
  const add = () => caller(clientOf(server), desk).add({ a: 1, b: 2 });
  const refused = await assertRejects(
    add,
    ClosedError,
    'Cannot call "desk.add" of the other process',
  );
  assertEquals(refused.code, "ERR_GOING_AWAY");
  void writer.write("b").catch(() => {});
  assertEquals(await answers.next(), { done: false, value: "B" });
  void writer.close().catch(() => {});
  assertEquals((await answers.next()).done, true);
  await settles("the close", closed);

  const endless = await connectIpc(channel.options);
  const blocks = caller(endless, desk).blocks(new Uint8Array(10));
  await blocks.next();
  await assertCode("ERR_DRAIN_TIMEOUT", () => endless.close({ timeoutMs: 50 }));
  await assertRejects(async () => {
    for await (const _ of blocks);
  }, ParleyError);
  await until("the generator is left", () => served.left === 1);
});

Deno.test("more calls with streams than a link has places for wait their turn", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  new Desk(server, "server");
  await using client = await connectIpc(channel.options);
  const remote = caller(client, desk);
  const results = await settles(
    "600 feeds",
    Promise.all(Array.from({ length: 600 }, (_, at) => Array.fromAsync(remote.ticks(at % 5)))),
  );
  assertEquals(results.map(({ length }) => length), Array.from({ length: 600 }, (_, at) => at % 5));
});
