// Tests of MuxSession: options, ids, pings, waits, limits and numbers.
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { MuxSession, type MuxSessionOptions } from "../../mux/mod.ts";
import { utf8 } from "../support/bytes.ts";
import {
  codeOf,
  MuxPair,
  readAll,
  serveEcho,
  sessionWithRawPeer,
  timedPair,
} from "../support/peers/mux_pair.ts";
import { frame } from "../support/peers/raw_mux.ts";
import { TestClock } from "../support/simulation/test_clock.ts";

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
  assertThrows(
    () => new MuxSession(left, { role }),
    TypeError,
    '"role" must be "client" or "server"',
  );
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
  const [aborted, late] = [
    client.ping({ signal: controller.signal }),
    client.ping({ timeoutMs: 50 }),
  ];
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

Deno.test("MuxSession gives the place of a stream that has ended to the next, and keeps its unread bytes", async () => {
  await using pair = new MuxPair({}, { maxStreams: 1 });
  const [near, far] = await pair.open();
  await near.write(utf8("unread"));
  await near.closeWrite();
  await far.closeWrite();
  assertEquals(await near.closed, undefined);
  const next = await pair.client.openStream();
  assertEquals((await pair.server.acceptStream())?.id, next.id);
  assertEquals(await readAll(far), utf8("unread"));
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

Deno.test("MuxSession.ping shares one ping among all who ask while it is under way", async () => {
  const { client, server, clock, end } = timedPair();
  const pings = Array.from({ length: 1000 }, () => client.ping());
  const controller = new AbortController();
  const given = client.ping({ signal: controller.signal });
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => given, Error, "changed my mind");
  await clock.advance(100);
  assertEquals(new Set(await Promise.all(pings)), new Set([20]));
  assertEquals([client.stats().framesOut, server.stats().framesIn], [1, 1]);
  await end();
});

Deno.test("MuxSession.ping called without end sends no more than 50 pings in any ten seconds, and all are answered", async () => {
  const { client, server, clock, end } = timedPair({ keepAliveMs: 1000, keepAliveTimeoutMs: 500 });
  let answered = 0;
  const asking = (async () => {
    for (;;) {
      assertEquals(await client.ping(), 20);
      answered++;
    }
  })().catch(() => {});
  const counts: number[] = [];
  for (let second = 0; second < 60; second++) {
    await clock.advance(1000);
    // The server pings as well, and is answered by as many frames.
    counts.push(client.stats().framesOut);
  }
  assertEquals([client.status, server.status], ["open", "open"]);
  assert(answered >= 90, `${answered} pings were answered`);
  const most = Math.max(...counts.slice(10).map((count, index) => count - counts[index]!));
  assert(most <= 50 + 10, `${most} pings and answers in ten seconds`);
  await end();
  await asking;
});

Deno.test("MuxSession.ping sends a ping of its own when the one before was forgotten, and ends with the session", async () => {
  const clock = new TestClock();
  const [session, peer] = sessionWithRawPeer({ clock, keepAliveMs: 0 });
  const first = session.ping();
  const ping = (await peer.next())!;
  await clock.advance(10_000);
  const second = session.ping();
  const next = (await peer.next())!;
  assertEquals([ping.type, ping.flags, next.type, next.flags], [2, 1, 2, 1]);
  assertNotEquals(ping.length, next.length);
  await peer.send(frame(2, 2, 0, next.length));
  assertEquals(await second, 0);
  for (let sent = 2; sent < 40; sent++) {
    const answer = session.ping();
    await peer.send(frame(2, 2, 0, (await peer.next())!.length));
    await answer;
  }
  // The budget is used up: the next one waits for its turn.
  const codes = Promise.all([first, session.ping()].map(codeOf));
  session.abort();
  assertEquals(await codes, ["ERR_CLOSED", "ERR_CLOSED"]);
  assertEquals(clock.pending, 0);
  peer.transport.close();
  await session.closed;
});

Deno.test("MuxSession whose pings wait for their turn does not take the peer for dead meanwhile", async () => {
  const clock = new TestClock();
  const keepAlive = { keepAliveMs: 1050, keepAliveTimeoutMs: 300, random: () => 0.5 };
  const [session, peer] = sessionWithRawPeer({ clock, ...keepAlive });
  let pings = 0;
  const answering = (async () => {
    for (let next = await peer.next(); next !== null; next = await peer.next()) {
      if (next.type !== 2 || next.flags !== 1) continue;
      pings++;
      await peer.send(frame(2, 2, 0, next.length));
    }
  })().catch(() => {});
  const asking = (async () => {
    for (;;) await session.ping();
  })().catch(() => {});
  for (let count = 0; count < 60; count++) {
    await clock.advance(500);
    assertEquals(session.status, "open", `${pings} pings after ${clock.now()} ms`);
  }
  assert(pings >= 60 && pings <= 71, `${pings} pings`);
  peer.transport.close();
  await session.closed;
  await Promise.all([asking, answering]);
  // Then a peer that is silent is dead all the same.
  const [other, silent] = sessionWithRawPeer({ clock, ...keepAlive });
  await clock.advance(1500);
  assertEquals((await other.closed)?.code, "ERR_KEEPALIVE_TIMEOUT");
  silent.transport.close();
});
