// Tests of the terms that sides of a session announce, and of openings that wait their turn.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { LimitError, ProtocolError } from "../../errors.ts";
import { MuxMemory, type MuxStream } from "../../mux/mod.ts";
import { pattern } from "../support/bytes.ts";
import {
  agreedPair,
  codeOf,
  MuxPair,
  readAll,
  serveEcho,
  sessionWithRawPeer,
  timedPair,
} from "../support/peers/mux_pair.ts";
import { frame } from "../support/peers/raw_mux.ts";
import { settle } from "../support/simulation/test_clock.ts";

const KIB = 1024;
const SYN = 1, ACK = 2, FIN = 4, RST = 8;

Deno.test("MuxSession.openStream waits while the peer has as many streams as it told, and goes on in order", async () => {
  await using pair = new MuxPair({}, { maxStreams: 2 });
  pair.client.agree(pair.server.terms);
  const [first] = await pair.open();
  const [second] = await pair.open();
  const waiting = Array.from({ length: 3 }, () => pair.client.openStream());
  assertEquals(await codeOf(pair.client.openStream({ timeoutMs: 1 })), "ERR_TOO_MANY_STREAMS");
  first.reset();
  assertEquals((await waiting[0])?.id, 5);
  second.reset();
  assertEquals((await waiting[1])?.id, 7);
  pair.server.raiseMaxStreams(3);
  pair.client.agree(pair.server.terms);
  assertEquals((await waiting[2])?.id, 9);
  assertEquals([pair.server.stats().streamsRefused, pair.client.status], [0, "open"]);
});

Deno.test("MuxSession.openStream never overtakes those that wait", async () => {
  await using pair = new MuxPair({}, { maxStreams: 1 });
  pair.client.agree(pair.server.terms);
  const [first] = await pair.open();
  const early = pair.client.openStream();
  first.reset();
  const late = pair.client.openStream();
  const opened = await early;
  assertEquals(opened.id, 3);
  opened.reset();
  assertEquals((await late).id, 5);
});

Deno.test("MuxSession learns from refusals how many streams a peer takes that did not tell", async () => {
  await using pair = new MuxPair({}, { maxStreams: 20 });
  void serveEcho(pair.server);
  const streams = await Promise.all(Array.from({ length: 30 }, () => pair.client.openStream()));
  const codes = await Promise.all(
    streams.slice(20).map(async (stream) => (await stream.closed)?.code),
  );
  assertEquals(codes, Array(10).fill("ERR_TOO_MANY_STREAMS"));
  const next = pair.client.openStream();
  assertEquals(await codeOf(pair.client.openStream({ timeoutMs: 1 })), "ERR_TOO_MANY_STREAMS");
  streams[0]?.reset();
  const opened = await next;
  await opened.write(pattern(3));
  assertEquals([await opened.read(), pair.server.stats().streamsRefused], [pattern(3), 10]);
});

Deno.test("MuxSession forgets what refusals taught it after half a minute", async () => {
  const { client, server, clock, end } = timedPair({ maxStreams: 16 });
  const streams = await Promise.all(Array.from({ length: 17 }, () => client.openStream()));
  await clock.advance(50);
  assertEquals((await streams[16]?.closed)?.code, "ERR_TOO_MANY_STREAMS");
  server.raiseMaxStreams(17);
  const refused = assertRejects(() => client.openStream({ timeoutMs: 1000 }), LimitError);
  await clock.advance(1001);
  await refused;
  await clock.advance(30_000);
  await client.openStream();
  await clock.advance(50);
  assertEquals(server.stats().streams, 17);
  await end();
});

Deno.test("MuxSession.goAway lets all who wait for their turn know at once", async () => {
  for (const side of ["client", "server"] as const) {
    await using pair = new MuxPair({}, { maxStreams: 1 });
    pair.client.agree(pair.server.terms);
    await pair.open();
    const waiting = Array.from({ length: 5 }, () => codeOf(pair.client.openStream()));
    pair[side].goAway();
    assertEquals(await Promise.all(waiting), Array(5).fill("ERR_GOING_AWAY"));
  }
});

Deno.test("MuxSession fails openings that cross its peer's go-away with ERR_GOING_AWAY, and ends in order", async () => {
  const { client, server, clock, end } = timedPair();
  const closing = server.close();
  const streams = await Promise.all([client.openStream(), client.openStream()]);
  const writing = streams[0]?.write(pattern(100));
  await clock.advance(1000);
  await writing;
  await closing;
  for (const stream of streams) assertEquals((await stream.closed)?.code, "ERR_GOING_AWAY");
  assertEquals([await client.closed, await server.closed], [undefined, undefined]);
  await end();
});

