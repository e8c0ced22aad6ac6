// Tests of MuxSession: limits, fairness, ends, pings and timers.
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, ParleyError, ProtocolError, TimeoutError } from "../../errors.ts";
import { memoryPair } from "../../net/transport.ts";
import {
  INITIAL_WINDOW_BYTES,
  MuxMemory,
  MuxSession,
  type MuxSessionOptions,
  type MuxStream,
} from "../../mux/mod.ts";
import { utf8 } from "../support/bytes.ts";
import { MuxPair, readAll, serveEcho, sessionWithRawPeer } from "../support/mux_pair.ts";
import { frame, RawPeer } from "../support/raw_mux.ts";
import { simLink } from "../support/sim_link.ts";
import { settle, TestClock } from "../support/test_clock.ts";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, ParleyError);
  return error.code;
}

/** Two sessions over a simulated link whose time the test advances. */
function timedPair(options: Partial<MuxSessionOptions> = {}) {
  const clock = new TestClock();
  const link = simLink({ clock, random: () => 0.5, latencyMs: 10 });
  const shared = { clock, random: () => 0.5, keepAliveMs: 0, ...options };
  const client = new MuxSession(link.left, { ...shared, role: "client" });
  const server = new MuxSession(link.right, { ...shared, role: "server" });
  const end = async () => {
    client.abort();
    server.abort();
    await Promise.all([client.closed, server.closed]);
  };
  return { clock, link, client, server, end };
}

Deno.test("MuxSession refuses options out of range before any I/O", () => {
  const [left] = memoryPair();
  const bad: [Partial<MuxSessionOptions>, string][] = [
    [{ maxStreams: 0 }, '"maxStreams" must be 1 to'],
    [{ maxBacklog: 1.5 }, '"maxBacklog" must be 1 to'],
    [{ maxBufferedBytes: 1024 }, '"maxBufferedBytes" must be 262144 to'],
    [{ maxWindowBytes: 2 ** 32 }, '"maxWindowBytes" must be 262144 to'],
    [{ openTimeoutMs: 0 }, '"openTimeoutMs" must be 1 to'],
    [{ keepAliveMs: -1 }, '"keepAliveMs" must be 0 to'],
    [{ flood: { maxResets: 0 } }, '"maxResets" must be 1 to'],
  ];
  for (const [options, message] of bad) {
    assertThrows(() => new MuxSession(left, { role: "client", ...options }), RangeError, message);
  }
  const role = "middle" as "client";
  assertThrows(() => new MuxSession(left, { role }), TypeError, '"role" must be "client" or "server"');
});

Deno.test("MuxSession numbers the client's streams odd and the server's even", async () => {
  await using pair = new MuxPair();
  const ids = [];
  for (const session of [pair.client, pair.client, pair.server, pair.server]) {
    ids.push((await session.openStream()).id);
  }
  assertEquals(ids, [1, 3, 2, 4]);
  assertEquals((await pair.client.acceptStream())?.id, 2);
  assertEquals((await pair.server.acceptStream())?.id, 1);
});

Deno.test("MuxSession.ping measures the round trip of the link", async () => {
  const { client, clock, end } = timedPair();
  const ping = client.ping();
  await clock.advance(100);
  assertEquals(await ping, 20);
  assertEquals(client.stats().rttMs, 20);
  await end();
});

Deno.test("MuxSession.ping ends early by signal and by time", async () => {
  const { client, clock, link, end } = timedPair();
  link.stall();
  const reason = new Error("changed my mind");
  const controller = new AbortController();
  const [aborted, late] = [client.ping({ signal: controller.signal }), client.ping({ timeoutMs: 50 })];
  controller.abort(reason);
  assertStrictEquals(await aborted.catch((error) => error), reason);
  const lateCode = codeOf(late);
  await clock.advance(60);
  assertEquals(await lateCode, "ERR_READ_TIMEOUT");
  await end();
});

Deno.test("MuxSession.acceptStream and openStream end early by signal and by time", async () => {
  await using pair = new MuxPair({ maxOpening: 1 });
  const reason = new Error("changed my mind");
  assertEquals(await codeOf(pair.client.acceptStream({ timeoutMs: 1 })), "ERR_READ_TIMEOUT");
  assertStrictEquals(
    await pair.client.acceptStream({ signal: AbortSignal.abort(reason) }).catch((e) => e),
    reason,
  );
  await pair.client.openStream();
  assertEquals(await codeOf(pair.client.openStream({ timeoutMs: 1 })), "ERR_CONNECT_TIMEOUT");
  const controller = new AbortController();
  const opening = pair.client.openStream({ signal: controller.signal });
  controller.abort(reason);
  assertStrictEquals(await opening.catch((error) => error), reason);
});

