// Streams inside a link: who may send them, against peers that are older or break the rules.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ParleyError } from "../../../errors.ts";
import { CallSlot } from "../../../ipc/link/call_slot.ts";
import { IpcLink } from "../../../ipc/link/link.ts";
import type { LinkLimits } from "../../../ipc/link/options.ts";
import {
  encodeFrame,
  FrameKind,
  IpcFrameReader,
  TAKES_STREAMS_TAG,
} from "../../../ipc/protocol/frames.ts";
import { PlainLink } from "../../../ipc/secure/frame_link.ts";
import { Flag, FrameType } from "../../../mux/header.ts";
import type { MuxStream } from "../../../mux/stream.ts";
import { memoryPair } from "../../../net/transport/memory_pair.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import { frame } from "../../support/peers/raw_mux.ts";
import { atRest, settles, until } from "../../support/wait.ts";

const EMPTY = new Uint8Array(0);
const WINDOW = 16 * 1024;
const INFO = {
  role: "server" as const,
  sessionId: new Uint8Array(16),
  exporter: new Uint8Array(48),
  peerMaxMessageBytes: 100_000,
  peerMaxRecordBytes: 65536,
  maxRecordBytes: 65536,
};

interface LineOptions extends Partial<LinkLimits> {
  /** Whether it takes streams. */
  readonly takes?: boolean | undefined;
  /** When its handlers return; at once where it is not set. */
  readonly busy?: Promise<void> | undefined;
  /** Whether the far end reads. */
  readonly reads?: boolean | undefined;
}

/** A link that takes streams, and the far end of its line in the test's hands. */
class Line {
  readonly far: Transport;
  readonly link: IpcLink;
  readonly streams: MuxStream[] = [];
  readonly frames: [number, number, Uint8Array][] = [];
  readonly messages: number[] = [];

  constructor(
    { takes = true, reads = true, busy = Promise.resolve(), ...limits }: LineOptions = {},
  ) {
    const [near, far] = memoryPair({ bufferBytes: 1 << 16 });
    this.far = far;
    const calls = new CallSlot();
    const stream = (stream: MuxStream) => (this.streams.push(stream), busy);
    if (takes) calls.handlers = { ask: () => EMPTY, stream };
    this.link = new IpcLink(new PlainLink(near, INFO, EMPTY), {
      limits: {
        channel: "streams-test",
        maxMessageBytes: 1 << 20,
        highWaterBytes: 1 << 20,
        maxQueuedBytes: 1 << 21,
        readAheadBytes: 5000,
        maxQueriesInFlight: 10,
        maxQueriesRunning: 3,
        closeTimeoutMs: 1000,
        keepaliveMs: 1000,
        keepaliveTimeoutMs: 1000,
        writeTimeoutMs: 1000,
        messageTimeoutMs: 1000,
        ...limits,
      },
      onQuery: (data) => data,
      calls,
      inbox: {
        full: false,
        overfull: false,
        onRoom: () => {},
        receive: (type) => this.messages.push(type),
      },
      onHandlerError: () => {},
    });
    this.link.start();
    if (reads) void this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new IpcFrameReader(1 << 20);
    try {
      for (let chunk = await this.far.read(); chunk !== null; chunk = await this.far.read()) {
        decoder.push(chunk, (...frame) => this.frames.push(frame));
      }
    } catch {
      // The test closed it.
    }
  }

  /** Kinds and tags of what came, without the data. */
  get heads(): [number, number][] {
    return this.frames.map(([kind, tag]) => [kind, tag]);
  }

  /** Bytes of the yamux session that came. */
  get muxBytes(): Uint8Array[] {
    return this.frames.filter(([kind]) => kind === FrameKind.stream).map(([, , data]) => data);
  }

  send(kind: FrameKind, tag: number, data: Uint8Array = EMPTY): Promise<void> {
    return this.far.write(encodeFrame(kind, tag, data));
  }

  /** Says that the far end takes streams, and waits for the answer. */
  async agree(): Promise<void> {
    await this.send(FrameKind.ping, TAKES_STREAMS_TAG);
    await until("the pong", () => this.frames.some(([kind]) => kind === FrameKind.pong));
  }

