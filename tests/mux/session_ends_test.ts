// Tests of MuxSession: streams that are late, go-away, close, abort and lost connections.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, ProtocolError, TimeoutError } from "../../errors.ts";
import { MuxSession, type MuxStream } from "../../mux/mod.ts";
import { utf8 } from "../support/bytes.ts";
import {
  codeOf,
  MuxPair,
  readAll,
  sessionWithRawPeer,
  timedPair,
} from "../support/peers/mux_pair.ts";
import { FrameType } from "../../mux/header.ts";
import { frame, RawPeer } from "../support/peers/raw_mux.ts";
import { simLink } from "../support/simulation/sim_link.ts";
import { settle, TestClock } from "../support/simulation/test_clock.ts";

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
  const { client, server, clock, link, end } = timedPair({
    keepAliveMs: 15_000,
    keepAliveTimeoutMs: 10_000,
  });
  const stream = await client.openStream();
  const read = codeOf(stream.read());
  await clock.advance(20);
  await server.acceptStream();
  await clock.advance(120_000);
  assertEquals([client.status, server.status], ["open", "open"]);
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
  assertEquals([pair.client.status, pair.server.status], ["goAwayReceived", "goAwaySent"]);
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
  assertEquals(session.status, "goAwaySent");
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

Deno.test("MuxSession.close takes no answer for its confirmation that was asked for before the last bytes", async () => {
  const [session, peer] = sessionWithRawPeer();
  const earlier = session.ping();
  const first = await peer.find(({ type }) => type === FrameType.ping);
  await peer.send(frame(1, 1, 1, 0));
  const stream = await session.acceptStream() as MuxStream;
  await stream.write(utf8("last words"));
  await stream.closeWrite();
  await peer.send(frame(1, 4, 1, 0));
  const closing = session.close();
  await peer.find(({ type }) => type === FrameType.goAway);
  await settle();
  await peer.send(frame(FrameType.ping, 2, 0, first!.length));
  await earlier;
  const second = await peer.find(({ type }) => type === FrameType.ping);
  assertEquals(session.status, "goAwaySent");
  await peer.send(frame(FrameType.ping, 2, 0, second!.length));
  await peer.transport.closeWrite();
  await closing;
});

Deno.test("MuxSession.close ends by its time though a peer that has confirmed everything does not leave", async () => {
  const clock = new TestClock();
  const link = simLink({ clock, random: () => 0.5, latencyMs: 10 });
  const client = new MuxSession(link.left, { role: "client", clock, keepAliveMs: 0 });
  const peer = new RawPeer(link.right);
  void (async () => {
    const ping = await peer.find(({ type }) => type === FrameType.ping);
    await peer.send(frame(FrameType.ping, 2, 0, ping!.length));
  })();
  let closed = false;
  const closing = client.close({ timeoutMs: 100 }).then(() => closed = true);
  await clock.advance(90);
  assertEquals([client.status, closed], ["ended", false]);
  await clock.advance(10);
  assertEquals(closed, true);
  await closing;
  assertEquals(await client.closed, undefined);
});

Deno.test("MuxSession.close rejects when the connection is lost before everything is done, and not after the end", async () => {
  const { client, server, clock, link, end } = timedPair();
  const stream = await client.openStream();
  await stream.write(utf8("last words"));
  await stream.closeWrite();
  const closing = codeOf(client.close());
  link.cut();
  await clock.advance(20);
  assertEquals(await closing, "ERR_RESET");
  await server.closed;
  await server.close();
  await end();
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
