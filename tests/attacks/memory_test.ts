// Memory: what a peer that never reads can make us hold, on a server and on a client.
import { assert, assertEquals } from "@std/assert";
import {
  hasProcessStats,
  processStats,
  residentBytesOf,
} from "../support/programs/process_stats.ts";
import { Program } from "../support/programs/program.ts";
import { writeAll } from "../support/peers/raw_peer.ts";
import { until } from "../support/wait.ts";
import { Crowd, identities, ServerProcess, type ServerReport } from "./server_process.ts";

const ignore = !hasProcessStats;
const MIB = 2 ** 20;
const KIB = 2 ** 10;

const PEERS = 20;
const HIGH_WATER = 256 * KIB;
const MAX_QUEUED = 2 * MIB;
const MESSAGE = 64 * KIB;
const LIMITS = { highWaterBytes: HIGH_WATER, maxQueuedBytes: MAX_QUEUED };
/** A server that is busy with what it pushes must not cut a client that asks for its state. */
const PATIENCE = { writeTimeoutMs: 60_000, handshakeTimeoutMs: 60_000 };

/**
 * What a connection costs beside its queue, generously: buffers of the runtime and of TLS, garbage
 * not yet collected.
 */
const EACH = 512 * KIB;

/**
 * What the process may grow by beside that while it is busy and its garbage waits; without limits
 * it would be a gigabyte and more.
 */
const SLACK = 64 * MIB;

/** Waits until all of the server's queues are full and its connections stand still. */
async function atRest(server: ServerProcess): Promise<ServerReport> {
  let before = await server.report();
  await until("every queue is full and nothing moves", async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const now = await server.report();
    const moved = now.overall.bytesOut - before.overall.bytesOut;
    before = now;
    return moved < 64 * KIB && now.queuedBytes > PEERS * HIGH_WATER;
  });
  return before;
}

for (
  const [name, backend] of [["TCP", undefined], ["TLS", "auto"], [
    "TLS, backend deno",
    "deno",
  ]] as const
) {
  Deno.test({
    name:
      `serve() over ${name}: a handler that waits for each send holds highWaterBytes and one message for each of ${PEERS} ` +
      `peers that never read${processStats}`,
    ignore,
    async fn() {
      const tls = backend === undefined ? undefined : await identities(backend);
      await using server = await ServerProcess.start(
        { mode: "push", tls: tls?.server, options: { ...LIMITS, ...PATIENCE } },
        tls?.client,
      );
      const { heapBytes } = await server.report();
      const residentBytes = server.residentBytes;
      using deaf = new DeafPeers();
      if (tls === undefined) await deaf.join(server.port);
      else await deaf.joinTls(server.port, tls.client.caCerts ?? []);
      const report = await atRest(server);
      const residentGrew = server.residentBytes - residentBytes;
      assertEquals(report.connectionsNow, PEERS + 1);
      assert(
        report.maxQueuedBytes <= HIGH_WATER + MESSAGE + 4,
        `${report.maxQueuedBytes} bytes are queued`,
      );
      assert(
        report.maxQueuedBytes > HIGH_WATER,
        `only ${report.maxQueuedBytes} bytes are queued: the test tests nothing`,
      );
      const heapGrew = report.heapBytes - heapBytes;
      assert(
        heapGrew < PEERS * (HIGH_WATER + MESSAGE + EACH),
        `the heap grew by ${heapGrew} bytes`,
      );
      const allowed = PEERS * (HIGH_WATER + MESSAGE + EACH) + SLACK;
      if (Deno.env.has("PARLEY_TELL")) {
        console.log(
          `${name}, awaited: ${report.queuedBytes} queued in all, heap +${heapGrew}, in RAM +${residentGrew}, allowed ${allowed}`,
        );
      }
      assert(residentGrew < allowed, `the process grew by ${residentGrew} bytes`);
    },
  });

  Deno.test({
    name:
      `serve() over ${name}: a handler that does not wait for its sends gets ERR_SLOW_CONSUMER at maxQueuedBytes for each of ` +
      `${PEERS} peers that never read${processStats}`,
    ignore,
    async fn() {
      const tls = backend === undefined ? undefined : await identities(backend);
      await using server = await ServerProcess.start(
        { mode: "spill", tls: tls?.server, options: { ...LIMITS, ...PATIENCE } },
        tls?.client,
      );
      await server.report();
      const residentBytes = server.residentBytes;
      using deaf = new DeafPeers();
      if (tls === undefined) await deaf.join(server.port);
      else await deaf.joinTls(server.port, tls.client.caCerts ?? []);
      await until("all of them are ended", async () => {
        const { overall } = await server.report();
        return overall.slowConsumers === PEERS;
      });
      const report = await server.report();
      const residentGrew = server.residentBytes - residentBytes;
      assertEquals([report.connectionsNow, report.queuedBytes], [1, 0]);
      assertEquals(report.errors, { "handler ERR_SLOW_CONSUMER": PEERS });
      // They do not all reach it at once, and what they held is garbage now.
      const allowed = PEERS * (MAX_QUEUED + EACH) + SLACK;
      if (Deno.env.has("PARLEY_TELL")) {
        console.log(`${name}, not awaited: in RAM +${residentGrew}, allowed ${allowed}`);
      }
      assert(residentGrew < allowed, `the process grew by ${residentGrew} bytes`);
    },
  });
}

