// Batches: all whole messages that are here, in order; their ends, limits and waits; sending many at once.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { Connection, type ConnectionSetup, type ReceiveBatchOptions } from "../../connection.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { ClosedError, FramingError, TimeoutError } from "../../errors.ts";
import {
  chunked,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  raw,
  varintPrefixed,
} from "../../framing.ts";
import { RateLimits } from "../../limits/rate_limits.ts";
import { cutEvery, hex, pattern, text, utf8 } from "../support/bytes.ts";
import { ModelTime } from "../support/models/model_time.ts";
import { Random } from "../support/random.ts";
import {
  closeAll,
  connectedPair,
  isSettled,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";
import { slip } from "../support/simulation/memory_framings.ts";

const lines = { framing: delimited("\n") };

/** The texts of a batch; `null` at the end. */
function texts(batch: readonly Uint8Array[] | null): string[] | null {
  return batch?.map(text) ?? null;
}

/** A peer that has sent these bytes. */
async function fed(bytes: string, setup: ConnectionSetup<unknown> = lines) {
  const made = scriptedConnection(setup);
  made.transport.feed(utf8(bytes));
  await settle();
  return made;
}

Deno.test("Connection.receiveBatch() gives all whole messages of several reads, then null again and again", async () => {
  const { connection, transport } = await fed("one\ntwo\nth");
  transport.feed(utf8("ree\nfour\nfi"));
  await settle();
  assertEquals(texts(await connection.receiveBatch()), ["one", "two", "three", "four"]);
  assertEquals(connection.stats().messagesIn, 4);
  const waiting = connection.receiveBatch();
  assertEquals(await isSettled(waiting), false);
  transport.feed(utf8("ve\nsix\n"));
  transport.endInput();
  assertEquals(texts(await waiting), ["five", "six"]);
  assertEquals(await connection.receiveBatch(), null);
  assertEquals(await connection.receiveBatch(), null);
  assertEquals(connection.stats().messagesIn, 6);
  await connection.close();
  assertEquals(await connection.receiveBatch(), null);
});

Deno.test("Connection.receiveBatch() holds maxMessages at most; the rest is undecoded, and goes to the next reader", async () => {
  const { connection } = await fed("one\ntwo\nthree\nfour\nfive\nsix\n");
  assertEquals(texts(await connection.receiveBatch({ maxMessages: 2 })), ["one", "two"]);
  assertEquals(text((await connection.receive())!), "three");
  connection.setFraming(delimited("e"));
  assertEquals(texts(await connection.receiveBatch({ maxMessages: 1 })), ["four\nfiv"]);
  connection.setFraming(delimited("\n"));
  assertEquals(texts(await connection.receiveBatch()), ["", "six"]);
  connection.abort();
});

const framings: [string, Framing][] = [
  ["lengthPrefixed()", lengthPrefixed()],
  ["lengthPrefixed(2, little)", lengthPrefixed({ bytes: 2, endian: "little" })],
  ["lengthPrefixed(8)", lengthPrefixed({ bytes: 8 })],
  ["varintPrefixed()", varintPrefixed()],
  ["delimited(CR LF)", delimited("\r\n")],
  ["delimited(0xff)", delimited(new Uint8Array([255]))],
  ["chunked()", chunked()],
  ["fixedLength(7)", fixedLength(7)],
  ["a framing without nextInto", slip],
];

for (const [name, framing] of framings) {
  Deno.test(`Connection.receiveBatch() gives the messages of ${name} however the bytes are cut`, async () => {
    const random = new Random(7);
    const sent = Array.from({ length: 300 }, (_, i) => {
      const length = name.startsWith("fixed") ? 7 : random.pick([0, 1, 60, 64, 127, 128, 300]);
      return pattern(length, i).map((byte) => byte === 255 || byte === 13 ? 0 : byte);
    });
    for (const size of [1, 2, 3, 5, 63, 64, 1000, 40_000]) {
      const [near, far] = memoryPair({ bufferBytes: size });
      const [a, b] = [near, far].map((transport) => new Connection(transport, { framing }));
      const sending = a!.sendBatch(sent).then(() => a!.closeWrite());
      const got: Uint8Array[] = [];
      for await (const batch of b!.batches()) {
        assert(batch.length > 0);
        got.push(...batch);
      }
      assertEquals(got, sent);
      assertEquals([b!.stats().messagesIn, a!.stats().messagesOut], [300, 300]);
      await sending;
      await closeAll(a!, b!);
    }
  });
}

Deno.test("Connection.receiveBatch() gives the chunks of raw(), each a message", async () => {
  const { connection, transport } = await fed("one", { framing: raw() });
  transport.feed(utf8("t".repeat(300)));
  await settle();
  assertEquals(texts(await connection.receiveBatch()), ["one", "t".repeat(300)]);
  connection.abort();
});

Deno.test("Connection.receiveBatch() gives views that later reads and sends do not overwrite", async () => {
  const [a, b] = connectedPair();
  const sent = Array.from({ length: 400 }, (_, i) => pattern(i * 31 % 3000, i));
  void a.sendBatch(sent).then(() => a.closeWrite());
  const got: Uint8Array[] = [];
  for await (const batch of b.batches()) {
    let last: Promise<void> | undefined;
    for (const message of batch) last = b.send(message);
    await last;
    got.push(...batch);
  }
  assertEquals(got, sent);
  a.abort();
  b.abort();
});

for (const framing of [lengthPrefixed({ bytes: 1 }), varintPrefixed()]) {
  Deno.test(`Connection.receiveBatch() gives the messages before a fault first, then the fault: ${framing.name}`, async () => {
    const { connection, transport } = scriptedConnection({
      framing,
      maxMessageBytes: 4,
    });
    transport.feed(hex("01aa 02bbbb 05cccccccccc 01dd"));
    await settle();
    assertEquals(await connection.receiveBatch(), [hex("aa"), hex("bbbb")]);
    const error = await assertRejects(() => connection.receiveBatch(), FramingError);
    assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
    assertStrictEquals(await connection.receive().catch((again) => again), error);
    transport.endInput();
    assertStrictEquals((await connection.closed).error, error);
  });
}

Deno.test("Connection.receiveBatch() gives what came before a truncated message and before a reset", async () => {
  const { connection, transport } = await fed("one\ntwo\nth");
  transport.endInput();
  await settle();
  assertEquals(texts(await connection.receiveBatch()), ["one", "two"]);
  const cut = await assertRejects(() => connection.receiveBatch(), FramingError);
  assertEquals(cut.code, "ERR_FRAME_TRUNCATED");

  const other = await fed("one\ntwo\nth");
  other.transport.failInput();
  const { error } = await other.connection.closed;
  assertEquals(texts(await other.connection.receiveBatch()), ["one", "two"]);
  assertStrictEquals(await other.connection.receiveBatch().catch((again) => again), error);
});

Deno.test("Connection.receiveBatch() refuses a second reader of either kind, and wrong options", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const first = connection.receiveBatch();
  for (
    const second of [
      () => connection.receiveBatch(),
      () => connection.receive(),
      () => connection.batches().next(),
      () => connection[Symbol.asyncIterator]().next(),
    ]
  ) await assertRejects(second, TypeError, "one reader at a time");
  transport.feed(utf8("one\n"));
  assertEquals(texts(await first), ["one"]);

  const single = connection.receive();
  await assertRejects(() => connection.receiveBatch(), TypeError, "one reader at a time");
  transport.feed(utf8("two\nthree\n"));
  assertEquals(text((await single)!), "two");
  for (const maxMessages of [0, -1, 1.5, NaN]) {
    await assertRejects(
      () => connection.receiveBatch({ maxMessages }),
      RangeError,
      `"maxMessages" must be`,
    );
  }
  await assertRejects(
    () => connection.receiveBatch({ maxMesages: 5 } as ReceiveBatchOptions),
    TypeError,
    `did you mean "maxMessages"`,
  );
  assertEquals(texts(await connection.receiveBatch({ maxMessages: Infinity })), ["three"]);
  connection.abort();
});

