// Records against a peer or a middleman that breaks each rule.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ProtocolError } from "../../../errors.ts";
import {
  ASYNC_BYTES,
  nonceOf,
  type Opened,
  RECORD_OVERHEAD_BYTES,
  RecordOpener,
  RecordSealer,
} from "../../../ipc/secure/records.ts";
import { RecordType } from "../../../ipc/secure/record_reader.ts";
import { concat, newSeed, Random } from "../support.ts";
import { Direction } from "./second_reading.ts";

const TRAFFIC = new Uint8Array(48).fill(7);

function opener(maxRecordBytes = 65536): RecordOpener {
  return new RecordOpener(TRAFFIC.slice(), maxRecordBytes);
}

function sealer(): RecordSealer {
  return new RecordSealer(TRAFFIC.slice(), 0);
}

async function sealAsync(sealer: RecordSealer, plain: Uint8Array): Promise<Uint8Array> {
  const target = new Uint8Array(plain.length + RECORD_OVERHEAD_BYTES);
  assertEquals(await sealer.sealAsync(target, plain), target.length);
  return target;
}

function openFirst(bytes: Uint8Array, machine = opener()): Opened | null {
  machine.input.push(bytes);
  return machine.next();
}

function assertRefused(bytes: Uint8Array, machine = opener(), where = ""): void {
  const error = assertThrows(() => openFirst(bytes, machine), ProtocolError, undefined, where);
  assertEquals(error.code, "ERR_IPC_RECORD");
}

Deno.test("RecordOpener refuses a record with any single bit flipped, on either path", async () => {
  for (const size of [1, 40, ASYNC_BYTES + 40]) {
    const plain = new Random(5).bytes(size);
    const record = sealer().seal(RecordType.data, plain);
    const bits = size > 100
      ? [...Array(6 * 8).keys(), ...Array(16 * 8).keys().map((bit) => record.length * 8 - 1 - bit)]
      : [...Array(record.length * 8).keys()];
    for (const bit of bits) {
      const bad = record.slice();
      bad[bit >> 3]! ^= 0x80 >> (bit & 7);
      let opened: Opened | null;
      try {
        opened = openFirst(bad);
      } catch (error) {
        assert(error instanceof ProtocolError, `size ${size} bit ${bit}`);
        continue;
      }
      // A longer length only waits for more, which then does not open.
      if (opened === null) continue;
      assertEquals(opened.type, "data later", `size ${size} bit ${bit}`);
      if (opened.type === "data later") await assertRejects(() => opened.plain, ProtocolError);
    }
  }
});

Deno.test("RecordOpener refuses records that are replayed, reordered, dropped or of the other direction", () => {
  const ours = sealer();
  const [first, second, third] = [1, 2, 3].map((n) =>
    ours.seal(RecordType.data, new Uint8Array([n]))
  );
  const after = (...records: Uint8Array[]) => {
    const machine = opener();
    for (const record of records) assertEquals(openFirst(record, machine)?.type, "data");
    return machine;
  };
  assertRefused(first!, after(first!), "replayed");
  assertRefused(second!, opener(), "reordered or dropped at the start");
  assertRefused(third!, after(first!), "dropped");
  assertRefused(
    new RecordSealer(new Uint8Array(48).fill(8), 0).seal(RecordType.data, first!),
    opener(),
    "other key",
  );
  assertEquals(openFirst(concat([first!, second!, third!]), opener())?.type, "data");
});

Deno.test("RecordOpener judges type and length from the five bytes alone", () => {
  const head = (type: number, length: number) =>
    new Uint8Array([type, length >>> 24, length >>> 16, length >>> 8, length]);
  for (const type of [0, 1, 0x0f, 0x13, 0xff]) {
    assertRefused(head(type, 17), opener(), `type ${type}`);
  }
  for (const length of [0, 15, 16, 2 ** 16 + 17, 2 ** 32 - 1]) {
    assertRefused(head(0x10, length), opener(), `data ${length}`);
  }
  for (const length of [15, 17]) {
    assertRefused(head(0x11, length), opener(), `key update ${length}`);
  }
  for (const length of [16, 18]) assertRefused(head(0x12, length), opener(), `close ${length}`);
  assertEquals(openFirst(head(0x10, 2 ** 16 + 16)), null);
  assertEquals(
    openFirst(sealer().seal(RecordType.data, new Uint8Array(1024)), opener(1024))?.type,
    "data",
  );
  assertRefused(sealer().seal(RecordType.data, new Uint8Array(1025)), opener(1024));
});

Deno.test("RecordOpener gives up on key updates that never bring data", () => {
  const theirs = new Direction(TRAFFIC.slice());
  const updates = Array.from({ length: 17 }, () => theirs.seal(0x11, new Uint8Array(0)));
  const machine = opener();
  assertEquals(openFirst(concat(updates.slice(0, 16)), machine), null);
  assertRefused(updates[16]!, machine);
});

Deno.test("RecordSealer moves on to a new key after records, bytes and time, each at its limit", () => {
  const limits = { records: 3, bytes: 100, ageMs: 1000 };
  const make = () => new RecordSealer(TRAFFIC.slice(), 0, limits);
  const byCount = make();
  for (let i = 0; i < 3; i++) {
    assertEquals(byCount.updateIfDue(0), null);
    byCount.seal(RecordType.data, new Uint8Array(1));
  }
  assert(byCount.updateIfDue(0) !== null);
  assertEquals(byCount.updateIfDue(0), null, "counted anew");
  const byBytes = make();
  byBytes.seal(RecordType.data, new Uint8Array(99));
  assertEquals(byBytes.updateIfDue(0), null);
  byBytes.seal(RecordType.data, new Uint8Array(1));
  assert(byBytes.updateIfDue(0) !== null);
  const byAge = make();
  assertEquals(byAge.updateIfDue(999), null);
  assert(byAge.updateIfDue(1000) !== null);
  assertEquals(byAge.updateIfDue(1999), null);
});

Deno.test("RecordSealer keeps the order of numbers between small and large records", async () => {
  const seed = newSeed();
  const random = new Random(seed);
  const ours = sealer();
  const theirs = new Direction(TRAFFIC.slice());
  const plains = Array.from({ length: 6 }, (_, i) => random.bytes(i % 2 === 0 ? 9000 : 10));
  const records = await Promise.all(
    plains.map((plain, i) =>
      i % 2 === 0 ? sealAsync(ours, plain) : ours.seal(RecordType.data, plain)
    ),
  );
  for (const [i, record] of records.entries()) {
    const { type, plain, rest } = theirs.open(record);
    assertEquals([type, plain, rest.length], [0x10, plains[i]!, 0], `seed ${seed}`);
  }
});

Deno.test("nonceOf() numbers up to 16777216 records under a key, each with a nonce of its own, and not one more", () => {
  const iv = new Uint8Array(12).fill(0xa5);
  const numbers = [0, 1, 255, 256, 65_536, 2 ** 24 - 1];
  const nonces = numbers.map((number) => nonceOf(iv, number, iv.slice()).join());
  assertEquals(new Set(nonces).size, numbers.length);
  assertThrows(() => nonceOf(iv, 2 ** 24, iv.slice()), ProtocolError, "16777216 records at most");
});