/** Peers that say one word and never read. */
class DeafPeers implements Disposable {
  readonly #crowd = new Crowd();
  readonly #sessions: Deno.TlsConn[] = [];

  async join(port: number): Promise<void> {
    await this.#crowd.join(
      port,
      PEERS,
      (socket) => writeAll(socket, new Uint8Array([0, 0, 0, 1, 7])),
    );
  }

  async joinTls(port: number, caCerts: readonly string[]): Promise<void> {
    await Promise.all(Array.from({ length: PEERS }, async () => {
      const session = await Deno.connectTls({ hostname: "localhost", port, caCerts: [...caCerts] });
      this.#sessions.push(session);
      await writeAll(session, new Uint8Array([0, 0, 0, 1, 7]));
    }));
  }

  [Symbol.dispose](): void {
    this.#crowd[Symbol.dispose]();
    for (const session of this.#sessions.splice(0)) session.close();
  }
}

for (const mode of ["push", "spill"] as const) {
  Deno.test({
    name: mode === "push"
      ? `connect(): a client that waits for each send holds highWaterBytes and one message for a server that never reads${processStats}`
      : `connect(): a client that does not wait for its sends gets ERR_SLOW_CONSUMER from a server that never reads${processStats}`,
    ignore,
    async fn() {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const accepting = listener.accept();
      await using client = new Program("tests/attacks/client_program.ts", [
        JSON.stringify({ mode, port: listener.addr.port, options: LIMITS }),
      ], { flags: ["--v8-flags=--expose-gc"] });
      using _deaf = await accepting;
      const [, told] = await client.printed(/^report (.+)$/m);
      const { queuedBytes, code, residentBytes: before } = JSON.parse(told!);
      const residentGrew = residentBytesOf(client.pid) - before;
      if (Deno.env.has("PARLEY_TELL")) {
        console.log(`client, ${mode}: ${told}, in RAM +${residentGrew}`);
      }
      if (mode === "push") {
        assertEquals(code, null);
        assert(
          // The kernel may have taken a part of the message whose send waits.
          queuedBytes > HIGH_WATER - MESSAGE && queuedBytes <= HIGH_WATER + MESSAGE + 4,
          `${queuedBytes} bytes are queued`,
        );
        assert(
          residentGrew < HIGH_WATER + MESSAGE + SLACK,
          `the process grew by ${residentGrew} bytes`,
        );
      } else {
        assertEquals(code, "ERR_SLOW_CONSUMER");
        assert(residentGrew < MAX_QUEUED + SLACK, `the process grew by ${residentGrew} bytes`);
      }
    },
  });
}
