// IncomingMessages: one reader over links that come and go, early ends of waits, and what is held.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, type Connection, delimited, TimeoutError } from "@parley/parley";
import { IncomingMessages } from "../../client/incoming.ts";
import { text, utf8 } from "../support/bytes.ts";
import { isSettled, scriptedConnection, settle } from "../support/simulation/memory_connections.ts";
import type { ScriptedTransport } from "../support/simulation/memory_scripted.ts";
import { forSeedsAsync, type Random } from "../support/random.ts";

const lines = { framing: delimited("\n") };

type Link = { connection: Connection; transport: ScriptedTransport };

/** A link that has received these lines. */
function linkWith(...received: string[]): Link {
  const link = scriptedConnection(lines);
  for (const line of received) link.transport.feed(utf8(line));
  return link;
}

/** Ends a link as its client does. */
async function end(
  { connection, transport }: Link,
  how: "in order" | "reset" = "in order",
): Promise<void> {
  await settle();
  if (how === "reset") transport.failInput();
  else transport.endInput();
  await connection.inputEnded;
  connection.closeNow();
  await connection.closed;
}

async function take(incoming: IncomingMessages): Promise<string | null> {
  const message = await incoming.receive();
  return message === null ? null : text(message);
}

Deno.test("IncomingMessages hands out what a lost link held before the next link's messages", async () => {
  for (const how of ["in order", "reset"] as const) {
    const incoming = new IncomingMessages(1 << 20);
    const first = linkWith("1\n2\n3\n");
    incoming.add(first.connection);
    assertEquals(await take(incoming), "1");
    await end(first, how);
    const second = linkWith("4\n");
    incoming.add(second.connection);
    assertEquals([await take(incoming), await take(incoming), await take(incoming)], [
      "2",
      "3",
      "4",
    ]);
    const waiting = take(incoming);
    await end(second, how);
    incoming.end(null);
    assertEquals(await waiting, null);
    assertEquals(await take(incoming), null);
  }
});

Deno.test("IncomingMessages lets a reader wait across links, whether it waited before or in between", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const before = take(incoming);
  const first = linkWith("1\n");
  incoming.add(first.connection);
  assertEquals(await before, "1");
  const waiting = take(incoming);
  await settle();
  await end(first);
  const second = linkWith();
  incoming.add(second.connection);
  assertEquals(await isSettled(waiting), false);
  second.transport.feed(utf8("2\n"));
  assertEquals(await waiting, "2");
  await end(second);
  const between = take(incoming);
  await settle();
  const third = linkWith("3\n");
  incoming.add(third.connection);
  assertEquals(await between, "3");
  await end(third);
});

Deno.test("IncomingMessages goes on when a link held half a message, or what is none", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const truncated = linkWith("1\nhal");
  incoming.add(truncated.connection);
  await end(truncated);
  const broken = scriptedConnection({ ...lines, maxMessageBytes: 4 });
  broken.transport.feed(utf8("2\nfar too long\n"));
  incoming.add(broken.connection);
  const good = linkWith("3\n");
  incoming.add(good.connection);
  assertEquals([await take(incoming), await take(incoming), await take(incoming)], ["1", "2", "3"]);
  broken.connection.abort();
  await end(good);
});

Deno.test("IncomingMessages.receive() allows one reader at a time", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const waiting = take(incoming);
  for (
    const second of [
      () => incoming.receive(),
      () => incoming.next(),
      () => incoming.receive({ timeoutMs: 5 }),
    ]
  ) {
    await assertRejects(second, TypeError, "one reader at a time");
  }
  const link = linkWith("1\n2\n");
  incoming.add(link.connection);
  assertEquals([await waiting, await take(incoming)], ["1", "2"]);
  await end(link);
});

Deno.test("IncomingMessages.receive() throws when someone reads from the link itself, and loses nothing", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const link = linkWith();
  incoming.add(link.connection);
  const theirs = link.connection.receive();
  await assertRejects(() => incoming.receive(), TypeError, "another reader");
  await assertRejects(() => incoming.next(), TypeError, "another reader");
  link.transport.feed(utf8("1\n2\n"));
  assertEquals([text((await theirs)!), await take(incoming)], ["1", "2"]);
  await end(link);
});

