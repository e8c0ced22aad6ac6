// Outbox: what is kept, sent, lost and reported, over scripted links.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, delimited, FramingError, lengthPrefixed, LimitError, raw } from "@parley/parley";
import { utf8 } from "../support/bytes.ts";
import { isSettled, settle } from "../support/simulation/memory_connections.ts";
import { lose, makeOutbox, written } from "../support/peers/outboxes.ts";

Deno.test("Outbox.push() waits for a link, and goes out in order once there is one", async () => {
  const { outbox, link } = makeOutbox();
  const sends = ["one", "two", "three"].map((message) => outbox.push(utf8(message)));
  assertEquals(await isSettled(Promise.race(sends)), false);
  const near = link();
  outbox.attach(near.connection);
  await Promise.all(sends);
  await outbox.push(utf8("four"));
  await outbox.flush();
  assertEquals(written(near), "one\ntwo\nthree\nfour\n");
  assertEquals(await lose(outbox, near), {
    handedMessages: 4,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 0,
  });
});

Deno.test("Outbox keeps what the transport never saw for the next link, and tells what was under way", async () => {
  const { outbox, link } = makeOutbox();
  const first = link();
  outbox.attach(first.connection);
  await outbox.push(utf8("handed"));
  await outbox.flush();
  first.transport.hold();
  const sends = ["under way 1", "under way 2"].map((message) => outbox.push(utf8(message)));
  await settle();
  sends.push(...["kept 1", "kept 2"].map((message) => outbox.push(utf8(message))));
  await Promise.all(sends);
  assertEquals(outbox.unsentBytes, 34);
  assertEquals(await lose(outbox, first), {
    handedMessages: 1,
    uncertainMessages: 2,
    keptMessages: 2,
    earlierMessages: 0,
  });
  assertEquals(outbox.unsentBytes, 12);
  const waiting = outbox.push(utf8("later"));
  const second = link();
  outbox.attach(second.connection);
  await waiting;
  await outbox.flush();
  assertEquals(written(second), "kept 1\nkept 2\nlater\n");
  assertEquals(await lose(outbox, second), {
    handedMessages: 3,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 0,
  });
  assertEquals(outbox.detach(), null);
});

Deno.test("Outbox counts a large message whose first part was given to the transport as uncertain", async () => {
  const { outbox, link } = makeOutbox({ framing: lengthPrefixed() });
  const first = link();
  outbox.attach(first.connection);
  first.transport.hold();
  await outbox.push(new Uint8Array(900_000));
  await settle();
  first.transport.release();
  await settle();
  assertEquals(first.transport.writes.length, 2);
  assertEquals(await lose(outbox, first), {
    handedMessages: 0,
    uncertainMessages: 1,
    keptMessages: 0,
    earlierMessages: 0,
  });
});

Deno.test("Outbox.push() above the high-water mark waits for room, and holds up later ones", async () => {
  const { outbox, link } = makeOutbox({ highWaterBytes: 1000 });
  const near = link();
  outbox.attach(near.connection);
  near.transport.hold();
  await outbox.push(utf8("a".repeat(800)));
  const second = outbox.push(utf8("second"));
  const third = outbox.push(utf8("third"));
  assertEquals(await isSettled(Promise.race([second, third])), false);
  near.transport.releaseAll();
  await Promise.all([second, third]);
  await outbox.flush();
  assertEquals(written(near).slice(801), "second\nthird\n");
});

Deno.test("Outbox.push() that waits for room goes to the next link when this one is lost", async () => {
  const { outbox, link } = makeOutbox({ highWaterBytes: 1000 });
  const first = link();
  outbox.attach(first.connection);
  first.transport.hold();
  await outbox.push(utf8("a".repeat(800)));
  const waiting = outbox.push(utf8("second"));
  await settle();
  assertEquals(await lose(outbox, first), {
    handedMessages: 0,
    uncertainMessages: 1,
    keptMessages: 1,
    earlierMessages: 0,
  });
  assertEquals(await isSettled(waiting), false);
  const second = link();
  outbox.attach(second.connection);
  await waiting;
  await outbox.flush();
  assertEquals(written(second), "second\n");
});

