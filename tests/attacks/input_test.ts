// Input that is made to hurt: lengths that promise much, lines that never end, floods of empty messages.
import { assert, assertEquals } from "@std/assert";
import { hasProcessStats, processStats } from "../support/programs/process_stats.ts";
import { readToEnd, writeAll } from "../support/peers/raw_peer.ts";
import { staysBelow, until } from "../support/wait.ts";
import { Crowd, ServerProcess } from "./server_process.ts";

const ignore = !hasProcessStats;
const MIB = 2 ** 20;

Deno.test({
  name:
    `serve() holds no memory for lengths that are only promised: 200 clients promise 64 MiB each${processStats}`,
  ignore,
  async fn() {
    await using server = await ServerProcess.start({
      mode: "echo",
      options: { maxMessageBytes: 64 * MIB },
    });
    await server.goodRounds(5);
    const { heapBytes } = await server.report();
    const residentBytes = server.residentBytes;
    using crowd = new Crowd();
    await crowd.join(
      server.port,
      200,
      (socket) => writeAll(socket, new Uint8Array([0x04, 0, 0, 0, 1, 2, 3])),
    );
    await until("all promises are read", async () => (await server.report()).heldBytes === 200 * 7);
    const heapGrew = (await server.report()).heapBytes - heapBytes;
    const residentGrew = server.residentBytes - residentBytes;
    if (Deno.env.has("PARLEY_TELL")) {
      console.log(`12.5 GiB promised: heap +${heapGrew}, in RAM +${residentGrew}`);
    }
    // 4 KiB of read buffer for each, and what a connection is.
    assert(heapGrew < 8 * MIB, `the heap grew by ${heapGrew} bytes`);
    assert(residentGrew < 100 * MIB, `the process grew by ${residentGrew} bytes`);
  },
});

/** Sends zeros until the far end has had enough; returns how many it took. */
async function pour(socket: Deno.Conn, mostBytes: number, chunk: Uint8Array): Promise<number> {
  let bytes = 0;
  try {
    while (bytes < mostBytes) {
      await writeAll(socket, chunk);
      bytes += chunk.length;
    }
  } catch {
    // It had enough.
  }
  return bytes;
}

/** Reads and forgets, to the end. */
async function forget(socket: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  while (await socket.read(buffer).catch(() => null) !== null);
}

Deno.test("serve() ends a client whose line never ends: at the limit, and in linear time", async () => {
  const { delimited } = await import("@parley/parley");
  const { started } = await import("../support/peers/servers.ts");
  for (const delimiter of ["\n", "\r\n", "\0\0\0\0\0\0\0\x01"]) {
    await using test = await started({ framing: delimited(delimiter), maxMessageBytes: 2 * MIB });
    assert(test.server.addr.transport === "tcp");
    using socket = await Deno.connect({ port: test.server.addr.port });
    const began = performance.now();
    // All of the last delimiter but its end, again and again: the worst case for a naive search.
    const [poured, answer] = await Promise.all([
      pour(socket, 64 * MIB, new Uint8Array(64 * 1024)),
      readToEnd(socket),
    ]);
    const tookMs = performance.now() - began;
    assertEquals(answer, "");
    assertEquals(test.codes, ["handler ERR_FRAME_TOO_LARGE"]);
    assert(poured < 64 * MIB || tookMs < 10_000, `it took ${tookMs} ms for ${poured} bytes`);
    await until("it is gone", () => test.server.closedConnections().length === 1);
    const { heldBytes } = test.server.closedConnections()[0]!;
    assert(heldBytes <= 2 * MIB + 64 * 1024, `${heldBytes} bytes were held`);
  }
});

Deno.test({
  name: `serve() serves others beside floods of empty messages${processStats}`,
  ignore,
  async fn() {
    await using server = await ServerProcess.start({ mode: "echo" });
    await server.warmUp();
    const calm = await server.goodRounds(5);
    using crowd = new Crowd();
    await crowd.join(server.port, 4);
    // 16384 empty messages in each chunk, and a reader for the answers, or the flooders would stall
    // themselves.
    const chunk = new Uint8Array(64 * 1024);
    const flooding = crowd.sockets.flatMap((
      socket,
    ) => [pour(socket, Infinity, chunk), forget(socket)]);
    await until(
      "the flood is on",
      async () => (await server.report()).overall.messagesIn > 100_000,
    );
    const calmMs = Math.max(...calm);
    let slowestMs = Infinity;
    // Four flooders, a process that makes their flood, and two processors at the least: some turns
    // of 2048 messages each.
    await staysBelow(Math.max(250, 20 * calmMs), async () => {
      slowestMs = Math.max(...await server.goodRounds(10));
      return slowestMs;
    });
    const { overall } = await server.report();
    crowd[Symbol.dispose]();
    await Promise.all(flooding);
    if (Deno.env.has("PARLEY_TELL")) {
      console.log(
        `${overall.messagesIn} empty messages: a good round took ${
          slowestMs.toFixed(1)
        } ms at most, ${calmMs.toFixed(1)} ms alone`,
      );
    }
  },
});
