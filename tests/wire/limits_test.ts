// Tests of limits that both sides know: announced in the greeting, kept to by waiting, refused by a
// code that names them.
import { assertEquals, assertRejects } from "@std/assert";
import { LimitError, TimeoutError } from "@parley/parley";
import { HubRouter } from "../../wire/hub_router.ts";
import { MountedWire } from "../../wire/mount.ts";
import { resolveMount } from "../../wire/plan.ts";
import { RawHubPeer } from "../support/peers/raw_hub_peer.ts";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";
import {
  answer,
  askStream,
  authorize,
  echoStream,
  hubbed,
  mounted,
  RawWire,
  readText,
  TestWire,
} from "../support/peers/wires.ts";

const keep = async (stream: { readonly closed: Promise<unknown> }) => void await stream.closed;

/** A hub whose waits for a turn are short. */
async function quickHub(maxStreamsPerPair: number): Promise<TestWire> {
  const plan = resolveMount({ authorize, onError: () => {} }, maxStreamsPerPair);
  const route = { maxStreamsPerPair, presence: undefined, turnMs: 20 };
  const server = new MountedWire({ ...plan, busyMs: 20 }, (parts) => new HubRouter(parts, route));
  await server.ready;
  return new TestWire(server);
}

Deno.test("hub tells in WELCOME how many streams it takes, with its window, and how many of one pair", async () => {
  await using test = await hubbed({ maxStreamsPerPair: 7 });
  using raw = await RawHubPeer.dial((test.server.addr as { port: number }).port);
  const { limits } = await raw.join("eve") as { limits: Record<string, number> };
  assertEquals({ ...limits, windowBytes: 0 }, {
    maxStreams: 256,
    maxStreamsPerPair: 7,
    windowBytes: 0,
  });
  assertEquals(limits["windowBytes"]! > 1000 && limits["windowBytes"]! < 100_000, true);
});

Deno.test("hub takes every maxStreamsPerPair that it allows", async () => {
  for (const maxStreamsPerPair of [1, 257, 1 << 24]) {
    await using _test = await hubbed({ maxStreamsPerPair });
  }
  await assertRejects(
    () => hubbed({ maxStreamsPerPair: (1 << 24) + 1 }),
    RangeError,
    '"maxStreamsPerPair"',
  );
});

Deno.test("open waits its turn when the peer takes no more streams, and is told so when it does not come", async () => {
  await using test = await mounted({
    mux: { maxStreams: 2 },
    handlers: { keep, echo: echoStream },
  });
  const wire = await test.join("ann");
  const [first] = [await wire.open("keep"), await wire.open("keep")];
  const error = await assertRejects(() => wire.open("echo", { timeoutMs: 30 }), LimitError);
  assertEquals([error.code, /"echo" to the server/.test(error.message)], [
    "ERR_TOO_MANY_STREAMS",
    true,
  ]);
  const third = wire.open("echo");
  first.abort();
  assertEquals(await askStream(await settles("the turn", third), "x"), "x");
});

Deno.test("open of a server waits its turn when the joined side takes no more streams", async () => {
  await using test = await mounted();
  await test.join("ann", { mux: { maxStreams: 1 }, handlers: { keep } });
  const first = await test.server.open("ann", "keep");
  assertEquals(
    codeOf(await errorOf(test.server.open("ann", "keep", { timeoutMs: 30 }))),
    "ERR_TOO_MANY_STREAMS",
  );
  const second = test.server.open("ann", "keep");
  first.abort();
  await settles("the turn", second);
});

Deno.test("mount: 256 streams of one peer are open at once, and the 257th waits", async () => {
  await using test = await mounted({ handlers: { keep } });
  const wire = await test.join("ann");
  await Promise.all(Array.from({ length: 256 }, () => wire.open("keep")));
  assertEquals(codeOf(await errorOf(wire.open("keep", { timeoutMs: 50 }))), "ERR_TOO_MANY_STREAMS");
  assertEquals(wire.status, "connected");
});

Deno.test("mount: 256 streams of a peer that tells no limits, such as a program in Go, are open at once", async () => {
  await using test = await mounted({ handlers: { keep } });
  await using raw = await RawWire.dial((test.server.addr as { port: number }).port);
  await raw.hello("go");
  const answers = await Promise.all(Array.from({ length: 256 }, () => raw.ask({ name: "keep" })));
  assertEquals(answers, Array(256).fill({}));
});

Deno.test("mount: a peer in another language reads a refusal, and an early answer, although its bytes cross them", async () => {
  await using test = await mounted({ handlers: { early: (stream) => stream.write("an answer") } });
  await using raw = await RawWire.dial((test.server.addr as { port: number }).port);
  await raw.hello("go");
  for (const [name, code] of [["unknown", "ERR_NO_HANDLER"], ["early", undefined]] as const) {
    const channel = await raw.send({ name });
    // The answer is on its way by then.
    await until("it has come", () => channel.mux.stats().bytesIn > 0);
    for (let count = 0; count < 10; count++) await channel.mux.write(new Uint8Array(1000));
    await raw.mux.ping();
    assertEquals((await answer(channel))?.["code"], code);
    await channel.mux.closeWrite();
    while (await channel.mux.read() !== null);
    assertEquals(await settles("the end", channel.mux.closed), undefined);
  }
});

