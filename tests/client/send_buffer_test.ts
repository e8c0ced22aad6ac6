// SendBuffer: what is kept, sent, lost and reported, over scripted links.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  chunked,
  ClosedError,
  delimited,
  FramingError,
  lengthPrefixed,
  LimitError,
  raw,
} from "@parley/parley";
import { utf8 } from "../support/bytes.ts";
import { isSettled, settle } from "../support/simulation/memory_connections.ts";
import { lose, makeSendBuffer, written } from "../support/peers/send_buffers.ts";

Deno.test("SendBuffer.push() waits for a link, and goes out in order once there is one", async () => {
  const { buffer, link } = makeSendBuffer();
  const sends = ["one", "two", "three"].map((message) => buffer.push(utf8(message)));
  assertEquals(await isSettled(Promise.race(sends)), false);
  const near = link();
  buffer.attach(near.connection);
  await Promise.all(sends);
  await buffer.push(utf8("four"));
  await buffer.flush();
  assertEquals(written(near), "one\ntwo\nthree\nfour\n");
  assertEquals(await lose(buffer, near), {
    handedMessages: 4,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 0,
  });
});

Deno.test("SendBuffer keeps what the transport never saw for the next link, and tells what was under way", async () => {
  const { buffer, link } = makeSendBuffer();
  const first = link();
  buffer.attach(first.connection);
  await buffer.push(utf8("handed"));
  await buffer.flush();
  first.transport.hold();
  const sends = ["under way 1", "under way 2"].map((message) => buffer.push(utf8(message)));
  await settle();
  sends.push(...["kept 1", "kept 2"].map((message) => buffer.push(utf8(message))));
  await Promise.all(sends);
  assertEquals(buffer.unsentBytes, 34);
  assertEquals(await lose(buffer, first), {
    handedMessages: 1,
    uncertainMessages: 2,
    keptMessages: 2,
    earlierMessages: 0,
  });
  assertEquals(buffer.unsentBytes, 12);
  const waiting = buffer.push(utf8("later"));
  const second = link();
  buffer.attach(second.connection);
  await waiting;
  await buffer.flush();
  assertEquals(written(second), "kept 1\nkept 2\nlater\n");
  assertEquals(await lose(buffer, second), {
    handedMessages: 3,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 0,
  });
  assertEquals(buffer.detach(), null);
});

Deno.test("SendBuffer counts a large message whose first part was given to the transport as uncertain", async () => {
  const { buffer, link } = makeSendBuffer({ framing: lengthPrefixed() });
  const first = link();
  buffer.attach(first.connection);
  first.transport.hold();
  await buffer.push(new Uint8Array(900_000));
  await settle();
  first.transport.release();
  await settle();
  assertEquals(first.transport.writes.length, 2);
  assertEquals(await lose(buffer, first), {
    handedMessages: 0,
    uncertainMessages: 1,
    keptMessages: 0,
    earlierMessages: 0,
  });
});

Deno.test("SendBuffer.push() above the high-water mark waits for room, and holds up later ones", async () => {
  const { buffer, link } = makeSendBuffer({ highWaterBytes: 1000 });
  const near = link();
  buffer.attach(near.connection);
  near.transport.hold();
  await buffer.push(utf8("a".repeat(800)));
  const second = buffer.push(utf8("second"));
  const third = buffer.push(utf8("third"));
  assertEquals(await isSettled(Promise.race([second, third])), false);
  near.transport.releaseAll();
  await Promise.all([second, third]);
  await buffer.flush();
  assertEquals(written(near).slice(801), "second\nthird\n");
});

Deno.test("SendBuffer.push() that waits for room goes to the next link when this one is lost", async () => {
  const { buffer, link } = makeSendBuffer({ highWaterBytes: 1000 });
  const first = link();
  buffer.attach(first.connection);
  first.transport.hold();
  await buffer.push(utf8("a".repeat(800)));
  const waiting = buffer.push(utf8("second"));
  await settle();
  assertEquals(await lose(buffer, first), {
    handedMessages: 0,
    uncertainMessages: 1,
    keptMessages: 1,
    earlierMessages: 0,
  });
  assertEquals(await isSettled(waiting), false);
  const second = link();
  buffer.attach(second.connection);
  await waiting;
  await buffer.flush();
  assertEquals(written(second), "second\n");
});

Deno.test("SendBuffer.push() between the end of a link and the next one waits", async () => {
  const { buffer, link } = makeSendBuffer();
  const first = link();
  buffer.attach(first.connection);
  first.transport.failInput();
  await first.connection.closed;
  const waiting = buffer.push(utf8("between"));
  assertEquals(await isSettled(waiting), false);
  assertEquals(buffer.detach(), {
    handedMessages: 0,
    uncertainMessages: 0,
    keptMessages: 1,
    earlierMessages: 0,
  });
  const second = link();
  buffer.attach(second.connection);
  await waiting;
  await buffer.flush();
  assertEquals(written(second), "between\n");
});