Deno.test("Connection.receiveBatch() that ends early loses nothing, by a signal, a time and a time of 0", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const reason = { any: "thing" };
  const controller = new AbortController();
  const waiting = connection.receiveBatch({ signal: controller.signal });
  controller.abort(reason);
  assertStrictEquals(await waiting.catch((error) => error), reason);
  const late = await assertRejects(
    () => connection.receiveBatch({ timeoutMs: 1 }),
    TimeoutError,
    "within 1 ms",
  );
  assertEquals(late.code, "ERR_READ_TIMEOUT");
  await assertRejects(() => connection.receiveBatch({ timeoutMs: 0 }), TimeoutError);
  transport.feed(utf8("one\ntwo\n"));
  await settle();
  const { signal } = new AbortController();
  assertEquals(texts(await connection.receiveBatch({ timeoutMs: 0, signal })), ["one", "two"]);
  connection.abort();
  await assertRejects(() => connection.receiveBatch(), ClosedError);
});

for (const way of ["batches()", "receiveBatch()"] as const) {
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
    let most = 0;
    const take = (batch: Uint8Array[]) => {
      got += batch.length;
      most = Math.max(most, batch.length);
    };
    if (way === "batches()") { for await (const batch of connection.batches()) take(batch); }
    else {
      for (let batch; (batch = await connection.receiveBatch()) !== null;) take(batch);
    }
    done = true;
    assertEquals(got, 50_000);
    assert(turns >= 50_000 / 256 - 2, `others had ${turns} turns`);
    assert(most <= 256, `a batch held ${most} messages`);
    await settle();
    connection.abort();
  });
}

