// Canaries: what a connection that comes and goes in order must not cost: no error, no timer, no controller.
import { assert, assertEquals } from "@std/assert";
import { ClosedError, connect, ParleyError, serve } from "@parley/parley";
import { until } from "../support/wait.ts";

const CONNECTIONS = 30;

const LINE = new TextEncoder().encode("\0\0\0\x02Hi");

/** Counts what is made while `work` runs: errors of Parley, timers and controllers of the process. */
async function madeBy(
  work: () => Promise<void>,
): Promise<{ errors: number; timers: number; controllers: number }> {
  const made = { errors: 0, timers: 0, controllers: 0 };
  const { setTimeout, AbortController } = globalThis;
  // `super()` looks up the class above at each call, so that one in between sees all of them.
  const above = Object.getPrototypeOf(ClosedError);
  const Counting = class extends ParleyError {
    constructor(...given: ConstructorParameters<typeof ParleyError>) {
      super(...given);
      made.errors++;
    }
  };
  Object.setPrototypeOf(ClosedError, Counting);
  globalThis.setTimeout = ((...given: Parameters<typeof setTimeout>) => {
    made.timers++;
    return setTimeout(...given);
  }) as typeof setTimeout;
  globalThis.AbortController = class extends AbortController {
    constructor() {
      super();
      made.controllers++;
    }
  };
  try {
    await work();
  } finally {
    Object.setPrototypeOf(ClosedError, above);
    Object.assign(globalThis, { setTimeout, AbortController });
  }
  return made;
}

Deno.test("A connection of Parley's own client that ends in order builds no error on either side", async () => {
  await using server = serve(async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  await server.ready;
  const { errors } = await madeBy(async () => {
    for (let count = 0; count < CONNECTIONS; count++) {
      const conn = await connect(server.addr);
      await conn.send("Hi");
      await conn.receive();
      await conn.close();
    }
    await until("the server's side is closed", () => server.connections.size === 0);
  });
  assertEquals(errors, 0);
  assertEquals(server.closedConnections().filter(({ errorCode }) => errorCode !== null), []);
});

Deno.test("A plain connection of a foreign client comes and goes without timer, controller and error", async () => {
  await using server = serve(async (conn) => {
    for await (const message of conn) await conn.send(message);
  });
  await server.ready;
  const { port } = server.addr as Deno.NetAddr;
  const foreign = async () => {
    const peer = await Deno.connect({ hostname: "127.0.0.1", port });
    const buffer = new Uint8Array(64);
    await peer.write(LINE);
    assertEquals(await peer.read(buffer), LINE.length);
    await peer.closeWrite();
    assertEquals(await peer.read(buffer), null);
    peer.close();
  };
  // What is made once for a server is made by now.
  await foreign();
  await until("it is closed", () => server.connections.size === 0);
  const { errors, timers, controllers } = await madeBy(async () => {
    for (let count = 0; count < CONNECTIONS; count++) await foreign();
  });
  assertEquals([errors, controllers], [0, 0]);
  // A machine that is busy elsewhere may let a close last for some turns of the event loop.
  assert(timers < CONNECTIONS / 2, `${timers} timers for ${CONNECTIONS} connections`);
  await until("all are closed", () => server.connections.size === 0);
  assertEquals(server.stats().overall.connectionsClosed, CONNECTIONS + 1);
});
