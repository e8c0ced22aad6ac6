// Receiving: order, one reader at a time, waits that end early, iteration, fairness.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import type { ReceiveOptions } from "../../connection.ts";
import { ClosedError, FramingError, TimeoutError } from "../../errors.ts";
import { delimited, lengthPrefixed } from "../../framing.ts";
import { cutEvery, hex, pattern, text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  isSettled,
  receiveAll,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";
import { forSeedsAsync } from "../support/random.ts";

const lines = { framing: delimited("\n") };

Deno.test("Connection.receive() gives messages in order, then null at the peer's end, again and again", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\nth"));
  transport.feed(utf8("ree\n"));
  transport.endInput();
  const got = [await connection.receive(), await connection.receive(), await connection.receive()];
  assertEquals(got.map((message) => text(message!)), ["one", "two", "three"]);
  assertEquals(await connection.receive(), null);
  assertEquals(await connection.receive(), null);
  assertEquals(connection.stats().messagesIn, 3);
  await connection.close();
  assertEquals(await connection.receive(), null);
});

Deno.test("Connection.receive() gives messages that later ones do not overwrite", async () => {
  const [a, b] = connectedPair();
  const sent = Array.from({ length: 500 }, (_, i) => pattern(i * 31 % 3000, i));
  for (const message of sent) a.send(message);
  const ended = a.closeWrite();
  assertEquals(await receiveAll(b), sent);
  await ended;
  await closeAll(a, b);
});

Deno.test("Connection.receive() refuses a second reader and leaves the first one waiting", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const first = connection.receive();
  await assertRejects(() => connection.receive(), TypeError, "one reader at a time");
  await assertRejects(
    () => connection[Symbol.asyncIterator]().next(),
    TypeError,
    "one reader at a time",
  );
  await assertRejects(
    () => connection.readable.getReader().read(),
    TypeError,
    "one reader at a time",
  );
  transport.feed(utf8("one\n"));
  assertEquals(text((await first)!), "one");
  connection.abort();
});

Deno.test("Connection.receive() rejects with the signal's own reason, at once when it is aborted already", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const reason = { any: "thing" };
  transport.feed(utf8("one\n"));
  await settle();
  const early = await connection.receive({ signal: AbortSignal.abort(reason) }).catch((error) =>
    error
  );
  assertStrictEquals(early, reason);
  assertEquals(text((await connection.receive())!), "one");

  const controller = new AbortController();
  const waiting = connection.receive({ signal: controller.signal });
  controller.abort(reason);
  assertStrictEquals(await waiting.catch((error) => error), reason);
  transport.feed(utf8("two\n"));
  assertEquals(text((await connection.receive({ signal: new AbortController().signal }))!), "two");
  connection.abort();
});

Deno.test("Connection.receive() takes its listener off the signal however the wait ends", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: unknown[]) => {
    listeners++;
    addEventListener.apply(signal, args as Parameters<typeof addEventListener>);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    listeners--;
    removeEventListener.apply(signal, args as Parameters<typeof removeEventListener>);
  };
  const message = connection.receive({ signal, timeoutMs: 60_000 });
  assertEquals(listeners, 1);
  transport.feed(utf8("one\n"));
  await message;
  assertEquals(listeners, 0);

  await assertRejects(() => connection.receive({ signal, timeoutMs: 1 }), TimeoutError);
  assertEquals(listeners, 0);

  const cut = connection.receive({ signal });
  connection.abort();
  await assertRejects(() => cut, ClosedError);
  assertEquals(listeners, 0);
});

Deno.test("Connection.receive() rejects with ERR_READ_TIMEOUT when no message comes in time", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("half"));
  const error = await assertRejects(
    () => connection.receive({ timeoutMs: 5 }),
    TimeoutError,
    "within 5 ms",
  );
  assertEquals(error.code, "ERR_READ_TIMEOUT");
  transport.feed(utf8(" and half\n"));
  assertEquals(text((await connection.receive({ timeoutMs: 60_000 }))!), "half and half");
  connection.abort();
});

Deno.test("Connection.receive() with a time of 0 gives what is there and does not wait", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const none = await assertRejects(() => connection.receive({ timeoutMs: 0 }), TimeoutError);
  assertEquals(none.code, "ERR_READ_TIMEOUT");
  let waits = true;
  connection.receive({ timeoutMs: 0 }).catch(() => waits = false);
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assert(!waits, "not even for a timer of 0 ms");
  transport.feed(utf8("one\ntw"));
  await settle();
  assertEquals(text((await connection.receive({ timeoutMs: 0 }))!), "one");
  await assertRejects(() => connection.receive({ timeoutMs: 0 }), TimeoutError);
  transport.feed(utf8("o\n"));
  transport.endInput();
  await settle();
  assertEquals(text((await connection.receive({ timeoutMs: 0 }))!), "two");
  assertEquals(await connection.receive({ timeoutMs: 0 }), null);
  connection.abort();
});

