// Tests of segments: several sources on one stream, each with its end.
import { assertEquals, assertRejects } from "@std/assert";
import { ProtocolError } from "@parley/parley";
import {
  copyBody,
  encodeVarint,
  SegmentReader,
  SegmentWriter,
} from "../../../wire/protocol/segments.ts";
import { EndWatch } from "../../../async/step.ts";
import { codeOf, errorOf } from "../../support/peers/servers.ts";
import { settles } from "../../support/wait.ts";
import { mounted, readText } from "../../support/peers/wires.ts";

function readerOf(bytes: Uint8Array, step: number): SegmentReader {
  let offset = 0;
  return new SegmentReader(() => {
    if (offset >= bytes.length) return Promise.resolve(null);
    const chunk = bytes.subarray(offset, offset + step);
    offset += step;
    return Promise.resolve(chunk);
  });
}

/** Of a stream that does not end. */
const endless = () => new EndWatch(() => new Promise<undefined>(() => {}));
const end = { watch: endless(), hasMore: () => false };

async function readSegments(reader: SegmentReader): Promise<number[][]> {
  const segments: number[][] = [];
  for (;;) {
    const bytes: number[] = [];
    if (await copyBody(reader, (chunk) => void bytes.push(...chunk), end) === null) return segments;
    segments.push(bytes);
  }
}

Deno.test("encodeVarint gives LEB128 in its shortest form", () => {
  const rows: [number, number[]][] = [[0, [0]], [127, [127]], [128, [128, 1]], [300, [172, 2]], [
    2 ** 32 - 1,
    [255, 255, 255, 255, 15],
  ]];
  for (const [value, bytes] of rows) assertEquals([...encodeVarint(value)], bytes);
});

Deno.test("SegmentReader gives the same segments however the bytes are cut", async () => {
  const out: number[] = [];
  const writer = new SegmentWriter((bytes) => Promise.resolve(void out.push(...bytes)), endless());
  const sources = [[new Uint8Array([1, 2]), new Uint8Array(0), new Uint8Array(300).fill(3)], [], [
    new Uint8Array([4]),
  ]];
  for (const source of sources) await writer.send(source);
  const wanted = sources.map((source) => source.flatMap((chunk) => [...chunk]));
  for (const step of [1, 2, 3, 7, 100, 1000]) {
    assertEquals(await readSegments(readerOf(new Uint8Array(out), step)), wanted);
  }
});

Deno.test("SegmentReader refuses lengths that are none and ends inside a segment", async () => {
  for (
    const bytes of [[128, 0], [255, 255, 255, 255, 16], [128, 128, 128, 128, 128, 1], [2, 1], [
      1,
      9,
    ], [128]]
  ) {
    const error = await assertRejects(
      () => readSegments(readerOf(new Uint8Array(bytes), 1)),
      ProtocolError,
    );
    assertEquals(error.code, "ERR_WIRE_SEGMENT");
  }
});

Deno.test("WireStream carries several sources in segments, and refuses a mix with plain bytes", async () => {
  await using test = await mounted({
    handlers: {
      join: async (stream) => {
        const texts: string[] = [];
        for (;;) {
          const parts: Uint8Array[] = [];
          if (await stream.writeTo((chunk) => void parts.push(chunk)) === null) break;
          texts.push(await new Blob(parts as BlobPart[]).text());
        }
        await stream.write(texts.join("|"));
      },
    },
  });
  const wire = await test.join("ann");
  const stream = await wire.open("join");
  assertEquals(await stream.readFrom(new Blob(["one"]).stream()), 3);
  assertEquals(await stream.readFrom([]), 0);
  assertEquals(await stream.readFrom(new Blob(["x".repeat(200_000)]).stream()), 200_000);
  await assertRejects(() => stream.write("plain"), TypeError, "in segments");
  await stream.closeWrite();
  assertEquals(await readText(stream), `one||${"x".repeat(200_000)}`);
});

Deno.test("WireStream.readFrom resets the stream when its source fails, so that no part passes for the whole", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  await using test = await mounted({
    handlers: { take: (stream) => stream.writeTo(() => {}).then(resolve, resolve) },
  });
  const wire = await test.join("ann");
  const stream = await wire.open("take");
  async function* source() {
    yield new Uint8Array(10);
    await Promise.resolve();
    throw new Error("disk gone");
  }
  await assertRejects(() => stream.readFrom(source()), Error, "disk gone");
  assertEquals((await promise as { code?: string }).code, "ERR_RESET");
});