Deno.test("Outbox.push() between the end of a link and the next one waits", async () => {
  const { outbox, link } = makeOutbox();
  const first = link();
  outbox.attach(first.connection);
  first.transport.failInput();
  await first.connection.closed;
  const waiting = outbox.push(utf8("between"));
  assertEquals(await isSettled(waiting), false);
  assertEquals(outbox.detach(), {
    handedMessages: 0,
    uncertainMessages: 0,
    keptMessages: 1,
    earlierMessages: 0,
  });
  const second = link();
  outbox.attach(second.connection);
  await waiting;
  await outbox.flush();
  assertEquals(written(second), "between\n");
});

Deno.test("Outbox.push() is bounded with and without a link, by bytes and by number", async () => {
  for (const linked of [true, false]) {
    const { outbox, link } = makeOutbox({ highWaterBytes: 1000, maxQueuedBytes: 10_000 });
    if (linked) {
      const near = link();
      near.transport.hold();
      outbox.attach(near.connection);
    }
    for (const size of [0, 1, 3000]) {
      const results: Promise<string>[] = [];
      for (let i = 0; i < 100; i++) {
        results.push(outbox.push(utf8("x".repeat(size))).then(() => "sent", (error) => error.code));
      }
      await settle();
      const last = await results.at(-1);
      assertEquals(last, "ERR_QUEUE_FULL");
    }
    const error = await assertRejects(() => outbox.push(utf8("x")), LimitError, `"maxQueuedBytes" is 10000`);
    assertEquals(error.code, "ERR_QUEUE_FULL");
    // A message that is too large for the whole queue may wait alone.
    outbox.detach();
    outbox.fail(new ClosedError("ERR_CLOSED", "Closed"));
    assertEquals(await isSettled(outbox.push(utf8("x".repeat(50_000)))), false);
  }
});

Deno.test("Outbox.push() never overfills a link, however much was kept", async () => {
  const { outbox, link } = makeOutbox({ highWaterBytes: 1000, maxQueuedBytes: 50_000 });
  for (let i = 0; i < 60; i++) outbox.push(utf8(`${i}`.padStart(50, ".")));
  const near = link();
  near.transport.hold();
  outbox.attach(near.connection);
  await settle();
  assert(near.connection.stats().queuedBytes < 1100);
  near.transport.releaseAll();
  await outbox.flush();
  assertEquals(written(near).split("\n").length, 61);
  assertEquals(near.connection.status, "open");
});

Deno.test("Outbox.push() refuses what the framing refuses at once, with and without a link", async () => {
  const { outbox, link } = makeOutbox();
  await assertRejects(() => outbox.push(utf8("a\nb")), FramingError);
  const near = link();
  outbox.attach(near.connection);
  await assertRejects(() => outbox.push(utf8("a\nb")), FramingError);
  await outbox.push(utf8("good"));
  await outbox.flush();
  assertEquals(written(near), "good\n");
});

Deno.test("Outbox goes on after a message that the link's own framing refuses, and tells of it", async () => {
  const { outbox, link } = makeOutbox();
  const sends = ["good", "too long for it", "fine"].map((message) => outbox.push(utf8(message)));
  const near = link();
  near.connection.setFraming(delimited("\n"), { maxMessageBytes: 5 });
  outbox.attach(near.connection);
  const [first, second, third] = await Promise.allSettled(sends);
  assertEquals([first!.status, second!.status, third!.status], ["fulfilled", "rejected", "fulfilled"]);
  await outbox.flush();
  assertEquals(written(near), "good\nfine\n");
  assertEquals((await lose(outbox, near))?.uncertainMessages, 0);

  // One that had been accepted before is counted.
  const once = link();
  outbox.attach(once.connection);
  once.transport.hold();
  await outbox.push(utf8("under way"));
  await settle();
  await outbox.push(utf8("accepted"));
  await lose(outbox, once);
  const again = link();
  again.connection.setFraming(delimited("\n"), { maxMessageBytes: 5 });
  outbox.attach(again.connection);
  await settle();
  assertEquals(await lose(outbox, again), {
    handedMessages: 0,
    uncertainMessages: 1,
    keptMessages: 0,
    earlierMessages: 0,
  });
});

