// Sources: one that fails is refused for a while, and no other is; loopback is exempt unless an
// option says otherwise.
import net from "node:net";
import { assert, assertEquals } from "@std/assert";
import { connect, type ServeOptions } from "@parley/parley";
import { testCerts } from "../support/programs/certs.ts";
import { ask, lines, started, type TestServer } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";

const ignore = Deno.build.os !== "linux";
const name = (sentence: string) =>
  ignore ? `${sentence} (ignored: needs several loopback addresses)` : sentence;

/**
 * Connects from one of the addresses of loopback, sends garbage, and reports whether the server
 * took a look at it.
 */
async function babble(test: TestServer, source: string): Promise<boolean> {
  assert(test.server.addr.transport === "tcp");
  const before = test.server.stats().overall;
  const socket = net.connect({
    host: "127.0.0.1",
    port: test.server.addr.port,
    localAddress: source,
  });
  socket.on("error", () => {});
  socket.write("this is no client hello");
  socket.resume();
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const after = () => test.server.stats().overall;
  await until("it is refused or looked at", () => {
    const { connectionsRefused, handshakeFailures } = after();
    return connectionsRefused + handshakeFailures >
      before.connectionsRefused + before.handshakeFailures;
  });
  return after().handshakeFailures > before.handshakeFailures;
}

async function listen(options: ServeOptions): Promise<TestServer> {
  return await started({ tls: (await testCerts()).server, ...options });
}

Deno.test({
  name: name(
    "serve({ limitLoopback: true }) refuses a source whose handshake failed, for a while, and no other source",
  ),
  ignore,
  async fn() {
    await using test = await listen({ limitLoopback: true, penalties: { failureMs: 60_000 } });
    assertEquals(await babble(test, "127.0.0.2"), true);
    assertEquals(await babble(test, "127.0.0.2"), false);
    assertEquals(await babble(test, "127.0.0.3"), true);
    assertEquals(await babble(test, "127.0.0.2"), false);
    assertEquals(test.server.stats().refusedBy.penalized, 2);
  },
});

for (const backend of ["node", "deno"] as const) {
  Deno.test({
    name: name(
      `serve() over TLS by ${backend} refuses no source for probes that connect and leave`,
    ),
    ignore,
    async fn() {
      const { cert, key } = (await testCerts()).server;
      const tls = { cert, key, backend };
      await using test = await started({
        limitLoopback: true,
        penalties: { failureMs: 60_000 },
        tls,
      });
      assert(test.server.addr.transport === "tcp");
      const { port } = test.server.addr;
      for (const end of ["end", "resetAndDestroy", "end", "resetAndDestroy"] as const) {
        const before = test.server.stats().overall.handshakeFailures;
        const socket = net.connect({ host: "127.0.0.1", port, localAddress: "127.0.0.2" });
        socket.on("error", () => {}).resume();
        await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
        await until("it is accepted", () => test.server.stats().pendingNow === 1);
        socket[end]();
        await until("it is counted", () => test.server.stats().overall.handshakeFailures > before);
        socket.destroy();
      }
      assertEquals(test.server.stats().refusedBy.penalized, 0);
      assertEquals(await babble(test, "127.0.0.2"), true);
    },
  });
}

Deno.test({
  name: name("serve() forgives a source when its penalty is over"),
  ignore,
  async fn() {
    await using test = await listen({
      limitLoopback: true,
      penalties: { failureMs: 30, graceMs: 0 },
    });
    assertEquals(await babble(test, "127.0.0.2"), true);
    await until("it is forgiven", () => babble(test, "127.0.0.2"));
  },
});

Deno.test({
  name: name("serve() by default spares loopback, behind which many stand"),
  ignore,
  async fn() {
    await using test = await listen({ penalties: { failureMs: 60_000 } });
    for (let i = 0; i < 5; i++) assertEquals(await babble(test, "127.0.0.2"), true);
    assertEquals(test.server.stats().overall.connectionsRefused, 0);
  },
});

Deno.test({
  name: name(
    "serve({ limitLoopback: true }) lets one source have maxPendingPerSource handshakes, another one its own",
  ),
  ignore,
  async fn() {
    // No handshake gives way before the test is over.
    await using test = await listen({
      limitLoopback: true,
      maxPendingPerSource: 3,
      stallMs: 60_000,
    });
    assert(test.server.addr.transport === "tcp");
    const { port } = test.server.addr;
    const sockets = ["127.0.0.2", "127.0.0.3"].flatMap((localAddress) =>
      Array.from({ length: 5 }, () => net.connect({ host: "127.0.0.1", port, localAddress }))
    );
    for (const socket of sockets) socket.on("error", () => {}).resume();
    await until("three of each are let in", () => test.server.stats().pendingNow === 6);
    // The others wait, and no other source waits with them.
    assertEquals(await babble(test, "127.0.0.4"), true);
    const { pendingNow, refusedBy } = test.server.stats();
    assertEquals([pendingNow, refusedBy.too_many_pending_from_source], [6, 0]);
    for (const socket of sockets) socket.destroy();
    await until("none is pending", () => test.server.stats().pendingNow === 0);
  },
});

Deno.test({
  name: name(
    "serve() lets nineteen good clients in beside one that fails without pause behind the same address",
  ),
  ignore,
  async fn() {
    await using test = await listen({ limitLoopback: true });
    assert(test.server.addr.transport === "tcp");
    const { port } = test.server.addr;
    const { ca } = await testCerts();
    const good = async () => {
      await using conn = await connect({
        ...lines,
        hostname: "localhost",
        port,
        tls: { caCerts: [ca.cert] },
      });
      return await ask(conn, "one");
    };
    assertEquals(await good(), "one", "which shows what stands behind the address");
    const bad = new AbortController();
    let failures = 0;
    const failing = (async () => {
      for (; !bad.signal.aborted; failures++) await babble(test, "127.0.0.1");
    })();
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(Array.from({ length: 19 }, good));
      assertEquals(answers, Array(19).fill("one"));
    }
    await until("the other one has failed often", () => failures > 20);
    bad.abort();
    await failing;
  },
});