Deno.test("MuxSession.openStream waits while too many streams have no answer, then goes on in order", async () => {
  await using pair = new MuxPair({ maxOpening: 2 });
  await pair.client.openStream();
  await pair.client.openStream();
  const third = pair.client.openStream();
  const fourth = pair.client.openStream();
  await pair.server.acceptStream();
  assertEquals((await third).id, 5);
  await pair.server.acceptStream();
  assertEquals((await fourth).id, 7);
});

Deno.test("MuxSession resets streams over the peer's limit and keeps the others", async () => {
  await using pair = new MuxPair({}, { maxStreams: 2 });
  const streams = [];
  for (let count = 0; count < 3; count++) streams.push(await pair.client.openStream());
  assertEquals((await streams[2]?.closed)?.code, "ERR_RESET");
  assertEquals(pair.server.stats().streamsRefused, 1);
  const first = await pair.server.acceptStream();
  assert(first !== null);
  // A place is free again once one of them is over.
  await Promise.all([first.close(), streams[0]?.close()]);
  const next = await pair.client.openStream();
  await pair.server.acceptStream();
  assertEquals((await pair.server.acceptStream())?.id, next.id);
});

Deno.test("MuxSession resets streams beyond the backlog", async () => {
  await using pair = new MuxPair({}, { maxBacklog: 1 });
  const [first, second] = [await pair.client.openStream(), await pair.client.openStream()];
  assertEquals((await second.closed)?.code, "ERR_RESET");
  assertEquals((await pair.server.acceptStream())?.id, first.id);
});

Deno.test("MuxSession counts a stream that ended with unread bytes as open until they are read or dropped", async () => {
  await using pair = new MuxPair({}, { maxStreams: 1 });
  const [near, far] = await pair.open();
  await near.write(utf8("unread"));
  await near.closeWrite();
  await far.closeWrite();
  await near.closed;
  assertEquals((await (await pair.client.openStream()).closed)?.code, "ERR_RESET");
  assertEquals(await readAll(far), utf8("unread"));
  const next = await pair.client.openStream();
  assertEquals((await pair.server.acceptStream())?.id, next.id);
});

/** A session whose writes take `time.writeMs` each; tells the size of each. */
function sessionWithWriteTime(writeMs: number) {
  const sizes: number[] = [];
  const [left, right] = memoryPair({ bufferBytes: 1 << 20 });
  const time = { nowMs: 0, writeMs };
  const spied = Object.assign(Object.create(left), {
    read: () => left.read(),
    write(bytes: Uint8Array) {
      sizes.push(bytes.length);
      time.nowMs += time.writeMs;
      return left.write(bytes);
    },
    close: () => left.close(),
  });
  const clock = { now: () => time.nowMs, after: () => () => {} };
  const session = new MuxSession(spied, { role: "server", clock, keepAliveMs: 0 });
  return { session, peer: new RawPeer(right), sizes, time };
}

for (
  const { link, writeMs, most, batch } of [
    { link: "slow", writeMs: 11, most: 16, batch: 64 },
    { link: "fast", writeMs: 0, most: 64, batch: 257 },
  ]
) {
  Deno.test(`MuxSession on a ${link} link gives each stream with something to send ${most} KiB in turn`, async () => {
    const { session, peer, sizes } = sessionWithWriteTime(writeMs);
    const writes: Promise<void>[] = [];
    const warmUp = await session.openStream();
    await warmUp.write(new Uint8Array(INITIAL_WINDOW_BYTES));
    await settle();
    for (let count = 0; count < 3; count++) {
      const stream = await session.openStream();
      writes.push(stream.write(new Uint8Array(2.5 * most * 1024)));
    }
    const order: number[] = [];
    for (let left = INITIAL_WINDOW_BYTES + 7.5 * most * 1024; left > 0;) {
      const next = await peer.next();
      if (next?.type !== 0) continue;
      assert(next.length <= most * 1024, `${next.length} bytes in a frame`);
      // A slice may be cut at the end of a batch, and the rest comes in the next turn.
      if (next.streamId !== warmUp.id && order.at(-1) !== next.streamId) order.push(next.streamId);
      left -= next.length;
    }
    assertEquals(order.slice(0, 6), [4, 6, 8, 4, 6, 8]);
    await Promise.all(writes);
    assert(Math.max(...sizes) <= batch * 1024, `${Math.max(...sizes)} bytes in one write`);
    assert(Math.max(...sizes) > batch * 512, `at most ${Math.max(...sizes)} bytes in one write`);
    session.abort();
    await session.closed;
  });
}

