// A link against a peer that breaks the protocol, over a flow of frames in memory.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ParleyError } from "../../../errors.ts";
import { Inbox } from "../../../ipc/link/inbox.ts";
import { IpcLink } from "../../../ipc/link/link.ts";
import type { LinkLimits, LinkOptions } from "../../../ipc/link/options.ts";
import { encodeFrame, FrameKind, IpcFrameReader } from "../../../ipc/protocol/frames.ts";
import { PlainLink } from "../../../ipc/secure/frame_link.ts";
import { memoryPair } from "../../../net/transport/memory_pair.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import { atRest, settles, until } from "../../support/wait.ts";

const EMPTY = new Uint8Array(0);
const INFO = {
  role: "server" as const,
  sessionId: new Uint8Array(16),
  exporter: new Uint8Array(48),
  peerMaxMessageBytes: 1000,
  peerMaxRecordBytes: 65536,
  maxRecordBytes: 65536,
};

/** A link, and the far end of its line in the test's hands. */
class Line {
  readonly far: Transport;
  readonly link: IpcLink;
  readonly messages: [number, Uint8Array][] = [];
  readonly frames: [number, number, Uint8Array][] = [];
  readonly reading: Promise<void>;

  constructor(change: Partial<LinkLimits & Omit<LinkOptions, "limits">> = {}) {
    const { onQuery, inbox, onHandlerError, ...limits } = change;
    const [near, far] = memoryPair({ bufferBytes: 1 << 20 });
    this.far = far;
    this.link = new IpcLink(new PlainLink(near, INFO, EMPTY), {
      limits: {
        channel: "link-test",
        maxMessageBytes: 1000,
        highWaterBytes: 5000,
        maxQueuedBytes: 20_000,
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
      onQuery: onQuery ?? ((data) => data),
      inbox: inbox ?? {
        full: false,
        overfull: false,
        onRoom: () => {},
        receive: (type, data) => this.messages.push([type, data]),
      },
      onHandlerError: onHandlerError ?? (() => {}),
    });
    this.link.start();
    this.reading = this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new IpcFrameReader(1000);
    try {
      for (let chunk = await this.far.read(); chunk !== null; chunk = await this.far.read()) {
        decoder.push(chunk, (...frame) => this.frames.push(frame));
      }
    } catch {
      // The test closed it.
    }
  }

  send(kind: FrameKind, tag: number, data: Uint8Array = EMPTY): Promise<void> {
    return this.far.write(encodeFrame(kind, tag, data));
  }

  /** How the link ended. */
  async end(): Promise<string> {
    const { error } = await settles("the end of the link", this.link.closed);
    this.far.close();
    await this.reading;
    return error === null ? "in order" : (error as ParleyError).code;
  }
}

Deno.test("IpcLink ends on what the protocol does not have", async () => {
  const cases: [string, string, (line: Line) => Promise<void>][] = [
    [
      "an answer to what was never asked",
      "ERR_IPC_FRAME",
      (line) => line.send(FrameKind.answer, 7),
    ],
    [
      "a failure of what was never asked",
      "ERR_IPC_FRAME",
      (line) => line.send(FrameKind.failure, 7),
    ],
    ["an answer of id 0", "ERR_IPC_FRAME", (line) => line.send(FrameKind.answer, 0)],
    ["a second closing frame", "ERR_IPC_FRAME", async (line) => {
      await line.far.write(
        new Uint8Array([
          ...encodeFrame(FrameKind.closing, 0, EMPTY),
          ...encodeFrame(FrameKind.closing, 0, EMPTY),
        ]),
      );
    }],
    ["a message behind the closing frame", "ERR_IPC_FRAME", async (line) => {
      await line.far.write(
        new Uint8Array([
          ...encodeFrame(FrameKind.closing, 0, EMPTY),
          ...encodeFrame(FrameKind.message, 1, EMPTY),
        ]),
      );
    }],
    ["a query behind the closing frame", "ERR_IPC_FRAME", async (line) => {
      await line.far.write(
        new Uint8Array([
          ...encodeFrame(FrameKind.closing, 0, EMPTY),
          ...encodeFrame(FrameKind.query, 1, EMPTY),
        ]),
      );
    }],
    ["an unknown kind", "ERR_IPC_FRAME", (line) => line.send(10 as FrameKind, 1)],
    ["type 0", "ERR_IPC_FRAME", (line) => line.send(FrameKind.message, 0)],
    [
      "a message over our limit",
      "ERR_FRAME_TOO_LARGE",
      (line) => line.send(FrameKind.message, 1, new Uint8Array(1001)),
    ],
    ["an end without a word", "ERR_RESET", (line) => line.far.closeWrite()],
    ["an end inside a frame", "ERR_RESET", async (line) => {
      await line.far.write(new Uint8Array([0, 0, 0]));
      await line.far.closeWrite();
    }],
  ];
  for (const [name, code, act] of cases) {
    const line = new Line();
    await act(line);
    assertEquals([name, await line.end()], [name, code]);
  }
});

Deno.test("IpcLink drops an answer that comes twice or too late, and goes on", async () => {
  const line = new Line();
  const asked = line.link.query(new Uint8Array([1]), 1000);
  await line.send(FrameKind.answer, 1, new Uint8Array([2]));
  assertEquals(await asked, new Uint8Array([2]));
  await line.send(FrameKind.answer, 1, new Uint8Array([3]));
  await line.send(FrameKind.failure, 1);
  await line.send(FrameKind.message, 5);
  const confirmed = line.link.confirm();
  await line.send(FrameKind.pong, 1);
  await settles("the pong", confirmed);
  assertEquals(line.messages, [[5, EMPTY]]);
  line.link.abort(new Error("done"));
  await line.end();
});

Deno.test("IpcLink takes signs of life that nobody asked for, and echoes each ping once", async () => {
  const line = new Line();
  await line.send(FrameKind.pong, 0);
  await line.send(FrameKind.pong, 12345);
  for (const tag of [0, 9, 2 ** 32 - 1]) await line.send(FrameKind.ping, tag);
  await line.send(FrameKind.closing, 0);
  await line.far.closeWrite();
  assertEquals(await line.end(), "in order");
  assertEquals(line.frames.map(([kind, tag]) => [kind, tag]), [
    [FrameKind.pong, 0],
    [FrameKind.pong, 9],
    [FrameKind.pong, 2 ** 32 - 1],
    [FrameKind.closing, 0],
  ]);
});

Deno.test("IpcLink tells who is turned away, and who closes while it asks", async () => {
  const busy = new Line();
  const confirmed = busy.link.confirm();
  confirmed.catch(() => {});
  await busy.send(FrameKind.closing, 1);
  await busy.far.closeWrite();
  assertEquals(await busy.end(), "ERR_BUSY");
  const error = await assertRejects(() => confirmed, ParleyError);
  assertEquals(error.code, "ERR_BUSY");
  const closing = new Line();
  const asked = closing.link.query(EMPTY, 1000);
  asked.catch(() => {});
  await closing.send(FrameKind.closing, 0);
  const refused = await assertRejects(() => asked, ParleyError);
  assertEquals(refused.code, "ERR_GOING_AWAY");
  await closing.far.closeWrite();
  assertEquals(await closing.end(), "in order");
});

Deno.test("IpcLink runs a bounded number of handlers at a time, and answers all", async () => {
  let running = 0;
  let most = 0;
  const waits: PromiseWithResolvers<Uint8Array>[] = [];
  const line = new Line({
    onQuery: () => {
      most = Math.max(most, ++running);
      const wait = Promise.withResolvers<Uint8Array>();
      waits.push(wait);
      return wait.promise;
    },
  });
  for (let id = 1; id <= 20; id++) await line.send(FrameKind.query, id);
  for (let answered = 0; answered < 20; answered++) {
    while (waits.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
    waits.shift()!.resolve(EMPTY);
  }
  await line.send(FrameKind.closing, 0);
  await line.far.closeWrite();
  assertEquals(await line.end(), "in order");
  const ids = line.frames.filter(([kind]) => kind === FrameKind.answer).map(([, tag]) => tag);
  assertEquals(ids.sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 1));
  assert(most <= 3, `${most} at a time`);
});

Deno.test("IpcLink stops to receive while too many queries wait, and loses none of them", async () => {
  const release = Promise.withResolvers<Uint8Array>();
  const line = new Line({ maxQueriesRunning: 1, onQuery: () => release.promise });
  const count = 8000;
  const sending = (async () => {
    for (let id = 1; id <= count; id++) await line.send(FrameKind.query, id, new Uint8Array(1000));
  })();
  // 4 MiB and a message, and what a chunk more of them is.
  const bound = (2 ** 22 + 1000 + 2 ** 17) / 1064;
  const queriesIn = () => line.link.stats().queriesIn;
  await until("4 MiB have come", () => queriesIn() * 1064 >= 2 ** 22);
  const taken = await atRest(queriesIn);
  assert(taken <= bound, `${taken} queries of at most ${bound}`);
  release.resolve(EMPTY);
  await settles("the sending", sending);
  const answers = () => line.frames.filter(([kind]) => kind === FrameKind.answer).length;
  await until("all answers", () => answers() === count);
  line.link.abort(new Error("done"));
  await line.end();
});

Deno.test("IpcLink takes cancel frames, and sends them only to a peer that said by its ping that it takes them", async () => {
  const contexts: { readonly signal: AbortSignal }[] = [];
  const line = new Line({
    onQuery: (_data, context) => (contexts.push(context), new Promise<Uint8Array>(() => {})),
  });
  const kinds = () => line.frames.map(([kind, tag]) => `${kind} ${tag}`);
  await line.send(FrameKind.query, 3);
  await until("its word", () => line.frames.length === 1);
  assertEquals(kinds(), [`${FrameKind.ping} ${2 ** 32 - 2}`]);
  await line.send(FrameKind.cancel, 3);
  await until("the signal", () => contexts[0]!.signal.aborted);
  await until("its answer", () => line.frames.length === 2);
  await line.send(FrameKind.cancel, 3); // one that crossed the answer
  const giveUp = async () => {
    const controller = new AbortController();
    const asked = line.link.query(EMPTY, 5000, controller.signal);
    controller.abort(new Error("enough"));
    await assertRejects(() => asked, Error, "enough");
  };
  await giveUp();
  await until("the query", () => line.frames.length === 3);
  await line.send(FrameKind.ping, 2 ** 32 - 2);
  await until("the pong", () => line.frames.length === 5);
  assertEquals(kinds().slice(1).sort(), [
    `${FrameKind.query} 1`,
    `${FrameKind.failure} 3`,
    `${FrameKind.pong} ${2 ** 32 - 2}`,
    `${FrameKind.cancel} 1`,
  ]);
  await giveUp();
  await until("the cancel frame", () => line.frames.length === 7);
  assertEquals(kinds().slice(5), [`${FrameKind.query} 2`, `${FrameKind.cancel} 2`]);
  await line.send(FrameKind.closing, 0);
  await line.far.closeWrite();
  assertEquals(await line.end(), "in order");
});

Deno.test("IpcLink stops to receive while its application does not read, and goes on when it does", async () => {
  const inbox = new Inbox({ highWaterBytes: 1, toMessage: (type, data) => ({ type, data }) });
  const line = new Line({ inbox });
  await line.send(FrameKind.message, 1);
  await settles("the first message", inbox.whenSome());
  await line.send(FrameKind.message, 2);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(inbox.size, 1);
  assertEquals((await inbox.read())?.type, 1);
  assertEquals((await settles("the second message", inbox.read()))?.type, 2);
  line.link.abort(new Error("done"));
  await line.end();
});

/** An inbox that one message fills, and that holds one. */
function fullInbox(): Inbox<{ type: number; data: Uint8Array }> {
  const inbox = new Inbox({ highWaterBytes: 1, toMessage: (type, data) => ({ type, data }) });
  inbox.receive(1, EMPTY);
  return inbox;
}

Deno.test("IpcLink whose inbox is full at its start says so at once, so that the other side is in", async () => {
  const line = new Line({ inbox: fullInbox() });
  await until(
    "a sign of life that no tick sent",
    () => line.frames.some(([kind]) => kind === FrameKind.pong),
  );
  assertEquals(line.frames.find(([kind]) => kind === FrameKind.pong)?.[1], 0);
  line.link.abort(new Error("done"));
  await line.end();
});

Deno.test("close of a link that rests reads what it has ahead: an answer to a query stands there", async () => {
  const line = new Line({ inbox: fullInbox() });
  const asked = line.link.query(new Uint8Array([1]), 60_000);
  await line.send(FrameKind.answer, 1, new Uint8Array([2]));
  await until("a link that rests", () => line.link.resting);
  const close = line.link.close({ timeoutMs: 15_000 });
  assertEquals(await settles("the answer", asked), new Uint8Array([2]));
  await line.send(FrameKind.closing, 0);
  await line.far.closeWrite();
  await settles("the close", close);
  await line.end();
});

Deno.test("IpcLink ends with a peer that pings and never reads", async () => {
  const line = new Line({ highWaterBytes: 100, maxQueuedBytes: 100 });
  const pings = new Uint8Array(9 * 5000);
  for (let i = 0; i < 5000; i++) pings.set(encodeFrame(FrameKind.ping, i, EMPTY), i * 9);
  // Its answers are read by the test here, so it may go on for ever; then the line is stalled.
  await line.far.write(pings);
  const [near, far] = memoryPair({ bufferBytes: 10 });
  const stalled = new IpcLink(new PlainLink(near, INFO, EMPTY), {
    limits: {
      ...{ maxMessageBytes: 1000, highWaterBytes: 100, maxQueuedBytes: 100, readAheadBytes: 5000 },
      ...{
        channel: "link-test",
        maxQueriesInFlight: 1,
        maxQueriesRunning: 1,
        closeTimeoutMs: 1000,
      },
      ...{ keepaliveMs: 0, keepaliveTimeoutMs: 1000, writeTimeoutMs: 1000, messageTimeoutMs: 0 },
    },
    onQuery: undefined,
    inbox: { full: false, overfull: false, onRoom: () => {}, receive: () => {} },
    onHandlerError: () => {},
  });
  stalled.start();
  for (let i = 0; i < 3; i++) await far.write(pings).catch(() => {});
  const { error } = await settles("the end", stalled.closed);
  assertEquals((error as ParleyError).code, "ERR_IPC_FRAME");
  far.close();
  line.link.abort(new Error("done"));
  await line.end();
});

Deno.test("IpcLink is let in by a message, a query, a pong or a sign of life, and by no refusal", async () => {
  const kinds = [[FrameKind.message, 1], [FrameKind.query, 1], [FrameKind.pong, 1], [
    FrameKind.pong,
    0,
  ]] as const;
  for (const [kind, tag] of kinds) {
    const line = new Line();
    const entered = line.link.pings.enter();
    assertEquals(line.link.pings.entering, true);
    await line.send(kind, tag);
    await settles("the entry", entered);
    line.link.abort(new Error("done"));
    await line.end();
  }
  const line = new Line();
  const entered = assertRejects(() => line.link.pings.enter(), ParleyError);
  await line.send(FrameKind.ping, 1);
  await line.send(FrameKind.closing, 1);
  await line.far.closeWrite();
  assertEquals((await settles("the refusal", entered)).code, "ERR_BUSY");
  await line.end();
});

Deno.test("IpcLink is not ended for a message that does not end while answers do, each of which a look falls into", async () => {
  const line = new Line({ messageTimeoutMs: 1000, keepaliveMs: 0 });
  const answers = Array.from({ length: 4 }, () => line.link.query(EMPTY, 60_000));
  const frames = [1, 2, 3, 4].map((id) => encodeFrame(FrameKind.answer, id, new Uint8Array(100)));
  await line.far.write(frames[0]!.subarray(0, 50));
  let nowMs = 10_000;
  for (const [index, frame] of frames.entries()) {
    const next = frames[index + 1]?.subarray(0, 50) ?? EMPTY;
    await line.far.write(new Uint8Array([...frame.subarray(50), ...next]));
    await settles("an answer", answers[index]!);
    line.link.sweep(nowMs += 900);
  }
  assertEquals(line.link.isOpen, true);
  await line.far.write(frames[0]!.subarray(0, 50));
  await until(
    "the part of a frame",
    () => line.link.stats().bytesIn === 4 * frames[0]!.length + 50,
  );
  line.link.sweep(nowMs += 900);
  line.link.sweep(nowMs += 1000);
  assertEquals(await line.end(), "ERR_READ_TIMEOUT");
});
