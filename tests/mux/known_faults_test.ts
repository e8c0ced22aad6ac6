// Faults that other multiplexers had, each tried on ours over a raw socket. hostile_test.ts has
// those with a CVE, idle_streams_test.ts the cost of a frame beside many streams.
import { assert, assertEquals } from "@std/assert";
import type { MuxStream } from "@parley/parley/mux";
import { concat, pattern } from "../support/bytes.ts";
import { besideOthers, MuxServer } from "../support/peers/mux_server.ts";
import { codeOf } from "../support/peers/mux_pair.ts";
import { frame, type RawPeer } from "../support/peers/raw_mux.ts";
import { atRest, settles, until } from "../support/wait.ts";

const DATA = 0, UPDATE = 1, PING = 2, GO_AWAY = 3;
const SYN = 1, ACK = 2, FIN = 4, RST = 8;
const WINDOW = 256 * 1024;

const header = (type: number, flags: number, id: number, length: number) =>
  frame(type, flags, id, length, new Uint8Array(0));
const syn = (id: number) => header(UPDATE, SYN, id, 0);

async function accepted(
  session: { acceptStream(): Promise<MuxStream | null> },
): Promise<MuxStream> {
  const stream = await settles("a stream", session.acceptStream());
  assert(stream !== null);
  return stream;
}

/** Reads the bytes of one stream until its FIN or RST. */
async function bytesUntilEnd(
  peer: RawPeer,
  id: number,
): Promise<[bytes: Uint8Array, flags: number]> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const next = await settles("a frame", peer.find(({ streamId }) => streamId === id));
    if (next === null) return [concat(parts), 0];
    parts.push(next.body);
    if (next.flags & (FIN | RST)) return [concat(parts), next.flags];
  }
}

for (const how of [FIN, RST]) {
  const answer = how === FIN ? "FIN" : "RST";
  Deno.test(`MuxSession.openStream goes on when ${answer} comes in place of ACK (hashicorp/yamux #26)`, async () => {
    await using server = await MuxServer.start({ maxOpening: 8 });
    await besideOthers(server, async () => {
      const [peer, session] = await server.attack();
      const answering = (async () => {
        const opened = ({ flags }: { flags: number }) => (flags & SYN) !== 0;
        for (let count = 0; count < 40; count++) {
          const { streamId } = (await settles("SYN", peer.find(opened)))!;
          await peer.send(header(UPDATE, how, streamId, 0));
        }
      })();
      for (let count = 0; count < 40; count++) {
        const stream = await settles(`stream ${count}`, session.openStream());
        // Closed before the peer can have answered.
        await stream.closeWrite().catch(() => {});
      }
      await answering;
      await until("none is left", () => session.stats().streams === 0);
      peer.transport.close();
      await session.closed;
    });
  });
}

Deno.test("MuxSession.close delivers every byte that was written before it (hashicorp/yamux #86)", async () => {
  await using server = await MuxServer.start();
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    const all = pattern(WINDOW);
    const stream = await session.openStream();
    void stream.write(all);
    const closing = Promise.all([stream.close(), session.close()]);
    const [got, end] = await bytesUntilEnd(peer, stream.id);
    assertEquals([got.length, end], [all.length, FIN]);
    assertEquals(got, all);
    await peer.send(header(UPDATE, ACK | FIN, stream.id, 0));
    const ping = await settles("a ping", peer.next());
    assertEquals([ping?.type, ping?.flags], [PING, SYN], "it asks whether all has arrived");
    await peer.send(header(PING, ACK, 0, ping?.length ?? 0));
    assertEquals(await settles("the last frame", peer.next()), null);
    peer.transport.close();
    await settles("close()", closing);
    assertEquals(await session.closed, undefined);
  });
});

Deno.test("MuxSession.close sends go-away 0 before it ends, also while streams are open", async () => {
  await using server = await MuxServer.start();
  const [peer, session] = await server.attack();
  const closing = session.close();
  const goAway = await settles("go-away", peer.find(({ type }) => type === GO_AWAY));
  assertEquals(goAway?.length, 0);
  peer.transport.close();
  await settles("close()", closing);
});