Deno.test("IncomingMessages.receive() that ends early loses nothing", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const first = linkWith();
  for (const linked of [false, true]) {
    if (linked) incoming.add(first.connection);
    const late = await assertRejects(
      () => incoming.receive({ timeoutMs: 5 }),
      TimeoutError,
      "within 5 ms",
    );
    assertEquals(late.code, "ERR_READ_TIMEOUT");
    await assertRejects(() => incoming.receive({ timeoutMs: 0 }), TimeoutError, "within 0 ms");
    const controller = new AbortController();
    const waiting = incoming.receive({ signal: controller.signal, timeoutMs: 60_000 });
    await settle();
    const reason = new Error("Enough");
    controller.abort(reason);
    assertStrictEquals(await waiting.catch((why) => why), reason);
    assertStrictEquals(
      await incoming.receive({ signal: controller.signal }).catch((why) => why),
      reason,
    );
    await assertRejects(() => incoming.receive({ timeoutMs: -1 }), RangeError, `"timeoutMs"`);
  }
  first.transport.feed(utf8("1\n2\n3\n"));
  await settle();
  assertEquals(text((await incoming.receive({ timeoutMs: 0 }))!), "1");
  assertEquals(text((await incoming.receive({ timeoutMs: 1000 }))!), "2");
  assertEquals(await take(incoming), "3");
  await end(first);
});

Deno.test("IncomingMessages.receive() keeps one time limit across links", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const first = linkWith();
  incoming.add(first.connection);
  const waiting = incoming.receive({ timeoutMs: 30 });
  await end(first);
  const second = linkWith();
  incoming.add(second.connection);
  await assertRejects(() => waiting, TimeoutError, "within 30 ms");
  await end(second);
});

Deno.test("IncomingMessages.receive({ timeoutMs: 0 }) reads every link to its end", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const slow = linkWith("1\nhalf");
  incoming.add(slow.connection);
  await settle();
  // As when the rest of a message did not come in time: the code is that of a wait that was too short.
  slow.connection.abort(new TimeoutError("ERR_READ_TIMEOUT", "The connection was closed"));
  const good = linkWith("2\n");
  incoming.add(good.connection);
  await settle();
  assertEquals(text((await incoming.receive({ timeoutMs: 0 }))!), "2");
  await end(good);
  await assertRejects(() => incoming.receive({ timeoutMs: 0 }), TimeoutError);
  incoming.end(null);
  assertEquals(await incoming.receive({ timeoutMs: 0 }), null);
});

Deno.test("IncomingMessages polled without waiting gives all that is there, however much it is", async () => {
  const incoming = new IncomingMessages(1 << 20);
  const link = linkWith("x\n".repeat(5000));
  incoming.add(link.connection);
  await settle();
  for (let i = 0; i < 5000; i++) {
    assertEquals(text((await incoming.receive({ timeoutMs: 0 }))!), "x");
  }
  await end(link);
});

Deno.test("IncomingMessages.end() throws its error once all is read", async () => {
  const error = new ClosedError("ERR_CLOSED", "Gave up");
  const incoming = new IncomingMessages(1 << 20);
  const link = linkWith("1\n");
  incoming.add(link.connection);
  await end(link);
  incoming.end(error);
  assertEquals(await take(incoming), "1");
  for (
    const call of [
      () => incoming.receive(),
      () => incoming.next(),
      () => incoming.receive({ timeoutMs: 9 }),
    ]
  ) {
    assertStrictEquals(await call().catch((why) => why), error);
  }
  const waiting = new IncomingMessages(1 << 20);
  const next = waiting.next();
  waiting.end(error);
  assertStrictEquals(await next.catch((why) => why), error);
});

Deno.test("IncomingMessages.dropExcess() drops the oldest of what nobody reads, and counts it", async () => {
  const incoming = new IncomingMessages(250);
  for (let i = 0; i < 5; i++) {
    const link = linkWith(`${i}`.padEnd(99, ".") + "\n");
    incoming.add(link.connection);
    await end(link);
    // Two of 100 bytes each may stay.
    assertEquals(incoming.dropExcess(), i < 2 ? 0 : 100);
  }
  const live = linkWith("live\n");
  incoming.add(live.connection);
  await settle();
  assertEquals(incoming.dropExcess(), 0);
  assertEquals((await take(incoming))!.slice(0, 2), "3.");
  assertEquals((await take(incoming))!.slice(0, 2), "4.");
  assertEquals(await take(incoming), "live");
  await end(live);
});