Deno.test("Connection reads ahead no further than readAheadBytes while a batch is worked on", async () => {
  const { connection, transport } = scriptedConnection({ ...lines, readAheadBytes: 1024 });
  for (let i = 0; i < 100; i++) transport.feed(utf8("x".repeat(99) + "\n"));
  await settle();
  assertEquals((await connection.receiveBatch())!.length, 11);
  await settle();
  assert(connection.stats().heldBytes < 1124);
  assert(!transport.reading);
  let got = 11;
  while (got < 100) got += (await connection.receiveBatch())!.length;
  connection.abort();
});

Deno.test("Connection under a rate limit gives batches of what may pass, counted as they pass", async () => {
  using time = new ModelTime(new Random(1));
  const limits = new RateLimits({ perConnection: { messagesPerSecond: 100, burstMessages: 3 } });
  const { connection, transport } = scriptedConnection({
    ...lines,
    rateGate: limits.gate("192.0.2.7", performance.now())!,
  });
  transport.feed(utf8("0\n1\n2\n3\n4\n5\n"));
  await settle();
  assertEquals(texts(await connection.receiveBatch()), ["0", "1", "2"]);
  assertEquals(connection.stats().messagesIn, 3);
  const waiting = connection.receiveBatch();
  await settle();
  await time.clock.advance(9);
  assertEquals(await isSettled(waiting), false);
  await time.clock.advance(1);
  assertEquals(texts(await waiting), ["3"]);
  connection.abort();
  assertEquals(time.clock.pending, 0);
});

Deno.test("Connection.drain() ends batches behind the message that had begun", async () => {
  const { connection, transport } = await fed("one\ntwo\nthr");
  connection.drain();
  const got: (string[] | null)[] = [texts(await connection.receiveBatch())];
  const rest = (async () => {
    for await (const batch of connection.batches()) got.push(texts(batch));
  })();
  await settle(400);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await settle(400);
  for (const chunk of cutEvery(utf8("ee\nlost\nlost\n"), 13)) transport.feed(chunk);
  await rest;
  assertEquals(got, [["one", "two"], ["three"]]);
  connection.abort();
});

Deno.test("Connection tells its observer of batches what it tells of single messages", async () => {
  const told: string[] = [];
  const { connection, transport } = scriptedConnection({
    ...lines,
    observer: {
      arrived: (bytes) => told.push(`arrived ${bytes}`),
      taken: (bytes, count) => told.push(`taken ${count} to ${bytes}`),
      waits: () => told.push("waits"),
      sent: () => told.push("sent"),
      timedOut: () => {},
    },
  });
  transport.feed(utf8("a\nb\nc"));
  transport.feed(utf8("\nd\n"));
  transport.feed(utf8("e\n"));
  transport.feed(utf8("f\n".repeat(200)));
  await settle();
  const batch = await connection.receiveBatch({ maxMessages: 100 });
  assertEquals(batch!.length, 100);
  // Messages of different reads came at different times, even where small reads were copied together.
  assertEquals(told, [
    ...["arrived 5", "arrived 8", "arrived 10", "arrived 410"],
    ...["taken 2 to 4", "taken 1 to 6", "taken 1 to 8", "taken 1 to 10", "taken 95 to 200"],
  ]);
  await connection.sendBatch(batch!);
  await connection.sendBatch([]);
  assertEquals(told.at(-1), "sent");
  assertEquals(told.length, 10);
  connection.abort();
});
