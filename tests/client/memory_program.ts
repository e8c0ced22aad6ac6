// A program for the memory test: a Client that sends without waiting, to a server that never reads
// or to none.
//
// Argument: "linked" or "unlinked". It prints how much it sent, and how much memory was in use for
// it at most. It runs with --v8-flags=--expose-gc, so that garbage does not count.
import { Client } from "@parley/parley";

const MIB = 1 << 20;

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const { port } = listener.addr;
const linked = Deno.args[0] === "linked";
if (!linked) listener.close();

const client = new Client({
  port,
  maxQueuedBytes: 8 * MIB,
  highWaterBytes: MIB,
  closeTimeoutMs: 10,
});
// It is never read from.
const held = linked ? await listener.accept() : null;
if (linked) await client.ready;

declare const gc: () => void;

/** Lets the event loop turn, as a program that sends in bursts does. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Bytes that are in use. Buffers are freed behind a collection, so that it takes two. */
async function inUse(): Promise<number> {
  gc();
  await turn();
  gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

const before = await inUse();
let most = before;
let sentBytes = 0;
let refused = 0;

for (const size of [64 * 1024, 1024, 1, 0]) {
  for (let burst = 0; burst < 60; burst++) {
    for (let i = 0; i < 200; i++) {
      sentBytes += size;
      client.send(new Uint8Array(size)).catch(() => refused++);
    }
    await turn();
    if (burst % 20 === 0) most = Math.max(most, await inUse());
  }
}
console.log(JSON.stringify({ sentMib: sentBytes / MIB, refused, grewMib: (most - before) / MIB }));
await client.close().catch(() => {});
held?.close();
if (linked) listener.close();