Deno.test("MuxSession sends control frames before data that waits", async () => {
  const [left, right] = memoryPair({ bufferBytes: 1 });
  const session = new MuxSession(left, { role: "server" });
  const stream = await session.openStream();
  const writing = stream.write(new Uint8Array(200_000));
  await settle(200);
  const pinging = session.ping();
  pinging.catch(() => {});
  let before = 0;
  for (let found = false; !found;) {
    const chunk = await right.read();
    assert(chunk !== null);
    // The ping stands at the head of the batch that is made next.
    found = chunk[1] === 2;
    if (!found) before += chunk.length;
  }
  assert(before <= 2 * 65536, `${before} bytes came before the ping`);
  session.abort();
  await writing.catch(() => {});
  await session.closed;
});

Deno.test("MuxSession joins small writes", async () => {
  const { session, sizes } = sessionWithWriteTime(0);
  const stream = await session.openStream();
  await Promise.all(Array.from({ length: 100 }, () => stream.write(new Uint8Array(10))));
  await settle();
  assertEquals(sizes, [12 + 100 * 22]);
  session.abort();
  await session.closed;
});

Deno.test("MuxSession makes writes small again when one takes long", async () => {
  const { session, sizes, time } = sessionWithWriteTime(0);
  const streams = await Promise.all(Array.from({ length: 4 }, () => session.openStream()));
  const writeAll = () => Promise.all(streams.map((stream) => stream.write(new Uint8Array(60_000))));
  await writeAll();
  await writeAll();
  await settle();
  assert(Math.max(...sizes) > 65536, "the link was found to be fast");
  time.writeMs = 50;
  await writeAll();
  await settle();
  sizes.length = 0;
  await writeAll();
  assert(Math.max(...sizes) <= 65536, `${Math.max(...sizes)} bytes in one write`);
  session.abort();
  await session.closed;
});

Deno.test("MuxSession with one reader that stopped keeps the other streams at full rate", async () => {
  await using pair = new MuxPair();
  const [stuck] = await pair.open();
  const stuckWrite = stuck.write(new Uint8Array(1 << 20));
  const copy = async () => {
    const [near, far] = await pair.open();
    const reading = readAll(far);
    await near.write(new Uint8Array(500_000));
    await near.closeWrite();
    await far.closeWrite();
    return (await reading).length;
  };
  const sizes = [];
  for (let count = 0; count < 8; count++) sizes.push(await copy());
  assertEquals(sizes, Array(8).fill(500_000));
  assertEquals(stuck.stats().bytesOut, INITIAL_WINDOW_BYTES);
  assertEquals(pair.server.stats().bufferedBytes, INITIAL_WINDOW_BYTES);
  stuck.reset();
  await stuckWrite.catch(() => {});
});

Deno.test("MuxSession resets the stream that holds most when unread bytes are over the budget", async () => {
  const memory = new MuxMemory({ maxBytes: 1 << 20 });
  await using pair = new MuxPair({ memory, maxBufferedBytes: INITIAL_WINDOW_BYTES }, {
    memory,
    maxBufferedBytes: INITIAL_WINDOW_BYTES,
  });
  const [small] = await pair.open();
  const [large] = await pair.open();
  await small.write(new Uint8Array(100_000));
  await large.write(new Uint8Array(150_000));
  await settle(500);
  assertEquals(memory.usedBytes, 250_000);
  await small.write(new Uint8Array(20_000));
  assertEquals((await large.closed)?.code, "ERR_RESET");
  await settle(100);
  assertEquals([small.stats().state, memory.usedBytes], ["open", 120_000]);
});

Deno.test("MuxSession grows the window of a reader that keeps up on a long link, and gives growth back", async () => {
  const memory = new MuxMemory();
  const { client, server, clock, end } = timedPair({ memory });
  const near = await client.openStream();
  const writing = near.write(new Uint8Array(8 << 20)).then(() => near.closeWrite());
  await clock.advance(20);
  const far = await server.acceptStream() as MuxStream;
  let read = 0;
  let over = false;
  const reading = (async () => {
    for await (const chunk of far) read += chunk.length;
    over = true;
  })();
  let largest = 0;
  await clock.runUntil(() => {
    largest = Math.max(largest, far.stats().windowBytes);
    return over;
  }, 60_000);
  await Promise.all([reading, writing]);
  assertEquals(read, 8 << 20);
  assert(largest >= 2 << 20, `the window reached ${largest}`);
  assertEquals(memory.grownBytes, 0);
  await end();
});

