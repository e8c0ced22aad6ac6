// Tests that the guards of a session leave honest peers alone: pauses, resets, late frames, slow links.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { TimeoutError } from "../../errors.ts";
import { INITIAL_WINDOW_BYTES, MuxMemory, MuxSession, type MuxStream } from "../../mux/mod.ts";
import { pattern, utf8 } from "../support/bytes.ts";
import {
  codeOf,
  MuxPair,
  readAll,
  sessionWithRawPeer,
  timedPair,
} from "../support/peers/mux_pair.ts";
import { frame } from "../support/peers/raw_mux.ts";
import { simLink } from "../support/simulation/sim_link.ts";
import { settle, TestClock } from "../support/simulation/test_clock.ts";

const DATA = 0, UPDATE = 1, PING = 2;
const SYN = 1, ACK = 2, FIN = 4;

Deno.test("MuxSession lets a reader pause for minutes after its own direction has ended", async () => {
  const { client, server, clock, end } = timedPair();
  const near = await client.openStream();
  await near.closeWrite();
  await clock.advance(50);
  const far = await server.acceptStream() as MuxStream;
  const data = pattern(600_000);
  const writing = far.write(data).then(() => far.closeWrite());
  await clock.advance(50);
  const first = await near.read() as Uint8Array;
  await clock.advance(300_000);
  const reading = readAll(near);
  await clock.runUntil(() => near.stats().state === "closed", 60_000);
  await writing;
  assertEquals(await reading, data.subarray(first.length));
  assertEquals([await near.closed, await far.closed], [undefined, undefined]);
  await end();
});

Deno.test("MuxSession lets a peer think for minutes before it answers a stream whose question has ended", async () => {
  const { client, server, clock, end } = timedPair();
  const near = await client.openStream();
  await near.closeWrite();
  await clock.advance(50);
  const far = await server.acceptStream() as MuxStream;
  await clock.advance(300_000);
  await far.write(utf8("at last"));
  await far.closeWrite();
  await clock.advance(50);
  assertEquals(await readAll(near), utf8("at last"));
  await end();
});

Deno.test("MuxSession takes a thousand calls that are given up, one after the other, and keeps the stream beside them", async () => {
  await using pair = new MuxPair();
  const [beside, besideFar] = await pair.open();
  for (let count = 0; count < 1000; count++) {
    const [near, far] = await pair.open();
    await far.write(utf8("first line"));
    await near.read();
    near.reset();
    assertEquals(await codeOf(far.read()), "ERR_RESET");
  }
  await beside.write(utf8("still here"));
  assertEquals(await besideFar.read(), utf8("still here"));
  assertEquals([pair.client.status, pair.server.status], ["open", "open"]);
});

Deno.test("MuxSession takes the credit that comes for thousands of streams which have ended", async () => {
  const [session, peer] = sessionWithRawPeer();
  for (let id = 1; id < 2 * 3000; id += 2) {
    await peer.send(frame(UPDATE, SYN, id, 0), frame(DATA, FIN, id, 0));
    const stream = await session.acceptStream() as MuxStream;
    await stream.closeWrite();
    // Go programs return credit when they read, also behind both ends.
    await peer.send(frame(UPDATE, 0, id, 1000), frame(UPDATE, 0, id, 1000));
  }
  const pong = peer.find(({ type, flags }) => type === PING && flags === ACK);
  await peer.send(frame(PING, SYN, 0, 1));
  assertEquals([(await pong)?.length, session.status], [1, "open"]);
  session.abort();
  await session.closed;
});

Deno.test("MuxSession takes what crosses its resets of thousands of streams", async () => {
  const [session, peer] = sessionWithRawPeer();
  for (let id = 1; id < 2 * 2000; id += 2) {
    await peer.send(frame(UPDATE, SYN, id, 0), frame(DATA, 0, id, 10));
    const stream = await session.acceptStream() as MuxStream;
    stream.reset();
    await peer.send(
      frame(DATA, 0, id, INITIAL_WINDOW_BYTES - 10),
      frame(UPDATE, 0, id, 5),
      frame(DATA, FIN, id, 0),
    );
  }
  const pong = peer.find(({ type, flags }) => type === PING && flags === ACK);
  await peer.send(frame(PING, SYN, 0, 1));
  assertEquals([(await pong)?.length, session.status], [1, "open"]);
  session.abort();
  await session.closed;
});