  /** Sends yamux frames, each in a stream frame of its own. */
  async mux(...frames: Uint8Array[]): Promise<void> {
    for (const each of frames) await this.send(FrameKind.stream, 0, each);
  }

  /** Shows that the link still lives. */
  async lives(): Promise<void> {
    const before = this.messages.length;
    await this.send(FrameKind.message, 7, EMPTY);
    await until("the message", () => this.messages.length > before);
    assert(this.link.isOpen);
  }

  /** How the link ended. */
  async end(): Promise<string> {
    const { error } = await settles("the end of the link", this.link.closed);
    this.far.close();
    return error === null ? "in order" : (error as ParleyError).code;
  }
}

/** The end of an `open` that fails. */
async function codeOf(opening: Promise<MuxStream>): Promise<string> {
  return (await settles("the opening", assertRejects(() => opening, ParleyError))).code;
}

Deno.test("a link that takes streams says so before its pong, once, and one that does not answers as to any ping", async () => {
  const taking = new Line();
  await taking.agree();
  await taking.agree();
  await until("both pongs", () => taking.frames.length === 3);
  const { ping, pong } = FrameKind;
  const tag = TAKES_STREAMS_TAG;
  assertEquals(taking.heads, [[ping, tag], [pong, tag], [pong, tag]]);
  const other = new Line({ takes: false });
  await other.agree();
  assertEquals(other.heads, [[pong, tag]]);
  for (const line of [taking, other]) line.link.abort(new Error("over"));
});

Deno.test("a link sends no stream frame to a side that answers pings only, and says why", async () => {
  const line = new Line();
  for (let at = 0; at < 2; at++) {
    const opening = line.link.openStream({});
    await until("the ping", () => line.frames.length === at + 1);
    assertEquals(line.heads[at], [FrameKind.ping, TAKES_STREAMS_TAG]);
    await line.send(FrameKind.pong, TAKES_STREAMS_TAG);
    assertEquals(await codeOf(opening), "ERR_UNKNOWN_CALL");
  }
  await line.lives();
  assertEquals(line.muxBytes, []);
  const closed = line.link.close();
  await until("the closing frame", () => line.heads.at(-1)?.[0] === FrameKind.closing);
  await line.send(FrameKind.closing, 0);
  await line.far.closeWrite();
  await settles("the close", closed);
});

Deno.test("a link that opens a stream says first that it takes them, where the other side has said so before", async () => {
  const line = new Line({ takes: false });
  await line.agree();
  assertEquals(line.heads, [[FrameKind.pong, TAKES_STREAMS_TAG]]);
  await settles("the opening", line.link.openStream({}));
  await until("the frame that opens it", () => line.muxBytes.length === 1);
  assertEquals(line.heads.slice(1), [
    [FrameKind.ping, TAKES_STREAMS_TAG],
    [FrameKind.stream, 0],
  ]);
  line.link.abort(new Error("over"));
});

Deno.test("an opening ends by its time, by its signal and with its link while the other side does not answer", async () => {
  const line = new Line();
  assertEquals(await codeOf(line.link.openStream({ timeoutMs: 20 })), "ERR_CONNECT_TIMEOUT");
  const reason = new ParleyError("ERR_CLOSED", "enough");
  const controller = new AbortController();
  const given = line.link.openStream({ signal: controller.signal });
  controller.abort(reason);
  assertEquals(await codeOf(given), "ERR_CLOSED");
  const pending = line.link.openStream({});
  line.link.abort(new Error("over"));
  await assertRejects(() => pending, Error, "over");
  assertEquals(await codeOf(line.link.openStream({})), "ERR_CLOSED");
});

Deno.test("a link opens a stream as soon as the other side says that it takes them", async () => {
  const line = new Line();
  const opening = line.link.openStream({});
  await until("the ping", () => line.frames.length === 1);
  await line.send(FrameKind.ping, TAKES_STREAMS_TAG);
  const stream = await settles("the opening", opening);
  void stream.write(new Uint8Array(100_000)).catch(() => {}); // waits for the window
  await until(
    "the window is full",
    () => line.muxBytes.reduce((n, { length }) => n + length, 0) > WINDOW,
  );
  assert(line.muxBytes.every(({ length }) => length <= 16 * 1024));
  line.link.abort(new Error("over"));
});

