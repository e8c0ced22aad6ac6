// Tests of FrameWriter: nothing that is ready is forgotten, and no buffer goes round while a write
// may still read it.
import { assert, assertEquals } from "@std/assert";
import { takeBuffer } from "../../net/transport/buffers.ts";
import { ClosedError } from "../../errors.ts";
import { MuxSession } from "../../mux/mod.ts";
import { type Batch, type FrameSource, FrameWriter } from "../../mux/writer.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { settle } from "../support/simulation/test_clock.ts";

/** A transport whose writes end when the test says so; reports what they were given. */
function heldWrites(): {
  transport: Transport;
  writes: (PromiseWithResolvers<void> & { bytes: Uint8Array })[];
} {
  const [near] = memoryPair();
  const writes: (PromiseWithResolvers<void> & { bytes: Uint8Array })[] = [];
  const transport = Object.assign(Object.create(near), {
    read: () => near.read(),
    write(bytes: Uint8Array) {
      writes.push({ ...Promise.withResolvers<void>(), bytes });
      return writes.at(-1)!.promise;
    },
    close: () => near.close(),
  });
  return { transport, writes };
}

/**
 * Whether the store passes the buffer of `bytes` to some next user: all of that size are taken out,
 * and left to the collector.
 */
function isInStore(bytes: Uint8Array): boolean {
  const size = bytes.buffer.byteLength;
  return Array.from({ length: 600 }, () => takeBuffer(size)).some(({ buffer }) =>
    buffer === bytes.buffer
  );
}

/** A source with one small frame. */
class OneFrame implements FrameSource {
  nextReady: FrameSource | undefined;
  isReady = false;

  fill(batch: Batch): boolean {
    batch.header({ type: 0, flags: 0, streamId: 1, length: 1 });
    batch.body(new Uint8Array(1));
    return false;
  }
}

Deno.test("FrameWriter joins what one turn of the event loop brings, up to 16 microtasks apart", async () => {
  for (const [hops, expected] of [[0, 1], [10, 1], [14, 1], [200, 2]] as const) {
    const { transport, writes } = heldWrites();
    const hooks = { nowMs: () => 0, onWritten: () => {}, onError: () => {} };
    const writer = new FrameWriter(transport, hooks);
    writer.ready(new OneFrame());
    for (let hop = 0; hop < hops; hop++) await undefined;
    writer.ready(new OneFrame());
    await settle();
    writes[0]!.resolve();
    await settle();
    assertEquals(writes.length, expected, `${hops} microtasks apart`);
    writes[1]?.resolve();
    await writer.idle();
    writer.stop();
  }
});

Deno.test("FrameWriter writes what becomes ready in whatever turn after a write", async () => {
  for (let hops = 0; hops < 40; hops++) {
    const { transport, writes } = heldWrites();
    const hooks = { nowMs: () => 0, onWritten: () => {}, onError: () => {} };
    const writer = new FrameWriter(transport, hooks);
    writer.ready(new OneFrame());
    await settle();
    assertEquals(writes.length, 1);
    writes[0]!.resolve();
    await settle(hops);
    writer.ready(new OneFrame());
    await settle();
    assertEquals(writes.length, 2, `ready ${hops} turns after the end of a write`);
    writes[1]!.resolve();
    await writer.idle();
    writer.stop();
  }
});

for (const size of [100, 20_000, 100_000]) {
  Deno.test(`MuxSession that ends while ${size} bytes are written lends their buffer to nobody else`, async () => {
    const { transport, writes } = heldWrites();
    const session = new MuxSession(transport, { role: "client", keepAliveMs: 0 });
    const stream = await session.openStream();
    const writing = stream.write(new Uint8Array(size)).catch(() => {});
    await settle(500);
    const { bytes, reject } = writes.at(-1)!;
    const before = bytes.slice();
    void session.openStream().catch(() => {}); // the other batch is being filled
    session.abort();
    await settle(500);
    assert(!isInStore(bytes), "while the write is under way");
    reject(new ClosedError("ERR_CLOSED", "the transport was closed"));
    await session.closed;
    await writing;
    await settle(500);
    assert(!isInStore(bytes), "after the write failed: the kernel may still read");
    assertEquals(bytes, before);
  });
}

Deno.test("MuxSession gives its buffers back once they are written", async () => {
  const { transport, writes } = heldWrites();
  const session = new MuxSession(transport, { role: "client", keepAliveMs: 0 });
  await session.openStream();
  await settle();
  const [write] = writes;
  assert(!isInStore(write!.bytes));
  write!.resolve();
  await settle();
  assert(isInStore(write!.bytes));
  session.abort();
  await session.closed;
});
