// Hostile peers of the hub that write their bytes by hand: refused, nothing registered, others served.
import { assert, assertEquals } from "@std/assert";
import { processMemory } from "@parley/parley/mux";
import { expose } from "@parley/parley/wire";
import { listen } from "../../net/listen.ts";
import { helloOf, opening, RawHubPeer, wireFrame } from "../support/peers/raw_hub_peer.ts";
import { frame } from "../support/peers/raw_mux.ts";
import { servedWhile } from "../support/peers/served.ts";
import { atRest, settles, until } from "../support/wait.ts";
import { askStream, echoStream, hubbed, type TestWire, TOKEN } from "../support/peers/wires.ts";

const DATA = 0, UPDATE = 1;
const SYN = 1;

const portOf = (test: TestWire) => (test.server.addr as { port: number }).port;
const hello = wireFrame(helloOf("eve"));

/** What a stranger sends, and the code of REFUSED; none when it is cut off without a word. */
const STRANGERS: readonly [name: string, parts: Uint8Array[], code?: string][] = [
  ["nothing but half a header", [new Uint8Array(6)]],
  ["a control stream without a HELLO", [frame(UPDATE, SYN, 1, 0)]],
  ["half a HELLO", opening(1, hello.subarray(0, hello.length >> 1))],
  [
    "a HELLO whose mux frame never ends",
    [frame(UPDATE, SYN, 1, 0), frame(DATA, 0, 1, hello.length + 1, hello)].map((part, index) =>
      index === 0 ? part : part.subarray(0, 40)
    ),
  ],
  [
    "an oversized HELLO",
    opening(1, wireFrame({ ...helloOf("eve"), streams: ["x".repeat(17_000)] })),
  ],
  ["a HELLO that says it has 4 GiB", opening(1, wireFrame(helloOf("eve"), 2 ** 32 - 1))],
  [
    "a HELLO of 64 KiB of names",
    opening(1, wireFrame({ ...helloOf("eve"), streams: Array(9000).fill("xxxx") })),
  ],
  ["OPEN before HELLO", opening(1, wireFrame({ name: "echo" }))],
  [
    "OPEN beside a HELLO that is not finished",
    [...opening(1, hello.subarray(0, 10)), ...opening(3, wireFrame({ name: "echo", to: "ann" }))],
  ],
  [
    "OPEN behind a wrong token, in one write",
    [
      ...opening(1, wireFrame(helloOf("eve", "guess"))),
      ...opening(3, wireFrame({ name: "echo", to: "ann" })),
      ...opening(5, wireFrame({ name: "count" })),
    ],
    "ERR_AUTH",
  ],
  ["no token", opening(1, wireFrame(helloOf("eve", ""))), "ERR_AUTH"],
  ["the token of somebody else", opening(1, wireFrame(helloOf("eve", `ann${TOKEN}`))), "ERR_AUTH"],
  ["a taken name", opening(1, wireFrame(helloOf("ann", `ann${TOKEN} `))), "ERR_NAME_TAKEN"],
  ["another version", opening(1, wireFrame({ ...helloOf("eve"), parley: 2 })), "ERR_VERSION"],
  [
    "300 streams before HELLO",
    Array.from({ length: 300 }, (_, index) => frame(UPDATE, SYN, 2 * index + 1, 0)),
  ],
  ["a window of data before HELLO", opening(1, new Uint8Array(262_144).fill(0x20))],
];

/** A hub with ann, whose authorize compares loosely, so that names can be fought for. */
async function hubWithAnn(events: string[] = []): Promise<TestWire> {
  const test = await hubbed({
    authorize: ({ identity, token, name }) =>
      token.trim() === identity + TOKEN && name !== "forbidden",
    handshakeTimeoutMs: 250,
    handlers: { count: () => void events.push("count") },
    onOpen: ({ identity }) => events.push(`open ${identity}`),
    onClose: ({ identity }) => events.push(`close ${identity}`),
  });
  const ann = await test.join("ann");
  ann.handle("echo", (stream) => (events.push(`echo for ${stream.from}`), echoStream(stream)));
  await until("ann offers it", () => test.server.session("ann")?.offers.length === 1);
  return test;
}