Deno.test("a link takes streams of the other side: data, ends and resets", async () => {
  const line = new Line();
  await line.agree();
  const { data, windowUpdate } = FrameType;
  await line.mux(
    frame(windowUpdate, Flag.syn, 1, 0),
    frame(data, 0, 1, 3, new Uint8Array([1, 2, 3])),
  );
  await line.mux(
    frame(data, Flag.fin, 1, 0),
    frame(data, Flag.syn, 3, 1),
    frame(windowUpdate, Flag.rst, 3, 0),
  );
  await until("both streams", () => line.streams.length === 2);
  assertEquals(await line.streams[0]!.read(), new Uint8Array([1, 2, 3]));
  assertEquals(await line.streams[0]!.read(), null);
  await until("the reset", () => line.streams[1]!.signal.aborted);
  await line.lives();
  line.link.abort(new Error("over"));
});

Deno.test("a link ends on stream frames that break the rules, and only then", async () => {
  const { data, windowUpdate } = FrameType;
  const syn = (id: number) => frame(windowUpdate, Flag.syn, id, 0);
  const cases: [string, string, (line: Line) => Promise<void>][] = [
    ["before this side said that it takes them", "ERR_IPC_FRAME", (line) => line.mux(syn(1))],
    ["with a tag", "ERR_IPC_FRAME", async (line) => {
      await line.agree();
      await line.send(FrameKind.stream, 1, syn(1));
    }],
    ["without data", "ERR_IPC_FRAME", async (line) => {
      await line.agree();
      await line.send(FrameKind.stream, 0);
    }],
    ["with too much", "ERR_IPC_FRAME", async (line) => {
      await line.agree();
      await line.send(FrameKind.stream, 0, new Uint8Array(65_537));
    }],
    ["behind the closing frame", "ERR_IPC_FRAME", async (line) => {
      await line.agree();
      const both = [
        encodeFrame(FrameKind.closing, 0, EMPTY),
        encodeFrame(FrameKind.stream, 0, syn(1)),
      ];
      await line.far.write(new Uint8Array(both.flatMap((each) => [...each])));
    }],
    ["garbage", "ERR_MUX_VERSION", async (line) => {
      await line.agree();
      await line.mux(new Uint8Array(20).fill(0x99));
    }],
    ["an id of this side", "ERR_MUX_STREAM_ID", async (line) => {
      await line.agree();
      await line.mux(syn(2));
    }],
    ["more than the window", "ERR_MUX_WINDOW", async (line) => {
      await line.agree();
      await line.mux(syn(1));
      await until("the stream", () => line.streams.length === 1);
      await line.mux(frame(data, 0, 1, 1 << 20).subarray(0, 12));
    }],
  ];
  const honest = new Line();
  await honest.agree();
  for (const [name, code, act] of cases) {
    const line = new Line();
    await act(line);
    assertEquals([name, await line.end()], [name, code]);
  }
  await honest.lives();
  honest.link.abort(new Error("over"));
});

Deno.test("a link takes a whole window, and refuses a flood of streams one by one", async () => {
  const line = new Line();
  await line.agree();
  const { data, windowUpdate } = FrameType;
  const bytes = frame(data, Flag.syn, 1, WINDOW);
  for (let at = 0; at < bytes.length; at += 20_000) await line.mux(bytes.subarray(at, at + 20_000));
  for (let id = 3; id < 2 * 300; id += 2) await line.mux(frame(windowUpdate, Flag.syn, id, 0));
  await until("the places are taken", () => line.streams.length === 256);
  await until("the refusals", () => {
    const bytes = line.muxBytes.flatMap((each) => [...each]); // headers alone
    return bytes.filter((flags, at) => at % 12 === 3 && (flags & Flag.rst) !== 0).length === 44;
  });
  assertEquals(line.streams.length, 256);
  await line.lives();
  assertEquals((await line.streams[0]!.read())!.length > 0, true);
  line.link.abort(new Error("over"));
});