Deno.test("MuxSession resets an opened stream that is not answered in time", async () => {
  const { client, clock, end } = timedPair({ openTimeoutMs: 1000 });
  const stream = await client.openStream();
  const read = codeOf(stream.read());
  await clock.advance(2000);
  assertEquals((await stream.closed)?.code, "ERR_CONNECT_TIMEOUT");
  assertEquals(await read, "ERR_CONNECT_TIMEOUT");
  await end();
});

Deno.test("MuxSession resets a closed stream whose peer never ends it, but not one that is being read", async () => {
  const { client, server, clock, end } = timedPair({ halfCloseTimeoutMs: 1000 });
  const [forgotten, patient] = [await client.openStream(), await client.openStream()];
  await clock.advance(20);
  await server.acceptStream();
  const far = await server.acceptStream() as MuxStream;
  await clock.advance(20);
  const closing = forgotten.close();
  await patient.closeWrite();
  const answer = patient.read();
  await clock.advance(3000);
  await closing;
  assertEquals((await forgotten.closed)?.code, "ERR_IDLE_TIMEOUT");
  await far.write(utf8("after all"));
  await clock.advance(20);
  assertEquals(await answer, utf8("after all"));
  await end();
});

Deno.test("MuxSession with a keepalive ends when the link is dead, and not while it is only idle", async () => {
  const { client, server, clock, link, end } = timedPair({ keepAliveMs: 15_000, keepAliveTimeoutMs: 10_000 });
  const stream = await client.openStream();
  const read = codeOf(stream.read());
  await clock.advance(20);
  await server.acceptStream();
  await clock.advance(120_000);
  assertEquals([client.state, server.state], ["open", "open"]);
  link.stall();
  await clock.advance(30_000);
  assertEquals((await client.closed)?.code, "ERR_KEEPALIVE_TIMEOUT");
  assertEquals(await read, "ERR_KEEPALIVE_TIMEOUT");
  await end();
});

Deno.test("MuxSession.goAway lets old streams finish and refuses new ones on both sides", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  pair.server.goAway();
  await pair.server.ping();
  assertEquals([pair.client.state, pair.server.state], ["goAwayReceived", "goAwaySent"]);
  assertEquals(await codeOf(pair.client.openStream()), "ERR_GOING_AWAY");
  assertEquals(await codeOf(pair.server.openStream()), "ERR_GOING_AWAY");
  await near.write(utf8("still"));
  assertEquals(await far.read(), utf8("still"));
});

Deno.test("MuxSession.goAway rejects who waits to open a stream", async () => {
  await using pair = new MuxPair({ maxOpening: 1 });
  await pair.client.openStream();
  const opening = codeOf(pair.client.openStream());
  pair.client.goAway();
  assertEquals(await opening, "ERR_GOING_AWAY");
});

Deno.test("MuxSession refuses streams that cross its go-away without ending the session", async () => {
  const [session, peer] = sessionWithRawPeer();
  session.goAway();
  await peer.send(...Array.from({ length: 200 }, (_, index) => frame(1, 1, 1 + 2 * index, 0)));
  for (let count = 0; count < 200; count++) {
    const reset = await peer.find((next) => next.flags === 8);
    assertEquals(reset?.streamId, 1 + 2 * count);
  }
  assertEquals(session.state, "goAwaySent");
  session.abort();
  await session.closed;
});

Deno.test("MuxSession.close waits for open streams and delivers everything written", async () => {
  const pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.write(new Uint8Array(100_000));
  await near.closeWrite();
  const closing = pair.client.close();
  assertEquals(pair.client.close(), closing);
  assertEquals((await readAll(far)).length, 100_000);
  await far.write(utf8("and back"));
  await far.closeWrite();
  assertEquals(await near.read(), utf8("and back"));
  await closing;
  assertEquals([await pair.client.closed, await pair.server.closed], [undefined, undefined]);
  assertEquals(await pair.server.acceptStream(), null);
  assertEquals(await codeOf(pair.client.ping()), "ERR_CLOSED");
});

Deno.test("MuxSession.close cuts what is left when the time is up, and counts it", async () => {
  const { client, server, clock, end } = timedPair();
  const stream = await client.openStream();
  const read = codeOf(stream.read());
  await clock.advance(20);
  await server.acceptStream();
  const closing = client.close({ timeoutMs: 100 });
  const failed = assertRejects(() => closing, TimeoutError);
  await clock.advance(2000);
  const error = await failed;
  assertEquals([error.code, error.cutConnections], ["ERR_DRAIN_TIMEOUT", 1]);
  assertEquals(await read, "ERR_CLOSED");
  await end();
});

