// Descriptors: a server that has few of them recovers from a flood, and churn leaves none behind.
import { assert } from "@std/assert";
import { hasProcessStats, processStats } from "../support/programs/process_stats.ts";
import { Random } from "../support/random.ts";
import { writeAll } from "../support/peers/raw_peer.ts";
import { staysBelow, until } from "../support/wait.ts";
import { Crowd, identities, ServerProcess } from "./server_process.ts";

const ignore = !hasProcessStats;

for (
  const [name, backend] of [["TCP", undefined], ["TLS", "auto"], [
    "TLS, backend deno",
    "deno",
  ]] as const
) {
  Deno.test({
    name: `serve() over ${name} under ulimit -n 64 recovers after a flood${processStats}`,
    ignore,
    async fn() {
      const tls = backend === undefined ? undefined : await identities(backend);
      await using server = await ServerProcess.start(
        {
          mode: "echo",
          tls: tls?.server,
          options: { handshakeTimeoutMs: 1000, idleTimeoutMs: 1000 },
        },
        tls?.client,
        { maxDescriptors: 64 },
      );
      await server.warmUp();
      const before = server.descriptors + 1;
      for (let flood = 0; flood < 2; flood++) {
        using crowd = new Crowd();
        await crowd.join(
          server.port,
          300,
          (socket, i) => i % 2 === 0 ? Promise.resolve() : writeAll(socket, new Uint8Array(50)),
        );
      }
      const began = performance.now();
      await until(
        "a good client is served",
        () => server.goodRound().then(() => true, () => false),
      );
      const tookMs = performance.now() - began;
      assert(tookMs < 10_000, `it took ${tookMs} ms`);
      await until(`descriptors are back to ${before}`, () => server.descriptors <= before);
      await server.goodRounds(5);
      if (Deno.env.has("PARLEY_TELL")) {
        console.log(`${name}: served ${tookMs.toFixed(0)} ms after two floods`);
      }
    },
  });
}

/** One short life of a client: each ends in a way of its own. */
async function visit(port: number, random: Random): Promise<void> {
  using socket = await Deno.connect({ hostname: "127.0.0.1", port });
  switch (random.int(0, 4)) {
    case 0: // says nothing
      return;
    case 1: // a message, and no wait for its answer
      return await writeAll(socket, new Uint8Array([0, 0, 0, 2, 7, 7]));
    case 2: // half a message
      return await writeAll(socket, new Uint8Array([0, 0, 1, 0, 1, 2, 3]));
    case 3: // no message
      await writeAll(socket, new Uint8Array([0xff, 0xff, 0xff, 0xff]));
      await socket.read(new Uint8Array(1)).catch(() => {});
      return;
    default: // a message, its answer, and an orderly end
      await writeAll(socket, new Uint8Array([0, 0, 0, 1, 9]));
      await socket.read(new Uint8Array(5));
      await socket.closeWrite();
      await socket.read(new Uint8Array(1)).catch(() => {});
  }
}

async function visits(server: ServerProcess, count: number, seed: number): Promise<void> {
  const random = new Random(seed);
  let left = count;
  // So many at a time that their ports do not run out, and that connects and ends overlap.
  await Promise.all(Array.from({ length: 40 }, async () => {
    while (left-- > 0) await visit(server.port, random).catch(() => {});
  }));
}

Deno.test({
  name:
    `serve() after 5000 clients that came and went has the descriptors and the memory of before${processStats}`,
  ignore,
  async fn() {
    await using server = await ServerProcess.start({ mode: "echo" });
    // What was ended is remembered for statistics, up to 10000: that is memory that is meant to be held.
    await visits(server, 5000, 1);
    await until("no connection is open", async () => (await server.report()).connectionsNow === 1);
    // The client that asks may not be gone yet when they are counted.
    const descriptors = server.descriptors + 1;
    const { heapBytes } = await server.report();
    let residentGrew = 0;
    // What leaks grows each time; where a collection comes late, the process is larger only once.
    await staysBelow(32 * 2 ** 20, async () => {
      const residentBytes = server.residentBytes;
      await visits(server, 5000, 2);
      await until(
        "no connection is open",
        async () => (await server.report()).connectionsNow === 1,
      );
      residentGrew = server.residentBytes - residentBytes;
      return residentGrew;
    }, 4);
    await until(`descriptors are back to ${descriptors}`, () => server.descriptors <= descriptors);
    const after = await server.report();
    const heapGrew = after.heapBytes - heapBytes;
    if (Deno.env.has("PARLEY_TELL")) {
      console.log(
        `5000 clients: heap +${heapGrew} bytes, in RAM +${residentGrew} bytes, opened ${after.overall.connectionsOpened}`,
      );
    }
    assert(heapGrew < 8 * 2 ** 20, `the heap grew by ${heapGrew} bytes`);
    assert(after.overall.connectionsOpened >= 10_000, `${after.overall.connectionsOpened}`);
  },
});

Deno.test({
  name:
    `serve() over TLS after 300 clients that came and went has the descriptors of before${processStats}`,
  ignore,
  async fn() {
    const tls = await identities();
    await using server = await ServerProcess.start({ mode: "echo", tls: tls.server }, tls.client);
    const rounds = (count: number) =>
      Promise.all(Array.from({ length: 10 }, () => server.goodRounds(count / 10)));
    await rounds(50);
    await until("no connection is open", async () => (await server.report()).connectionsNow === 1);
    const descriptors = server.descriptors + 1;
    const { heapBytes } = await server.report();
    await rounds(250);
    await until("no connection is open", async () => (await server.report()).connectionsNow === 1);
    await until(`descriptors are back to ${descriptors}`, () => server.descriptors <= descriptors);
    const heapGrew = (await server.report()).heapBytes - heapBytes;
    if (Deno.env.has("PARLEY_TELL")) console.log(`250 TLS clients: heap +${heapGrew} bytes`);
    assert(heapGrew < 8 * 2 ** 20, `the heap grew by ${heapGrew} bytes`);
  },
});