/** Runs `attack` while ann must be served; then memory and sessions are as before. */
async function besideAnn(test: TestWire, attack: () => Promise<void>): Promise<void> {
  const ann = test.server.session("ann")!;
  const names = test.server.sessions.map(({ identity }) => identity);
  const held = processMemory.usedBytes;
  await servedWhile(() => ann.ping(), attack);
  await until("the memory is back", () => processMemory.usedBytes <= held);
  assertEquals(test.server.sessions.map(({ identity }) => identity), names);
}

Deno.test("hub cuts off strangers who send anything but a HELLO with the right token, and registers nothing", async () => {
  const events: string[] = [];
  await using test = await hubWithAnn(events);
  const got: string[] = [];
  // All at once: each costs a slot until its time is up.
  await besideAnn(test, async () => {
    await Promise.all(STRANGERS.map(async ([name, parts]) => {
      using eve = await RawHubPeer.dial(portOf(test));
      await eve.peer.send(...parts).catch(() => {});
      got.push(`${name}: ${(await eve.answer(1))?.["code"] ?? "cut off"}`);
      await eve.end();
    }));
  });
  assertEquals(
    got.sort(),
    STRANGERS.map(([name, , code = "cut off"]) => `${name}: ${code}`).sort(),
  );
  assertEquals(events, ["open ann"]);
});

Deno.test("hub reads no more than 32 KiB and a read of a stranger, however much he sends", async () => {
  await using test = await hubWithAnn();
  let most = 0;
  const watching = setInterval(() => most = Math.max(most, processMemory.usedBytes), 1);
  await besideAnn(test, async () => {
    using eve = await RawHubPeer.dial(portOf(test));
    await eve.peer.send(...opening(1, hello.subarray(0, 10)));
    const window = new Uint8Array(262_144);
    const sending = (async () => {
      for (let id = 3; id < 67; id += 2) await eve.peer.send(...opening(id, window));
    })().catch(() => {});
    await eve.end();
    eve[Symbol.dispose]();
    await sending;
  });
  clearInterval(watching);
  assert(most > 0 && most <= 160 * 1024, `${most} bytes of a stranger were held`);
});

Deno.test("hub makes ids itself, whatever HELLO says of them", async () => {
  await using test = await hubWithAnn();
  using eve = await RawHubPeer.dial(portOf(test));
  const id = test.server.session("ann")?.id;
  const welcome = await eve.ask(1, { ...helloOf("eve"), session: id, id });
  assertEquals(welcome?.["identity"], "eve");
  assert(
    /^[0-9a-f-]{36}$/.test(`${welcome?.["session"]}`) && welcome?.["session"] !== id,
    `${welcome?.["session"]}`,
  );
});

Deno.test("hub refuses a forged from and forbidden streams, byte by byte, before the target hears of them", async () => {
  const events: string[] = [];
  await using test = await hubWithAnn(events);
  await besideAnn(test, async () => {
    using eve = await RawHubPeer.dial(portOf(test));
    assertEquals((await eve.join("eve"))?.["identity"], "eve");
    const rows: [object, string | undefined][] = [
      [{ name: "echo", to: "ann", from: "bob" }, "ERR_FORBIDDEN"],
      [{ name: "echo", to: "ann", from: "eve" }, "ERR_FORBIDDEN"],
      [{ name: "count", from: "ann" }, "ERR_FORBIDDEN"],
      [{ name: "forbidden", to: "ann" }, "ERR_FORBIDDEN"],
      [{ name: "forbidden", to: "nobody" }, "ERR_FORBIDDEN"],
      [{ name: "forbidden" }, "ERR_FORBIDDEN"],
      [{ name: "echo", to: "nobody" }, "ERR_NO_PEER"],
      [{ name: "echo", to: test.server.session("ann")?.id }, "ERR_NO_PEER"],
      [{ name: "echo", to: "eve" }, "ERR_FORBIDDEN"],
    ];
    for (const [index, [open, code]] of rows.entries()) {
      assertEquals((await eve.ask(3 + 2 * index, open))?.["code"], code, JSON.stringify(open));
    }
    assertEquals(events, ["open ann", "open eve"]);
    // The same stream in good order is served, and ann is told who it is from.
    assertEquals(await eve.ask(101, { name: "echo", to: "ann" }), {});
    await until("ann serves it", () => events.includes("echo for eve"));
  });
  await until("eve is gone", () => events.includes("close eve"));
});

