// Queries over real sockets: which side asks, whether it still waits, and what a caller that reads
// nothing costs.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ParleyError, RemoteError } from "../../errors.ts";
import { connectIpc, type IpcQueryContext, listenIpc, pairIpc } from "../../ipc/mod.ts";
import { settles, until } from "../support/wait.ts";
import { Channel, text } from "./channels.ts";

/** A handler that never answers. */
class Slow {
  readonly contexts: IpcQueryContext[] = [];

  readonly onQuery = (_data: Uint8Array, context: IpcQueryContext): Promise<string> => {
    this.contexts.push(context);
    return new Promise(() => {});
  };
}

Deno.test("onQuery of a server knows which client asks", async () => {
  await using channel = new Channel();
  await using _server = await listenIpc({
    ...channel.options,
    onQuery: (_data, { client, signal }) => `${client.id} ${signal.aborted}`,
  });
  await using one = await connectIpc(channel.options);
  await using other = await connectIpc(channel.options);
  assertEquals(text(await one.query("who?")), `${one.sessionId} false`);
  assertEquals(text(await other.query("who?")), `${other.sessionId} false`);
});

Deno.test("onQuery of a server sends messages to the client that asks, ahead of the answer", async () => {
  await using channel = new Channel();
  await using _server = await listenIpc({
    ...channel.options,
    onQuery: async (_data, { client }) => {
      await client.send(7, "half way");
      return "done";
    },
  });
  await using client = await connectIpc(channel.options);
  assertEquals(text(await client.query("go")), "done");
  const message = await client.receive({ timeoutMs: 0 });
  assertEquals([message?.type, text(message!.data)], [7, "half way"]);
});

Deno.test("onQuery hears of an asker that gave up by its signal, its time limit and its end, on servers, clients and pairs", async () => {
  const slow = new Slow();
  const { onQuery } = slow;
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, onQuery });
  await using client = await connectIpc({ ...channel.options, onQuery });
  await using pairs = new Channel();
  await using one = await pairIpc(pairs.options, onQuery);
  await using two = await pairIpc(pairs.options, onQuery);
  await settles("the pair", one.connected());
  let at = 0;
  const run = async (
    ask: Promise<unknown>,
    giveUp: () => void,
    code = "ERR_CLOSED",
  ): Promise<unknown> => {
    await until("the handler runs", () => slow.contexts.length > at);
    const { signal } = slow.contexts[at++]!;
    giveUp();
    const reason = await settles("the query", ask.catch((error) => error));
    await until("the handler hears of it", () => signal.aborted);
    assertEquals(signal.reason.code, code);
    return reason;
  };
  for (const asker of [client, [...server.clients.values()][0]!, one, two]) {
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const aborted = asker.query("?", { signal: controller.signal, timeoutMs: 60_000 });
    assertEquals(await run(aborted, () => controller.abort(reason)), reason);
    assertEquals(
      (await run(asker.query("?", { timeoutMs: 50 }), () => {}) as ParleyError).code,
      "ERR_READ_TIMEOUT",
    );
  }
  const lost = client.query("?", { timeoutMs: 60_000 });
  assertEquals(
    await run(lost, () => client.abort(new Error("gone")), "ERR_RESET"),
    await lost.catch((error) => error),
  );
});

Deno.test("close waits for no handler whose asker has given up", async () => {
  const slow = new Slow();
  await using channel = new Channel();
  await using server = await listenIpc({ ...channel.options, onQuery: slow.onQuery });
  await using client = await connectIpc(channel.options);
  await assertRejects(() => client.query("?", { timeoutMs: 20 }));
  await until("the handler hears of it", () => slow.contexts[0]?.signal.aborted ?? false);
  await settles("the close", server.shutdown({ timeoutMs: 15_000 }));
});

Deno.test("no more answers than maxQueuedBytes and one wait for an asker that does not read; it may miss the others, and is not cut", async () => {
  await using channel = new Channel();
  const turn = Promise.withResolvers<void>();
  let running = 0;
  await using server = await listenIpc({
    ...channel.options,
    highWaterBytes: 200_000,
    maxQueuedBytes: 1_000_000,
    onQuery: async () => {
      running++;
      await turn.promise;
      return new Uint8Array(300_000);
    },
  });
  await using client = await connectIpc({
    ...channel.options,
    readAheadBytes: 1024,
    reconnect: false,
  });
  const there = [...server.clients.values()][0]!;
  const answers = Array.from({ length: 40 }, () => client.query("?", { timeoutMs: 60_000 }));
  const ends = Promise.allSettled(answers);
  await until("all handlers run", () => running === 40);
  await there.send(1, new Uint8Array(2000)); // more than the client reads ahead
  await until("the client has it", () => client.stats().overall.messagesIn === 1);
  turn.resolve();
  await until("the queue fills", () => there.stats().queuedBytes > 300_000);
  assert(there.stats().queuedBytes <= 1_300_000, `${there.stats().queuedBytes} bytes queued`);
  assertEquals(there.status, "connected");
  assertEquals((await client.receive())?.type, 1);
  const results = await settles("the answers", ends);
  const codes = results.filter((end) => end.status === "rejected").map(({ reason }) => reason.code);
  assert(codes.every((code) => code === "ERR_QUEUE_FULL"), `${codes}`);
  assert(results.length - codes.length >= 3, `${codes.length} of 40 refused`);
});

