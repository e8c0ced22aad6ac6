// Tests of segments: several sources on one stream, each with its end.
import { assertEquals, assertRejects } from "@std/assert";
import { ProtocolError } from "@parley/parley";
import { copyBody, encodeVarint, SegmentReader, SegmentWriter } from "../../wire/segments.ts";
import { EndWatch } from "../../wire/step.ts";
import { mounted, readText } from "../support/wires.ts";

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
    const bytes of [[128, 0], [255, 255, 255, 255, 16], [128, 128, 128, 128, 128, 1], [2, 1], [1, 9], [128]]
  ) {
    const error = await assertRejects(() => readSegments(readerOf(new Uint8Array(bytes), 1)), ProtocolError);
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
