// Messages and queries over real sockets: reading, limits, backpressure.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, FramingError, RemoteError } from "../../errors.ts";
import { connectIpc, listenIpc } from "../../ipc/mod.ts";
import { settles, until } from "../support/wait.ts";
import { assertCode, Channel, text } from "./channels.ts";
import { newSeed, Random } from "./support.ts";

Deno.test("read gives up at its time limit or signal and loses no message, in a storm of time-outs", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  const random = new Random(newSeed());
  const total = 400;
  const sending = (async () => {
    for (let i = 1; i <= total; i++) {
      await client.send(i, new Uint8Array(random.below(50)));
      if (random.below(4) === 0) {
        await new Promise((resolve) => setTimeout(resolve, random.below(3)));
      }
    }
  })();
  const types: number[] = [];
  let timeouts = 0;
  while (types.length < total) {
    // Many waits at once, most too short; the first to wait gets the first that comes.
    const waits = Array.from({ length: 1 + random.below(8) }, () => {
      const kind = random.below(3);
      const signal = kind === 0 ? AbortSignal.timeout(random.below(2)) : undefined;
      return server.receive({
        timeoutMs: random.below(3),
        ...(signal === undefined ? {} : { signal }),
      });
    });
    for (const result of await Promise.allSettled(waits)) {
      if (result.status === "fulfilled") {
        types.push(result.value!.type);
        continue;
      }
      timeouts++;
      const { code, name } = result.reason;
      assert(code === "ERR_READ_TIMEOUT" || name === "TimeoutError", `${result.reason}`);
    }
  }
  await sending;
  assertEquals(types, Array.from({ length: total }, (_, i) => i + 1));
  assert(timeouts > 100, `${timeouts} time-outs`);
});

Deno.test("read with 0 ms never waits, and an aborted signal rejects with its reason", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  await assertCode("ERR_READ_TIMEOUT", () => server.receive({ timeoutMs: 0 }));
  await client.send(1, "x");
  await client.flush();
  assertEquals((await server.receive({ timeoutMs: 0 }))?.type, 1);
  const reason = new Error("no");
  assertEquals(
    await server.receive({ signal: AbortSignal.abort(reason) }).catch((error) => error),
    reason,
  );
  await assertRejects(() => server.receive({ timeoutMs: -1 }), RangeError);
});

Deno.test("read takes turns between clients; readRound takes one of each or, at the time limit, what there is", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using a = await connectIpc(channel.options);
  await using b = await connectIpc(channel.options);
  for (let i = 1; i <= 3; i++) await a.send(i, "");
  await a.flush();
  for (let i = 11; i <= 13; i++) await b.send(i, "");
  await b.flush();
  const types: number[] = [];
  for (let i = 0; i < 4; i++) types.push((await server.receive())!.type);
  assertEquals(types, [1, 11, 2, 12]);
  const round = await server.receiveRound();
  assertEquals(round.map((message) => message.type), [3, 13]);
  await b.send(14, "");
  await b.flush();
  assertEquals((await server.receiveRound({ timeoutMs: 30 })).map((message) => message.type), [14]);
  await a.send(4, "");
  await a.flush();
  const controller = new AbortController();
  const waiting = server.receiveRound({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  const last = server.receiveRound();
  await b.send(15, "");
  assertEquals((await settles("the round", last)).map((message) => message.type), [4, 15]);
});

Deno.test("a server reads one client at a time as well, and iterates", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using a = await connectIpc(channel.options);
  await using b = await connectIpc(channel.options);
  await b.send(2, "b");
  await b.flush();
  const fromA = server.clients.get(a.sessionId!)!;
  await a.send(1, "a");
  assertEquals(text((await fromA.receive())?.data), "a");
  for await (const { client, type } of server) {
    assertEquals([client.id, type], [b.sessionId, 2]);
    break;
  }
  await server.send(9, "all");
  assertEquals([(await a.receive())?.type, (await b.receive())?.type], [9, 9]);
  await assertRejects(() => server.query("who?"), TypeError);
});

Deno.test("query has many in flight, answers out of order, and a time limit each", async () => {
  await using channel = new Channel();
  const held: PromiseWithResolvers<string>[] = [];
  await using _server = await listenIpc({
    ...channel.options,
    onQuery: (data) => {
      if (text(data) !== "hold") return data;
      held.push(Promise.withResolvers());
      return held.at(-1)!.promise;
    },
  });
  await using client = await connectIpc(channel.options);
  const slow = client.query("hold");
  await assertCode("ERR_READ_TIMEOUT", () => client.query("hold", { timeoutMs: 20 }));
  const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => client.query(`${i}`)));
  assertEquals(answers.map(text), Array.from({ length: 500 }, (_, i) => `${i}`));
  const controller = new AbortController();
  const aborted = client.query("hold", { signal: controller.signal });
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assertEquals(await aborted.catch((error) => error), reason);
  for (const wait of held) wait.resolve("done"); // two of them come too late and are dropped
  assertEquals(text(await slow), "done");
  assertEquals(text(await client.query("still fine")), "still fine");
});

