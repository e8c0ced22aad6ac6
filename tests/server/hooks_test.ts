// Hooks of a server: their order, what they are given, and that none of them can break it.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { ask, codeOf, echo, errorOf, started } from "../support/servers.ts";
import { until } from "../support/wait.ts";

Deno.test("serve() calls its hooks in order for each connection", async () => {
  const order: string[] = [];
  await using test = await started({
    onListen: () => order.push("listen"),
    data: ({ remoteAddr }) => {
      order.push(`data ${remoteAddr.transport}`);
      return { name: "made" };
    },
    onConnect: (conn) => order.push(`connect ${conn.data.name} ${test.server.connections.has(conn.id)}`),
    onDisconnect: (conn, { error, unsentBytes }) =>
      order.push(
        `disconnect ${conn.data.name} ${error} ${unsentBytes} ${test.server.connections.has(conn.id)}`,
      ),
  }, async (conn) => {
    order.push(`handler ${conn.data.name}`);
    await echo(conn);
    order.push("returned");
  });
  const conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  await conn.close();
  await until("all hooks are called", () => order.length === 6);
  assertEquals(order, [
    "listen",
    "data tcp",
    "connect made true",
    "handler made",
    "returned",
    "disconnect made null 0 false",
  ]);
});

Deno.test("serve() gives each connection data of its own, typed, which its handler may change", async () => {
  let made = 0;
  await using test = await started({ data: () => ({ number: ++made, asked: 0 }) }, async (conn) => {
    for await (const _ of conn) {
      conn.data.asked++;
      await conn.send(`${conn.data.number}:${conn.data.asked}`);
    }
  });
  await using first = await test.connect();
  assertEquals(await ask(first, "x"), "1:1");
  await using second = await test.connect();
  assertEquals([await ask(second, "x"), await ask(second, "x"), await ask(first, "x")], [
    "2:1",
    "2:2",
    "1:2",
  ]);
  assertEquals([...test.server.connections.values()].map((conn) => conn.data.asked), [2, 2]);
});

Deno.test("onConnect is the place to tune a connection", async () => {
  await using test = await started({
    onConnect: (conn) => conn.tune({ noDelay: false, keepAlive: true }),
  });
  await using conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  assertEquals(test.codes, []);
});

Deno.test("onTraffic is told of all that moved", async () => {
  const sums = { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0 };
  await using test = await started({
    onTraffic: (_conn, traffic) => {
      for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += traffic[key];
    },
  });
  const conn = await test.connect();
  for (let i = 0; i < 20; i++) assertEquals(await ask(conn, "word"), "word");
  await conn.close();
  await until("no connection is open", () => test.server.connections.size === 0);
  assertEquals(sums, { bytesIn: 100, bytesOut: 100, messagesIn: 20, messagesOut: 20 });
});

Deno.test("A hook that throws is told to onError, and changes nothing else", async () => {
  const thrower = (name: string) => () => {
    throw new Error(name);
  };
  await using test = await started({
    onListen: thrower("onListen"),
    onStateChange: thrower("onStateChange"),
    onConnect: thrower("onConnect"),
    onTraffic: thrower("onTraffic"),
    onDisconnect: thrower("onDisconnect"),
  });
  const conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  await conn.close();
  await test.server.shutdown();
  const names = test.complaints.map(({ error, phase }) => `${phase} ${(error as Error).message}`);
  const wanted = ["onListen", "onStateChange", "onConnect", "onTraffic", "onDisconnect"];
  assertEquals([...new Set(names)].toSorted(), wanted.map((name) => `hook ${name}`).toSorted());
});

Deno.test("A data hook that throws ends that connection only", async () => {
  let made = 0;
  await using test = await started({
    data: () => {
      if (++made === 1) throw new Error("no data");
      return made;
    },
  });
  const refused = await test.connect();
  assertEquals(await refused.receive().catch(codeOf), null);
  await refused.close();
  await using conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  assertEquals(test.codes, ["hook Error"]);
  assertEquals(test.complaints[0]!.context.remoteAddr?.transport, "tcp");
});

Deno.test("An onError that throws goes to the logger, as does all where there is none", async () => {
  const logged: string[] = [];
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (message: string) => void logged.push(message),
  };
  await using test = await started({
    logger,
    onError: () => {
      throw new Error("in onError");
    },
  }, () => {
    throw new Error("in the handler");
  });
  const conn = await test.connect();
  assertEquals(await conn.receive(), null);
  await conn.close();
  await using silent = await started(
    { logger, onError: undefined },
    () => Promise.reject("no Error\u001b[2J\n"),
  );
  const other = await silent.connect();
  assertEquals(await other.receive(), null);
  await other.close();
  assertEquals(logged, [
    `Server error in phase "hook": Error: in onError`,
    `Server error in phase "handler": no Error\\x1b[2J\\n`,
  ]);
});

Deno.test("A logger that throws does not end the server", async () => {
  const angry = () => {
    throw new Error("disk full");
  };
  await using test = await started({
    logger: { debug: angry, info: angry, warn: angry, error: angry },
    onError: undefined,
  }, async (conn) => {
    for await (const message of conn) {
      await conn.send(message);
      throw new Error("once");
    }
  });
  for (let i = 0; i < 3; i++) {
    await using conn = await test.connect();
    assertEquals(await ask(conn, "one"), "one");
    assertEquals(await conn.receive(), null);
  }
});

Deno.test("Server logs little of what peers bring about: ten lines in ten seconds of each kind, none as an error", async () => {
  const lines: string[] = [];
  await using test = await started({
    logger: {
      debug: (message) => void lines.push(`debug ${message}`),
      info: (message) => void lines.push(`info ${message}`),
      warn: (message) => void lines.push(`warn ${message}`),
      error: (message) => void lines.push(`error ${message}`),
    },
    onError: undefined,
    maxMessageBytes: 8,
  });
  for (let i = 0; i < 30; i++) {
    const conn = await test.connect({ maxMessageBytes: 100 });
    await conn.send("far more than eight bytes");
    await conn.receive().catch(() => {});
    await conn.close().catch(() => {});
  }
  await until("all connections end", () => test.server.stats().overall.connectionsClosed === 30);
  assertEquals(lines.shift(), "info Listening");
  assertEquals(lines.length, 10);
  assert(lines.every((line) => line.startsWith("info A connection ended early: FramingError: ")), lines[0]);
});

Deno.test("onError is told of a handler's own error, with its connection", async () => {
  const failure = new Error("mine");
  await using test = await started({}, async (conn) => {
    await conn.receive();
    throw failure;
  });
  const conn = await test.connect();
  await conn.send("go");
  assertEquals(await conn.receive(), null);
  await conn.close();
  assertEquals(test.codes, ["handler Error"]);
  assertStrictEquals(test.complaints[0]!.error, failure);
  const { connection } = test.complaints[0]!.context;
  assertEquals(connection?.remoteAddr, conn.localAddr);
  assertEquals(test.server.stats().overall.handlerErrors, 1);
});

Deno.test("errorOf in these tests fails when nothing is thrown", async () => {
  assertEquals((await errorOf(errorOf(Promise.resolve()))).message, "It did not reject");
});