Deno.test("Connection.receive() refuses a time that is none", async () => {
  const { connection, transport } = scriptedConnection(lines);
  for (const timeoutMs of [-1, NaN, 2 ** 31]) {
    await assertRejects(
      () => connection.receive({ timeoutMs }),
      RangeError,
      `Cannot receive: "timeoutMs" must be 0 to`,
    );
  }
  await assertRejects(
    () => connection.receive({ timeoutMs: "5" } as unknown as ReceiveOptions),
    TypeError,
    "a number",
  );
  transport.feed(utf8("one\n"));
  assertEquals(text((await connection.receive({ timeoutMs: Infinity }))!), "one");
  connection.abort();
});

Deno.test("Connection.receive() loses nothing and keeps order in a storm of waits that end early", async () => {
  await forSeedsAsync(5, async (random) => {
    const [a, b] = connectedPair(lines, lines, { bufferBytes: 64 });
    const count = 400;
    const sending = (async () => {
      for (let i = 0; i < count; i++) {
        await a.send(`${i} ${"x".repeat(random.length(200))}`);
        if (random.chance(0.2)) await settle(random.int(1, 3));
      }
      await a.closeWrite();
    })();
    const got: number[] = [];
    let early = 0;
    for (;;) {
      const controller = new AbortController();
      const options: ReceiveOptions = random.pick([
        {},
        { timeoutMs: 0 },
        { timeoutMs: random.int(0, 2) },
        { signal: controller.signal },
        { signal: controller.signal, timeoutMs: 1 },
      ]);
      const waiting = b.receive(options);
      if (random.chance(0.5)) {
        for (let i = random.int(0, 3); i > 0; i--) await Promise.resolve();
        controller.abort("enough");
      } else setImmediate(() => controller.abort("enough"));
      try {
        const message = await waiting;
        if (message === null) break;
        got.push(parseInt(text(message)));
      } catch (error) {
        assert(error === "enough" || error instanceof TimeoutError, String(error));
        early++;
        if (options.timeoutMs === 0) await settle(1);
      }
    }
    await sending;
    assertEquals(got, Array.from({ length: count }, (_, i) => i));
    assert(early > 0);
    await closeAll(a, b);
  });
});

Deno.test("Connection is iterated to the peer's end; leaving the loop closes nothing and loses nothing", async () => {
  const [a, b] = connectedPair(lines);
  for (const message of ["one", "two", "three", "four"]) a.send(message);
  await a.closeWrite();
  const got: string[] = [];
  for await (const message of b) {
    got.push(text(message));
    if (got.length === 2) break;
  }
  assertEquals(text((await b.receive())!), "three");
  for await (const message of b) got.push(text(message));
  assertEquals(got, ["one", "two", "four"]);
  for await (const _ of b) throw new Error("There is nothing left");
  const iterator = b[Symbol.asyncIterator]();
  assertStrictEquals(iterator[Symbol.asyncIterator](), iterator);
  assertEquals(await iterator.return!(), { value: undefined, done: true });
  assertEquals(b.status, "open");
  await b.send("Still here");
  assertEquals(text((await a.receive())!), "Still here");
  await closeAll(a, b);
});

Deno.test("Connection throws to its iteration what broke the input, after the messages before it", async () => {
  const { connection, transport } = scriptedConnection({
    framing: lengthPrefixed({ bytes: 1 }),
    maxMessageBytes: 4,
  });
  transport.feed(hex("01aa 02bbbb 05"));
  const got: Uint8Array[] = [];
  const error = await assertRejects(async () => {
    for await (const message of connection) got.push(message);
  }, FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  assertEquals(got, [hex("aa"), hex("bbbb")]);
  assertStrictEquals(await connection.receive().catch((again) => again), error);
  transport.endInput();
  assertStrictEquals((await connection.closed).error, error);
});

Deno.test("Connection throws ERR_FRAME_TRUNCATED when the peer ends inside a message", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntw"));
  transport.endInput();
  const got: string[] = [];
  const error = await assertRejects(async () => {
    for await (const message of connection) got.push(text(message));
  }, FramingError);
  assertEquals([error.code, got], ["ERR_FRAME_TRUNCATED", ["one"]]);
  assertStrictEquals((await connection.closed).error, error);
  assert(transport.closed);
});

