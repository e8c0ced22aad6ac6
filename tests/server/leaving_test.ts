// drainDelayMs: the time between "not ready" and the drain, in which a server works as before.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, connect, type ServerState, TimeoutError } from "@parley/parley";
import { serveStats } from "@parley/parley/stats";
import { hub, join } from "@parley/parley/wire";
import { isSettled } from "../support/simulation/memory_connections.ts";
import { ask, errorOf, lines, started } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

/** Longer than any test takes: what ends sooner has been ended. */
const LONG_MS = 600_000;

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

Deno.test("Server.shutdown() with drainDelayMs lets newcomers in and answers as before, and is not ready", async () => {
  await using test = await started({ drainDelayMs: LONG_MS });
  await using page = serveStats(test.server);
  await page.ready;
  const readyz = async () => {
    const response = await fetch(`${page.url}readyz`);
    return `${response.status} ${await response.text()}`;
  };
  assertEquals(await readyz(), "200 ready\n");
  const early = await test.connect();
  assertEquals(await ask(early, "one"), "one");
  const shutdown = test.server.shutdown();
  assertEquals(test.server.state, "leaving");
  assertEquals(await readyz(), '503 not ready\n"server" is leaving\n');
  const late = await test.connect();
  assertEquals([await ask(early, "two"), await ask(late, "three")], ["two", "three"]);
  assert(!(await isSettled(shutdown)));
  test.server.abort();
  await errorOf(shutdown);
  for (const conn of [early, late]) await conn.close().catch(() => {});
});

Deno.test("Server.shutdown() with drainDelayMs drains once the delay is over", async () => {
  const states: ServerState[] = [];
  await using test = await started({
    drainDelayMs: 60,
    onStateChange: (state) => states.push(state),
  });
  const conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  const began = performance.now();
  const shutdown = test.server.shutdown();
  assertEquals(await conn.receive(), null);
  assert(performance.now() - began >= 59);
  await conn.close();
  await settles("shutdown()", shutdown);
  assertEquals(states, ["listening", "leaving", "draining", "stopped"]);
});

Deno.test("Server.shutdown() counts its deadline from the drain, not from the delay before it", async () => {
  await using test = await started({ drainDelayMs: 60 }, () => new Promise<void>(() => {}));
  const conn = await test.connect();
  await until("it is served", () => test.server.connections.size === 1);
  const began = performance.now();
  await assertRejects(() => test.server.shutdown({ timeoutMs: 40 }), TimeoutError, "within 40 ms");
  assert(performance.now() - began >= 99);
  conn.abort();
});

Deno.test("Server.shutdown({ delayMs: 0 }) drains at once, and the signal after the delay", async () => {
  await using hurried = await started({ drainDelayMs: LONG_MS });
  await settles("shutdown()", hurried.server.shutdown({ delayMs: 0 }));
  const controller = new AbortController();
  await using signalled = await started({ drainDelayMs: LONG_MS, signal: controller.signal });
  controller.abort();
  assertEquals(signalled.server.state, "leaving");
  await using conn = await connect({ ...lines, ...signalled.server.addr });
  assertEquals(await ask(conn, "late"), "late");
});

Deno.test("Server.abort() while it is leaving ends it at once, and shutdown() says that it was cut short", async () => {
  await using test = await started({ drainDelayMs: LONG_MS });
  const conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  const shutdown = test.server.shutdown();
  const again = test.server.shutdown();
  test.server.abort();
  const error = await settles("shutdown()", errorOf(shutdown));
  assert(error instanceof ClosedError, String(error));
  assertEquals(await errorOf(again), error);
  await settles("finished", test.server.finished);
  await conn.close().catch(() => {});
});

Deno.test("MountedWire.shutdown with drainDelayMs lets peers join meanwhile, and is not ready", async () => {
  const wire = hub({ insecureAnyone: true, logger: quiet, drainDelayMs: LONG_MS });
  await wire.ready;
  await using page = serveStats({ hub: wire });
  await page.ready;
  const closing = wire.shutdown();
  assertEquals(wire.state, "leaving");
  const peer = join({ ...wire.addr, identity: "late", logger: quiet, reconnect: false });
  await peer.ready;
  const response = await fetch(`${page.url}readyz`);
  assertEquals([response.status, await response.text()], [503, 'not ready\n"hub" is leaving\n']);
  wire.abort();
  await settles("close()", closing.catch(() => {}));
  await peer.close().catch(() => {});
});

Deno.test("MountedWire.shutdown with drainDelayMs ends once the delay is over", async () => {
  const wire = hub({ insecureAnyone: true, logger: quiet, drainDelayMs: 50 });
  await wire.ready;
  const began = performance.now();
  await settles("close()", wire.shutdown());
  assert(performance.now() - began >= 49);
  assertEquals(wire.state, "stopped");
});

Deno.test("MountedWire.abort() while it is leaving ends it at once", async () => {
  const wire = hub({ insecureAnyone: true, logger: quiet, drainDelayMs: LONG_MS });
  await wire.ready;
  const closing = wire.shutdown();
  wire.abort();
  await settles("close()", closing);
  await settles("finished", wire.finished);
});
