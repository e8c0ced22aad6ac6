// What every Transport must do, whatever carries its bytes: one suite for all of them, in both directions.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, type ClosedErrorCode } from "../../../errors.ts";
import { readTo, writeFor } from "../../../net/transport/handover.ts";
import type { ChunkReader, ChunkWriter, Transport } from "../../../net/transport/transport.ts";
import { Random } from "../random.ts";
import { atRest, openDescriptors, settles, until } from "../wait.ts";

/** Two joined transports. */
export interface TransportPair {
  readonly near: Transport;
  readonly far: Transport;
  /** Frees what joins them. The transports are closed by then. */
  dispose?: (() => void | Promise<void>) | undefined;
}

/** What one kind of transport can do. */
export interface ConformanceOptions {
  /**
   * Bytes that may be under way in one direction while no reader reads.
   * @default {24 MiB} what kernels buffer at most
   */
  maxBufferedBytes?: number | undefined;
  /** `close()` frees the descriptor at once, whatever is under way. @default {true} */
  closesAtOnce?: boolean | undefined;
  /** Has `reset()`. @default {false} */
  resets?: boolean | undefined;
}

const MIB = 1 << 20;

/** Registers the tests of one kind, in both directions. `makePair` returns the client's end as `near`. */
export function conformance(
  name: string,
  makePair: () => Promise<TransportPair>,
  options: ConformanceOptions = {},
): void {
  const turned = async (): Promise<TransportPair> => {
    const { near, far, dispose } = await makePair();
    return { near: far, far: near, dispose };
  };
  checkDirection(`${name}, client to server`, makePair, options);
  checkDirection(`${name}, server to client`, turned, options);
  checkOnce(name, makePair, options);
}

/** Runs `body` with a pair, and frees everything after it. */
async function withPair(
  makePair: () => Promise<TransportPair>,
  body: (near: Transport, far: Transport) => Promise<void>,
): Promise<void> {
  const { near, far, dispose } = await makePair();
  try {
    await body(near, far);
  } finally {
    near.close();
    far.close();
    await dispose?.();
  }
}

