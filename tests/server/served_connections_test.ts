// Tests of the served connections of a server over transports in memory: moments that no socket can
// be held at.
import { RecentErrors } from "../../stats/data/recent_errors.ts";
import { assertEquals } from "@std/assert";
import { memoryPair } from "@parley/parley";
import { Sweeper } from "../../async/sweeper.ts";
import type { Incoming } from "../../net/transport/transport.ts";
import { ServerReporter } from "../../server/reporter.ts";
import { type Handler, resolveServeOptions, type ServeOptions } from "../../server/options.ts";
import { ServedConnections } from "../../server/served_connections.ts";
import { ServerTally } from "../../server/tally.ts";
import { lines } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";

/** The served connections of a server that does not listen, and what it reported. */
function servedOf(options: ServeOptions, handler: Handler) {
  const reports: string[] = [];
  const resolved = resolveServeOptions({ ...lines, ...options });
  const sweeper = new Sweeper();
  const reporter = new ServerReporter<unknown>((error, { phase }) => {
    reports.push(`${phase} ${(error as { code?: string }).code ?? (error as Error).message}`);
  }, resolved.logger);
  const tally = new ServerTally(sweeper, new RecentErrors());
  return {
    reports,
    served: new ServedConnections(resolved, { handler, reporter, tally, sweeper }),
  };
}

/** A pair of transports, and the near one as a connection that came. */
function arrival() {
  const [near, far] = memoryPair();
  const { localAddr, remoteAddr } = near;
  const incoming: Incoming = {
    localAddr,
    remoteAddr,
    open: () => Promise.resolve(near),
    refuse() {},
  };
  return { near, far, incoming };
}

Deno.test("ServedConnections drain a connection whose handshake ends at the moment at which the drain begins", async () => {
  const { near, far, incoming } = arrival();
  let drained = false;
  const { served, reports } = servedOf({}, async (conn) => {
    for await (const _ of conn);
    drained = conn.draining.aborted;
  });
  served.drain();
  const serving = served.serve(near, incoming);
  // The client says nothing and stays: only the drain ends its connection.
  assertEquals(await settles("the end", far.read()), null);
  far.close();
  await settles("serve()", serving);
  assertEquals([drained, reports], [true, []]);
});

Deno.test("ServedConnections cut a connection whose handshake ends at the moment at which the server is closed", async () => {
  const { near, far, incoming } = arrival();
  const { served, reports } = servedOf({}, async (conn) => {
    for await (const _ of conn);
  });
  served.cut(new Error("closed"));
  await settles("serve()", served.serve(near, incoming));
  assertEquals(await far.read().catch(() => null), null);
  assertEquals([served.live.size, reports], [0, []]);
  far.close();
});

/** Handlers, and what is reported of a message that is too large. */
const HANDLERS: readonly (readonly [name: string, handler: Handler, reports: string[]])[] = [
  ["reads to the end", async (conn) => {
    for await (const _ of conn);
  }, ["handler ERR_FRAME_TOO_LARGE"]],
  ["keeps the error for itself", async (conn) => {
    await conn.receive().catch(() => {});
    await conn.closed;
  }, ["connection ERR_FRAME_TOO_LARGE"]],
  ["throws another error for it", async (conn) => {
    await conn.receive().catch((cause) => {
      throw new Error("mine", { cause });
    });
  }, ["handler mine"]],
  ["throws it late", async (conn) => {
    const error = await conn.receive().catch((error) => error);
    await conn.closed;
    for (let hop = 0; hop < 200; hop++) await null;
    throw error;
  }, ["connection ERR_FRAME_TOO_LARGE"]],
];

for (const [name, handler, wanted] of HANDLERS) {
  Deno.test(`ServedConnections report the end by a peer's fault once where the handler ${name}`, async () => {
    const { near, far, incoming } = arrival();
    const { served, reports } = servedOf({ maxMessageBytes: 8 }, handler);
    const serving = served.serve(near, incoming);
    await far.write(new TextEncoder().encode("far more than eight bytes\n"));
    assertEquals(await settles("the end", far.read().catch(() => null)), null);
    far.close();
    await settles("serve()", serving);
    for (let hop = 0; hop < 300; hop++) await null;
    assertEquals(reports, wanted);
  });
}

Deno.test("ServedConnections report no end that is no fault: in order, or a peer that vanished", async () => {
  for (const end of ["close", "reset"] as const) {
    const { near, far, incoming } = arrival();
    const { served, reports } = servedOf({}, async (conn) => {
      await conn.closed;
    });
    const serving = served.serve(near, incoming);
    far[end]!();
    for (const connection of served.live.values()) void connection.close();
    await settles("serve()", serving);
    for (let hop = 0; hop < 300; hop++) await null;
    assertEquals(reports, []);
  }
});
