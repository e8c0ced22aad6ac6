// What a server counts: each event once, and as a handler's error only what is the handler's own.
import { assert, assertEquals } from "@std/assert";
import { createConnection } from "node:net";
import {
  connect,
  type Connection,
  delimited,
  type Handler,
  lengthPrefixed,
  type ServeOptions,
} from "@parley/parley";
import type { ServerCounters } from "@parley/parley/stats";
import { echo, started } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

const ENDS = [
  "connectionsLost",
  "framingErrors",
  "handlerErrors",
  "idleTimeouts",
  "rateLimitDrops",
  "slowConsumers",
] as const satisfies readonly (keyof ServerCounters)[];

/** What one connection made the server count, once all of it is over. */
async function counted(
  { options = {}, handler = echo, peer }: {
    options?: ServeOptions | undefined;
    handler?: Handler | undefined;
    peer: (conn: Connection) => Promise<unknown>;
  },
): Promise<string[]> {
  let returned = () => {};
  const over = new Promise<void>((resolve) => returned = resolve);
  const test = await started({ framing: lengthPrefixed(), ...options }, async (conn) => {
    try {
      await handler(conn);
    } finally {
      returned();
    }
  });
  await using _ = test;
  const conn = await test.connect({ framing: lengthPrefixed() });
  await peer(conn);
  await settles("the handler", over);
  conn.abort();
  await until("the connection is gone", () => test.server.stats().overall.connectionsClosed === 1);
  const { overall } = test.server.stats();
  return ENDS.filter((name) => overall[name] > 0).map((name) =>
    overall[name] === 1 ? name : `${name} ${overall[name]}`
  );
}

/** Sends raw bytes, and resets the connection. */
function resets(conn: Connection): Promise<void> {
  const { port } = conn.remoteAddr as Deno.NetAddr;
  conn.closeNow();
  return new Promise<void>((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port }, () => {
      socket.write(new Uint8Array([0, 0, 0, 50, 1, 2, 3]), () => {
        socket.resetAndDestroy();
        resolve();
      });
    });
    socket.on("error", () => {});
  });
}

Deno.test("Server counts a message over the limit as a framing error, and not as one of its handler", async () => {
  const peer = (conn: Connection) => conn.send("x".repeat(5000));
  assertEquals(await counted({ options: { maxMessageBytes: 1000 }, peer }), ["framingErrors"]);
});

Deno.test("Server counts another framing once", async () => {
  const peer = async (conn: Connection) => {
    conn.setFraming(delimited("\n"));
    await conn.send("a line of text");
  };
  assertEquals(await counted({ peer }), ["framingErrors"]);
});

Deno.test("Server counts an end that a handler passes on inside an error of its own as that end", async () => {
  const handler: Handler = async (conn) => {
    try {
      await conn.receive();
    } catch (cause) {
      throw new AggregateError([new Error("no question came", { cause })]);
    }
  };
  const peer = (conn: Connection) => conn.send("x".repeat(5000));
  assertEquals(await counted({ options: { maxMessageBytes: 1000 }, handler, peer }), [
    "framingErrors",
  ]);
});

Deno.test("Server counts a peer that left while its handler worked for it as no error of the handler", async () => {
  const handler: Handler = async (conn) => {
    const { signal } = conn;
    await conn.receive();
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  const peer = async (conn: Connection) => {
    await conn.send("?");
    conn.closeNow();
  };
  const counts = await counted({ handler, peer });
  assert(!counts.includes("handlerErrors"), counts.join());
});

Deno.test("Server counts a handler's wait for a silent peer as an idle time-out", async () => {
  const handler: Handler = async (conn) => void await conn.receive({ timeoutMs: 20 });
  assertEquals(await counted({ handler, peer: () => Promise.resolve() }), ["idleTimeouts"]);
});

Deno.test("Server counts what a handler throws of its own as an error of the handler", async () => {
  const handler: Handler = async (conn) => {
    await conn.receive();
    throw new TypeError("on purpose");
  };
  assertEquals(await counted({ handler, peer: (conn) => conn.send("?") }), ["handlerErrors"]);
});

Deno.test("Server counts a message of its handler that is too large as an error of the handler", async () => {
  const handler: Handler = async (conn) => {
    await conn.receive();
    await conn.send("x".repeat(5000));
  };
  const options = { maxMessageBytes: 1000 };
  assertEquals(await counted({ options, handler, peer: (conn) => conn.send("?") }), [
    "handlerErrors",
  ]);
});

Deno.test("Server counts a peer that is reset in mid-message as lost, and once", async () => {
  await using test = await started({ framing: lengthPrefixed() });
  await resets(await connect({ ...test.server.addr, framing: lengthPrefixed() }));
  await until("it is counted", () => test.server.stats().overall.connectionsClosed === 2);
  const { connectionsLost, handlerErrors, framingErrors } = test.server.stats().overall;
  assertEquals([connectionsLost, handlerErrors, framingErrors], [1, 0, 0]);
});

Deno.test("Server.stats() has the time from a message's arrival to the handler's next send", async () => {
  await using test = await started({}, async (conn) => {
    for await (const question of conn) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await conn.send(question);
    }
  });
  const conn = await test.connect();
  for (let count = 0; count < 5; count++) {
    await conn.send("?");
    await conn.receive();
  }
  await until("all are counted", () => test.server.stats().requests.count === 5);
  const { sumMs } = test.server.stats().requests;
  assert(sumMs >= 5 * 18 && sumMs < 5000, `${sumMs}`);
  await conn.close();
});
