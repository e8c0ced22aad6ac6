// Tests of splice(): bytes, backpressure, half-close, ends.
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { connect, Connection, memoryPair, raw, serve } from "@parley/parley";
import { splice } from "@parley/parley/pool";
import { concat, pattern, text, utf8 } from "../support/bytes.ts";
import {
  connectedPair,
  isSettled,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";
import { SlicedTransport } from "../support/simulation/memory_sliced.ts";
import { descriptorsOf } from "../support/programs/process_stats.ts";
import { Program } from "../support/programs/program.ts";
import { effort, forSeedsAsync } from "../support/random.ts";
import { codeOf, errorOf, lines } from "../support/peers/servers.ts";
import { until } from "./backends.ts";

const RAW = { framing: raw() } as const;

/** A client and a server with two connections between them that are spliced: client, splice, server. */
function joined(setup = {}, pipe?: { bufferBytes: number }) {
  const [client, a] = connectedPair(RAW, { ...RAW, ...setup }, pipe);
  const [b, server] = connectedPair({ ...RAW, ...setup }, RAW, pipe);
  return { client, a, b, server, end: splice(a, b) };
}

/** Two spliced connections whose far ends are the test. */
function scripted(options = {}) {
  const left = scriptedConnection(RAW);
  const right = scriptedConnection(RAW);
  const end = splice(left.connection, right.connection, options);
  return { a: left.transport, b: right.transport, left, right, end };
}

async function receiveBytes(conn: Connection): Promise<Uint8Array> {
  return concat(await Array.fromAsync(conn));
}

Deno.test("splice hands on every byte both ways, however they are cut, each way to its own end", async () => {
  await forSeedsAsync(20, async (random) => {
    const [client, near] = memoryPair({ bufferBytes: random.int(1, 5000) });
    const [far, server] = memoryPair({ bufferBytes: random.int(1, 5000) });
    const setup = { ...RAW, highWaterBytes: random.int(1, 5000), readAheadBytes: 1024 };
    const ends = [client, server].map((end) =>
      new Connection(new SlicedTransport(end, random), RAW)
    );
    const a = new Connection(new SlicedTransport(near, random), setup);
    const b = new Connection(new SlicedTransport(far, random), setup);
    const end = splice(a, b);
    const sent = ends.map(() => random.bytes(random.int(0, 50_000)));
    const got = await Promise.all(ends.map(async (conn, i) => {
      const sending = (async () => {
        for (const piece of random.cut(sent[i]!, 3000)) await conn.send(piece);
        await conn.closeWrite();
      })();
      const received = await receiveBytes(conn);
      await sending;
      return received;
    }));
    assertEquals(got, sent.toReversed());
    assertEquals(await end, {
      bytesAToB: sent[0]!.length,
      bytesBToA: sent[1]!.length,
      failed: null,
      error: null,
      wasTold: true,
    });
    assertEquals([a.status, b.status], ["closed", "closed"]);
    await Promise.all(ends.map((conn) => conn.close()));
  });
});

Deno.test("splice hands on the end of one direction, and lets the other go on", async () => {
  const { client, server, end } = joined();
  await client.send("The question");
  await client.closeWrite();
  assertEquals(text(await receiveBytes(server)), "The question");
  for (const part of ["An ", "answer"]) {
    await server.send(part);
    assertEquals(text((await client.receive())!), part);
  }
  assertEquals(await isSettled(end), false);
  await server.close();
  assertEquals(await client.receive(), null);
  assertEquals((await end).bytesBToA, 9);
  await client.close();
});

Deno.test("splice takes over in the middle: what was received and not read goes first, whatever the framing was", async () => {
  const [client, a] = connectedPair(RAW, lines);
  const [b, server] = connectedPair(lines, RAW);
  await client.send("CONNECT\nfirst\nsecond, and a pa");
  assertEquals(text((await a.receive())!), "CONNECT");
  await b.send("HELLO");
  const end = splice(a, b);
  await client.send("rt");
  await client.closeWrite();
  assertEquals(text(await receiveBytes(server)), "HELLO\nfirst\nsecond, and a part");
  await server.close();
  await end;
  await client.close();
});

Deno.test("splice slows a sender down to its receiver, and holds no more than its queues", async () => {
  const limits = { highWaterBytes: 10_000, readAheadBytes: 5_000 };
  const { client, server, a, b, end } = joined(limits, { bufferBytes: 1000 });
  const chunk = pattern(1000);
  let sent = 0;
  const sending = (async () => {
    for (; sent < 500; sent++) {
      await client.send(chunk);
      await client.flush();
    }
    await client.closeWrite();
  })();
  let before = -1;
  while (before !== sent) {
    before = sent;
    await settle(20);
  }
  assert(sent < 120, `${sent} kB were taken although none are read`); // both sides hold 64 KiB and 1 KiB
  assert(a.stats().heldBytes <= 6_000 && b.stats().queuedBytes <= 11_000);
  const received = await receiveBytes(server);
  await sending;
  assertEquals(received.length, 500_000);
  for (let at = 0; at < received.length; at += 1000) {
    assertEquals(received.subarray(at, at + 1000), chunk);
  }
  await server.close();
  await end;
  await client.close();
});

for (const first of ["a", "b"] as const) {
  const second = first === "a" ? "b" : "a";
  Deno.test(`splice hands over what had come when ${first} is reset, then cuts ${second}`, async () => {
    const world = scripted();
    world[first].feed(utf8("last words"));
    world[first].failInput();
    const end = await world.end;
    assertEquals([end.failed, codeOf(end.error)], [first, "ERR_RESET"]);
    assertEquals(text(concat(world[second].writes)), "last words");
    assertEquals([world[second].writeEnded, world[second].closed, world[first].closed], [
      false,
      true,
      true,
    ]);
    assertEquals(
      [world[second].unsigned, end.wasTold],
      [true, true],
      "Its peer reads no end in order",
    );
  });

  Deno.test(`splice ends both when ${first} takes no more bytes`, async () => {
    const world = scripted();
    world[first].failWrites();
    world[second].feed(utf8("for nobody"));
    await settle();
    world[first].failInput();
    const end = await world.end;
    assertEquals([end.failed, codeOf(end.error)], [first, "ERR_RESET"]);
    assertEquals([world.a.closed, world.b.closed], [true, true]);
  });

  Deno.test(`splice ends both when ${first} fails after its direction had ended in order`, async () => {
    const world = scripted();
    world[first].endInput();
    await settle();
    assert(world[second].writeEnded);
    world[first].failWrites();
    world[second].feed(utf8("an answer"));
    const end = await world.end;
    assertEquals([end.failed, codeOf(end.error)], [first, "ERR_RESET"]);
    assertEquals([world.a.closed, world.b.closed], [true, true]);
  });
}

Deno.test("splice waits for a slow receiver to take the last words of a side that was reset", async () => {
  const world = scripted();
  world.b.hold();
  world.a.feed(utf8("last words"));
  world.a.failInput();
  assertEquals(await isSettled(world.end), false);
  assertEquals(world.b.closed, false);
  world.b.releaseAll();
  await world.end;
  assertEquals(text(concat(world.b.writes)), "last words");
});

Deno.test("splice hands over what was read from a side although writing to it failed first", async () => {
  const left = scriptedConnection(RAW);
  const right = scriptedConnection({ ...RAW, highWaterBytes: 1 });
  const end = splice(left.connection, right.connection);
  const [a, b] = [left.transport, right.transport];
  b.hold();
  for (const words of ["many ", "last ", "words"]) {
    a.feed(utf8(words));
    await settle();
  }
  a.failWrites();
  for (const words of ["for ", "nobody"]) {
    b.feed(utf8(words));
    await settle();
  }
  a.failInput();
  assertEquals(await isSettled(end), false);
  b.releaseAll();
  assertEquals([(await end).failed, text(concat(b.writes))], ["a", "many last words"]);
});

Deno.test("splice ends when a receiver takes nothing within writeTimeoutMs", async () => {
  const world = scripted();
  world.b.hold();
  world.a.feed(utf8("for nobody"));
  await settle();
  world.right.sweeper.advance(61_000);
  const end = await world.end;
  assertEquals([end.failed, codeOf(end.error)], ["b", "ERR_SLOW_CONSUMER"]);
  assertEquals([world.a.closed, world.b.closed], [true, true]);
});

Deno.test("splice cuts both when its signal aborts, and rejects with the reason", async () => {
  const reason = new Error("Enough");
  const controller = new AbortController();
  const world = scripted({ signal: controller.signal });
  world.a.feed(utf8("some"));
  await settle();
  controller.abort(reason);
  assertStrictEquals(await errorOf(world.end), reason);
  assertEquals([world.a.closed, world.b.closed], [true, true]);

  const late = scripted({ signal: controller.signal });
  assertStrictEquals(await errorOf(late.end), reason);
  assertEquals([late.a.closed, late.b.closed], [true, true]);
});

Deno.test("splice cuts both when one direction has ended and nothing moves in the other", async () => {
  const world = scripted({ halfCloseTimeoutMs: 40 });
  world.b.feed(utf8("some"));
  world.a.endInput();
  const end = await world.end;
  assertEquals([end.failed, codeOf(end.error), end.bytesBToA], [null, "ERR_IDLE_TIMEOUT", 4]);
  assertEquals([world.a.closed, world.b.closed], [true, true]);
  assertEquals([world.a.unsigned, world.b.unsigned], [true, true], "What was cut is not the whole");
});

Deno.test("splice lets a half-closed pair live as long as something moves", async () => {
  const world = scripted({ halfCloseTimeoutMs: 200 });
  world.a.endInput();
  const begin = performance.now();
  while (performance.now() - begin < 500) {
    world.b.feed(utf8("."));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  world.b.endInput();
  const end = await world.end;
  assertEquals(end.error, null);
});

Deno.test("splice refuses a connection with itself, and a time that is none", async () => {
  const { connection } = scriptedConnection(RAW);
  const other = scriptedConnection(RAW).connection;
  assertThrows(() => splice(connection, connection), TypeError);
  assertThrows(() => splice(connection, other, { halfCloseTimeoutMs: -1 }), RangeError);
  connection.abort();
  other.abort();
  const end = await splice(connection, other);
  assertEquals(
    [end.failed, end.bytesAToB],
    ["a", 0],
    "A connection that is gone already has failed",
  );
});

Deno.test("splice over sockets: a client that vanishes frees the server's connection, and the other way round", async () => {
  for (const who of ["client", "server"] as const) {
    let serverSide: Connection | undefined;
    await using server = serve(RAW, async (conn) => {
      serverSide = conn;
      await conn.closed;
    });
    await server.ready;
    const ends: (string | null)[] = [];
    await using proxy = serve(RAW, async (conn) => {
      const end = await splice(conn, await connect({ ...server.addr, ...RAW }));
      ends.push(end.failed);
    });
    await proxy.ready;
    const client = await connect({ ...proxy.addr, ...RAW });
    await client.send("hello");
    await until(() => serverSide !== undefined && serverSide.stats().bytesIn === 5);
    if (who === "client") {
      client.abort();
      assertEquals(text((await serverSide!.receive())!), "hello");
      assertEquals(await serverSide!.receive(), null);
      await serverSide!.close();
    } else {
      serverSide!.abort();
      assertEquals(await client.receive().catch(() => null), null);
      await client.close();
    }
    await until(() => ends.length === 1 && server.connections.size + proxy.connections.size === 0);
  }
});

/**
 * A backend that breaks in mid-answer, a proxy in front of it, and what a client reads there: its
 * text, and the code of its end.
 */
async function readThroughBreak(
  canReset: boolean,
): Promise<{ read: string; code: string; wasTold: boolean }> {
  await using server = serve({ ...RAW, canReset: true }, async (conn) => {
    await conn.send("half an ans");
    await conn.receive();
    conn.abort(new Error("A disk failed"));
  });
  await server.ready;
  const ended = Promise.withResolvers<boolean>();
  await using proxy = serve({ ...RAW, canReset }, async (conn) => {
    ended.resolve((await splice(conn, await connect({ ...server.addr, ...RAW }))).wasTold);
  });
  await proxy.ready;
  await using client = await connect({ ...proxy.addr, ...RAW });
  const read = text((await client.receive())!);
  await client.send("go on");
  const code = await client.receive().then((end) => end === null ? "in order" : "bytes", codeOf);
  return { read, code, wasTold: await ended.promise };
}

Deno.test("splice resets a plain TCP client with canReset when its backend breaks in mid-answer, and says otherwise that it cannot", async () => {
  assertEquals(await readThroughBreak(true), {
    read: "half an ans",
    code: "ERR_RESET",
    wasTold: true,
  });
  assertEquals(await readThroughBreak(false), {
    read: "half an ans",
    code: "in order",
    wasTold: false,
  });
});

Deno.test(
  "splice over a pool leaves neither memory nor descriptors behind after many short connections",
  {
    ignore: Deno.build.os !== "linux",
  },
  async () => {
    await using sink = new Program("tests/pool/programs/sink.ts");
    await using proxy = new Program("tests/pool/programs/proxy.ts", [`${await sink.port()}`], {
      env: { DENO_V8_FLAGS: "--expose-gc" },
    });
    const port = await proxy.port();
    let leases = 0;
    const many = async (count: number) => {
      leases += count;
      let left = count;
      await Promise.all(Array.from({ length: 16 }, async () => {
        while (left-- > 0) {
          await using conn = await connect({ port, ...RAW });
          await conn.send("hello");
          await conn.closeWrite();
          assertEquals((await receiveBytes(conn)).length, 64);
        }
      }));
    };
    const settledMemory = async () => {
      await until(() => descriptorsOf(sink.pid) < 40 && descriptorsOf(proxy.pid) < 60);
      proxy.kill("SIGUSR2");
      const done = `"leases":${leases},"busy":0,"closing":0}`;
      const [, bytes] = await proxy.printed(new RegExp(`memory \\d+ \\{"bytes":(\\d+),${done}`));
      return { bytes: Number(bytes), descriptors: descriptorsOf(proxy.pid) };
    };
    await many(300);
    const before = await settledMemory();
    const count = 1500 * effort; // PARLEY_FUZZ_RUNS=7 makes 10 500
    await many(count);
    const after = await settledMemory();
    await until(() => descriptorsOf(proxy.pid) <= before.descriptors);
    // The server's statistics remember the last 10 000 connections that ended: 2 kB each at most.
    // Code and buffers settle in 4 MB.
    const remembered = 2000 * Math.min(count, 10_000) + 4_000_000;
    assert(
      after.bytes - before.bytes < remembered,
      `${after.bytes - before.bytes} bytes stay after ${count} connections`,
    );
    if (Deno.env.has("PARLEY_REPORT")) console.log(`${count} connections`, before, after);
  },
);

Deno.test("splice holds as little after many megabytes to a slow receiver as after few", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  await using sink = new Program("tests/pool/programs/sink.ts", ["4"]); // ms after each MiB
  await using proxy = new Program("tests/pool/programs/proxy.ts", [`${await sink.port()}`], {
    env: { DENO_V8_FLAGS: "--expose-gc" },
  });
  await using conn = await connect({ port: await proxy.port(), ...RAW });
  const chunk = pattern(1 << 18);
  const megabytes = 96 * effort; // PARLEY_FUZZ_RUNS=11 sends 1 GiB
  const held: number[] = [];
  for (let sent = 0; sent < megabytes * 4; sent++) {
    await conn.send(chunk);
    await conn.flush();
    if (sent % 64 !== 63) continue;
    proxy.kill("SIGUSR2");
    const [, bytes] = await proxy.printed(
      new RegExp(`memory ${held.length + 1} \\{"bytes":(\\d+)`),
    );
    held.push(Number(bytes));
  }
  await conn.closeWrite();
  assertEquals((await receiveBytes(conn)).length, 64);
  const growth = Math.max(...held) - held[0]!;
  // Its queues, and buffers that V8 frees a little after their collection; never what was sent.
  assert(growth < 32 << 20, `What is in use grew by ${growth} bytes: ${held}`);
  if (Deno.env.has("PARLEY_REPORT")) console.log(`${megabytes} MiB, bytes in use: ${held}`);
});
