// Interop: our session against libp2p's yamux over TCP, as client and as server.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { INITIAL_WINDOW_BYTES, MuxSession } from "@parley/parley/mux";
import { ClosedError } from "@parley/parley";
import { dial } from "../../net/dial.ts";
import { listen } from "../../net/listen.ts";
import type { Transport } from "../../net/transport.ts";
import { libp2pMux, type Libp2pMuxer } from "../support/libp2p_mux.ts";
import { readAll } from "../support/mux_pair.ts";
import { settles, until } from "../support/wait.ts";

/** Bytes of each stream, each way: 256 MiB each way over 64 streams. */
const STREAM_BYTES = 4 << 20;

async function tcpPair(): Promise<[Transport, Transport]> {
  const { signal } = new AbortController();
  const listener = await listen({ port: 0 });
  const port = listener.addr.transport === "tcp" ? listener.addr.port : 0;
  const [near, incoming] = await Promise.all([dial({ port }, { signal }), listener.accept()]);
  listener.close();
  if (incoming === null) throw new Error("Nobody came");
  return [near, await incoming.open({ signal })];
}

/** Our session and theirs, ended with the scope. */
class Interop implements AsyncDisposable {
  readonly ours: MuxSession;
  readonly theirs: Libp2pMuxer;

  constructor([near, far]: [Transport, Transport], role: "client" | "server") {
    this.ours = new MuxSession(near, { role, maxStreams: 256 });
    this.theirs = libp2pMux(far, role === "client" ? "server" : "client");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ours.abort();
    await this.ours.closed;
    this.theirs.abort(new Error("The test is over"));
  }
}

for (const role of ["client", "server"] as const) {
  Deno.test(`MuxSession as ${role} carries 64 streams both ways against libp2p's yamux`, async () => {
    await using pair = new Interop(await tcpPair(), role);
    const chunk = new Uint8Array(65_536).map((_, index) => index * 31);
    let largest = 0;
    await Promise.all(Array.from({ length: 64 }, async () => {
      const stream = await pair.ours.openStream();
      const reading = (async () => {
        let count = 0;
        let wrong = 0;
        for (let part = await stream.read(); part !== null; part = await stream.read()) {
          const from = count % chunk.length;
          if (part[0] !== chunk[from] || part.at(-1) !== chunk[(count + part.length - 1) % chunk.length]) {
            wrong++;
          }
          count += part.length;
        }
        return [count, wrong];
      })();
      for (let sent = 0; sent < STREAM_BYTES; sent += chunk.length) await stream.write(chunk);
      await stream.closeWrite();
      assertEquals(await reading, [STREAM_BYTES, 0]);
      assertEquals(await stream.closed, undefined);
      largest = Math.max(largest, stream.stats().windowBytes);
    }));
    assert(largest > INITIAL_WINDOW_BYTES, `no window was larger than ${largest}`);
    assert(await pair.ours.ping() >= 0);
    assertEquals(pair.ours.state, "open");
  });

  Deno.test(`MuxSession as ${role} takes streams, resets, pings and go-away of libp2p's yamux`, async () => {
    await using pair = new Interop(await tcpPair(), role);
    const theirs = await pair.theirs.createStream();
    theirs.send(new TextEncoder().encode("hello"));
    const ours = await settles("their stream", pair.ours.acceptStream());
    assert(ours !== null);
    const closing = theirs.close();
    assertEquals(new TextDecoder().decode(await readAll(ours)), "hello");
    await ours.closeWrite();
    await closing;

    const reset = await pair.theirs.createStream();
    reset.send(new Uint8Array(10));
    const wasReset = await settles("their stream", pair.ours.acceptStream());
    reset.abort(new Error("enough"));
    await assertRejects(async () => wasReset && await readAll(wasReset), ClosedError);

    const own = await pair.ours.openStream();
    await own.write(new Uint8Array(10));
    await own.read();
    own.reset();
    assert(await pair.ours.ping() >= 0);

    await pair.theirs.close();
    await until("go-away has come", () => pair.ours.state !== "open");
    await assertRejects(() => pair.ours.openStream(), ClosedError);
  });
}
