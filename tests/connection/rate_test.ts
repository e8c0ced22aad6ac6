// Rate limits of a connection: delivered messages are counted, waiting ones are not, and a peer
// that has left is noticed.
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { LimitError, TimeoutError } from "../../errors.ts";
import { delimited, raw } from "../../framing.ts";
import { RateLimits, type RateLimitsOptions } from "../../limits/rate_limits.ts";
import { text, utf8 } from "../support/bytes.ts";
import { isSettled, scriptedConnection, settle } from "../support/simulation/memory_connections.ts";
import { ModelTime } from "../support/models/model_time.ts";
import { Random } from "../support/random.ts";

const lines = { framing: delimited("\n") };

/** Simulated time for one test. */
function modelTime(): ModelTime {
  return new ModelTime(new Random(1));
}

/** A connection under limits, whose peer is the test. */
function limited(
  limits: RateLimits | RateLimitsOptions,
  options: Parameters<typeof scriptedConnection>[0] = lines,
) {
  const known = limits instanceof RateLimits ? limits : new RateLimits(limits);
  const counted = { pauses: 0 };
  const made = scriptedConnection({
    ...options,
    rateGate: known.gate("192.0.2.7", performance.now())!,
    onRatePause: () => counted.pauses++,
  });
  return { ...made, counted };
}

/** Reads all, and notes the moment at which each message came. */
function reading(connection: AsyncIterable<Uint8Array>) {
  const startedMs = performance.now();
  const seen: string[] = [];
  const done = (async () => {
    for await (const message of connection) {
      seen.push(`${performance.now() - startedMs} ${text(message)}`);
    }
  })();
  done.catch(() => {});
  return { seen, done };
}

const numbers = (count: number) => utf8(Array.from({ length: count }, (_, i) => `${i}\n`).join(""));

Deno.test("Connection under a limit hands over a burst, and then the rate", async () => {
  using time = modelTime();
  const { connection, transport, counted } = limited({
    perConnection: { messagesPerSecond: 100, burstMessages: 3 },
  });
  const { seen } = reading(connection);
  transport.feed(numbers(6));
  await settle();
  assertEquals(seen, ["0 0", "0 1", "0 2"]);
  await time.clock.advance(10);
  await settle();
  await time.clock.advance(1000);
  await settle();
  await time.clock.advance(1000);
  assertEquals(seen.map((entry) => entry.split(" ")[1]), ["0", "1", "2", "3", "4", "5"]);
  assertEquals(counted.pauses, 3);
  connection.abort();
  assertEquals(time.clock.pending, 0);
});

Deno.test("Connection under a limit reads no more than readAheadBytes of what will not be handled soon", async () => {
  using time = modelTime();
  const { connection, transport } = limited({ perConnection: { messagesPerSecond: 1 } }, {
    ...lines,
    readAheadBytes: 1024,
  });
  const { seen } = reading(connection);
  for (let count = 0; count < 10; count++) transport.feed(utf8("x".repeat(511) + "\n"));
  await settle();
  // The chunk that reached the mark is the last one.
  assertEquals([seen.length, transport.unreadBytes], [1, 6 * 512]);
  await time.clock.advance(1000);
  await settle();
  assertEquals([seen.length, transport.unreadBytes], [2, 5 * 512]);
  assert(connection.stats().heldBytes < 1024 + 512);
  connection.abort();
});

Deno.test("Connection under a limit drops what a peer that has left would take too long for, and tells all sides", async () => {
  using _time = modelTime();
  const { connection, transport } = limited({ perConnection: { messagesPerSecond: 10 } });
  const { seen, done } = reading(connection);
  transport.feed(numbers(1000));
  await settle();
  assertEquals(seen.length, 10);
  transport.endInput();
  const error = await assertRejects(() => done, LimitError, "the last 990 messages of 2880 bytes");
  assertEquals([error.code, error.droppedMessages, error.droppedBytes], [
    "ERR_RATE_LIMITED",
    990,
    2880,
  ]);
  assertStrictEquals((await connection.closed).error, error);
  assertEquals([seen.length, connection.stats().messagesIn], [10, 10]);
  assertStrictEquals(await connection.receive().catch((why) => why), error);
});

