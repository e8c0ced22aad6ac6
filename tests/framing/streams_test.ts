// FrameDecoderStream and FrameEncoderStream: messages through WHATWG streams, backpressure, errors.
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { FramingError } from "../../errors.ts";
import {
  delimited,
  fixedLength,
  FrameDecoderStream,
  FrameEncoderStream,
  lengthPrefixed,
  MAX_MESSAGE_BYTES,
  raw,
} from "../../framing.ts";
import { concat, everyCut, hex, pattern, text, utf8 } from "../support/bytes.ts";
import { models } from "./models.ts";

const u8 = lengthPrefixed({ bytes: 1 });

async function decodeAll(
  chunks: readonly Uint8Array[],
  stream: FrameDecoderStream,
): Promise<Uint8Array[]> {
  return await Array.fromAsync(ReadableStream.from(chunks).pipeThrough(stream));
}

Deno.test("FrameEncoderStream and FrameDecoderStream give back what went in, for every framing", async () => {
  for (const { framing, encode } of models) {
    const messages = ["abc", "xyz", "\n\t\r"].map(utf8).filter((message) =>
      encode(message) !== undefined
    );
    const out = ReadableStream.from(messages)
      .pipeThrough(new FrameEncoderStream(framing))
      .pipeThrough(new FrameDecoderStream(framing));
    assertEquals(await Array.fromAsync(out), messages);
  }
});

Deno.test("FrameEncoderStream gives one chunk for each message", async () => {
  const frames = ReadableStream.from([hex("aa"), hex(""), hex("bbcc")]).pipeThrough(
    new FrameEncoderStream(u8),
  );
  assertEquals(await Array.fromAsync(frames), [hex("01aa"), hex("00"), hex("02bbcc")]);
});

Deno.test("FrameDecoderStream gives the same messages however the bytes are cut", async () => {
  const input = hex("02aabb 00 01cc");
  for (const chunks of everyCut(input)) {
    assertEquals(await decodeAll(chunks, new FrameDecoderStream(u8)), [
      hex("aabb"),
      hex(""),
      hex("cc"),
    ]);
  }
});

Deno.test("FrameDecoderStream errs when the bytes are no message, after the messages before", async () => {
  const stream = new FrameDecoderStream(delimited("\n"), { maxMessageBytes: 3 });
  const reader = ReadableStream.from([utf8("one\ntwo\nthree\n")]).pipeThrough(stream).getReader();
  const got: string[] = [];
  const error = await assertRejects(async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      got.push(text(value));
    }
  }, FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  await assertRejects(() => reader.closed, FramingError);
  assert(got.length <= 2);
});

Deno.test("FrameDecoderStream errs with ERR_FRAME_TRUNCATED when the bytes end inside a message", async () => {
  for (
    const [framing, input] of [[u8, "02aa"], [fixedLength(2), "aabbcc"], [
      delimited("\n"),
      "aa0abb",
    ]] as const
  ) {
    const error = await assertRejects(
      () => decodeAll([hex(input)], new FrameDecoderStream(framing)),
      FramingError,
    );
    assertEquals(error.code, "ERR_FRAME_TRUNCATED");
  }
});

Deno.test("FrameEncoderStream errs when a message cannot be sent", async () => {
  const stream = new FrameEncoderStream(delimited("\n"), { maxMessageBytes: 3 });
  const writer = stream.writable.getWriter();
  const reading = Array.fromAsync(stream.readable);
  reading.catch(() => {});
  writer.closed.catch(() => {});
  await writer.write(utf8("one"));
  const error = await assertRejects(() => writer.write(utf8("four")), FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  assertStrictEquals(await reading.catch((why) => why), error);
});

Deno.test("FrameDecoderStream and FrameEncoderStream refuse chunks that are no bytes", async () => {
  for (const wrong of ["text", 5, new ArrayBuffer(2), new Uint16Array(2), undefined]) {
    for (const stream of [new FrameDecoderStream(raw()), new FrameEncoderStream(raw())]) {
      const source = ReadableStream.from([wrong as unknown as Uint8Array]);
      await assertRejects(
        () => Array.fromAsync(source.pipeThrough(stream)),
        TypeError,
        "must be a Uint8Array",
      );
    }
  }
});

Deno.test("FrameDecoderStream and FrameEncoderStream refuse a limit out of range, and keep the one given", async () => {
  for (const maxMessageBytes of [0, -1, 1.5, MAX_MESSAGE_BYTES + 1]) {
    assertThrows(
      () => new FrameDecoderStream(raw(), { maxMessageBytes }),
      RangeError,
      `"maxMessageBytes" must be`,
    );
    assertThrows(
      () => new FrameEncoderStream(raw(), { maxMessageBytes }),
      RangeError,
      `"maxMessageBytes" must be`,
    );
  }
  assertThrows(
    () => new FrameDecoderStream(fixedLength(5), { maxMessageBytes: 4 }),
    RangeError,
    "raise the limit",
  );
  // The default is 1 MiB.
  const large = concat([hex("00100000"), pattern(2 ** 20)]);
  assertEquals(
    (await decodeAll([large], new FrameDecoderStream(lengthPrefixed())))[0]!.length,
    2 ** 20,
  );
  const error = await assertRejects(
    () => decodeAll([hex("00100001")], new FrameDecoderStream(lengthPrefixed())),
    FramingError,
  );
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
});

Deno.test("FrameDecoderStream takes no further chunk while nobody reads its messages", async () => {
  let pulled = 0;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(utf8("a\nb\nc\n"));
    },
  }, { highWaterMark: 0 });
  const stream = new FrameDecoderStream(delimited("\n"));
  const reader = source.pipeThrough(stream).getReader();
  for (let i = 0; i < 20; i++) await Promise.resolve();
  const ahead = pulled;
  assert(ahead <= 2, `${ahead} chunks were taken ahead`);
  for (let i = 0; i < 30; i++) assertEquals((await reader.read()).value!.length, 1);
  assert(pulled <= 10 + 2, `${pulled} chunks were taken for 30 messages`);
  await reader.cancel();
});

Deno.test("FrameDecoderStream passes on errors and cancellation of its neighbours", async () => {
  const broken = new Error("Broken");
  const source = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(broken) });
  const got = await Array.fromAsync(source.pipeThrough(new FrameDecoderStream(u8))).catch((error) =>
    error
  );
  assertStrictEquals(got, broken);

  const cancelled = Promise.withResolvers<unknown>();
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(hex("01aa")),
    cancel: cancelled.resolve,
  });
  await endless.pipeThrough(new FrameDecoderStream(u8)).cancel("enough");
  assertEquals(await cancelled.promise, "enough");
});