/** A source that yields ten bytes and then nothing, and whether it was cancelled. */
function silentSource(): {
  readonly source: ReadableStream<Uint8Array>;
  readonly cancelled: Promise<unknown>;
} {
  const cancelled = Promise.withResolvers<unknown>();
  const source = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(10)),
    cancel: cancelled.resolve,
  });
  return { source, cancelled: cancelled.promise };
}

Deno.test("WireStream.readFrom ends while its source is silent, by reset, signal and time, and cancels the source", async () => {
  const begun: (() => void)[] = [];
  await using test = await mounted({
    handlers: {
      gone: async (stream) => {
        await stream.read();
        stream.abort();
      },
      stays: async (stream) => {
        await stream.read();
        begun.pop()?.();
        await stream.closed;
      },
    },
  });
  const wire = await test.join("ann");
  const controller = new AbortController();
  begun.push(() => controller.abort(new Error("enough")));
  const rows = [["gone", {}, "ERR_RESET"], ["stays", { signal: controller.signal }, "enough"], [
    "stays",
    { timeoutMs: 20 },
    "ERR_WRITE_TIMEOUT",
  ]] as const;
  for (const [name, options, wanted] of rows) {
    const { source, cancelled } = silentSource();
    const stream = await wire.open(name);
    const error = await settles(wanted, errorOf(stream.readFrom(source, options)));
    assertEquals(codeOf(error) === wanted || (error as Error).message === wanted, true, `${error}`);
    await settles("the cancelling", cancelled);
    assertEquals(source.locked, false);
  }
});

Deno.test("WireStream.readFrom ends a generator that waits, once it goes on, and never waits for it", async () => {
  await using test = await mounted({ handlers: { gone: (stream) => stream.abort() } });
  const wire = await test.join("ann");
  const go = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  async function* source() {
    try {
      await go.promise;
      yield new Uint8Array(1);
    } finally {
      ended.resolve();
    }
  }
  const stream = await wire.open("gone");
  assertEquals(
    codeOf(await settles("the segment", errorOf(stream.readFrom(source())))),
    "ERR_RESET",
  );
  go.resolve();
  await settles("the generator", ended.promise);
});

Deno.test("WireStream.readFrom ends when the handler of the peer returns, and says that not all was sent", async () => {
  await using test = await mounted({ handlers: { early: () => {} } });
  const wire = await test.join("ann");
  const { source, cancelled } = silentSource();
  const stream = await wire.open("early");
  assertEquals(codeOf(await settles("the segment", errorOf(stream.readFrom(source)))), "ERR_RESET");
  await cancelled;
});

Deno.test("WireStream.writeTo ends while its sink takes nothing, by reset and signal, and leaves the sink to its owner", async () => {
  const bytes = new Uint8Array(100_000);
  await using test = await mounted({
    handlers: {
      gone: async (stream) => {
        await stream.write(new Uint8Array([160, 141, 6]));
        await stream.write(bytes.subarray(0, 5));
        await stream.read();
        stream.abort();
      },
    },
  });
  const wire = await test.join("ann");
  for (const by of ["reset", "signal"]) {
    const taken = Promise.withResolvers<void>();
    const sink = new WritableStream<Uint8Array>({
      write: () => (taken.resolve(), new Promise<void>(() => {})),
    });
    const stream = await wire.open("gone");
    const controller = new AbortController();
    const ending = errorOf(stream.writeTo(sink, { signal: controller.signal }));
    await taken.promise;
    if (by === "reset") await stream.write("go");
    else controller.abort(new Error("enough"));
    const error = await settles(by, ending) as Error;
    assertEquals(
      by === "reset" ? codeOf(error) : error.message,
      by === "reset" ? "ERR_RESET" : "enough",
    );
    assertEquals(sink.locked, false);
    // Inside a segment there is no way back.
    assertEquals(codeOf(await stream.closed), "ERR_RESET");
  }
});

Deno.test("WireStream.writeTo gives a slow sink what came whole, however the stream ends meanwhile", async () => {
  await using test = await mounted({
    handlers: {
      whole: async (stream) => {
        await stream.readFrom([new Uint8Array(10), new Uint8Array(20)]);
        await stream.closeWrite();
        await stream.read();
        stream.abort();
      },
    },
  });
  const wire = await test.join("ann");
  const stream = await wire.open("whole");
  let bytes = 0;
  const copied = stream.writeTo(async (chunk) => {
    bytes += chunk.length;
    if (bytes > 10) return;
    await stream.write("go");
    await stream.closed;
  });
  assertEquals([await settles("the segment", copied), bytes], [30, 30]);
});