Deno.test("MuxStream.write that runs out of time resets the stream, so that no reader waits for ever (hashicorp/yamux #142)", async () => {
  await using server = await MuxServer.start();
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    // The peer grants credit without end and reads nothing: what is written stays in the kernel and with us.
    await peer.send(syn(1), header(UPDATE, 0, 1, 2 ** 31));
    const stream = await accepted(session);
    // More than the kernel takes, so that it ends in the middle.
    const writing = stream.write(new Uint8Array(64 << 20), { timeoutMs: 100 });
    assertEquals(await codeOf(writing), "ERR_WRITE_TIMEOUT");
    assertEquals((await settles("the end of the stream", stream.closed))?.code, "ERR_RESET");
    // Once the line is clear, the peer learns of it, and the session is as good as before.
    const [, end] = await bytesUntilEnd(peer, 1);
    assertEquals(end, RST);
    assertEquals([session.status, session.stats().streams], ["open", 0]);
    peer.transport.close();
    await session.closed;
  });
});

Deno.test("MuxSession.close returns when the keepalive found the link dead (hashicorp/yamux #149)", async () => {
  await using server = await MuxServer.start({ keepAliveMs: 30, keepAliveTimeoutMs: 60 });
  const [peer, session] = await server.attack();
  await peer.send(syn(1));
  const stream = await accepted(session);
  const reading = codeOf(stream.read());
  const opening = codeOf(session.ping());
  // The peer answers nothing, and never closes its socket.
  assertEquals((await settles("the end", session.closed, 2000))?.code, "ERR_KEEPALIVE_TIMEOUT");
  await settles("close()", session.close(), 1000);
  assertEquals([await reading, await opening], ["ERR_KEEPALIVE_TIMEOUT", "ERR_KEEPALIVE_TIMEOUT"]);
  peer.transport.close();
});

Deno.test("MuxStream, iterated by a loop that stands still, holds a window and no more (@libp2p/yamux)", async () => {
  await using server = await MuxServer.start({ maxWindowBytes: WINDOW });
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    await peer.send(syn(1));
    const stream = await accepted(session);
    const go = Promise.withResolvers<void>();
    let taken = 0;
    const looping = (async () => {
      for await (const chunk of stream) {
        taken += chunk.length;
        await go.promise;
      }
    })().catch(() => {});
    let sent = 0;
    let credit = WINDOW;
    const sending = (async () => {
      for (; sent < 4 * WINDOW;) {
        if (credit >= 16_384) {
          await peer.send(frame(DATA, 0, 1, 16_384));
          sent += 16_384;
          credit -= 16_384;
          continue;
        }
        const isCredit = ({ type, streamId }: { type: number; streamId: number }) =>
          type === UPDATE && streamId === 1;
        credit += (await peer.find(isCredit))?.length ?? Infinity;
      }
      await peer.send(header(UPDATE, FIN, 1, 0));
    })();
    await atRest(() => session.stats().bytesIn);
    assert(
      session.stats().bufferedBytes <= WINDOW,
      `${session.stats().bufferedBytes} bytes are held`,
    );
    assert(sent <= WINDOW, `${sent} bytes were let in`);
    go.resolve();
    await settles("the rest", Promise.all([sending, looping]));
    assertEquals(taken, 4 * WINDOW);
    peer.transport.close();
    await session.closed;
  });
});

Deno.test("MuxStream.write waits every time that the window is empty, not just the first (@libp2p/yamux)", async () => {
  await using server = await MuxServer.start();
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    await peer.send(syn(1));
    const stream = await accepted(session);
    await stream.write(new Uint8Array(WINDOW));
    for (let round = 0; round < 3; round++) {
      let done = false;
      const writing = stream.write(new Uint8Array(1000)).then(() => done = true);
      await session.ping({ timeoutMs: 20 }).catch(() => {});
      assertEquals([done, stream.stats().pendingBytes], [false, 1000]);
      await peer.send(header(UPDATE, 0, 1, 1000));
      await settles("the write", writing);
    }
    peer.transport.close();
    await session.closed;
  });
});

Deno.test("MuxStream hands on the parts of a large frame as they come, and holds no whole frame (@libp2p/yamux)", async () => {
  await using server = await MuxServer.start();
  await besideOthers(server, async () => {
    const [peer, session] = await server.attack();
    const body = pattern(WINDOW);
    await peer.send(syn(1), frame(DATA, 0, 1, WINDOW, body.subarray(0, 1000)));
    const stream = await accepted(session);
    assertEquals(await settles("the first part", stream.read()), body.subarray(0, 1000));
    await peer.send(body.subarray(1000, 2000));
    assertEquals(await settles("the second part", stream.read()), body.subarray(1000, 2000));
    assertEquals(session.stats().bufferedBytes, 0);
    peer.transport.close();
    assertEquals((await settles("the end", session.closed))?.code, "ERR_RESET");
  });
});
