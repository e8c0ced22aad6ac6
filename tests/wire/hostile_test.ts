// Hostile peers of the wire and the hub: each is refused with the right code, and leaves nothing behind.
import { assert, assertEquals } from "@std/assert";
import { encodeFrame } from "../../wire/protocol/frames.ts";
import { servedWhile } from "../support/peers/served.ts";
import { staysBelow, until } from "../support/wait.ts";
import {
  answer,
  askStream,
  echoStream,
  hubbed,
  RawWire,
  type TestWire,
  TOKEN,
} from "../support/peers/wires.ts";
import { dial } from "../../net/dial.ts";

const good = { parley: 1, identity: "eve", token: `eve${TOKEN}`, streams: [] };

/** What a stranger may send first, and what it gets. */
const FIRST_FRAMES: readonly [
  name: string,
  frame: object | Uint8Array,
  code: string | undefined,
][] = [
  ["no token", { ...good, token: "" }, "ERR_AUTH"],
  ["the token of somebody else", { ...good, token: `ann${TOKEN}` }, "ERR_AUTH"],
  ["a token that is no text", { ...good, token: 1 }, undefined],
  ["another version", { ...good, parley: 2 }, "ERR_VERSION"],
  ["a taken name", { ...good, identity: "ann", token: `ann${TOKEN} ` }, "ERR_NAME_TAKEN"],
  ["a name with a space", { ...good, identity: "a b" }, undefined],
  ["OPEN in place of HELLO", { name: "echo" }, undefined],
  ["a frame of 4 GiB", new Uint8Array([255, 255, 255, 255, 1]), undefined],
  ["an empty frame", new Uint8Array(4), undefined],
  ["no JSON", new Uint8Array([0, 0, 0, 1, 0x7b]), undefined],
  ["a member named __proto__", new TextEncoder().encode('\0\0\0\x10{"__proto__":{}}'), undefined],
];

/** A hub with ann on it, whose `authorize` compares tokens loosely, so that names can be fought for. */
async function hubWithAnn(events: string[]): Promise<TestWire> {
  const test = await hubbed({
    authorize: ({ identity, token, name }) =>
      token.trim() === identity + TOKEN && name !== "forbidden",
    handshakeTimeoutMs: 300,
    onOpen: ({ identity }) => events.push(`open ${identity}`),
    onClose: ({ identity }) => events.push(`close ${identity}`),
  });
  await test.join("ann", { handlers: { echo: echoStream } });
  return test;
}

const portOf = (test: TestWire) => (test.server.addr as { port: number }).port;

for (const [name, frame, code] of FIRST_FRAMES) {
  Deno.test(`hub refuses ${name}, and registers nothing`, async () => {
    const events: string[] = [];
    await using test = await hubWithAnn(events);
    await using eve = await RawWire.dial(portOf(test));
    assertEquals((await eve.ask(frame))?.["code"], code);
    await eve.mux.closed;
    assertEquals(events, ["open ann"]);
    assertEquals(test.server.sessions.map(({ identity }) => identity), ["ann"]);
  });
}

Deno.test("hub serves no stream of a stranger, and holds no more than 32 KiB and a read of his", async () => {
  const events: string[] = [];
  await using test = await hubWithAnn(events);
  await using eve = await RawWire.dial(portOf(test));
  // The first stream is the control stream; it says nothing.
  await eve.send(new Uint8Array([0, 0]));
  const stream = await eve.send({ name: "echo", to: "ann" });
  let sent = 0;
  const flood = (async () => {
    for (;; sent += 65536) await stream.mux.write(new Uint8Array(65536));
  })().catch(() => {});
  assertEquals(await answer(stream), null);
  await flood;
  await eve.mux.closed;
  assert(sent <= 256 * 1024, `${sent} bytes were taken from a stranger`);
  assertEquals(events, ["open ann"]);
});