Deno.test("Connection under a limit hands over what a peer that has left sent, if that takes 30 seconds at most", async () => {
  using time = modelTime();
  const { connection, transport } = limited({ perConnection: { messagesPerSecond: 10 } });
  const { seen, done } = reading(connection);
  transport.feed(numbers(300));
  transport.endInput();
  await settle();
  // Others have their turn now and then, which is no simulated time.
  for (let second = 0; second < 30; second++) {
    await time.clock.advance(1000);
    await settle();
  }
  await done;
  assertEquals(seen.at(-1), "29000 299");
  const closing = connection.close();
  await closing;
  assertEquals((await connection.closed).error, null);
});

Deno.test("Connection under a limit gives a peer that has left no more than its idle time", async () => {
  using _time = modelTime();
  const options = { ...lines, idleTimeoutMs: 500 };
  const { connection, transport } = limited({ perConnection: { messagesPerSecond: 10 } }, options);
  const { done } = reading(connection);
  transport.feed(numbers(20));
  transport.endInput();
  const error = await assertRejects(() => done, LimitError, "within 500 ms");
  assertEquals(error.droppedMessages, 10);
});

Deno.test("Connection under a limit that others use up drops what did not pass in time", async () => {
  using time = modelTime();
  const limits = new RateLimits({ perSource: { messagesPerSecond: 10, burstMessages: 1 } });
  const [left, other] = [limited(limits), limited(limits)];
  const [leftReader, otherReader] = [reading(left.connection), reading(other.connection)];
  left.transport.feed(numbers(250));
  left.transport.endInput();
  other.transport.feed(numbers(1000));
  const outcome = leftReader.done.catch((error) => error);
  await time.clock.runUntil(() => left.connection.status === "closed", 40_000);
  const error = await outcome;
  assertInstanceOf(error, LimitError);
  // Half of the rate was its own, for half a minute.
  assertEquals([error.code, leftReader.seen.length + error.droppedMessages], [
    "ERR_RATE_LIMITED",
    250,
  ]);
  assert(
    Math.abs(leftReader.seen.length - 150) <= 2 && Math.abs(otherReader.seen.length - 150) <= 2,
  );
  // Now the other has all of it.
  const before = otherReader.seen.length;
  await time.clock.advance(5000);
  assert(Math.abs(otherReader.seen.length - before - 50) <= 2);
  other.connection.abort();
  assertEquals(time.clock.pending, 0);
});

Deno.test("Connection under a limit that was flooded and cut leaves no debt to its neighbours", async () => {
  using _time = modelTime();
  const limits = new RateLimits({ perSource: { messagesPerSecond: 10 } });
  for (let count = 0; count < 20; count++) {
    const { connection, transport } = limited(limits);
    const { done } = reading(connection);
    transport.feed(numbers(10_000));
    await settle();
    transport.endInput();
    await assertRejects(() => done, LimitError);
    await connection.closed;
  }
  assert(limits.gate("192.0.2.7", 0)!.restMs(1, 1, 0) <= 100);
});

Deno.test("Connection under a limit ends at once when its peer vanished, and its reader soon", async () => {
  using time = modelTime();
  const { connection, transport } = limited({ perConnection: { messagesPerSecond: 10 } });
  const { seen, done } = reading(connection);
  transport.feed(numbers(1000));
  await settle();
  transport.failInput();
  const error = await assertRejects(() => done, LimitError);
  assertEquals([seen.length, error.droppedMessages], [10, 990]);
  assertStrictEquals((await connection.closed).error, error);
  assertEquals(time.clock.pending, 0);
});

Deno.test("Connection under a limit is not idle while the limit holds its peer back, nor right afterwards", async () => {
  using time = modelTime();
  const options = { ...lines, idleTimeoutMs: 1000 };
  const { connection, transport, sweeper } = limited(
    { perConnection: { messagesPerSecond: 0.1 } },
    options,
  );
  transport.feed(utf8("one\ntwo\n"));
  assertEquals(text((await connection.receive())!), "one");
  const receiving = connection.receive();
  await settle();
  sweeper.advance(9900);
  await settle();
  assertEquals(connection.status, "open", "the limit holds it back");
  await time.clock.advance(10_000);
  assertEquals(text((await receiving)!), "two");
  sweeper.advance(900);
  await settle();
  assertEquals(connection.status, "open", "it was let go on just now");
  sweeper.advance(200);
  await settle();
  assertEquals(connection.stats().errorCode, "ERR_IDLE_TIMEOUT");
  transport.endInput();
  await connection.closed;
});

