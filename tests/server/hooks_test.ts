// Hooks of a server: their order, what they are given, and that none of them can break it.
import type { Logger } from "@parley/parley";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { ask, codeOf, echo, errorOf, started } from "../support/peers/servers.ts";
import { until } from "../support/wait.ts";

Deno.test("serve() calls its hooks in order for each connection", async () => {
  const order: string[] = [];
  await using test = await started({
    onListen: () => order.push("listen"),
    data: ({ remoteAddr }) => {
      order.push(`data ${remoteAddr.transport}`);
      return { name: "made" };
    },
    onConnect: (conn) =>
      order.push(`connect ${conn.data.name} ${test.server.connections.has(conn.id)}`),
    onDisconnect: (conn, { error, unsentBytes }) =>
      order.push(
        `disconnect ${conn.data.name} ${error} ${unsentBytes} ${
          test.server.connections.has(conn.id)
        }`,
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

Deno.test("Hooks that reject, a logger and onError included, are reported, and end no process", async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", onUnhandled);
  const rejecting = (name: string) => async () => {
    await null;
    throw new Error(name);
  };
  const names = ["onListen", "onStateChange", "onConnect", "onTraffic", "onDisconnect"];
  const logger = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [level, rejecting(`logger.${level}`)]),
  ) as unknown as Logger;
  try {
    for (const onError of [undefined, rejecting("onError"), "keep"] as const) {
      await using test = await started({
        ...Object.fromEntries(names.map((name) => [name, rejecting(name)])),
        logger,
        ...onError !== "keep" && { onError },
      }, async (conn) => {
        await conn.send((await conn.receive())!);
        throw new Error("the handler's own");
      });
      const conn = await test.connect();
      assertEquals(await ask(conn, "one"), "one");
      await conn.close();
      await test.server.shutdown();
      if (onError !== "keep") continue;
      const told = new Set(
        test.complaints.map(({ error, phase }) => `${phase} ${(error as Error).message}`),
      );
      assertEquals(
        told,
        new Set([...names.map((name) => `hook ${name}`), "handler the handler's own"]),
      );
    }
    // Rejections that nothing hears of are announced in the next turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 10));
  } finally {
    globalThis.removeEventListener("unhandledrejection", onUnhandled);
  }
  assertEquals(unhandled, []);
});

Deno.test("Hooks and handlers that throw what has no text are reported, and end no process", async () => {
  for (
    const fail of [() => Promise.reject(Object.create(null)), () => {
      throw Object.create(null);
    }]
  ) {
    const logged: string[] = [];
    const logger: Logger = {
      ...console,
      debug() {},
      info() {},
      error: (message) => logged.push(message),
    };
    await using test = await started({
      ...Object.fromEntries(["onListen", "onStateChange", "onConnect"].map((name) => [name, fail])),
      logger,
      onError: undefined,
    }, async (conn) => {
      await conn.send((await conn.receive())!);
      await fail();
    });
    await using conn = await test.connect();
    assertEquals(await ask(conn, "one"), "one");
    assertEquals(await conn.receive(), null);
    await until("the handler's is told", () => logged.some((line) => line.includes('"handler"')));
    assertEquals(
      new Set(logged),
      new Set(
        ["hook", "handler"].map((phase) =>
          `Server error in phase "${phase}": what was thrown has no text`
        ),
      ),
    );
  }
});

Deno.test("A data hook that rejects is reported, and ends neither the process nor the connection", async () => {
  await using test = await started({ data: () => Promise.reject(new Error("no data")) });
  await using conn = await test.connect();
  assertEquals(await ask(conn, "one"), "one");
  await until("it is told", () => test.codes.length > 0);
  assertEquals(test.codes, ["hook Error"]);
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

Deno.test("Server logs little of what peers bring about: ten warnings in ten seconds of each kind, each with its peer", async () => {
  const lines: string[] = [];
  await using test = await started({
    logger: {
      debug: (message) => void lines.push(`debug ${message}`),
      info: (message) => void lines.push(`info ${message}`),
      warn: (message, fields) => void lines.push(`warn ${message} ${fields?.["peer"]}`),
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
  assert(
    lines.every((line) =>
      /^warn A connection ended early: FramingError: .* 127\.0\.0\.1:\d+$/.test(line)
    ),
    lines[0],
  );
});

Deno.test("Server calls onError ten times a second for what strangers bring about, and no more", async () => {
  // Another handler than the one that waits for messages: it does not complain of what ends its connection.
  await using test = await started({ maxMessageBytes: 8 }, async (conn) => {
    await conn.receive().catch(() => {});
  });
  const began = performance.now();
  const conns = await Promise.all(
    Array.from({ length: 60 }, () => test.connect({ maxMessageBytes: 100 })),
  );
  await Promise.all(conns.map(async (conn) => {
    await conn.send("far more than eight bytes");
    await conn.receive().catch(() => {});
    await conn.close().catch(() => {});
  }));
  await until("all connections end", () => test.server.stats().overall.connectionsClosed === 60);
  const seconds = 1 + Math.floor((performance.now() - began) / 1000);
  assertEquals(test.server.stats().overall.framingErrors, 60);
  assertEquals(new Set(test.codes), new Set(["connection ERR_FRAME_TOO_LARGE"]));
  assert(
    test.codes.length >= 10 && test.codes.length <= 10 * seconds,
    `${test.codes.length} in ${seconds} s`,
  );
});

Deno.test("Server calls onError for every error of a handler's own, however many", async () => {
  await using test = await started({}, async (conn) => {
    await conn.receive();
    throw new Error("mine");
  });
  for (let count = 0; count < 30; count++) {
    const conn = await test.connect();
    await conn.send("go");
    assertEquals(await conn.receive(), null);
    await conn.close();
  }
  assertEquals(test.codes, Array(30).fill("handler Error"));
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
