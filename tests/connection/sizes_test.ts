// Messages of every size that matters to joined writes, by every framing, alone and one after the other.
import { assert, assertEquals } from "@std/assert";
import {
  chunked,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  raw,
  varintPrefixed,
} from "../../framing.ts";
import { concat, pattern, utf8 } from "../support/bytes.ts";
import { closeAll, connectedPair, receiveAll } from "../support/simulation/memory_connections.ts";

const KIB = 1024;

/**
 * Around the sizes of buffers (8 and 64 KiB) and of slices (256 KiB, behind up to 64 KiB that are
 * copied).
 */
const sizes = [
  ...[0, 1, 2, 255, 256],
  ...[8, 64, 128, 256, 320].flatMap((kib) =>
    [-9, -8, -5, -4, -3, -2, -1, 0, 1, 2, 4, 5].map((more) => kib * KIB + more)
  ),
  KIB * KIB,
];

const framings: readonly Framing[] = [
  lengthPrefixed(),
  lengthPrefixed({ bytes: 8, endian: "little" }),
  varintPrefixed(),
  chunked(),
  delimited("\n"),
  delimited("\r\n"),
];

for (const framing of framings) {
  Deno.test(`Connection.send() carries messages of all sizes by ${framing.name}, alone and one after the other`, async () => {
    const [a, b] = connectedPair({ framing });
    // No byte is a delimiter.
    const made = sizes.map((size) => pattern(size).map((byte) => byte | 0x20));
    const receiving = receiveAll(b);
    for (const message of made) {
      await a.send(message);
      await a.flush();
    }
    for (const message of made) await a.send(message);
    for (const message of made.toReversed()) {
      a.send("between");
      await a.send(message);
    }
    await a.closeWrite();
    const got = await receiving;
    const expected = [
      ...made,
      ...made,
      ...made.toReversed().flatMap((message) => [utf8("between"), message]),
    ];
    assertEquals(got.length, expected.length);
    for (const [i, message] of got.entries()) {
      assertEquals(message.length, expected[i]!.length);
      assert(
        message.every((byte, at) => byte === expected[i]![at]),
        `message ${i} of ${message.length} bytes differs`,
      );
    }
    assertEquals(a.stats().queuedBytes, 0);
    assertEquals(a.stats().bytesOut, b.stats().bytesIn);
    await closeAll(a, b);
  });
}

Deno.test("Connection.send() carries fixed and unframed bytes of all sizes", async () => {
  for (const size of sizes.filter((size) => size > 0)) {
    for (const framing of [fixedLength(size), raw()]) {
      const [a, b] = connectedPair({ framing });
      const message = pattern(size);
      a.send(message);
      a.send(message);
      const ended = a.closeWrite();
      const got = concat(await receiveAll(b));
      await ended;
      assertEquals(got.length, 2 * size);
      assert(got.every((byte, at) => byte === message[at % size]));
      await closeAll(a, b);
    }
  }
});
