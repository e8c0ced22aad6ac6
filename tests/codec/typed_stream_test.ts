// TypedStream: messages behind their lengths, however the bytes come; and peers that break the framing.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { bytes, text, typed } from "@parley/parley/codec";
import { FramingError } from "@parley/parley";
import { RIGS, streamPair } from "./rigs.ts";

Deno.test("TypedStream reads messages whose bytes come split at every point", async () => {
  await using stack = new AsyncDisposableStack();
  const [opened, handled] = await streamPair(stack);
  const received = typed(handled, text());
  // Two messages: "Hi" behind one byte of length, and 128 letters behind two.
  const frames = new Uint8Array([2, 0x48, 0x69, 0x80, 0x01, ...new Uint8Array(128).fill(0x61)]);
  for (let at = 0; at <= frames.length; at++) {
    await opened.write(frames.subarray(0, at));
    await opened.write(frames.subarray(at));
    assertEquals([await received.receive(), await received.receive()], ["Hi", "a".repeat(128)]);
  }
});

Deno.test("TypedStream: at maxMessageBytes a message passes, above it the peer's stream is reset", async (t) => {
  for (const [sent, passes] of [[99, true], [100, true], [101, false]] as const) {
    await t.step(`${sent} bytes`, async () => {
      await using stack = new AsyncDisposableStack();
      const [opened, handled] = await streamPair(stack);
      const received = typed(handled, bytes(), { maxMessageBytes: 100 });
      await typed(opened, bytes()).send(new Uint8Array(sent));
      if (passes) return assertEquals((await received.receive())?.length, sent);
      const error = await assertRejects(() => received.receive(), FramingError);
      assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
      assertEquals(await assertRejects(() => received.receive(), FramingError), error);
      assertEquals((await opened.closed)?.code, "ERR_RESET");
    });
  }
});

Deno.test("TypedStream: a value above maxMessageBytes is not sent, and the stream goes on", async () => {
  await using stack = new AsyncDisposableStack();
  const [opened, handled] = await streamPair(stack);
  const sending = typed(opened, bytes(), { maxMessageBytes: 10 });
  const error = await assertRejects(() => sending.send(new Uint8Array(11)), FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  await sending.send(new Uint8Array(10));
  assertEquals((await typed(handled, bytes()).receive())?.length, 10);
});

Deno.test("TypedStream: an end inside a message, or a length in a longer form, is an error", async (t) => {
  const cases: [string, number[], string][] = [
    ["inside the length", [0x80], "ERR_FRAME_TRUNCATED"],
    ["behind the length", [5], "ERR_FRAME_TRUNCATED"],
    ["inside the message", [5, 1, 2, 3, 4], "ERR_FRAME_TRUNCATED"],
    ["a longer form", [0x81, 0x00, 1], "ERR_FRAME_MALFORMED"],
    ["a length of six bytes", [0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "ERR_FRAME_MALFORMED"],
  ];
  for (const [name, sent, code] of cases) {
    await t.step(name, async () => {
      await using stack = new AsyncDisposableStack();
      const [opened, handled] = await streamPair(stack);
      await opened.write(new Uint8Array([1, 0x41, ...sent]));
      await opened.closeWrite();
      const received = typed(handled, text());
      assertEquals(await received.receive(), "A");
      const error = await assertRejects(() => received.receive(), FramingError);
      assertEquals(error.code, code);
    });
  }
});

Deno.test("TypedStream: leaving a loop stops nothing, cancelling readable stops reading", async () => {
  await using stack = new AsyncDisposableStack();
  const [opened, handled] = await streamPair(stack);
  const [sending, received] = [typed(opened, text()), typed(handled, text())];
  for (const value of ["a", "b", "c"]) await sending.send(value);
  for await (const value of received) {
    assertEquals(value, "a");
    break;
  }
  assertEquals(await received.receive(), "b");
  await received.readable.cancel();
  await sending.send("d");
  await received.send("back");
  assertEquals(await sending.receive(), "back");
});

Deno.test("TypedStream: writable ends our direction, and half-close works", async () => {
  await using stack = new AsyncDisposableStack();
  const [opened, handled] = await streamPair(stack);
  const [near, far] = [typed(opened, text()), typed(handled, text())];
  const answer = (async () => {
    const joined = (await Array.fromAsync(far)).join("");
    await far.send(joined);
    await far.closeWrite();
  })();
  await ReadableStream.from(["a", "b", "", "c"]).pipeTo(near.writable);
  assertEquals(await Array.fromAsync(near.readable), ["abc"]);
  await answer;
});

Deno.test("TypedStream refuses a limit that is none, and options that only streams have elsewhere", async () => {
  await using stack = new AsyncDisposableStack();
  const [opened] = await streamPair(stack);
  for (const maxMessageBytes of [0, 2 ** 30 + 1, 1.5]) {
    assertThrows(() => typed(opened, text(), { maxMessageBytes }), RangeError, "maxMessageBytes");
  }
  const connection = { receive() {}, send() {}, closeWrite() {} } as never;
  assertThrows(() => typed(connection, text(), { maxMessageBytes: 5 } as never), TypeError);
});

Deno.test("TypedStream: concurrent sends leave whole and in order", async () => {
  await using stack = new AsyncDisposableStack();
  const { near, receiveRaw } = await RIGS["opened stream"]!(stack, bytes());
  const sizes = Array.from({ length: 60 }, (_, at) => (at * 7919) % 40_000);
  const sent = Promise.all(sizes.map((size) => near.send(new Uint8Array(size) as never)));
  for (const size of sizes) assertEquals((await receiveRaw())?.length, size);
  await sent;
});