Deno.test("Outbox keeps what waits when the writing side of its link was closed", async () => {
  const { outbox, link } = makeOutbox();
  const waiting = outbox.push(utf8("one"));
  const near = link();
  await near.connection.closeWrite();
  outbox.attach(near.connection);
  assertEquals(await isSettled(waiting), false);
  assertEquals((await lose(outbox, near))?.keptMessages, 1);
  const next = link();
  outbox.attach(next.connection);
  await waiting;
});

Deno.test("Outbox sends empty messages, also where they have no bytes on the wire", async () => {
  for (const framing of [delimited("\n"), raw()]) {
    const { outbox, link } = makeOutbox({ framing });
    const kept = [outbox.push(utf8("")), outbox.push(utf8("a")), outbox.push(utf8(""))];
    const near = link();
    outbox.attach(near.connection);
    await Promise.all(kept);
    await outbox.push(utf8(""));
    await outbox.flush();
    assertEquals(written(near), framing.name === "raw" ? "a" : "\na\n\n\n");
  }
});

Deno.test("Outbox.flush() waits for messages that wait for room, and no longer than the link lives", async () => {
  const { outbox, link } = makeOutbox({ highWaterBytes: 1000 });
  await assertRejects(() => outbox.flush(), ClosedError, "there is no link");
  const near = link();
  outbox.attach(near.connection);
  await outbox.flush();
  near.transport.hold();
  for (let i = 0; i < 3; i++) outbox.push(utf8("x".repeat(900)));
  const flushing = outbox.flush();
  const twice = outbox.flush();
  for (let i = 0; i < 2; i++) {
    await settle();
    near.transport.release();
    assertEquals(await isSettled(flushing), false);
  }
  near.transport.releaseAll();
  await Promise.all([flushing, twice]);
  assertEquals(written(near).length, 2703);

  near.transport.hold();
  for (let i = 0; i < 3; i++) outbox.push(utf8("x".repeat(900)));
  const lost = outbox.flush();
  await settle();
  await lose(outbox, near);
  await assertRejects(() => lost, ClosedError);
});

Deno.test("Outbox.fail() rejects all that still wait", async () => {
  const { outbox } = makeOutbox();
  const sends = [outbox.push(utf8("one")), outbox.push(utf8("two"))];
  const error = new ClosedError("ERR_CLOSED", "Closed");
  outbox.fail(error);
  for (const send of sends) assertStrictEquals(await send.catch((why) => why), error);
  assertEquals(outbox.unsentBytes, 0);
});

Deno.test("Outbox counts messages as handed over as the kernel takes them", async () => {
  const { outbox, link } = makeOutbox();
  const near = link();
  outbox.attach(near.connection);
  for (let i = 0; i < 5000; i++) await outbox.push(utf8("x".repeat(100)));
  await outbox.flush();
  outbox.trim();
  assertEquals(outbox.unsentBytes, 0);
  assertEquals((await lose(outbox, near))?.handedMessages, 5000);
});

Deno.test("Outbox.detach() counts what was handed over since the server was last heard apart from what was before", async () => {
  const { outbox, link } = makeOutbox();
  const near = link();
  outbox.attach(near.connection);
  const send = async (count: number) => {
    for (let i = 0; i < count; i++) await outbox.push(utf8("message"));
    await outbox.flush();
    if (count % 2 === 0) outbox.trim();
  };
  const hear = async () => {
    near.transport.feed(utf8("answer\n"));
    await settle();
  };
  await send(100);
  await hear();
  await send(7);
  await hear();
  await hear();
  await send(2);
  await send(1);
  assertEquals(await lose(outbox, near), {
    handedMessages: 3,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 107,
  });

  // The next link begins anew, and all that was answered may be the last word.
  const again = link();
  outbox.attach(again.connection);
  await outbox.push(utf8("message"));
  await outbox.flush();
  again.transport.feed(utf8("answer\n"));
  await settle();
  assertEquals(await lose(outbox, again), {
    handedMessages: 0,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 1,
  });
});