Deno.test("SendBuffer.push() is bounded with and without a link, by bytes and by number", async () => {
  for (const linked of [true, false]) {
    const { buffer, link } = makeSendBuffer({ highWaterBytes: 1000, maxQueuedBytes: 10_000 });
    if (linked) {
      const near = link();
      near.transport.hold();
      buffer.attach(near.connection);
    }
    for (const size of [0, 1, 3000]) {
      const results: Promise<string>[] = [];
      for (let i = 0; i < 100; i++) {
        results.push(buffer.push(utf8("x".repeat(size))).then(() => "sent", (error) => error.code));
      }
      await settle();
      const last = await results.at(-1);
      assertEquals(last, "ERR_QUEUE_FULL");
    }
    const error = await assertRejects(
      () => buffer.push(utf8("x")),
      LimitError,
      `"maxQueuedBytes" is 10000`,
    );
    assertEquals(error.code, "ERR_QUEUE_FULL");
    // A message that is too large for the whole queue may wait alone.
    buffer.detach();
    buffer.fail(new ClosedError("ERR_CLOSED", "Closed"));
    assertEquals(await isSettled(buffer.push(utf8("x".repeat(50_000)))), false);
  }
});

Deno.test("SendBuffer.push() never overfills a link, however much was kept", async () => {
  const { buffer, link } = makeSendBuffer({ highWaterBytes: 1000, maxQueuedBytes: 50_000 });
  for (let i = 0; i < 60; i++) buffer.push(utf8(`${i}`.padStart(50, ".")));
  const near = link();
  near.transport.hold();
  buffer.attach(near.connection);
  await settle();
  assert(near.connection.stats().queuedBytes < 1100);
  near.transport.releaseAll();
  await buffer.flush();
  assertEquals(written(near).split("\n").length, 61);
  assertEquals(near.connection.status, "open");
});

Deno.test("SendBuffer.push() refuses what the framing refuses at once, with and without a link", async () => {
  const { buffer, link } = makeSendBuffer();
  await assertRejects(() => buffer.push(utf8("a\nb")), FramingError);
  const near = link();
  buffer.attach(near.connection);
  await assertRejects(() => buffer.push(utf8("a\nb")), FramingError);
  await buffer.push(utf8("good"));
  await buffer.flush();
  assertEquals(written(near), "good\n");
});