Deno.test("MuxSession holds a peer to the window that a stream had when it was reset", async () => {
  const [session, peer] = sessionWithRawPeer();
  await peer.send(frame(UPDATE, SYN, 1, 0), frame(DATA, 0, 1, 1000));
  (await session.acceptStream())?.reset();
  await peer.send(frame(DATA, 0, 1, INITIAL_WINDOW_BYTES - 1000), frame(DATA, 0, 1, 1));
  assertEquals(await peer.goAwayCode(), 1);
  assertEquals((await session.closed)?.code, "ERR_MUX_WINDOW");
});

Deno.test("MuxSession accepts the streams of a peer that sends their ids out of order, and goes on", async () => {
  const [session, peer] = sessionWithRawPeer();
  await peer.send(...[3, 1, 9, 5, 7].map((id) => frame(UPDATE, SYN, id, 0)));
  const ids: number[] = [];
  for (let count = 0; count < 5; count++) ids.push((await session.acceptStream())!.id);
  assertEquals([ids, session.status], [[3, 1, 9, 5, 7], "open"]);
  session.abort();
  await session.closed;
});

Deno.test("MuxSession.goAway with no stream open ends the session, and so does the last stream after it", async () => {
  const pair = new MuxPair();
  pair.client.goAway();
  assertEquals([await pair.client.closed, await pair.server.closed], [undefined, undefined]);
  const other = new MuxPair();
  const [near, far] = await other.open();
  other.server.goAway();
  await near.write(utf8("last"));
  await near.closeWrite();
  assertEquals(await readAll(far), utf8("last"));
  await far.closeWrite();
  assertEquals([await other.client.closed, await other.server.closed], [undefined, undefined]);
});

Deno.test("MuxSession.close on a slow link waits until everything has arrived", async () => {
  const { pair, clock, sent } = slowPair();
  const reading = pair.server.acceptStream().then((stream) => readAll(stream!));
  const stream = await pair.client.openStream();
  const data = pattern(100_000);
  let closed = false;
  const closing = (async () => {
    await stream.write(data);
    await stream.closeWrite();
    stream.cancel();
    await pair.client.close({ timeoutMs: 60_000 });
    closed = true;
  })();
  await clock.runUntil(() => closed, 100_000);
  await closing;
  assertEquals(await reading, data);
  assert(sent.ms() > 4000, `it took ${sent.ms()} ms`);
  assertEquals(await pair.client.closed, undefined);
});

Deno.test("MuxSession.close on a slow link rejects at its time with what was left", async () => {
  const { pair, clock } = slowPair();
  void pair.server.acceptStream().then((stream) => readAll(stream!)).catch(() => {});
  const stream = await pair.client.openStream();
  const writing = stream.write(pattern(100_000)).then(() => stream.closeWrite());
  await clock.runUntil(() => stream.stats().pendingBytes === 0, 100_000);
  await writing;
  stream.cancel();
  const startMs = clock.now();
  let error: unknown;
  const closing = assertRejects(() => pair.client.close({ timeoutMs: 1000 }), TimeoutError)
    .then((thrown) => error = thrown);
  await clock.runUntil(() => error !== undefined, 10_000);
  const { code, cutBytes } = await closing;
  assertEquals([code, cutBytes > 0, clock.now() - startMs <= 1000], [
    "ERR_DRAIN_TIMEOUT",
    true,
    true,
  ]);
  assertEquals((await pair.client.closed)?.code, "ERR_CLOSED");
  pair.server.abort();
  await pair.server.closed;
});

Deno.test("MuxSession pings every keepAliveMs, and finds a link dead keepAliveTimeoutMs after a ping", async () => {
  const { client, server, clock, link, end } = timedPair({
    keepAliveMs: 15_000,
    keepAliveTimeoutMs: 10_000,
  });
  await clock.advance(150_500);
  assertEquals(
    [client.stats().framesOut, server.stats().framesOut],
    [20, 20],
    "ten pings and ten answers each",
  );
  link.stall();
  const startMs = clock.now();
  await clock.runUntil(() => client.status === "ended", 60_000);
  assert(clock.now() - startMs <= 25_000, `${clock.now() - startMs} ms`);
  assertEquals((await client.closed)?.code, "ERR_KEEPALIVE_TIMEOUT");
  await end();
});