Deno.test("maxHandlers: a stream over it is served as soon as a handler returns", async () => {
  const go = Promise.withResolvers<void>();
  await using test = await mounted({
    maxHandlers: 1,
    handlers: { work: () => go.promise, echo: echoStream },
  });
  const wire = await test.join("ann");
  await wire.open("work");
  const waiting = wire.open("echo");
  await until("it waits", () => test.server.session("ann")?.stats().streams === 3);
  go.resolve();
  assertEquals(await askStream(await settles("the turn", waiting), "x"), "x");
});

Deno.test("maxHandlers: a stream over it is refused when no handler returns in time", async () => {
  const go = Promise.withResolvers<void>();
  const plan = resolveMount({
    authorize,
    maxHandlers: 1,
    handlers: { work: () => go.promise, echo: echoStream },
  });
  await using test = new TestWire(new MountedWire({ ...plan, busyMs: 20 }, null));
  await test.server.ready;
  const wire = await test.join("ann");
  const working = await wire.open("work");
  // A handler counts for as long as it runs, even when its stream was reset.
  working.abort();
  assertEquals(codeOf(await errorOf(wire.open("echo"))), "ERR_TOO_MANY_STREAMS");
  go.resolve();
  assertEquals(await askStream(await wire.open("echo"), "x"), "x");
});

Deno.test("maxStreamsPerPair: a stream over it waits, is refused when its turn does not come, and holds up no other pair", async () => {
  await using test = await quickHub(1);
  const [ann, cid] = [await test.join("ann"), await test.join("cid")];
  await test.join("bob", { handlers: { keep, echo: echoStream } });
  const first = await ann.peer("bob").open("keep");
  const error = await errorOf(ann.peer("bob").open("echo"));
  assertEquals([codeOf(error), error instanceof LimitError], ["ERR_TOO_MANY_STREAMS", true]);
  assertEquals(await askStream(await cid.peer("bob").open("echo"), "x"), "x");
  first.abort();
  await until(
    "the pair has room again",
    async () =>
      await ann.peer("bob").open("echo").then((stream) => (stream.abort(), true), () => false),
  );
});

Deno.test("hub waits for the target's own limit, and never says that a peer which is there is not", async () => {
  await using test = await quickHub(64);
  const callers = [await test.join("ann"), await test.join("cid")] as const;
  await test.join("bob", { mux: { maxStreams: 2 }, handlers: { keep } });
  const open = [
    await callers[0].peer("bob").open("keep"),
    await callers[1].peer("bob").open("keep"),
  ];
  for (const caller of callers) {
    assertEquals(codeOf(await errorOf(caller.peer("bob").open("keep"))), "ERR_TOO_MANY_STREAMS");
  }
  open[0]!.abort();
  await until(
    "there is a turn",
    () => callers[1].peer("bob").open("keep").then(() => true, () => false),
  );
});

Deno.test("join takes as many streams as its hub allows a pair, unless its own options say otherwise", async () => {
  await using test = await hubbed({ maxStreamsPerPair: 300 });
  const ann = await test.join("ann");
  await test.join("bob", { handlers: { keep } });
  await test.join("cid", { handlers: { keep }, mux: { maxStreams: 3 }, maxHandlers: 3 });
  await Promise.all(Array.from({ length: 300 }, () => ann.peer("bob").open("keep")));
  const dan = await test.join("dan");
  for (let count = 0; count < 3; count++) await dan.peer("cid").open("keep");
  await assertRejects(() => dan.peer("cid").open("keep", { timeoutMs: 50 }), TimeoutError);
});

Deno.test("hub: 106 calls in a row that are given up, and more, end no session and no stream beside them", async () => {
  await using test = await hubbed();
  const ends: string[] = [];
  const onClose = () => void ends.push("closed");
  const [ann, cid] = [await test.join("ann", { onClose }), await test.join("cid", { onClose })];
  await test.join("bob", {
    onClose,
    handlers: {
      feed: async (stream) => {
        await stream.write("first");
        await stream.closed;
      },
    },
  });
  const beside = await cid.peer("bob").open("feed");
  for (let count = 0; count < 250; count++) {
    const stream = await ann.peer("bob").open("feed");
    await stream.read();
    stream.abort();
  }
  assertEquals(ends, []);
  assertEquals(new TextDecoder().decode(await beside.read() ?? undefined), "first");
  beside.abort();
});

Deno.test("a stream that was read to its end and whose handler has returned is over, without close()", async () => {
  await using test = await mounted();
  await test.join("ann", {
    mux: { maxStreams: 2 },
    handlers: { name: (stream) => stream.write("I am ann") },
  });
  for (let count = 0; count < 10; count++) {
    assertEquals(
      await readText(await test.server.open("ann", "name", { timeoutMs: 5000 })),
      "I am ann",
    );
  }
  await until(
    "only the control stream is left",
    () => test.server.stats().sessions[0]?.streams === 1,
  );
});