Deno.test("SendBuffer goes on after a message that the link's own framing refuses, and tells of it", async () => {
  const { buffer, link } = makeSendBuffer();
  const sends = ["good", "too long for it", "fine"].map((message) => buffer.push(utf8(message)));
  const near = link();
  near.connection.setFraming(delimited("\n"), { maxMessageBytes: 5 });
  buffer.attach(near.connection);
  const [first, second, third] = await Promise.allSettled(sends);
  assertEquals([first!.status, second!.status, third!.status], [
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  await buffer.flush();
  assertEquals(written(near), "good\nfine\n");
  assertEquals((await lose(buffer, near))?.uncertainMessages, 0);

  // One that had been accepted before is counted.
  const once = link();
  buffer.attach(once.connection);
  once.transport.hold();
  await buffer.push(utf8("under way"));
  await settle();
  await buffer.push(utf8("accepted"));
  await lose(buffer, once);
  const again = link();
  again.connection.setFraming(delimited("\n"), { maxMessageBytes: 5 });
  buffer.attach(again.connection);
  await settle();
  assertEquals(await lose(buffer, again), {
    handedMessages: 0,
    uncertainMessages: 1,
    keptMessages: 0,
    earlierMessages: 0,
  });
});

Deno.test("SendBuffer keeps what waits when the writing side of its link was closed", async () => {
  const { buffer, link } = makeSendBuffer();
  const waiting = buffer.push(utf8("one"));
  const near = link();
  await near.connection.closeWrite();
  buffer.attach(near.connection);
  assertEquals(await isSettled(waiting), false);
  assertEquals((await lose(buffer, near))?.keptMessages, 1);
  const next = link();
  buffer.attach(next.connection);
  await waiting;
});

Deno.test("SendBuffer sends empty messages, also where they have no bytes on the wire", async () => {
  for (const framing of [delimited("\n"), raw()]) {
    const { buffer, link } = makeSendBuffer({ framing });
    const kept = [buffer.push(utf8("")), buffer.push(utf8("a")), buffer.push(utf8(""))];
    const near = link();
    buffer.attach(near.connection);
    await Promise.all(kept);
    await buffer.push(utf8(""));
    await buffer.flush();
    assertEquals(written(near), framing.name === "raw" ? "a" : "\na\n\n\n");
  }
});

Deno.test("SendBuffer.flush() waits for messages that wait for room, and no longer than the link lives", async () => {
  const { buffer, link } = makeSendBuffer({ highWaterBytes: 1000 });
  await assertRejects(() => buffer.flush(), ClosedError, "there is no link");
  const near = link();
  buffer.attach(near.connection);
  await buffer.flush();
  near.transport.hold();
  for (let i = 0; i < 3; i++) buffer.push(utf8("x".repeat(900)));
  const flushing = buffer.flush();
  const twice = buffer.flush();
  for (let i = 0; i < 2; i++) {
    await settle();
    near.transport.release();
    assertEquals(await isSettled(flushing), false);
  }
  near.transport.releaseAll();
  await Promise.all([flushing, twice]);
  assertEquals(written(near).length, 2703);

  near.transport.hold();
  for (let i = 0; i < 3; i++) buffer.push(utf8("x".repeat(900)));
  const lost = buffer.flush();
  await settle();
  await lose(buffer, near);
  await assertRejects(() => lost, ClosedError);
});

Deno.test("SendBuffer.fail() rejects all that still wait", async () => {
  const { buffer } = makeSendBuffer();
  const sends = [buffer.push(utf8("one")), buffer.push(utf8("two"))];
  const error = new ClosedError("ERR_CLOSED", "Closed");
  buffer.fail(error);
  for (const send of sends) assertStrictEquals(await send.catch((why) => why), error);
  assertEquals(buffer.unsentBytes, 0);
});

Deno.test("SendBuffer counts messages as handed over as the kernel takes them", async () => {
  const { buffer, link } = makeSendBuffer();
  const near = link();
  buffer.attach(near.connection);
  for (let i = 0; i < 5000; i++) await buffer.push(utf8("x".repeat(100)));
  await buffer.flush();
  buffer.trim();
  assertEquals(buffer.unsentBytes, 0);
  assertEquals((await lose(buffer, near))?.handedMessages, 5000);
});

Deno.test("SendBuffer.detach() counts what was handed over since the server was last heard apart from what was before", async () => {
  const { buffer, link } = makeSendBuffer();
  const near = link();
  buffer.attach(near.connection);
  const send = async (count: number) => {
    for (let i = 0; i < count; i++) await buffer.push(utf8("message"));
    await buffer.flush();
    if (count % 2 === 0) buffer.trim();
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
  assertEquals(await lose(buffer, near), {
    handedMessages: 3,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 107,
  });

  // The next link begins anew, and all that was answered may be the last word.
  const again = link();
  buffer.attach(again.connection);
  await buffer.push(utf8("message"));
  await buffer.flush();
  again.transport.feed(utf8("answer\n"));
  await settle();
  assertEquals(await lose(buffer, again), {
    handedMessages: 0,
    uncertainMessages: 0,
    keptMessages: 0,
    earlierMessages: 1,
  });
});

Deno.test("SendBuffer.pushBatch() sends all at once on a link, and reports each message of a loss", async () => {
  const { buffer, link } = makeSendBuffer();
  const near = link();
  const waiting = buffer.pushBatch([utf8("one"), utf8("two")]);
  assertEquals(await isSettled(waiting), false);
  buffer.attach(near.connection);
  await waiting;
  await buffer.pushBatch([utf8("three"), utf8("four")]);
  await buffer.pushBatch([]);
  await buffer.flush();
  assertEquals(written(near), "one\ntwo\nthree\nfour\n");
  near.transport.hold();
  await buffer.pushBatch([utf8("under way"), utf8("too")]);
  await settle();
  await buffer.pushBatch([utf8("kept"), utf8("as well")]);
  assertEquals(await lose(buffer, near), {
    handedMessages: 4,
    uncertainMessages: 2,
    keptMessages: 2,
    earlierMessages: 0,
  });
  const second = link();
  buffer.attach(second.connection);
  await buffer.flush();
  assertEquals(written(second), "kept\nas well\n");
});

Deno.test("SendBuffer.pushBatch() keeps all or none: of what the framing refuses, and of what is too much", async () => {
  const { buffer, link } = makeSendBuffer();
  await assertRejects(() => buffer.pushBatch([utf8("one"), utf8("t\nwo")]), FramingError);
  const large = Array.from({ length: 30 }, () => new Uint8Array(1 << 20).fill(97));
  const alone = buffer.pushBatch(large);
  await assertRejects(() => buffer.pushBatch([utf8("one"), utf8("two")]), LimitError);
  const near = link();
  buffer.attach(near.connection);
  await alone;
  await buffer.flush();
  assertEquals(near.connection.stats().messagesOut, 30);
});

Deno.test("SendBuffer.pushBatch() of parts judges each batch by itself: their end may go another way", async () => {
  const framing = chunked({ sends: "parts" });
  const { buffer, link } = makeSendBuffer({ framing, highWaterBytes: 1 << 22 });
  buffer.attach(link().connection);
  // Four messages, each of more than half of what one may have.
  for (let message = 0; message < 4; message++) {
    await buffer.pushBatch([new Uint8Array(300_000), new Uint8Array(300_000)]);
    await buffer.push(new Uint8Array(0));
  }
});
