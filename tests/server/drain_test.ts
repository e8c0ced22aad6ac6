// shutdown(): what was received is handled and answered, what is late is refused, what never ends
// is cut and counted.
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, connect, type Connection, raw, TimeoutError } from "@parley/parley";
import { text, utf8 } from "../support/bytes.ts";
import { testCerts } from "../support/programs/certs.ts";
import { isSettled, receiveAll } from "../support/simulation/memory_connections.ts";
import { writeAll } from "../support/peers/raw_peer.ts";
import { ask, codeOf, errorOf, lines, started, type TestServer } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";

/** What happens at once takes less: all deadlines by default are later. */
const AT_ONCE_MS = 4000;

/** A server whose handler answers only after `release`. */
async function gated(options: Parameters<typeof started>[0] = {}) {
  const gate = Promise.withResolvers<void>();
  const handled: string[] = [];
  const test = await started(options, async (conn) => {
    for await (const message of conn) {
      await gate.promise;
      handled.push(text(message));
      await conn.send(`re ${text(message)}`);
    }
  });
  return { test, handled, release: () => gate.resolve() };
}

/** Sends words and waits until the server has read them all. */
async function sendAll(
  test: TestServer,
  conn: Connection,
  words: readonly string[],
): Promise<void> {
  for (const word of words) await conn.send(word);
  await conn.flush();
  const bytes = words.reduce((sum, word) => sum + word.length + 1, 0);
  await until(
    "the server has read all",
    () => [...test.server.connections.values()].some((live) => live.stats().bytesIn >= bytes),
  );
}

Deno.test("Server.shutdown() lets handlers finish with what was received, and answers all of it", async () => {
  const { test, handled, release } = await gated();
  await using _ = test;
  const conn = await test.connect();
  await sendAll(test, conn, ["one", "two", "three"]);
  const shutdown = test.server.shutdown();
  assertEquals(test.server.state, "draining");
  assertEquals([...test.server.connections.values()].map(({ status: state }) => state), [
    "draining",
  ]);
  assert(!(await isSettled(shutdown)));
  release();
  assertEquals((await receiveAll(conn)).map(text), ["re one", "re two", "re three"]);
  await conn.close();
  await shutdown;
  assertEquals(handled, ["one", "two", "three"]);
  assertEquals([test.server.state, test.codes], ["stopped", []]);
});

Deno.test("Server.shutdown() waits for the rest of a message that has begun, and takes what comes with it", async () => {
  await using test = await started();
  assert(test.server.addr.transport === "tcp");
  using socket = await Deno.connect({ port: test.server.addr.port });
  await writeAll(socket, utf8("one\nha"));
  await until(
    "the message has begun",
    () =>
      test.server.stats().overall.messagesIn === 1 &&
      test.server.stats().connections[0]!.heldBytes === 2,
  );
  const shutdown = test.server.shutdown();
  assert(!(await isSettled(shutdown)));
  await writeAll(socket, utf8("lf\nthree\n"));
  const answers: Uint8Array[] = [];
  for (const buffer = new Uint8Array(100);;) {
    const length = await socket.read(buffer);
    if (length === null) break;
    answers.push(buffer.slice(0, length));
  }
  assertEquals(answers.map(text).join(""), "one\nhalf\nthree\n");
  await socket.closeWrite();
  await shutdown;
});

