// The outbox of a link: whom its bound meets.
import { assertEquals } from "@std/assert";
import { FrameKind } from "../../../ipc/protocol/frames.ts";
import { Outbox } from "../../../ipc/link/outbox.ts";
import type { FrameLink } from "../../../ipc/secure/frame_link.ts";

/** An outbox over a link that takes nothing, and the codes that it ended with. */
function stuckOutbox(): { outbox: Outbox; ends: string[] } {
  const ends: string[] = [];
  const link = { maxWrites: 1, writeBytes: null, write: () => new Promise<void>(() => {}) };
  const outbox = new Outbox(link as unknown as FrameLink, {
    highWaterBytes: 50,
    maxQueuedBytes: 1000,
    onError: (error) => void ends.push((error as Error & { code: string }).code),
    onRoom: () => {},
  });
  return { outbox, ends };
}

Deno.test("Outbox takes a message larger than the queue behind queries that no writer could wait for", () => {
  const { outbox, ends } = stuckOutbox();
  outbox.add(FrameKind.query, 1, new Uint8Array(100));
  void outbox.push(FrameKind.message, 1, new Uint8Array(100_000));
  assertEquals(ends, []);
});

Deno.test("Outbox ends a writer that does not wait for the write before", async () => {
  const { outbox, ends } = stuckOutbox();
  void outbox.push(FrameKind.message, 1, new Uint8Array(100));
  const code = await outbox.push(FrameKind.message, 1, new Uint8Array(1000)).catch((error) =>
    error.code
  );
  assertEquals([code, ends], ["ERR_SLOW_CONSUMER", ["ERR_SLOW_CONSUMER"]]);
});

Deno.test("Outbox does not take a look at its room for a writer that was told to wait", async () => {
  const { outbox, ends } = stuckOutbox();
  outbox.add(FrameKind.query, 1, new Uint8Array(2000));
  const looking = outbox.whenRoom();
  void outbox.push(FrameKind.message, 1, new Uint8Array(100)).catch(() => {});
  assertEquals(ends, []);
  outbox.fail(new Error("over"));
  await looking;
});

Deno.test("Outbox puts a frame that a record can hold whole into one, and fills records with longer ones", async () => {
  const writes: number[] = [];
  const write = (bytes: Uint8Array) => {
    writes.push(bytes.length);
    return Promise.resolve();
  };
  const link = { maxWrites: 1, writeBytes: 129 * 1024, write };
  const outbox = new Outbox(link as unknown as FrameLink, {
    highWaterBytes: 2 ** 30,
    maxQueuedBytes: 2 ** 30,
    onError: () => {},
    onRoom: () => {},
  });
  const sizes = [65_536, 65_536, 65_536, 100, 65_536, 200_000, 20_000, 10_000, 500_000];
  for (const size of sizes) void outbox.push(FrameKind.message, 1, new Uint8Array(size));
  await outbox.emptied();
  const frame = 65_545;
  assertEquals(writes.slice(0, 3), [frame, 2 * frame + 109, 129 * 1024], "none is cut");
  assertEquals(Math.max(...writes) <= 129 * 1024, true);
  assertEquals(writes.reduce((sum, bytes) => sum + bytes), outbox.pushedBytes);
  assertEquals(writes.every((bytes) => bytes > 9), true, `no record for a head alone: ${writes}`);
});