Deno.test("hub refuses a forged from, whatever it says, and a forbidden stream", async () => {
  const events: string[] = [];
  await using test = await hubWithAnn(events);
  await using eve = await RawWire.dial(portOf(test));
  assertEquals((await eve.hello("eve"))?.["identity"], "eve");
  const rows: [object, string | undefined][] = [
    [{ name: "echo", to: "ann", from: "bob" }, "ERR_FORBIDDEN"],
    [{ name: "echo", to: "ann", from: "eve" }, "ERR_FORBIDDEN"],
    [{ name: "forbidden", to: "ann" }, "ERR_FORBIDDEN"],
    [{ name: "forbidden", to: "nobody" }, "ERR_FORBIDDEN"],
    [{ name: "echo", to: "eve" }, "ERR_FORBIDDEN"],
    [{ name: "echo", to: "nobody" }, "ERR_NO_PEER"],
    [{ name: "echo", to: "ann" }, undefined],
  ];
  for (const [frame, code] of rows) assertEquals((await eve.ask(frame))?.["code"], code);
});

Deno.test("hub resets a stream whose OPEN is broken, and ends a session whose control stream is", async () => {
  await using test = await hubWithAnn([]);
  await using eve = await RawWire.dial(portOf(test));
  const control = await eve.send(good);
  assertEquals((await answer(control))?.["identity"], "eve");
  assertEquals(await eve.ask(new Uint8Array([0, 0, 0, 1, 0x7b])), null);
  assertEquals((await eve.ask({ name: "nothing" }))?.["code"], "ERR_NO_HANDLER");
  await control.mux.write(encodeFrame({ streams: "all" }));
  await eve.mux.closed;
  await until("eve is gone", () => test.server.session("eve") === undefined);
});

Deno.test("hub gives a HELLO that never comes its time, and serves others within 100 ms meanwhile", async () => {
  const events: string[] = [];
  await using test = await hubWithAnn(events);
  const ann = test.server.session("ann")!;
  const signal = new AbortController().signal;
  let tries = 0;
  await servedWhile(() => ann.ping(), () =>
    staysBelow(100, async () => {
      tries++;
      const silent = await Promise.all(
        Array.from({ length: 60 }, () => dial({ port: portOf(test) }, { signal })),
      );
      const startMs = performance.now();
      const bob = await test.join("bob", { handlers: { echo: echoStream } });
      assertEquals(await askStream(await test.server.open("bob", "echo"), "x"), "x");
      const tookMs = performance.now() - startMs;
      await bob.close();
      // Each is closed once its time is over, or to make room.
      for (const transport of silent) assertEquals(await transport.read().catch(() => null), null);
      for (const transport of silent) transport.close();
      await until("the hub knows that he went", () => events.at(-1) === "close bob");
      return tookMs;
    }));
  assertEquals(events, ["open ann", ...Array(tries).fill(["open bob", "close bob"]).flat()]);
});

Deno.test("hub lets a client that opens and resets without end not run more than its share of handlers", async () => {
  let running = 0, most = 0;
  const go = Promise.withResolvers<void>();
  await using test = await hubbed({
    maxHandlers: 8,
    handlers: {
      work: async () => {
        most = Math.max(most, ++running);
        await go.promise;
        running--;
      },
    },
  });
  const bob = await test.join("bob");
  await using eve = await RawWire.dial(portOf(test));
  await eve.hello("eve");
  for (let count = 0; count < 300 && eve.mux.status === "open"; count++) {
    const channel = await eve.send({ name: "work" }).catch(() => null);
    if (channel === null) break;
    // Those over the share wait for a turn until they are reset.
    if (count < 8) await answer(channel);
    channel.mux.reset();
  }
  assertEquals(most, 8);
  await servedWhile(() => bob.session!.ping(), () => Promise.resolve());
  go.resolve();
  await until("all handlers have ended", () => running === 0);
});

Deno.test("hub reads a control stream that never stops no faster than it should, and others are served", async () => {
  await using test = await hubWithAnn([]);
  await using eve = await RawWire.dial(portOf(test));
  const control = await eve.send(good);
  await answer(control);
  let changes = 0;
  const frames = [encodeFrame({ streams: ["a"] }), encodeFrame({ streams: ["b"] })];
  const flood = (async () => {
    for (;; changes++) await control.mux.write(frames[changes % 2] as Uint8Array);
  })().catch(() => {});
  const ann = test.server.session("ann")!;
  await servedWhile(() => ann.ping(), () => Promise.resolve());
  eve.mux.abort();
  await flood;
});