Deno.test("Server.shutdown() answers what lies in the kernel when it begins, for every kind of transport", async () => {
  const { ca, server: identity } = await testCerts();
  const setups = [
    {},
    ...(["node", "deno"] as const).map((backend) => ({ tls: { ...identity, backend } })),
  ];
  for (const setup of setups) {
    await using test = await started(setup);
    const tls = "tls" in setup ? { caCerts: [ca.cert] } : undefined;
    assert(test.server.addr.transport === "tcp");
    const { port } = test.server.addr;
    const conns = await Promise.all(
      Array.from({ length: 10 }, () => connect({ ...lines, hostname: "localhost", port, tls })),
    );
    await Promise.all(conns.map((conn) => ask(conn, "ready")));
    const answers = conns.map((conn) => receiveAll(conn));
    // The same thread sends and is then busy: the bytes leave it in one write, and nothing is read
    // before the drain begins.
    for (const conn of conns) {
      void conn.sendBatch(["x".repeat(60_000), "question"]).catch(() => {});
      void conn.flush().catch(() => {});
    }
    for (const until = performance.now() + 200; performance.now() < until;);
    const shutdown = test.server.shutdown();
    for (const each of answers) {
      assertEquals((await each).map(({ length }) => length), [60_000, "question".length]);
    }
    await Promise.all(conns.map((conn) => conn.close()));
    await shutdown;
  }
});

Deno.test("Server.shutdown() tells of what it may have left of a peer that never stops", async () => {
  await using test = await started({ framing: raw() }, async (conn) => {
    for await (const _ of conn);
  });
  assert(test.server.addr.transport === "tcp");
  const socket = await Deno.connect({ port: test.server.addr.port });
  let stopped = false;
  const sending = (async () => {
    // Never quiet, never small, and too little for the second to be cut short.
    for (const chunk = new Uint8Array(16_384); !stopped;) {
      await socket.write(chunk);
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
  })().catch(() => {});
  await until("it has begun", () => test.server.stats().overall.bytesIn > 0);
  const error = await assertRejects(
    () => test.server.shutdown(),
    TimeoutError,
    "1 connection went on sending",
  );
  stopped = true;
  socket.close();
  await sending;
  assertEquals([error.code, error.cutConnections], ["ERR_DRAIN_TIMEOUT", 1]);
  assert(error.cutBytes > 0);
});

Deno.test("Server.shutdown() ends idle connections at once", async () => {
  await using test = await started();
  const conns = await Promise.all(Array.from({ length: 20 }, () => test.connect()));
  await Promise.all(conns.map((conn) => ask(conn, "one")));
  const closing = conns.map(async (conn) => {
    assertEquals(await conn.receive(), null);
    await conn.close();
  });
  const began = performance.now();
  await test.server.shutdown();
  await Promise.all(closing);
  assert(performance.now() - began < AT_ONCE_MS);
  assertEquals(
    test.server.closedConnections().map(({ errorCode }) => errorCode),
    Array(20).fill(null),
  );
});

Deno.test("Server.shutdown() aborts conn.draining, and a handler can say goodbye", async () => {
  await using test = await started({}, async (conn) => {
    conn.draining.addEventListener("abort", () => void conn.send("goodbye"));
    for await (const message of conn) await conn.send(message);
    assertEquals((conn.draining.reason as ClosedError).code, "ERR_GOING_AWAY");
  });
  await using conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  const shutdown = test.server.shutdown();
  assertEquals((await receiveAll(conn)).map(text), ["goodbye"]);
  await conn.close();
  await shutdown;
  assertEquals(test.codes, []);
});

Deno.test("Server.shutdown() wakes a handler that waits for something else than messages, by conn.draining", async () => {
  await using test = await started({}, async (conn) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    conn.draining.addEventListener("abort", () => resolve(), { once: true });
    await conn.send("pushing");
    await promise;
  });
  await using conn = await test.connect();
  assertEquals(text((await conn.receive())!), "pushing");
  const shutdown = test.server.shutdown();
  assertEquals(await conn.receive(), null);
  await conn.close();
  await shutdown;
});

Deno.test("Server.shutdown() refuses connections that come meanwhile", async () => {
  const { test, release } = await gated();
  await using _ = test;
  const conn = await test.connect();
  await sendAll(test, conn, ["one"]);
  const shutdown = test.server.shutdown();
  const late = await errorOf((async () => {
    const other = await connect({ ...lines, ...test.server.addr });
    // What the kernel had taken already is closed unserved.
    await using _other = other;
    if ((await ask(other, "two")) !== null) throw new Error("it was served");
    throw new ClosedError("ERR_RESET", "It ended");
  })());
  assert(["ERR_CONNECT_REFUSED", "ERR_RESET"].includes(codeOf(late)), String(late));
  release();
  assertEquals((await receiveAll(conn)).map(text), ["re one"]);
  await conn.close();
  await shutdown;
});