Deno.test("MuxSession.close from both sides at once ends both in order", async () => {
  const pair = new MuxPair();
  await Promise.all([pair.client.close(), pair.server.close()]);
  assertEquals([await pair.client.closed, await pair.server.closed], [undefined, undefined]);
});

Deno.test("MuxSession.abort settles everything that waits, with the reason as cause", async () => {
  const pair = new MuxPair({ maxOpening: 1 });
  const [near] = await pair.open();
  await pair.client.openStream();
  const waits = [
    near.read(),
    near.write(new Uint8Array(1 << 20)),
    near.closeWrite(),
    pair.client.openStream(),
    pair.client.ping(),
  ];
  const accepting = pair.client.acceptStream();
  const why = new Error("why");
  pair.client.abort(why);
  for (const result of await Promise.allSettled(waits)) {
    assert(result.status === "rejected" && result.reason instanceof ClosedError);
    assertEquals(result.reason.code, "ERR_CLOSED");
    assertStrictEquals(result.reason.cause, why);
  }
  assertEquals(await accepting, null);
  assertEquals((await near.closed)?.code, "ERR_CLOSED");
  assertEquals((await pair.client.closed)?.code, "ERR_CLOSED");
  await pair.server.closed;
});

Deno.test("MuxSession whose connection is lost settles everything that waits with ERR_RESET", async () => {
  const { client, server, clock, link, end } = timedPair();
  const near = await client.openStream();
  await clock.advance(20);
  const far = await server.acceptStream() as MuxStream;
  const waits = [near.read(), near.write(new Uint8Array(1 << 20)), client.ping(), far.read()];
  // What arrives before the cut is read; only then the reader waits again.
  const results = Promise.allSettled(waits);
  link.cut();
  await clock.advance(1000);
  for (const result of (await results).slice(0, 3)) {
    assertEquals(result.status === "rejected" && result.reason.code, "ERR_RESET");
  }
  assertEquals((await client.closed)?.code, "ERR_RESET");
  assertEquals((await server.closed)?.code, "ERR_RESET");
  await end();
});

Deno.test("MuxSession keeps flows that came whole readable after the connection is lost", async () => {
  const pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.write(utf8("whole"));
  await near.closeWrite();
  await settle(200);
  pair.client.abort();
  await pair.server.closed;
  assertEquals([await far.read(), await far.read()], [utf8("whole"), null]);
});

Deno.test("MuxSession ends in order when the peer closes with no stream open", async () => {
  const [session, peer] = sessionWithRawPeer();
  await peer.transport.closeWrite();
  assertEquals(await session.closed, undefined);
  peer.transport.close();
});

Deno.test("MuxSession takes an end inside a frame or with streams open for a lost connection", async () => {
  for (const sent of [frame(1, 1, 1, 0).subarray(0, 7), frame(1, 1, 1, 0)]) {
    const [session, peer] = sessionWithRawPeer();
    await peer.send(sent);
    await peer.transport.closeWrite();
    assertEquals((await session.closed)?.code, "ERR_RESET");
    peer.transport.close();
  }
});

Deno.test("MuxSession tells a peer that claims we broke the protocol from one that failed", async () => {
  for (const [code, text] of [[1, "broke the protocol"], [2, "failed"]] as const) {
    const [session, peer] = sessionWithRawPeer();
    await peer.send(frame(3, 0, 0, code));
    const error = await session.closed;
    assert(error instanceof ProtocolError && error.message.includes(text));
    assertEquals(error.code, "ERR_MUX_PEER_ERROR");
  }
});

Deno.test("MuxSession counts what it does", async () => {
  await using pair = new MuxPair();
  const serving = serveEcho(pair.server);
  const stream = await pair.client.openStream();
  await stream.write(utf8("12345"));
  await stream.closeWrite();
  await readAll(stream);
  await pair.client.ping();
  const [near, far] = [pair.client.stats(), pair.server.stats()];
  assertEquals([near.streamsOpened, far.streamsAccepted, near.streams, far.streams], [1, 1, 0, 0]);
  // Open, data, end, ping one way; accept, data, end, answer the other.
  assertEquals([near.framesOut, near.bytesOut, far.framesIn, far.bytesIn], [4, 53, 4, 53]);
  assertEquals([far.framesOut, near.framesIn], [4, 4]);
  assertEquals(await pair.client.close(), undefined);
  await serving;
});