Deno.test("MuxSession whose answers are not read is bounded: streams opened and ended, streams after its go-away", async () => {
  for (const goesAway of [false, true]) {
    const written = Promise.withResolvers<void>();
    let feed = (_: Uint8Array | null) => {};
    let bytes = 0;
    const address = { transport: "memory" as const, name: "stuck" };
    const session = new MuxSession({
      localAddr: address,
      remoteAddr: address,
      read: () => new Promise((resolve) => feed = resolve),
      write: async (chunk) => {
        await written.promise;
        bytes += chunk.length;
      },
      closeWrite: async () => {},
      close: () => feed(null),
    }, { role: "server", keepAliveMs: 0 });
    if (goesAway) session.goAway();
    void (async () => {
      for await (const stream of session) void stream.close();
    })();
    let id = 1;
    while (session.status !== "ended" && id < 200_000) {
      await settle(20);
      feed(joined(200, (index) => frame(UPDATE, SYN | FIN, id + 2 * index, 0)));
      id += 400;
    }
    written.resolve();
    assertEquals((await session.closed)?.code, "ERR_MUX_FLOOD");
    assert(bytes <= 256 * 1024, `${bytes} bytes were queued`);
  }
});

Deno.test("MuxSession gives no credit after the peer's FIN: the stream may be gone there", async () => {
  const [session, peer] = sessionWithRawPeer();
  await peer.send(
    frame(UPDATE, SYN, 1, 0),
    frame(DATA, 0, 1, INITIAL_WINDOW_BYTES),
    frame(DATA, FIN, 1, 0),
  );
  const stream = await session.acceptStream() as MuxStream;
  assertEquals((await readAll(stream)).length, INITIAL_WINDOW_BYTES);
  await peer.send(frame(PING, SYN, 0, 1));
  const credit: number[] = [];
  const isPong = await peer.find(({ type, streamId, length }) => {
    if (streamId === 1) credit.push(length);
    return type === PING;
  });
  assertEquals([isPong?.flags, credit], [ACK, [0]], "the ACK alone");
  session.abort();
  await session.closed;
});

Deno.test("MuxSession gives growth back when a stream ends", async () => {
  const memory = new MuxMemory();
  const { client, server, clock, link: _link, end } = timedPair({ memory });
  const near = await client.openStream();
  let done = false;
  const writing = near.write(new Uint8Array(4 << 20)).then(() => near.closeWrite());
  await clock.advance(20);
  const far = await server.acceptStream() as MuxStream;
  let read = 0;
  const reading = (async () => {
    while (read < (4 << 20) - 1000) read += (await far.read())?.length ?? 0;
    done = true;
  })();
  await clock.runUntil(() => done, 60_000);
  await Promise.all([writing, reading]);
  assert(far.stats().windowBytes > INITIAL_WINDOW_BYTES);
  await clock.advance(100);
  const before = server.stats().framesOut;
  while (await far.read() !== null);
  await clock.advance(100);
  assertEquals([server.stats().framesOut, memory.grownBytes], [before, 0]);
  const back = far.write(new Uint8Array(10));
  await back;
  far.reset();
  await clock.advance(100);
  assertEquals([memory.usedBytes, memory.reservedBytes], [0, 0]);
  await end();
});

/** Joins frames into one chunk. */
function joined(count: number, make: (index: number) => Uint8Array): Uint8Array {
  const parts = Array.from({ length: count }, (_, index) => make(index));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Two sessions over a link of 16 KiB a second. */
function slowPair() {
  const clock = new TestClock();
  const link = simLink({ clock, random: () => 0.5, latencyMs: 1000, bufferBytes: 16 * 1024 });
  const shared = { clock, random: () => 0.5, keepAliveMs: 0 };
  const client = new MuxSession(link.left, { ...shared, role: "client" });
  const server = new MuxSession(link.right, { ...shared, role: "server" });
  const startMs = clock.now();
  return { pair: { client, server }, clock, sent: { ms: () => clock.now() - startMs } };
}