Deno.test("Server.shutdown() at its deadline cuts a handler that never returns, and counts what was lost", async () => {
  const { test } = await gated();
  await using _ = test;
  const stuck = await test.connect();
  await sendAll(test, stuck, ["one", "and two", "and three"]);
  const began = performance.now();
  const error = await assertRejects(() => test.server.shutdown({ timeoutMs: 50 }), TimeoutError);
  assert(performance.now() - began < AT_ONCE_MS);
  assertEquals([error.code, error.cutConnections, error.cutBytes], ["ERR_DRAIN_TIMEOUT", 1, 18]);
  assertEquals(
    error.message,
    "Cannot drain within 50 ms: 1 handler still ran, 1 connection with 18 bytes received or not yet sent were cut",
  );
  assertEquals([test.server.state, test.server.connections.size], ["stopped", 0]);
  await test.server.finished;
  const end = await stuck.receive().catch(codeOf);
  assert(end === null || end === "ERR_RESET");
  await stuck.close().catch(() => {});
  assertEquals(test.server.closedConnections()[0]!.errorCode, "ERR_DRAIN_TIMEOUT");
});

Deno.test("Server.shutdown() counts bytes that a peer did not take among those that were cut", async () => {
  const { promise: sent, resolve } = Promise.withResolvers<number>();
  await using test = await started({
    maxMessageBytes: 2 ** 24,
    maxQueuedBytes: 2 ** 25,
    highWaterBytes: 2 ** 25,
  }, (conn) => {
    void conn.send(new Uint8Array(2 ** 24).fill(65)).catch(() => {});
    resolve(2 ** 24 + 1);
  });
  assert(test.server.addr.transport === "tcp");
  using _deaf = await Deno.connect({ port: test.server.addr.port });
  const bytes = await sent;
  const error = await assertRejects(() => test.server.shutdown({ timeoutMs: 50 }), TimeoutError);
  assertEquals(error.cutConnections, 1);
  // What the kernel took is not ours to count.
  assert(error.cutBytes > 0 && error.cutBytes <= bytes, `${error.cutBytes} of ${bytes}`);
  assertEquals(test.codes, []);
});

Deno.test("Server.shutdown() spares those that end in time when it cuts the rest", async () => {
  await using test = await started({}, async (conn) => {
    for await (const message of conn) {
      if (text(message) === "never") await new Promise(() => {});
      await conn.send(message);
    }
  });
  const [good, bad] = [await test.connect(), await test.connect()];
  assertEquals(await ask(good, "one"), "one");
  await bad.send("never");
  await until("both messages are read", () => test.server.stats().overall.messagesIn === 2);
  const ending = (async () => {
    assertEquals(await good.receive(), null);
    await good.close();
  })();
  const error = await assertRejects(() => test.server.shutdown({ timeoutMs: 1500 }), TimeoutError);
  await ending;
  assertEquals(error.cutConnections, 1);
  bad.abort();
});

Deno.test("Server.shutdown() a second time shares the first one's outcome", async () => {
  const { test } = await gated({ drainTimeoutMs: 40 });
  await using _ = test;
  const conn = await test.connect();
  await sendAll(test, conn, ["one"]);
  const first = test.server.shutdown();
  const second = test.server.shutdown({ timeoutMs: 0 });
  assertStrictEquals(second, first);
  const errors = await Promise.all([
    errorOf(first),
    errorOf(second),
    errorOf(test.server[Symbol.asyncDispose]()),
  ]);
  assertEquals(errors.map(codeOf), Array(3).fill("ERR_DRAIN_TIMEOUT"));
  conn.abort();
});

