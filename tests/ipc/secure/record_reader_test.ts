// The reader of records: one buffer for all that comes, however it is cut.
import { assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../../errors.ts";
import { RECORD_HEAD_BYTES, RecordReader } from "../../../ipc/secure/record_reader.ts";
import { concat, newSeed, Random } from "../support.ts";

const MOST = 2 ** 20 + 16;

function record(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEAD_BYTES + body.length);
  bytes[0] = 0x10;
  new DataView(bytes.buffer).setUint32(1, body.length);
  bytes.set(body, RECORD_HEAD_BYTES);
  return bytes;
}

Deno.test("RecordReader returns every record whole, in pieces of any size", () => {
  const seed = newSeed();
  const random = new Random(seed);
  const sizes = [1, 40, 5000, 8187, 8188, 65_531, 65_552, 132_112, 300_000, 2 ** 20];
  for (let run = 0; run < 20; run++) {
    const bodies = Array.from({ length: 12 }, () => {
      const length = sizes[random.below(run < 10 ? 5 : sizes.length)]!;
      return new Uint8Array(length).fill(random.below(256));
    });
    const flow = concat(bodies.map(record));
    const reader = new RecordReader((_type, length) => length <= MOST);
    const piece = [
      1,
      100,
      70_000,
      flow.length,
    ][random.below(run < 10 ? 4 : 2) + (run < 10 ? 0 : 2)]!;
    let got = 0;
    for (let at = 0; at < flow.length; at += piece) {
      reader.push(flow.subarray(at, at + piece));
      for (let one = reader.next(); one !== null; one = reader.next()) {
        const expected = bodies[got++]!;
        const where = `seed ${seed}, run ${run}, record ${got}`;
        assertEquals([one.type, one.body.length], [0x10, expected.length], where);
        assertEquals(one.body.every((byte) => byte === expected[0]), true, where);
        assertEquals(one.head.length, RECORD_HEAD_BYTES);
      }
    }
    assertEquals([got, reader.atBoundary], [bodies.length, true], `seed ${seed}, run ${run}`);
    reader.release();
  }
});

Deno.test("RecordReader does not believe an announced length", () => {
  const reader = new RecordReader((_type, length) => length <= MOST);
  const flow = record(new Uint8Array(2 ** 20).fill(5));
  const before = Deno.memoryUsage().external;
  for (let i = 0; i < 50; i++) {
    const other = new RecordReader((_type, length) => length <= MOST);
    other.push(flow.subarray(0, 10));
    assertEquals(other.next(), null);
  }
  assertEquals(Deno.memoryUsage().external - before < 25 * 2 ** 20, true, "50 announced megabytes");
  for (let at = 0; at < flow.length; at += 10_000) {
    reader.push(flow.subarray(at, at + 10_000));
    assertEquals(reader.next() !== null, at + 10_000 >= flow.length);
  }
  assertEquals([reader.next(), reader.atBoundary], [null, true]);
  reader.push(record(new Uint8Array(100)));
  assertEquals(reader.next()?.body.length, 100);
  assertEquals(reader.next(), null);
});

Deno.test("RecordReader refuses a head as soon as it is here", () => {
  const reader = new RecordReader((type, length) => type === 0x10 && length <= MOST);
  reader.push(new Uint8Array([0x11, 0, 0, 0]));
  assertEquals([reader.next(), reader.atBoundary], [null, false]);
  reader.push(new Uint8Array([1]));
  assertThrows(() => reader.next(), ProtocolError);
});
