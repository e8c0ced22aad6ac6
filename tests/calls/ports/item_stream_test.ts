// Items over a stream of bytes: every cut, limits, ends, and bytes of strangers.
import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  type ByteStream,
  encodeItem,
  ItemStream,
  MAX_ITEM_BYTES,
} from "../../../calls/ports/item_stream.ts";
import { FramingError, ParleyError, ProtocolError } from "../../../errors.ts";
import { concat, everyCut, hex, pattern, utf8 } from "../../support/bytes.ts";
import { effort, propertySeed, Random } from "../../support/random.ts";

const RUNS = { numRuns: 300 * effort, seed: propertySeed };

/** A stream of bytes that were written before. */
class Script implements ByteStream {
  readonly #chunks: Uint8Array[];
  readonly #ended = new AbortController();
  readonly written: Uint8Array[] = [];
  reads = 0;

  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = [...chunks];
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  read(): Promise<Uint8Array | null> {
    this.reads++;
    return Promise.resolve(this.#chunks.shift() ?? null);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.written.push(bytes);
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  abort(reason?: unknown): void {
    this.#ended.abort(reason);
  }
}

/** Reads all items, and the error that ended them. */
async function readAll(
  script: Script,
  maxItemBytes?: number,
): Promise<{ items: Uint8Array[]; error: unknown }> {
  const stream = new ItemStream(script, maxItemBytes);
  const items: Uint8Array[] = [];
  try {
    for (let item = await stream.readItem(); item !== null; item = await stream.readItem()) {
      items.push(item);
    }
    return { items, error: undefined };
  } catch (error) {
    return { items, error };
  }
}

Deno.test("items come back as they were, however their bytes are cut", async () => {
  const items = [utf8("one"), hex(""), pattern(3), hex("00")];
  const bytes = concat(items.map((item) => encodeItem(item)));
  for (const chunks of everyCut(bytes)) {
    assertEquals(await readAll(new Script(chunks)), { items, error: undefined });
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.nat(),
      async (items, seed) => {
        const bytes = concat(items.map((item) => encodeItem(item)));
        const script = new Script(new Random(seed).cut(bytes, 200));
        assertEquals(await readAll(script), { items, error: undefined });
      },
    ),
    RUNS,
  );
});

Deno.test("an item of the limit is sent and read, one byte more is refused on either side", async () => {
  const most = pattern(MAX_ITEM_BYTES);
  assertEquals((await readAll(new Script([encodeItem(most)]))).items[0]?.length, MAX_ITEM_BYTES);
  const over = new Uint8Array(MAX_ITEM_BYTES + 1);
  const error = assertThrows(() => encodeItem(over), FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  const script = new Script([encodeItem(over, over.length)]);
  const read = await readAll(script);
  assertInstanceOf(read.error, ParleyError);
  assertEquals([read.items, script.signal.aborted], [[], true]);
});

Deno.test("a length over the limit ends the stream before its bytes have come", async () => {
  for (const length of ["ffffff7f", "ffffffffffffffff7f", "ffffffffffffffffffff01"]) {
    const script = new Script([hex(length)]);
    const { items, error } = await readAll(script);
    assertInstanceOf(error, ParleyError, length);
    assertEquals([items, script.signal.aborted], [[], true]);
  }
});

Deno.test("an item that is too large for the sender sends nothing", async () => {
  const script = new Script([]);
  const stream = new ItemStream(script);
  await assertRejects(() => stream.writeItem(new Uint8Array(MAX_ITEM_BYTES + 1)), FramingError);
  assertEquals(script.written, []);
});

Deno.test("an end inside an item is an error, and an end between items is not", async () => {
  const bytes = concat([encodeItem(utf8("one")), encodeItem(utf8("two"))]);
  for (let length = 0; length <= bytes.length; length++) {
    const { items, error } = await readAll(new Script([bytes.slice(0, length)]));
    assertEquals(items.length, Math.floor(length / 4));
    if (length % 4 === 0) assertEquals(error, undefined);
    else assertInstanceOf(error, ProtocolError);
  }
});

Deno.test("an item that is here is read without waiting for more bytes", async () => {
  const script = new Script([concat([1, 2, 3].map((n) => encodeItem(pattern(n))))]);
  const stream = new ItemStream(script);
  for (const n of [1, 2, 3]) assertEquals(await stream.readItem(), pattern(n));
  assertEquals(script.reads, 1);
});

Deno.test("random bytes are items or a typed error, and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }),
      async (chunks) => {
        const { error } = await readAll(new Script(chunks), 64);
        if (error !== undefined) assertInstanceOf(error, ParleyError);
      },
    ),
    RUNS,
  );
});