Deno.test("Server.shutdown() takes a time from 0, for no limit, and refuses others", async () => {
  await using test = await started();
  for (const timeoutMs of [-1, NaN, 2 ** 31]) {
    assertThrows(
      () => test.server.shutdown({ timeoutMs }),
      RangeError,
      `Cannot shut down: "timeoutMs" must be`,
    );
  }
  assertEquals(test.server.state, "listening");
  await test.server.shutdown({ timeoutMs: 0 });
});

Deno.test("Server.shutdown() is not late when nothing is left, however busy the thread was", async () => {
  const { test } = await gated();
  await using _ = test;
  const shutdown = test.server.shutdown({ timeoutMs: 1 });
  const endMs = performance.now() + 20;
  while (performance.now() < endMs);
  await shutdown;
  assertEquals(test.codes, []);
});

Deno.test("Server.abort() during a drain cuts it short: shutdown() tells that it did not come to its end", async () => {
  const { test } = await gated();
  await using _ = test;
  const conn = await test.connect();
  await sendAll(test, conn, ["one"]);
  const shutdown = test.server.shutdown({ timeoutMs: 0 });
  assert(!(await isSettled(shutdown)));
  test.server.abort();
  const error = await assertRejects(() => shutdown, ClosedError);
  assertEquals([error.code, test.server.state], ["ERR_CLOSED", "stopped"]);
  await test.server.finished;
  conn.abort();
});

Deno.test("Server.shutdown() does not tell onError of handlers that complain of the cut", async () => {
  await using test = await started({}, async (conn) => {
    await conn.receive();
    await conn.receive();
    await new Promise((resolve) => void conn.closed.then(resolve));
    await conn.send("into the void");
  });
  const conn = await test.connect();
  await sendAll(test, conn, ["one"]);
  await assertRejects(() => test.server.shutdown({ timeoutMs: 30 }), TimeoutError);
  conn.abort();
  assertEquals([test.codes, test.server.stats().overall.handlerErrors], [[], 0]);
});

Deno.test("Server.shutdown() answers a client whose handshake is over for itself, and not yet for the server", async () => {
  const { server: identity, ca } = await testCerts();
  for (const backend of ["node", "deno"] as const) {
    for (let round = 0; round < 5; round++) {
      await using test = await started({ tls: { ...identity, backend } });
      const conn = await test.connect({ hostname: "localhost", tls: { caCerts: [ca.cert] } });
      await conn.send("one");
      await conn.flush();
      const shutdown = test.server.shutdown();
      assertEquals((await receiveAll(conn)).map(text), ["one"]);
      await conn.close();
      await shutdown;
      assertEquals(test.codes, []);
    }
  }
});

Deno.test("Server.shutdown() with a time of its own gives up a silent handshake within it", async () => {
  const { server: identity } = await testCerts();
  await using test = await started({ tls: identity });
  assert(test.server.addr.transport === "tcp");
  using _silent = await Deno.connect({ port: test.server.addr.port });
  await until("the handshake is pending", () => test.server.stats().pendingNow === 1);
  await test.server.shutdown({ timeoutMs: 100 });
});

Deno.test("Server.shutdown() and abort() give up silent handshakes soon, for every TLS backend", async () => {
  const { server: identity } = await testCerts();
  for (const backend of ["node", "deno"] as const) {
    for (const end of ["shutdown", "abort"] as const) {
      await using test = await started({ tls: { ...identity, backend } });
      assert(test.server.addr.transport === "tcp");
      const { port } = test.server.addr;
      const silent = await Promise.all([1, 2, 3].map(() => Deno.connect({ port })));
      await until("three handshakes are pending", () => test.server.stats().pendingNow === 3);
      const began = performance.now();
      await test.server[end]();
      await test.server.finished;
      assert(performance.now() - began < AT_ONCE_MS);
      await until("none is pending", () => test.server.stats().pendingNow === 0);
      assertEquals(test.codes, [], "that we gave them up is no failure of theirs");
      for (const socket of silent) socket.close();
    }
  }
});