Deno.test("MuxSession that agreed on terms starts with small windows and tops them up as memory goes", async () => {
  const memory = new MuxMemory();
  const pair = agreedPair({ memory, maxBufferedBytes: 16 << 20 });
  const { maxStreams, windowBytes } = pair.server.terms;
  assertEquals([maxStreams, windowBytes], [256, 16 * KIB]);
  const windows: number[] = [];
  for (let count = 0; count < 256; count++) {
    windows.push((await pair.open())[1].stats().windowBytes);
  }
  assertEquals([windows[0], windows.at(-1)], [256 * KIB, 16 * KIB]);
  assert(memory.reservedBytes <= 32 << 20, `${memory.reservedBytes} bytes are reserved`);
  await pair[Symbol.asyncDispose]();
  assertEquals([memory.reservedBytes, memory.grownBytes], [0, 0]);
});

Deno.test("MuxSession that agreed on terms carries large flows on 256 streams whose readers rest", async () => {
  await using pair = agreedPair({ maxBufferedBytes: 16 << 20 });
  const data = pattern(100_000);
  const rested = Promise.withResolvers<void>();
  const serving = (async () => {
    for (let count = 0; count < 256; count++) {
      const stream = await pair.server.acceptStream() as MuxStream;
      void (async () => {
        await rested.promise;
        const got = await readAll(stream);
        await stream.write(got.subarray(got.length - 3));
        await stream.closeWrite();
      })();
    }
  })();
  const results = Array.from({ length: 256 }, async () => {
    const stream = await pair.client.openStream();
    await stream.write(data);
    await stream.closeWrite();
    return (await readAll(stream)).length;
  });
  await serving;
  await settle(500);
  assert(pair.server.stats().bufferedBytes <= 16 << 20);
  rested.resolve();
  assertEquals(await Promise.all(results), Array(256).fill(3));
  assertEquals(pair.client.status, "open");
});

Deno.test("MuxSession applies terms to streams that were offered before it knew them", async () => {
  await using pair = new MuxPair({ maxBufferedBytes: 1 << 20, maxStreams: 64 });
  // The server knows both sides' terms first, and opens at once.
  pair.server.agree(pair.client.terms);
  const near = await pair.server.openStream();
  const data = pattern(300_000);
  const writing = near.write(data).then(() => near.closeWrite());
  await settle(200);
  pair.client.agree(pair.server.terms);
  const far = await pair.client.acceptStream() as MuxStream;
  const answering = far.write(data).then(() => far.closeWrite());
  assertEquals(await Promise.all([readAll(near), readAll(far)]), [data, data]);
  await Promise.all([writing, answering]);
  assertEquals(pair.server.status, "open");
});

Deno.test("MuxSession.agree ends a session whose peer has sent more than it agreed on", async () => {
  const [session, peer] = sessionWithRawPeer({ maxBufferedBytes: 1 << 20 });
  await peer.send(frame(1, SYN, 1, 0), frame(0, 0, 1, 100_000));
  await peer.send(frame(2, SYN, 0, 7));
  await peer.find(({ type, flags }) => type === 2 && flags === ACK);
  const error = assertThrows(() => session.agree({ windowBytes: 1024 }), ProtocolError);
  assertEquals(error.code, "ERR_MUX_WINDOW");
  session.abort();
  await session.closed;
});

Deno.test("MuxSession.agree refuses terms out of range", async () => {
  await using pair = new MuxPair();
  for (
    const terms of [{ maxStreams: -1 }, { maxStreams: 1.5 }, { windowBytes: 0 }, {
      windowBytes: 256 * KIB + 1,
    }]
  ) {
    assertThrows(() => pair.client.agree(terms), RangeError, "Cannot agree on terms");
  }
  assertThrows(() => pair.client.raiseMaxStreams(0), RangeError);
});

Deno.test("MuxSession takes FIN and RST in one frame of a plain peer for a reset", async () => {
  const [session, peer] = sessionWithRawPeer();
  const stream = await session.openStream();
  await peer.send(frame(1, ACK, 2, 0), frame(1, FIN | RST, 2, 0));
  assertEquals(await stream.read(), null);
  assertEquals((await stream.closed)?.code, "ERR_RESET");
  session.abort();
  await session.closed;
});