Deno.test("Connection hands over what came before a reset, then throws ERR_RESET", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\nth"));
  transport.failInput();
  const { error } = await connection.closed;
  assertEquals((error as ClosedError).code, "ERR_RESET");
  assertEquals(text((await connection.receive())!), "one");
  assertEquals(text((await connection.receive())!), "two");
  assertStrictEquals(await connection.receive().catch((again) => again), error);
  assertStrictEquals(await connection.receive().catch((again) => again), error);
});

Deno.test("Connection reads ahead no further than readAheadBytes while nobody receives", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  for (let i = 0; i < 100; i++) transport.feed(utf8("x".repeat(99) + "\n"));
  await settle();
  const held = connection.stats().heldBytes;
  assert(held >= 1024 && held < 1024 + 100, `${held} bytes are held`);
  assert(!transport.reading);
  await connection.receive();
  await settle();
  assertEquals(connection.stats().heldBytes, held);
  for (let i = 1; i < 100; i++) assertEquals((await connection.receive())!.length, 99);
  assertEquals(transport.unreadBytes, 0);
  connection.abort();
});

Deno.test("Connection receives a message that is larger than readAheadBytes", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  const input = utf8("y".repeat(50_000) + "\nlast\n");
  for (const chunk of cutEvery(input, 100)) transport.feed(chunk);
  await settle();
  assert(connection.stats().heldBytes <= 1124);
  assertEquals((await connection.receive())!.length, 50_000);
  assertEquals(text((await connection.receive())!), "last");
  connection.abort();
});

for (const way of ["for await", "receive()"] as const) {
  Deno.test(`Connection lets others run while it hands out a flood of empty messages by ${way}`, async () => {
    const { connection, transport } = scriptedConnection(lines);
    transport.feed(new Uint8Array(50_000).fill(10));
    transport.endInput();
    await settle();
    let turns = 0;
    let done = false;
    const count = () => {
      turns++;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    let got = 0;
    if (way === "for await") { for await (const _ of connection) got++; }
    else while (await connection.receive() !== null) got++;
    done = true;
    assertEquals(got, 50_000);
    assert(turns >= 20, `others had ${turns} turns`);
    await settle();
    connection.abort();
  });
}

Deno.test("Connection reads on for a large message behind a flood of small ones", async () => {
  for (const small of [2046, 2047, 2048, 2049, 4096]) {
    const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
    for (const chunk of cutEvery(utf8("\n".repeat(small) + "x".repeat(20_000) + "\n"), 700)) {
      transport.feed(chunk);
    }
    for (let i = 0; i < small; i++) assertEquals((await connection.receive())!.length, 0);
    assertEquals((await connection.receive({ timeoutMs: 5000 }))!.length, 20_000);
    connection.abort();
  }
});

Deno.test("Connection reads ahead no further than readAheadBytes in a flood, while others have their turn", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 4096 });
  for (let i = 0; i < 100; i++) transport.feed(new Uint8Array(1000).fill(10));
  let peak = 0;
  let got = 0;
  for await (const _ of connection) {
    peak = Math.max(peak, connection.stats().heldBytes);
    if (++got === 100_000) break;
  }
  assert(peak <= 5100, `${peak} bytes were held`);
  connection.abort();
});

Deno.test("Connection gives a wait that ends early in a flood its message next time", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("x\n".repeat(5000)));
  transport.endInput();
  let got = 0;
  for (let tries = 0; tries < 20_000; tries++) {
    const controller = new AbortController();
    const waiting = connection.receive({ signal: controller.signal });
    await Promise.resolve();
    controller.abort("enough");
    const message = await waiting.catch((error) => {
      assertEquals(error, "enough");
    });
    if (message === null) break;
    if (message !== undefined) got++;
    else await settle(1);
  }
  assertEquals(got, 5000);
  connection.abort();
});

Deno.test("Connection rejects a wait in one way only when the signal aborts as the message comes", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const controller = new AbortController();
  const waiting = connection.receive({ signal: controller.signal });
  await settle();
  transport.feed(utf8("one\n"));
  controller.abort("enough");
  assertEquals(await waiting.catch((error) => error), "enough");
  assertEquals(text((await connection.receive())!), "one");
  assert(!(await isSettled(connection.closed)));
  connection.abort();
});

Deno.test("Connection.receive() refuses a signal that is none, and the next reader can wait", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const signal = new AbortController() as unknown as AbortSignal;
  await assertRejects(
    () => connection.receive({ signal, timeoutMs: 5000 }),
    TypeError,
    '"signal" must be an AbortSignal',
  );
  const receiving = connection.receive();
  transport.feed(utf8("one\n"));
  assertEquals(text((await receiving)!), "one");
  connection.abort();
});