Deno.test("an asker that reads gets every answer, however many are finished at once", async () => {
  await using channel = new Channel();
  const turn = Promise.withResolvers<void>();
  let running = 0;
  await using _server = await listenIpc({
    ...channel.options,
    highWaterBytes: 200_000,
    maxQueuedBytes: 400_000,
    onQuery: async (data) => {
      running++;
      await turn.promise;
      return new Uint8Array(300_000).fill(data[0]!);
    },
  });
  await using client = await connectIpc(channel.options);
  const answers = Array.from(
    { length: 60 },
    (_, i) => client.query(new Uint8Array([i]), { timeoutMs: 60_000 }),
  );
  await until("all handlers run", () => running === 60);
  turn.resolve();
  const datas = await settles("the answers", Promise.all(answers));
  assert(datas.every((data, i) => data.length === 300_000 && data[0] === i && data[299_999] === i));
});

Deno.test("onClient is called with each client before its first query, and its closed tells when it goes", async () => {
  await using channel = new Channel();
  const told: string[] = [];
  await using _server = await listenIpc({
    ...channel.options,
    onClient: (client) => {
      client.data = `number ${told.push(`${client.id} came`)}`;
      void client.closed.then(() => told.push(`${client.id} went`));
    },
    onQuery: (_data, { client }) => client.data as string,
  });
  const one = await connectIpc(channel.options);
  const { sessionId } = one;
  assertEquals(text(await one.query("?")), "number 1");
  await one.close();
  await until("it has gone", () => told.length === 2);
  await using two = await connectIpc(channel.options);
  assertEquals(text(await two.query("?")), "number 3");
  assertEquals(told, [`${sessionId} came`, `${sessionId} went`, `${two.sessionId} came`]);
});

Deno.test("onClient that throws or rejects is reported, and the client stays", async () => {
  for (const isAsync of [false, true]) {
    await using channel = new Channel();
    const fault = new Error("a fault of the hook");
    const errors: unknown[] = [];
    await using server = await listenIpc({
      ...channel.options,
      onError: (error, { phase }) => errors.push([phase, error]),
      onClient: () => {
        if (isAsync) return Promise.reject(fault);
        throw fault;
      },
      onQuery: () => "here",
    });
    await using client = await connectIpc(channel.options);
    assertEquals(text(await client.query("?")), "here");
    assertEquals(errors, [["client", fault]]);
    assertEquals(server.stats().overall.handlerErrors, 1);
  }
});

Deno.test("onClient is not called with a client that is turned away, and may close or abort one that comes", async () => {
  await using channel = new Channel();
  let count = 0;
  await using server = await listenIpc({
    ...channel.options,
    maxClients: 1,
    onClient: () => void count++,
  });
  await using _client = await connectIpc(channel.options);
  await assertRejects(() => connectIpc(channel.options), RemoteError);
  assertEquals([count, server.clients.size], [1, 1]);
  await using other = new Channel();
  const turns = ["close", "abort"];
  await using picky = await listenIpc({
    ...other.options,
    onClient: (client) => {
      if (turns.shift() === "close") void client.close().catch(() => {});
      else client.abort(new Error("not you"));
    },
  });
  for (const _ of ["closed", "aborted"]) {
    const left = connectIpc({ ...other.options, reconnect: false }).then(
      (client) => client.closed,
      () => {},
    );
    await settles("the client ends", left);
  }
  await until("both have gone", () => picky.clients.size === 0);
  assertEquals(turns, []);
});

Deno.test("listenIpc refuses an onClient that is no function before it opens anything", async () => {
  await using channel = new Channel();
  await assertRejects(
    () => listenIpc({ ...channel.options, onClient: 5 as unknown as () => void }),
    TypeError,
    "onClient",
  );
});

Deno.test("a pair's role is set before each status that goes with it", async () => {
  await using channel = new Channel();
  const one = await pairIpc(channel.options, (data) => data);
  const two = await pairIpc(channel.options, (data) => data);
  const seen: string[] = [];
  const watching = (async () => {
    for await (const { status } of two.statuses()) seen.push(`${status} with ${two.role}`);
  })();
  await until("the first status", () => seen.length === 1);
  seen.length = 0;
  await one.close();
  await until("it listens", () => two.status === "listening");
  await using three = await pairIpc(channel.options, (data) => data);
  await until("it is connected", () => two.status === "connected");
  assertEquals(seen, ["reconnecting with null", "listening with server", "connected with server"]);
  assertEquals(three.role, "client");
  await two.close();
  await watching;
  await until("the other listens", () => three.status === "listening" && three.role === "server");
});