Deno.test("IncomingMessages.dropExcess() under a waiting reader takes no link from it", async () => {
  const incoming = new IncomingMessages(0);
  const first = linkWith();
  incoming.add(first.connection);
  const waiting = take(incoming);
  await settle();
  first.connection.closeNow();
  // The reader has not yet seen that the link is gone.
  incoming.dropExcess();
  const second = linkWith("1\n");
  incoming.add(second.connection);
  assertEquals(await waiting, "1");
  second.transport.feed(utf8("2\n"));
  assertEquals(await take(incoming), "2");
  await end(second);
});

/** Random links, each with random messages; a random reader. */
async function runModel(random: Random): Promise<void> {
  const incoming = new IncomingMessages(1 << 20);
  const got: string[] = [];
  let sent = 0;
  const reading = (async () => {
    for (;;) {
      const timeoutMs = random.pick([undefined, undefined, 0, 1, 1000]);
      try {
        const message = random.chance(0.5)
          ? await incoming.receive(timeoutMs === undefined ? {} : { timeoutMs })
          : (await incoming.next()).value ?? null;
        if (message === null) return;
        got.push(text(message));
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
        await settle(1);
      }
      if (random.chance(0.1)) await settle(random.int(1, 3));
    }
  })();
  for (let links = random.int(1, 5); links > 0; links--) {
    const link = linkWith();
    incoming.add(link.connection);
    for (let i = random.int(0, 8); i > 0; i--) {
      link.transport.feed(utf8(`${sent++}\n`));
      if (random.chance(0.5)) await settle(1);
    }
    if (random.chance(0.3)) link.transport.feed(utf8("half"));
    await end(link, random.pick(["in order", "reset"]));
    incoming.dropExcess();
  }
  incoming.end(null);
  await reading;
  assertEquals(got, Array.from({ length: sent }, (_, i) => `${i}`));
}

Deno.test("IncomingMessages loses nothing and keeps the order for random links and readers", async () => {
  await forSeedsAsync(60, runModel);
});

async function takeBatch(incoming: IncomingMessages): Promise<string[] | null> {
  return (await incoming.receiveBatch())?.map(text) ?? null;
}

Deno.test("IncomingMessages.receiveBatch() gives what one link has, then what the next has", async () => {
  for (const how of ["in order", "reset"] as const) {
    const incoming = new IncomingMessages(1 << 20);
    const first = linkWith("1\n2\n3\n");
    incoming.add(first.connection);
    await end(first, how);
    incoming.add(linkWith("4\n5\n").connection);
    await settle();
    assertEquals(text((await incoming.receiveBatch({ maxMessages: 1 }))![0]!), "1");
    assertEquals(await takeBatch(incoming), ["2", "3"]);
    assertEquals(await takeBatch(incoming), ["4", "5"]);
    const waiting = takeBatch(incoming);
    await assertRejects(() => incoming.receive(), TypeError, "one reader at a time");
    await assertRejects(() => incoming.receiveBatch(), TypeError, "one reader at a time");
    assertEquals(await isSettled(waiting), false);
    incoming.end(null);
  }
});

Deno.test("IncomingMessages.receiveBatch() that ends early loses nothing", async () => {
  const incoming = new IncomingMessages(1 << 20);
  await assertRejects(() => incoming.receiveBatch({ timeoutMs: 0 }), TimeoutError);
  await assertRejects(() => incoming.receiveBatch({ timeoutMs: 1 }), TimeoutError, "within 1 ms");
  await assertRejects(() => incoming.receiveBatch({ maxMessages: 0 }), RangeError);
  const link = linkWith();
  incoming.add(link.connection);
  const controller = new AbortController();
  const waiting = incoming.receiveBatch({ signal: controller.signal });
  await settle();
  controller.abort("enough");
  assertEquals(await waiting.catch((error) => error), "enough");
  link.transport.feed(utf8("1\n2\n"));
  assertEquals(await takeBatch(incoming), ["1", "2"]);
  link.connection.abort();
  incoming.end(null);
  assertEquals(await takeBatch(incoming), null);
});