function checkDirection(
  name: string,
  makePair: () => Promise<TransportPair>,
  { maxBufferedBytes = 24 * MIB, closesAtOnce = true, resets = false }: ConformanceOptions,
): void {
  const test = (text: string, body: (near: Transport, far: Transport) => Promise<void>) =>
    Deno.test(`Transport over ${name}, ${text}`, () => withPair(makePair, body));

  test("keeps order and content whatever the pieces", async (near, far) => {
    const random = new Random(7);
    const sent = random.bytes(300_000);
    const writing = (async () => {
      for (const piece of random.cut(sent, 9000)) await near.write(piece);
      await near.closeWrite();
    })();
    const received = await readAll(far);
    await writing;
    assertEquals(await digest(received), await digest([sent]));
  });

  test("gives chunks that are never written to again", async (near, far) => {
    const chunks: Uint8Array[] = [];
    const copies: Uint8Array[] = [];
    for (let i = 0; i < 300; i++) {
      await near.write(new Uint8Array(1 + i % 97).fill(i));
      const chunk = await far.read();
      assert(chunk !== null && chunk.constructor === Uint8Array);
      chunks.push(chunk);
      copies.push(chunk.slice());
    }
    assertEquals(chunks, copies);
  });

  test("takes bytes that change right after the write", async (near, far) => {
    const bytes = new Uint8Array(4096);
    const writing = (async () => {
      for (let i = 0; i < 50; i++) {
        bytes.fill(i);
        await near.write(bytes);
      }
      await near.closeWrite();
    })();
    const received = await readAll(far);
    await writing;
    const all = new Uint8Array(await new Blob(received as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    for (let i = 0; i < 50; i++) {
      assertEquals(all.subarray(i * 4096, (i + 1) * 4096), new Uint8Array(4096).fill(i));
    }
  });

  test("goes on reading after its own direction has ended", async (near, far) => {
    await near.write(new Uint8Array([1]));
    await near.closeWrite();
    await near.closeWrite();
    assertEquals(await far.read(), new Uint8Array([1]));
    assertEquals(await far.read(), null);
    assertEquals(await far.read(), null);
    await far.write(new Uint8Array([2]));
    assertEquals(await near.read(), new Uint8Array([2]));
    await far.closeWrite();
    assertEquals(await near.read(), null);
  });

  test("reads the end when the peer closes", async (near, far) => {
    await near.write(new Uint8Array([1, 2, 3]));
    near.close();
    assertEquals((await readAll(far)).reduce((sum, chunk) => sum + chunk.length, 0), 3);
    assertEquals(await far.read(), null);
  });

  test("reads the end when the peer closes while the read is under way", async (near, far) => {
    const reading = far.read();
    near.close();
    assertEquals(await settles("read", reading), null);
  });

  test("fails a read under way with ERR_CLOSED when closed", async (near) => {
    const reading = near.read();
    near.close();
    await assertCode("ERR_CLOSED", reading);
    await assertCode("ERR_CLOSED", near.read());
    await assertCode("ERR_CLOSED", near.write(new Uint8Array(1)));
    await near.closeWrite();
    near.close();
  });

  test(
    "calls back who reads and writes without promises, and never within the call",
    async (near, far) => {
      const told: (string | number)[] = [];
      const reader: ChunkReader = {
        onChunk: (chunk) => void told.push(chunk?.length ?? "end"),
        onReadFailed: (error) => void told.push((error as ClosedError).code),
      };
      const writer: ChunkWriter = {
        onWritten: () => void told.push("written"),
        onWriteFailed: (error) => void told.push((error as ClosedError).code),
      };
      readTo(far, reader);
      writeFor(near, new Uint8Array(70_000), writer);
      assertEquals(told, []);
      await until("calls", () => told.length === 2);
      assert(told.includes("written"), `${told}`);
      let left = 70_000 - told.filter((one) => typeof one === "number")[0]!;
      while (left > 0) left -= (await far.read())!.length;
      // What waits before it is asked for comes later, too.
      await near.write(new Uint8Array(3));
      told.length = 0;
      readTo(far, reader);
      assertEquals(told, []);
      await until("calls", () => told.length === 1);
      assertEquals(told, [3]);
      readTo(near, reader);
      near.close();
      assertEquals(told, [3]);
      await until("calls", () => told.length === 2);
      readTo(near, reader);
      writeFor(near, new Uint8Array(1), writer);
      assertEquals(told, [3, "ERR_CLOSED"]);
      await until("calls", () => told.length === 4);
      assertEquals(told, [3, "ERR_CLOSED", "ERR_CLOSED", "ERR_CLOSED"]);
    },
  );

  test("fails a write under way with ERR_CLOSED when closed", async (near) => {
    const { writing } = await fillUp(near, maxBufferedBytes);
    near.close();
    await assertCode("ERR_CLOSED", writing);
  });

  test("stops the writer while nobody reads", async (near, far) => {
    const { writing, accepted } = await fillUp(near, maxBufferedBytes);
    let received = 0;
    while (received < accepted) received += (await far.read())!.length;
    // The writer goes on by itself.
    const more = far.read();
    assert(await settles("read", more) !== null);
    near.close();
    await assertCode("ERR_CLOSED", writing);
  });

  test("goes on writing to a peer that ended its direction without a word", async (near, far) => {
    await far.closeWrite();
    assertEquals(await settles("read", near.read()), null);
    await checkGoesOn(near, far);
  });

  test(
    "goes on writing to a peer that ends its direction without a word while the write waits",
    async (near, far) => {
      const reading = near.read();
      await checkGoesOn(near, far, () => far.closeWrite());
      assertEquals(await settles("read", reading), null);
    },
  );

  test("refuses a second reader and a second writer", async (near) => {
    const reading = near.read();
    await assertRejects(() => near.read(), TypeError, "another read is under way");
    const { writing } = await fillUp(near, maxBufferedBytes);
    await assertRejects(
      () => near.write(new Uint8Array(1)),
      TypeError,
      "another write is under way",
    );
    near.close();
    await assertCode("ERR_CLOSED", reading);
    await assertCode("ERR_CLOSED", writing);
  });

  test("fails the writer with ERR_RESET when the peer is gone", async (near, far) => {
    far.close();
    await assertCode("ERR_RESET", writeForever(near));
  });

  if (resets) {
    test(
      "fails the peer's read with ERR_RESET when reset, at rest or with a write under way",
      async (near, far) => {
        await near.write(new Uint8Array([1]));
        assertEquals(await far.read(), new Uint8Array([1]));
        const reading = far.read();
        near.reset?.();
        near.reset?.();
        await assertCode("ERR_RESET", reading);
        await assertCode("ERR_RESET", far.read());
        await assertCode("ERR_CLOSED", near.read());
      },
    );

    test(
      "fails its own calls with ERR_CLOSED and the peer's with ERR_RESET when reset amid them",
      async (near, far) => {
        const reading = near.read();
        const { writing } = await fillUp(near, maxBufferedBytes);
        near.reset?.();
        await assertCode("ERR_CLOSED", reading);
        await assertCode("ERR_CLOSED", writing);
        await assertCode("ERR_RESET", readAll(far));
      },
    );
  }

  // Deno's own TLS frees it only when the peer leaves: a canary holds that, see tests/net/canary_test.ts.
  if (closesAtOnce) {
    Deno.test({
      name: `Transport over ${name}, frees its descriptor when closed during a write`,
      ignore: Deno.build.os !== "linux",
      fn: () =>
        withPair(makePair, async (near) => {
          const reading = near.read().catch(() => {});
          const { writing } = await fillUp(near, maxBufferedBytes);
          const before = openDescriptors();
          near.close();
          await assertCode("ERR_CLOSED", writing);
          await reading;
          if (near.localAddr.transport === "memory") return;
          await until("the descriptor is free", () => openDescriptors() <= before - 1);
        }),
    });
  }
}

function checkOnce(
  name: string,
  makePair: () => Promise<TransportPair>,
  { maxBufferedBytes = 24 * MIB }: ConformanceOptions,
): void {
  Deno.test(`Transport over ${name}, carries 8 MiB both ways at once`, () =>
    withPair(makePair, async (near, far) => {
      const send = async (transport: Transport, random: Random) => {
        const block = random.bytes(65536);
        for (let left = 8 * MIB; left > 0;) {
          const piece = block.subarray(0, Math.min(left, random.int(1, 65536)));
          await transport.write(piece);
          left -= piece.length;
        }
        await transport.closeWrite();
      };
      const [there, back] = await Promise.all([
        readAll(far),
        readAll(near),
        send(near, new Random(1)),
        send(far, new Random(2)),
      ]);
      assertEquals(await digest(there), await expectedDigest(new Random(1)));
      assertEquals(await digest(back), await expectedDigest(new Random(2)));
    }));

  Deno.test(`Transport over ${name}, leaves chunks alone that are not given back`, () =>
    withPair(makePair, async (near, far) => {
      const writing = (async () => {
        const random = new Random(1);
        for (let left = MIB; left > 0;) {
          const piece = random.bytes(Math.min(left, random.int(1, 100_000)));
          await near.write(piece);
          left -= piece.length;
        }
        await near.closeWrite();
      })();
      const held: { readonly chunk: Uint8Array; readonly copy: Uint8Array }[] = [];
      for (let turn = 0, chunk; (chunk = await far.read()) !== null; turn++) {
        if (turn % 3 > 0) far.reuse?.(chunk);
        else held.push({ chunk, copy: chunk.slice() });
      }
      await writing;
      for (const { chunk, copy } of held) assertEquals(chunk, copy);
    }));

  Deno.test({
    name: `Transport over ${name}, leaves no descriptor behind`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await withPair(makePair, async () => {});
      const before = openDescriptors();
      for (let i = 0; i < 5; i++) {
        await withPair(makePair, async (near, far) => {
          await near.write(new Uint8Array([1]));
          await far.read();
          if (i % 2 === 0) return;
          const { writing } = await fillUp(near, maxBufferedBytes);
          near.close();
          await assertCode("ERR_CLOSED", writing);
        });
      }
      await until("all descriptors are free", () => openDescriptors() <= before);
    },
  });
}

/** Writes until the other end takes no more; `writing` is the write that waits. */
async function fillUp(
  transport: Transport,
  maxBufferedBytes: number,
): Promise<{ writing: Promise<void>; accepted: number }> {
  let accepted = 0;
  const block = new Uint8Array(65536);
  const writing = (async () => {
    for (;;) {
      await transport.write(block);
      accepted += block.length;
      assert(accepted <= maxBufferedBytes, `Nobody reads, and ${accepted} bytes were taken`);
    }
  })();
  // A call that waits for it sees its end.
  writing.catch(() => {});
  await atRest(() => accepted);
  return { writing, accepted };
}

/** Writes until `far` takes no more, and then on while it reads. */
async function checkGoesOn(
  near: Transport,
  far: Transport,
  meanwhile = async () => {},
): Promise<void> {
  let accepted = 0;
  let isFull = false;
  const writing = (async () => {
    const block = new Uint8Array(65536);
    for (; !isFull; accepted += block.length) await near.write(block);
    for (const end = accepted + 4 * MIB; accepted < end; accepted += block.length) {
      await near.write(block);
    }
    await near.closeWrite();
  })();
  writing.catch(() => {});
  await atRest(() => accepted);
  await meanwhile();
  await atRest(() => accepted);
  isFull = true;
  let received = 0;
  for (let chunk; (chunk = await settles("read", far.read())) !== null;) received += chunk.length;
  await writing;
  assertEquals(received, accepted);
}

async function writeForever(transport: Transport): Promise<void> {
  for (;;) {
    await transport.write(new Uint8Array(1024));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

async function readAll(transport: Transport): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (let chunk; (chunk = await transport.read()) !== null;) chunks.push(chunk);
  return chunks;
}

async function expectedDigest(random: Random): Promise<string> {
  const block = random.bytes(65536);
  const pieces: Uint8Array[] = [];
  for (let left = 8 * MIB; left > 0;) {
    const piece = block.subarray(0, Math.min(left, random.int(1, 65536)));
    pieces.push(piece);
    left -= piece.length;
  }
  return await digest(pieces);
}

async function digest(chunks: readonly Uint8Array[]): Promise<string> {
  const all = await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer();
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all)).toHex();
}

/** Fails unless the promise rejects with a {@linkcode ClosedError} of that code. */
export async function assertCode(code: ClosedErrorCode, promise: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => settles(code, promise), ClosedError);
  assertEquals(error.code, code);
}