Deno.test("query tells how the other side failed, and nothing it did not mean to tell", async () => {
  await using channel = new Channel();
  const errors: unknown[] = [];
  await using server = await listenIpc({
    ...channel.options,
    onError: (error, { phase }) => errors.push([phase, error]),
    onQuery: (data) => {
      switch (text(data)) {
        case "throw":
          throw new Error("secret path /home/x");
        case "reject":
          return Promise.reject(new Error("secret path /home/x"));
        case "remote":
          throw new RemoteError("ERR_NOT_TODAY", "come back\x1b[31m tomorrow");
        case "large":
          return new Uint8Array(4_000_000);
        case "number":
          return 7 as unknown as string;
        default:
          return undefined;
      }
    },
  });
  await using client = await connectIpc(channel.options);
  const failure = async (query: string) => {
    const error = await assertRejects(() => client.query(query), RemoteError);
    return [error.code, error.message];
  };
  assertEquals(await failure("throw"), ["ERR_HANDLER", "The handler failed"]);
  assertEquals(await failure("reject"), ["ERR_HANDLER", "The handler failed"]);
  assertEquals(await failure("remote"), ["ERR_NOT_TODAY", "come back\\x1b[31m tomorrow"]);
  assertEquals(await failure("large"), ["ERR_FRAME_TOO_LARGE", "The handler failed"]);
  assertEquals(await failure("number"), ["ERR_HANDLER", "The handler failed"]);
  assertEquals(await client.query("nothing"), new Uint8Array(0));
  assertEquals(errors.length, 4, "all but the RemoteError, which is an answer");
  const error = await assertRejects(() => server.query("?"), RemoteError);
  assertEquals(error.code, "ERR_NO_HANDLER");
  assertEquals(error.message, "There is no handler for queries");
});

Deno.test("a message of the other side's limit passes, one byte more is refused before it is sent", async () => {
  await using channel = new Channel();
  await using server = await listenIpc({
    ...channel.options,
    maxMessageBytes: 2000,
    onQuery: () => "ok",
  });
  await using client = await connectIpc(channel.options);
  await client.send(1, new Uint8Array(2000));
  assertEquals((await server.receive())?.data.length, 2000);
  const error = await assertRejects(() => client.send(1, new Uint8Array(2001)), FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  await assertRejects(() => client.query(new Uint8Array(2001)), FramingError);
  assertEquals(text(await client.query("")), "ok");
  for (const type of [0, -1, 1.5, 2 ** 32]) {
    await assertRejects(() => client.send(type, ""), RangeError);
  }
  await assertRejects(() => client.send(1, 5 as unknown as string), TypeError);
});

Deno.test("a reader that stops slows its writer down, and loses nothing", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc(channel.options);
  const data = new Uint8Array(100_000);
  let written = 0;
  const writing = (async () => {
    for (let i = 1; i <= 100; i++) {
      data[0] = i; // may be changed once the promise has resolved
      await client.send(i, data);
      written++;
    }
    await client.flush();
  })();
  let before = -1;
  await until("the writer stands still", async () => {
    const still = before === written;
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 30));
    return still;
  });
  assert(written >= 3 && written < 60, `${written} of 100 written`);
  for (let i = 1; i <= 100; i++) {
    const message = await server.receive();
    assertEquals([message?.type, message?.data[0], message?.data.length], [i, i, 100_000]);
  }
  await writing;
});

Deno.test("large queries and answers both ways at once do not block each other", async () => {
  await using channel = new Channel();
  const answer = new Uint8Array(300_000).fill(3);
  const onQuery = () => answer;
  await using server = await listenIpc({ ...channel.options, onQuery });
  await using client = await connectIpc({ ...channel.options, onQuery });
  const ask = (side: { query(data: Uint8Array): Promise<Uint8Array> }) =>
    Promise.all(Array.from({ length: 60 }, () => side.query(new Uint8Array(50_000))));
  const answers = (await settles("the answers", Promise.all([ask(client), ask(server)]), 20_000))
    .flat();
  assert(
    answers.length === 120 &&
      answers.every((data) => data.length === 300_000 && data[299_999] === 3),
  );
});

Deno.test("a writer that never waits is told that it is too fast", async () => {
  await using channel = new Channel();
  await using server = await listenIpc(channel.options);
  await using client = await connectIpc({ ...channel.options, reconnect: false });
  const writes = Array.from({ length: 120 }, () => client.send(1, new Uint8Array(100_000)));
  const results = await settles("the writes", Promise.allSettled(writes));
  const last = results.at(-1)!;
  assert(last.status === "rejected" && last.reason instanceof ClosedError);
  assertEquals(last.reason.code, "ERR_SLOW_CONSUMER");
  assertEquals(server.status === "closed", false);
});