Deno.test("15 000 streams that are left at once do not end the link", async () => {
  const line = new Line();
  await line.agree();
  const { windowUpdate } = FrameType;
  const last = 2 * 15_000 + 1;
  for (let id = 1; id < last;) {
    const left: number[] = [];
    for (; left.length < 48_000 && id < last; id += 2) {
      left.push(...frame(windowUpdate, Flag.syn, id, 0), ...frame(windowUpdate, Flag.rst, id, 0));
    }
    await line.mux(new Uint8Array(left));
  }
  await line.mux(frame(windowUpdate, Flag.syn, last, 0));
  await until("the last one", () => line.streams.some(({ signal }) => !signal.aborted));
  await line.lives();
  line.link.abort(new Error("over"));
});

Deno.test("streams that were reset make room for others only when their handlers have returned", async () => {
  const busy = Promise.withResolvers<void>();
  const line = new Line({ busy: busy.promise });
  await line.agree();
  const { windowUpdate } = FrameType;
  const each = (flag: number, from: number, to: number) =>
    line.mux(
      new Uint8Array(
        Array.from({ length: (to - from) / 2 }, (_, index) => from + 2 * index)
          .flatMap((id) => [...frame(windowUpdate, flag, id, 0)]),
      ),
    );
  for (let from = 1; from < 601; from += 100) {
    await each(Flag.syn, from, from + 100);
    const served = Math.min(256, (from + 99) / 2);
    await until("they have come", () => line.streams.length >= served);
    await each(Flag.rst, from, from + 100);
  }
  await line.mux(frame(windowUpdate, Flag.syn, 601, 0));
  await line.lives();
  assertEquals(line.streams.length, 256);
  busy.resolve();
  await until("the last one is served", () => line.streams.length === 257);
  assert(!line.streams[256]!.signal.aborted);
  line.link.abort(new Error("over"));
});

Deno.test("streams to a side that does not read keep their share of the outbox, and leave room for queries", async () => {
  const line = new Line({ reads: false, writeTimeoutMs: 60_000, maxQueriesInFlight: 100 });
  const opening = Array.from({ length: 20 }, () => line.link.openStream({}));
  await line.send(FrameKind.ping, TAKES_STREAMS_TAG);
  const streams = await Promise.all(opening);
  for (const stream of streams) void stream.write(new Uint8Array(WINDOW)).catch(() => {});
  const queued = await atRest(() => line.link.queuedBytes);
  assert(queued <= 256 * 1024 + 1000, `${queued}`);
  for (let at = 0; at < 50; at++) {
    void line.link.query(new Uint8Array(1000), 60_000).catch(() => {});
  }
  assert(line.link.queuedBytes >= queued + 50_000, "the queries are on their way");
  line.link.abort(new Error("over"));
  assertEquals((await line.link.closed).unsentBytes >= queued, true);
});

Deno.test("a link that closes waits for its streams, resets them when its time is over, and answers openings by its close", async () => {
  const line = new Line();
  await line.agree();
  await line.mux(frame(FrameType.windowUpdate, Flag.syn, 1, 0));
  await until("the stream", () => line.streams.length === 1);
  const closed = line.link.close({ timeoutMs: 100 });
  assert(!line.heads.some(([kind]) => kind === FrameKind.closing));
  assertEquals((await assertRejects(() => closed, ParleyError)).code, "ERR_DRAIN_TIMEOUT");
  assert(line.streams[0]!.signal.aborted);
  assert(!line.heads.some(([kind]) => kind === FrameKind.closing), "it never got there");

  const late = new Line();
  const asked = late.link.query(EMPTY, 60_000);
  void late.link.close();
  await late.agree();
  assertEquals(late.heads.slice(-2).map(([kind]) => kind), [FrameKind.ping, FrameKind.pong]);
  await late.mux(frame(FrameType.windowUpdate, Flag.syn, 1, 0));
  const [query] = late.frames.filter(([kind]) => kind === FrameKind.query);
  await late.send(FrameKind.answer, query![1]);
  await asked;
  await until("the closing frame", () => late.heads.at(-1)?.[0] === FrameKind.closing);
  assertEquals(late.muxBytes, [], "dropped without an answer");
  await late.send(FrameKind.closing, 0);
  await late.far.closeWrite();
  assertEquals(await late.end(), "in order");
});