Deno.test("Connection under a limit blames no peer for a message whose rest it does not read", async () => {
  using time = modelTime();
  const options = { ...lines, messageTimeoutMs: 1000 };
  const { connection, transport, sweeper } = limited(
    { perConnection: { messagesPerSecond: 0.1 } },
    options,
  );
  transport.feed(utf8("one\ntwo\nhal"));
  assertEquals(text((await connection.receive())!), "one");
  const receiving = connection.receive();
  await settle();
  sweeper.advance(9000);
  assert(!(await isSettled(receiving)));
  assertEquals(connection.status, "open");
  await time.clock.advance(10_000);
  assertEquals(text((await receiving)!), "two");
  const last = connection.receive();
  await settle();
  sweeper.advance(900);
  transport.feed(utf8("f\n"));
  await settle();
  assert(!(await isSettled(last)));
  await time.clock.advance(10_000);
  assertEquals(text((await last)!), "half");
  connection.abort();
});

Deno.test("Connection under a limit loses no message to a wait that ends early", async () => {
  using time = modelTime();
  const { connection, transport } = limited({ perConnection: { messagesPerSecond: 1 } });
  transport.feed(utf8("one\ntwo\nthree\n"));
  assertEquals(text((await connection.receive())!), "one");
  assertEquals(
    (await connection.receive({ timeoutMs: 0 }).catch((why) => why) as TimeoutError).code,
    "ERR_READ_TIMEOUT",
  );
  const short = connection.receive({ timeoutMs: 500 }).catch((why) => why);
  await time.clock.advance(500);
  assertInstanceOf(await short, TimeoutError);
  await time.clock.advance(500);
  // It has passed while no reader waited, and was counted then: the next one may pass a second later.
  assertEquals(text((await connection.receive({ timeoutMs: 0 }))!), "two");
  const last = connection.receive();
  await time.clock.advance(999);
  assert(!(await isSettled(last)));
  await time.clock.advance(1);
  assertEquals(text((await last)!), "three");
  connection.abort();
});

Deno.test("Connection under a limit keeps the framing of a message that waits when the framing changes", async () => {
  using time = modelTime();
  const { connection, transport } = limited({ perConnection: { messagesPerSecond: 1 } });
  transport.feed(utf8("one\ntwo\nthree\nfour"));
  assertEquals(text((await connection.receive())!), "one");
  const receiving = connection.receive();
  await settle();
  connection.setFraming(raw());
  await time.clock.advance(1000);
  assertEquals(text((await receiving)!), "two");
  const rest = connection.receive();
  await time.clock.advance(1000);
  assertEquals(text((await rest)!), "three\nfour");
  connection.abort();
});

Deno.test("Connection under a limit lets a message above the burst pass, one at a time, with 30 seconds of debt at most", async () => {
  using time = modelTime();
  const { connection, transport } = limited({
    perConnection: { bytesPerSecond: 100, burstBytes: 10 },
  }, {
    framing: raw(),
  });
  const { seen } = reading(connection);
  for (const bytes of [510, 1_000_000, 1]) {
    transport.feed(new Uint8Array(bytes));
    await settle();
  }
  const times = () => seen.map((entry) => Number(entry.split(" ")[0]));
  await time.clock.advance(50_000);
  // 500 bytes of debt and a full burst: 5100 ms. Then 30 s of debt, and a single byte.
  assertEquals(times(), [0, 5100, 35_110]);
  connection.abort();
});

