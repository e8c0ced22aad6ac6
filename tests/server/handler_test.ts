// Handlers: each runs on its own connection, and ends no other by what it does.
import net from "node:net";
import { assert, assertEquals } from "@std/assert";
import { text, utf8 } from "../support/bytes.ts";
import { receiveAll } from "../support/simulation/memory_connections.ts";
import { ask, codeOf, echo, started } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";

Deno.test("A handler that throws ends its own connection only, in order: what it sent arrives", async () => {
  await using test = await started({}, async (conn) => {
    for await (const message of conn) {
      if (text(message) === "die") {
        void conn.send("last words");
        throw new Error("died");
      }
      await conn.send(message);
    }
  });
  await using other = await test.connect();
  assertEquals(await ask(other, "one"), "one");
  const conn = await test.connect();
  assertEquals(await ask(conn, "die"), "last words");
  assertEquals(await conn.receive(), null);
  await conn.close();
  assertEquals(await ask(other, "two"), "two");
  assertEquals(test.codes, ["handler Error"]);
  assertEquals(test.server.state, "listening");
});

Deno.test("A handler that throws before it is asynchronous ends its own connection only", async () => {
  let first = true;
  await using test = await started({}, (conn) => {
    if (!first) return echo(conn);
    first = false;
    throw new TypeError("at once");
  });
  const conn = await test.connect();
  assertEquals(await conn.receive(), null);
  await conn.close();
  await using other = await test.connect();
  assertEquals(await ask(other, "one"), "one");
  assertEquals(test.codes, ["handler TypeError"]);
});

Deno.test("A handler that returns early: what it sent is handed over, then the connection ends in order", async () => {
  const answer = "x".repeat(500_000);
  await using test = await started({}, async (conn) => {
    await conn.receive();
    for (let i = 0; i < 10; i++) void conn.send(answer);
  });
  const conn = await test.connect();
  await conn.send("go");
  // More comes than the handler reads: that must not cost the answers.
  for (let i = 0; i < 100; i++) void conn.send("and more");
  const answers = await receiveAll(conn);
  assertEquals(answers.map((message) => message.length), Array(10).fill(answer.length));
  await conn.close();
  await until("no connection is open", () => test.server.connections.size === 0);
  assertEquals(test.server.closedConnections()[0]!.errorCode, null);
  assertEquals(test.codes, []);
});

Deno.test("A handler that leaves its loop can still send", async () => {
  await using test = await started({}, async (conn) => {
    for await (const message of conn) {
      if (text(message) === "stop") break;
    }
    await conn.send("stopped");
  });
  await using conn = await test.connect();
  for (const word of ["one", "stop", "never read"]) void conn.send(word);
  assertEquals((await receiveAll(conn)).map(text), ["stopped"]);
});

Deno.test("A handler may close its connection, half of it, or abort it", async () => {
  const ends: unknown[] = [];
  await using test = await started(
    { onDisconnect: (_conn, { error }) => ends.push(codeOf(error)) },
    async (conn) => {
      const how = text((await conn.receive())!);
      if (how === "close") return await conn.close();
      if (how === "abort") return conn.abort(new Error("aborted"));
      await conn.send("bye");
      await conn.closeWrite();
      for await (const message of conn) ends.push(text(message));
    },
  );
  for (const how of ["close", "abort"]) {
    const conn = await test.connect();
    await conn.send(how);
    const end = await conn.receive().catch(codeOf);
    assert(end === null || end === "ERR_RESET");
    await conn.close().catch(() => {});
    await until("no connection is open", () => test.server.connections.size === 0);
  }
  const half = await test.connect();
  assertEquals(await ask(half, "half"), "bye");
  assertEquals(await half.receive(), null);
  await half.send("one more");
  await half.close();
  await until("no connection is open", () => test.server.connections.size === 0);
  assertEquals(ends, ["null", "Error", "one more", "null"]);
  assertEquals(test.codes, [], "who ends it himself needs no telling");
});

Deno.test("A handler whose peer vanishes gets ERR_RESET, and onError is told", async () => {
  await using test = await started({}, async (conn) => {
    for await (const _ of conn);
  });
  assert(test.server.addr.transport === "tcp");
  const socket = net.connect({ host: "127.0.0.1", port: test.server.addr.port });
  await until("one connection is open", () => test.server.connections.size === 1);
  socket.resetAndDestroy();
  await until("no connection is open", () => test.server.connections.size === 0);
  assertEquals(test.codes, ["handler ERR_RESET"]);
  assertEquals(test.server.closedConnections()[0]!.errorCode, "ERR_RESET");
});

Deno.test("A handler that never returns keeps its place among maxConnections", async () => {
  const release = Promise.withResolvers<void>();
  await using test = await started({ maxConnections: 1 }, async (conn) => {
    await conn.receive();
    await release.promise;
  });
  const conn = await test.connect();
  await conn.send("one");
  await conn.closeWrite();
  // Until its handler returns, its place is taken: handlers count, not sockets.
  const second = await test.connect();
  await second.receive().catch(() => {});
  await second.close().catch(() => {});
  assertEquals(test.server.stats().overall.connectionsRefused, 1);
  release.resolve();
  await conn.close();
  await until("no connection is open", () => test.server.connections.size === 0);
  await using third = await test.connect();
  await third.send("one");
  assertEquals(await third.receive(), null);
});

Deno.test("A handler gets what came together with the peer's end", async () => {
  const got: string[] = [];
  const done = Promise.withResolvers<void>();
  await using test = await started({}, async (conn) => {
    for await (const message of conn) got.push(text(message));
    done.resolve();
  });
  assert(test.server.addr.transport === "tcp");
  using socket = await Deno.connect({ port: test.server.addr.port });
  await socket.write(utf8("one\ntwo\nthree\n"));
  await socket.closeWrite();
  await done.promise;
  assertEquals(got, ["one", "two", "three"]);
});

Deno.test("onError is told when what a handler sent could not be written", async () => {
  const sent = Promise.withResolvers<void>();
  await using test = await started({ closeTimeoutMs: 50 }, (conn) => {
    for (let i = 0; i < 16; i++) void conn.send("x".repeat(1_000_000)).catch(() => {});
    sent.resolve();
  });
  assert(test.server.addr.transport === "tcp");
  using _deaf = await Deno.connect({ port: test.server.addr.port });
  await sent.promise;
  await until("onError is told", () => test.complaints.length > 0);
  assert(
    ["close ERR_WRITE_TIMEOUT", "close ERR_SLOW_CONSUMER"].includes(test.codes[0]!),
    test.codes[0],
  );
});