Deno.test("hub resets a stream whose OPEN is broken or never whole, and keeps the session", async () => {
  await using test = await hubWithAnn();
  using eve = await RawHubPeer.dial(portOf(test));
  await eve.join("eve");
  assertEquals(await eve.ask(3, "{"), null);
  await eve.peer.send(...opening(5, wireFrame({ name: "echo" }, 2 ** 32 - 1)));
  assertEquals(await eve.answer(5), null);
  assertEquals(await eve.ask(7, { name: "a b" }), null);
  assertEquals((await eve.ask(9, { name: "nothing" }))?.["code"], "ERR_NO_HANDLER");
});

Deno.test("hub lets the next client in at once while others are stuck in half a HELLO", async () => {
  await using test = await hubWithAnn();
  const stuck = await Promise.all(Array.from({ length: 20 }, () => RawHubPeer.dial(portOf(test))));
  await Promise.all(stuck.map((eve) => eve.peer.send(...opening(1, hello.subarray(0, 20)))));
  const joins: number[] = [];
  for (const name of ["bob", "cid", "dan"]) {
    const startMs = performance.now();
    await (await test.join(name)).close();
    joins.push(performance.now() - startMs);
  }
  assert(Math.min(...joins) < 100, `they waited ${joins} ms`);
  for (const eve of stuck) {
    await eve.end();
    eve[Symbol.dispose]();
  }
});

Deno.test("hub stalls the caller of a target that takes nothing, and none of his other streams", async () => {
  await using test = await hubWithAnn();
  const caller = await test.join("caller");
  await besideAnn(test, async () => {
    using slow = await RawHubPeer.dial(portOf(test));
    await slow.join("slow");
    const opened = caller.peer("slow").open("sink");
    const [id, open] = await slow.accept();
    assertEquals([open?.["name"], open?.["from"], open?.["to"]], ["sink", "caller", undefined]);
    await slow.peer.send(frame(DATA, 0, id, 6, wireFrame({})));
    const stream = await opened;
    let sent = 0;
    const sending = (async () => {
      for (;; sent += 65_536) await stream.write(new Uint8Array(65_536));
    })().catch(() => {});
    const stalled = await atRest(() => sent);
    assert(
      stalled > 0 && stalled <= 1 << 20,
      `${stalled} bytes were taken though the target takes none`,
    );
    const others = await Promise.all(
      Array.from({ length: 8 }, () => caller.peer("ann").open("echo")),
    );
    const answers = await Promise.all(others.map((other) => askStream(other, "x".repeat(100_000))));
    assertEquals(answers.map((answer) => answer.length), Array(8).fill(100_000));
    stream.abort();
    await sending;
  });
});

Deno.test("a tunnel dials what the exposing side fixed, whatever OPEN says", async () => {
  await using test = await hubbed();
  const [fixed, other] = [await listen({ port: 0 }), await listen({ port: 0 })];
  const port = ({ addr }: typeof fixed) => addr.transport === "tcp" ? addr.port : 0;
  let strays = 0;
  const straying = other.accept().then((incoming) => {
    if (incoming !== null) strays++;
    incoming?.refuse();
  });
  const office = await test.join("office");
  using _exposed = expose(office, "web", { port: port(fixed) });
  using eve = await RawHubPeer.dial(portOf(test));
  await eve.join("eve");
  const wish = { port: port(other), hostname: "127.0.0.1", path: "/tmp/x" };
  const asking = eve.ask(3, { name: "tcp:web", to: "office", ...wish, meta: wish });
  const incoming = await settles("the connection", fixed.accept());
  const transport = await incoming!.open({ signal: new AbortController().signal });
  assertEquals(await asking, {});
  for (const [index, name] of [`tcp:${port(other)}`, "tcp:", "tcp:web/../x", "tcp:WEB"].entries()) {
    assertEquals(
      (await eve.ask(5 + 2 * index, { name, to: "office" }))?.["code"],
      "ERR_NO_HANDLER",
      name,
    );
  }
  assertEquals(strays, 0);
  transport.close();
  fixed.close();
  other.close();
  await straying;
});