Deno.test("Connection under a limit drains at the pace of the limit", async () => {
  using time = modelTime();
  const { connection, transport } = limited({
    perConnection: { messagesPerSecond: 10, burstMessages: 1 },
  });
  const { seen, done } = reading(connection);
  transport.feed(numbers(5));
  await settle();
  connection.drain();
  await time.clock.advance(20);
  await settle(140);
  await time.clock.advance(1000);
  await done;
  assertEquals(seen, ["0 0", "100 1", "200 2", "300 3", "400 4"]);
  connection.abort();
});

Deno.test("Connection under a limit leaves its turn to others when its message finds no reader any more", async () => {
  using time = modelTime();
  const limits = new RateLimits({ perSource: { messagesPerSecond: 1 } });
  const [one, other] = [limited(limits), limited(limits)];
  one.transport.feed(numbers(3));
  assertEquals(text((await one.connection.receive())!), "0");
  const waiting = one.connection.receive({ timeoutMs: 100 }).catch(() => "late");
  await settle();
  const { seen } = reading(other.connection);
  other.transport.feed(numbers(1));
  await settle();
  one.connection.closeNow();
  await time.clock.advance(100);
  assertEquals(await waiting, "late");
  await time.clock.advance(900);
  assertEquals(seen, ["1000 0"]);
  // A reader that comes after all is served in its turn.
  const late = one.connection.receive();
  await time.clock.advance(1000);
  assertEquals(text((await late)!), "1");
  other.connection.abort();
  one.connection.abort();
  assertEquals(time.clock.pending, 0);
});

Deno.test("Connection under a limit reads on to see whether the peer of a long backlog has left, within a loan of all", async () => {
  using time = modelTime();
  const limits = new RateLimits({ perConnection: { messagesPerSecond: 1 } });
  const chunk = utf8("x\n".repeat(16_384));
  const flooders = Array.from({ length: 17 }, () => limited(limits));
  const readers = flooders.map(({ connection }) => reading(connection));
  for (const { transport } of flooders) {
    for (let count = 0; count < 64; count++) transport.feed(chunk);
  }
  await settle(200);
  // 64 KiB each, beyond it 1 MiB at most, and 16 MiB for all.
  const held = flooders.map(({ connection }) => Math.round(connection.stats().heldBytes / 65_536));
  assert(Math.max(...held) <= 17, `${held}`);
  assertEquals(held.reduce((sum, count) => sum + count), 17 + 16 * 16);
  for (const { connection } of flooders.slice(1)) connection.abort();
  // What others gave back is lent anew.
  const last = limited(limits);
  const { done } = reading(last.connection);
  for (let count = 0; count < 30; count++) last.transport.feed(chunk);
  await settle(200);
  assertEquals(last.transport.unreadBytes, 0);
  last.transport.endInput();
  const error = await assertRejects(() => done, LimitError);
  assertEquals(error.droppedMessages, 30 * 16_384 - 1);
  flooders[0]!.connection.abort();
  await Promise.allSettled(readers.map((reader) => reader.done));
  assertEquals(time.clock.pending, 0);
});

Deno.test("Connection under a limit does not read on when what is held will be handled soon", async () => {
  using _time = modelTime();
  const { connection, transport } = limited({
    perConnection: { messagesPerSecond: 100, burstMessages: 1 },
  }, {
    ...lines,
    readAheadBytes: 1024,
  });
  reading(connection);
  for (let count = 0; count < 10; count++) transport.feed(utf8("x".repeat(511) + "\n"));
  await settle();
  assertEquals(transport.unreadBytes, 6 * 512);
  connection.abort();
});

Deno.test("Connection under a limit keeps the process alive for a message that waits, unless it is unreferenced", async () => {
  using _time = modelTime();
  const { refTimer, unrefTimer } = Deno;
  const calls: string[] = [];
  Object.assign(Deno, { refTimer: () => calls.push("ref"), unrefTimer: () => calls.push("unref") });
  try {
    const { connection, transport } = limited({ perConnection: { messagesPerSecond: 0.001 } });
    connection.unref();
    reading(connection);
    transport.feed(numbers(2));
    await settle();
    assertEquals(calls, ["unref"]);
    connection.ref();
    connection.unref();
    assertEquals(calls, ["unref", "ref", "unref"]);
    connection.abort();
  } finally {
    Object.assign(Deno, { refTimer, unrefTimer });
  }
});
