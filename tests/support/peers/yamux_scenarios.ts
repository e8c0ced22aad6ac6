// Yamux scenarios: short sessions with libp2p's yamux, to be recorded once and replayed ever after.
import { assertEquals, assertMatch } from "@std/assert";
import type { MuxSession } from "@parley/parley/mux";
import { text, utf8 } from "../bytes.ts";
import type { Libp2pMuxer, Libp2pStream } from "./libp2p_mux.ts";
import { codeOf, readAll } from "./mux_pair.ts";
import { until } from "../wait.ts";

/** What the two sides of a session do. */
export interface YamuxScenario {
  readonly name: string;
  /** What libp2p's side does with streams that are opened to it. */
  readonly theirs: "echo" | "leave";
  /** Our application, and what it must see; the same when it is recorded and when it is replayed. */
  ours(session: MuxSession): Promise<void>;
  /** Their application; it runs only when the session is recorded. */
  far?(muxer: Libp2pMuxer): Promise<void>;
}

const BULK_BYTES = 320 * 1024;

/** Every scenario; each is recorded with our session as client and as server. */
export const YAMUX_SCENARIOS: readonly YamuxScenario[] = [
  {
    name: "they echo a stream of ours",
    theirs: "echo",
    ours: async (session) => {
      const stream = await session.openStream();
      await stream.write(utf8("hello"));
      await stream.closeWrite();
      assertEquals(text(await readAll(stream)), "hello");
      assertEquals(await stream.closed, undefined);
    },
  },
  {
    name: "they end their direction first and read on",
    theirs: "leave",
    ours: async (session) => {
      const stream = (await session.acceptStream())!;
      assertEquals(text(await readAll(stream)), "question");
      await stream.write(utf8("answer"));
      await stream.closeWrite();
      assertEquals(await stream.closed, undefined);
    },
    far: async (muxer) => {
      const stream = await muxer.createStream();
      stream.send(utf8("question"));
      await stream.close();
      await until("it is over", () => stream.status === "closed");
    },
  },
  {
    name: "both sides reset a stream",
    theirs: "leave",
    ours: async (session) => {
      const own = await session.openStream();
      await own.write(utf8("mine"));
      own.reset();
      const stream = (await session.acceptStream())!;
      assertEquals(text(await stream.read() ?? new Uint8Array()), "theirs");
      await stream.write(utf8("go"));
      assertEquals(await codeOf(readAll(stream)), "ERR_RESET");
    },
    far: async (muxer) => {
      await until("our stream came and went", () => muxer.streams.length === 0);
      const stream = await muxer.createStream();
      const told = message(stream);
      stream.send(utf8("theirs"));
      await told;
      stream.abort(new Error("enough"));
    },
  },
  {
    name: "both sides ping",
    theirs: "leave",
    ours: async (session) => {
      await session.ping();
      await session.ping();
      const stream = (await session.acceptStream())!;
      assertEquals(await stream.read(), null);
      await stream.closeWrite();
    },
    far: async (muxer) => {
      await muxer.ping();
      await muxer.ping();
      const stream = await muxer.createStream();
      await stream.close();
      await until("it is over", () => stream.status === "closed");
    },
  },
  {
    name: "a stream needs more than a window",
    theirs: "echo",
    ours: async (session) => {
      const stream = await session.openStream();
      const reading = readAll(stream);
      await stream.write(new Uint8Array(BULK_BYTES).fill(0x61));
      await stream.closeWrite();
      assertEquals((await reading).length, BULK_BYTES);
    },
  },
  {
    name: "we go away",
    theirs: "echo",
    ours: async (session) => {
      const stream = await session.openStream();
      await stream.write(utf8("last"));
      await stream.closeWrite();
      assertEquals(text(await readAll(stream)), "last");
      await session.close();
      assertEquals(await session.closed, undefined);
    },
    far: async (muxer) => await until("they have closed", () => muxer.status === "closed"),
  },
  {
    name: "they go away",
    theirs: "leave",
    ours: async (session) => {
      const stream = (await session.acceptStream())!;
      assertEquals(text(await readAll(stream)), "bye");
      await stream.closeWrite();
      await until("go-away has come", () => session.status !== "open");
      assertMatch(await codeOf(session.openStream()), /^ERR_(GOING_AWAY|CLOSED)$/);
      assertEquals(await session.closed, undefined);
    },
    far: async (muxer) => {
      const stream = await muxer.createStream();
      stream.send(utf8("bye"));
      await stream.close();
      await until("it is over", () => stream.status === "closed");
      await muxer.close();
    },
  },
  {
    name: "they fail",
    theirs: "leave",
    ours: async (session) => {
      const stream = await session.openStream();
      await stream.write(utf8("x"));
      assertEquals(await codeOf(stream.read()), "ERR_RESET");
      assertEquals((await session.closed)?.code, "ERR_MUX_PEER_ERROR");
    },
    far: async (muxer) => {
      await until("our stream is there", () => muxer.streams.length === 1);
      muxer.abort(Object.assign(new Error("broken"), { reason: 2 }));
    },
  },
];

function message(stream: Libp2pStream): Promise<unknown> {
  return new Promise((resolve) => stream.addEventListener("message", resolve, { once: true }));
}
