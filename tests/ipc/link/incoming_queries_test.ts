// Tests of Answering: what waits for a caller is bounded, and a query whose caller has gone is given up.
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, ProtocolError } from "../../../errors.ts";
import { Answering, type AnsweringOptions } from "../../../ipc/link/incoming_queries.ts";
import { LinkTelemetry } from "../../../ipc/link/telemetry.ts";
import { FrameKind, TAKES_CANCELS_TAG } from "../../../ipc/protocol/frames.ts";
import type { IpcQueryContext } from "../../../ipc/link/query_context.ts";

const ONE = new Uint8Array(1);
/** How a test says what was sent: the ping by which a side says that it takes cancel frames is one of them. */
const ANNOUNCED = `${FrameKind.ping} ${TAKES_CANCELS_TAG}`;

/** A handler's call in the test's hands. */
interface Call extends PromiseWithResolvers<Uint8Array> {
  readonly data: Uint8Array;
  readonly context: IpcQueryContext;
}

/** An answering half whose outbox holds 100 bytes, is full above 50, and whose handler answers when the test says so. */
class Desk {
  readonly calls: Call[] = [];
  readonly sent: string[] = [];
  readonly errors: unknown[] = [];
  queuedBytes = 0;
  doneCount = 0;
  readonly answering: Answering;

  constructor(change: Partial<AnsweringOptions> = {}) {
    this.answering = new Answering({
      handler: (data, context) => {
        const call = { ...Promise.withResolvers<Uint8Array>(), data, context };
        this.calls.push(call);
        return call.promise;
      },
      maxRunning: 3,
      highWaterBytes: 1000,
      maxAnswerBytes: 1000,
      isOutboxFull: () => this.queuedBytes > 50,
      hasRoomFor: (bytes) => this.queuedBytes <= 50 || this.queuedBytes + bytes <= 100,
      send: (kind, id, data) => {
        this.sent.push(`${kind} ${id}`);
        this.queuedBytes += data.length;
      },
      onError: (error) => this.errors.push(error),
      telemetry: new LinkTelemetry("answering-test"),
      onDone: () => this.doneCount++,
      ...change,
    });
  }

  /** Answers the oldest call that is not answered yet, and waits until that was taken. */
  async answer(data: Uint8Array): Promise<void> {
    const call = this.calls.shift()!;
    call.resolve(data);
    await call.promise;
    await rest();
  }
}

/** Lets what promises have still to do be done. */
const rest = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("Answering keeps finished answers back while the outbox is full, and sends each once there is room", async () => {
  const desk = new Desk();
  const { answering } = desk;
  for (const id of [1, 2, 3, 4]) answering.take(id, ONE);
  desk.queuedBytes = 60;
  await desk.answer(new Uint8Array(40)); // fits to the byte
  const scratch = new Uint8Array(41).fill(7);
  await desk.answer(scratch);
  scratch.fill(0); // the handler's buffer is its own again
  await desk.answer(ONE);
  assertEquals(desk.sent, [ANNOUNCED, "3 1"]);
  assertEquals([answering.finishedBytes, answering.size, desk.calls.length], [42, 3, 0]);
  desk.queuedBytes = 50;
  answering.resume();
  assertEquals(desk.sent, [ANNOUNCED, "3 1", "3 2", "3 3"]);
  assertEquals([answering.finishedBytes, answering.size, desk.doneCount], [0, 1, 3]);
  assertEquals(desk.calls.length, 0, "the outbox is full again: the next handler waits");
  desk.queuedBytes = 0;
  answering.resume();
  assertEquals(desk.calls.length, 1);
  await desk.answer(ONE);
  answering.end(new Error("over"));
});

Deno.test("Answering keeps the bytes of an answer as they were when the handler returned them", async () => {
  const datas: Uint8Array[] = [];
  const desk = new Desk({ send: (kind, _id, data) => kind === FrameKind.answer && datas.push(data) });
  desk.answering.take(1, ONE);
  desk.queuedBytes = 100;
  const scratch = new Uint8Array([1, 2]);
  await desk.answer(scratch);
  scratch.fill(9);
  desk.queuedBytes = 0;
  desk.answering.resume();
  assertEquals(datas, [new Uint8Array([1, 2])]);
  desk.answering.end(new Error("over"));
});

Deno.test("Answering refuses what it cannot hand over to an asker that reads nothing, and keeps it for one that reads", async () => {
  const desk = new Desk();
  const { answering } = desk;
  for (const id of [1, 2, 3]) answering.take(id, ONE);
  answering.tick(0, 10);
  desk.queuedBytes = 100;
  await desk.answer(ONE);
  await desk.answer(ONE);
  for (const [nowMs, writtenBytes] of [[1000, 20], [1900, 20], [2000, 21], [2999, 21]]) {
    answering.tick(nowMs!, writtenBytes!);
    assertEquals([answering.size, desk.sent], [3, [ANNOUNCED]], `at ${nowMs} ms`);
  }
  answering.tick(3000, 21);
  assertEquals([answering.finishedBytes, answering.size], [0, 1]);
  assertEquals(desk.sent, [ANNOUNCED, "4 1", "4 2"]);
  await desk.answer(ONE); // while it still reads nothing
  assertEquals(desk.sent.at(-1), "4 3");
  assertEquals([answering.size, desk.errors], [0, []], "no handler is at fault");
  answering.end(new Error("over"));
});

Deno.test("Answering takes no more than its bound of waiting queries, what each costs included, and takes on when they run", async () => {
  const desk = new Desk({ maxRunning: 1 });
  const { answering } = desk;
  answering.take(1, ONE);
  let taken = 0;
  while (!answering.full && taken < 1000) answering.take(2 + taken++, new Uint8Array(36));
  assertEquals(taken, 10);
  await desk.answer(ONE);
  assertEquals([answering.full, desk.calls.length], [false, 1]);
  answering.end(new Error("over"));
});

Deno.test("Answering aborts the signal of a running query that is cancelled, and answers it at once", async () => {
  const desk = new Desk({ maxRunning: 1 });
  const { answering } = desk;
  answering.take(7, ONE);
  answering.take(8, ONE);
  const { signal } = desk.calls[0]!.context;
  assertEquals([signal.aborted, answering.size], [false, 2]);
  answering.cancel(7);
  assertEquals([signal.aborted, signal.reason.code, answering.size], [true, "ERR_CLOSED", 1]);
  assertEquals(desk.calls.length, 1, "its handler still runs, and counts as running");
  desk.calls[0]!.reject(signal.reason);
  desk.calls.shift();
  await rest();
  assertEquals(
    [desk.sent, desk.errors],
    [[ANNOUNCED, "4 7"], []],
    "what the signal says is no fault of the handler",
  );
  assertEquals(desk.calls.length, 1);
  answering.cancel(8);
  const fault = new Error("a fault of the handler");
  desk.calls[0]!.reject(fault);
  await rest();
  assertEquals([desk.sent, desk.errors, answering.size], [[ANNOUNCED, "4 7", "4 8"], [fault], 0]);
  answering.cancel(8); // crossed the answer
  answering.cancel(99);
  answering.end(new Error("over"));
});

Deno.test("Answering never runs a waiting query that is cancelled, and keeps nothing of many", async () => {
  const desk = new Desk({ maxRunning: 1, isOutboxFull: () => false, hasRoomFor: () => true });
  const { answering } = desk;
  answering.take(1, ONE);
  for (let id = 2; id < 5000; id++) {
    answering.take(id, new Uint8Array(500));
    if (id !== 100) answering.cancel(id);
  }
  assertEquals([answering.size, answering.full], [2, false]);
  await desk.answer(ONE);
  assertEquals([desk.calls.length, desk.calls[0]!.data.length, answering.size], [1, 500, 1]);
  await desk.answer(ONE);
  assertEquals(desk.sent.filter((frame) => frame.startsWith("3")), ["3 1", "3 100"]);
  assertEquals([desk.sent.length, answering.size], [5000, 0], "each has one answer");
  answering.end(new Error("over"));
});

Deno.test("Answering is full for an asker that asks, cancels and reads none of it, until there is room again", () => {
  const desk = new Desk();
  const { answering } = desk;
  desk.queuedBytes = 51;
  let cancelled = 0;
  for (; !answering.full && cancelled < 100; cancelled++) {
    answering.take(cancelled + 1, ONE);
    answering.cancel(cancelled + 1);
  }
  assertEquals(cancelled, 16, "64 bytes for each, of 1000");
  answering.resume();
  assertEquals(answering.full, true, "none of it was read");
  desk.queuedBytes = 0;
  answering.resume();
  assertEquals(answering.full, false);
});

Deno.test("Answering refuses queries of a side that closes at once, and holds none of them, until too much is unread", () => {
  const desk = new Desk();
  const { answering } = desk;
  desk.queuedBytes = 51;
  answering.refuse();
  for (let id = 1; id <= 15; id++) answering.take(id, new Uint8Array(1000));
  assertEquals([desk.sent.length, answering.size, answering.full, desk.doneCount], [15, 0, false, 15]);
  desk.queuedBytes = 0;
  answering.resume();
  desk.queuedBytes = 51;
  for (let id = 16; id <= 30; id++) answering.take(id, ONE);
  assertEquals(desk.sent.every((frame) => frame.startsWith(`${FrameKind.failure} `)), true);
  assertThrows(() => answering.take(31, ONE), ProtocolError, "none of the answers is read");
});

Deno.test("Answering drops a finished answer whose query is cancelled", async () => {
  const desk = new Desk();
  const { answering } = desk;
  answering.take(1, ONE);
  answering.take(2, ONE);
  desk.queuedBytes = 100;
  await desk.answer(new Uint8Array(30));
  await desk.answer(new Uint8Array(20));
  answering.cancel(1);
  assertEquals([answering.finishedBytes, answering.size], [20, 1]);
  desk.queuedBytes = 0;
  answering.resume();
  assertEquals(desk.sent, [ANNOUNCED, "4 1", "3 2"]);
  answering.end(new Error("over"));
});

Deno.test("Answering aborts every signal at the end of the link, and reports what a handler throws after it", async () => {
  const desk = new Desk();
  const { answering } = desk;
  for (const id of [1, 2]) answering.take(id, ONE);
  const [first, second] = desk.calls.map(({ context }) => context.signal);
  const gone = new ClosedError("ERR_RESET", "lost");
  answering.end(gone);
  for (const signal of [first!, second!]) assertStrictEquals(signal.reason, gone);
  const fault = new Error("a fault of the handler");
  desk.calls[0]!.reject(new Error("stopped", { cause: gone }));
  desk.calls[1]!.reject(fault);
  await rest();
  assertEquals(desk.errors, [fault]);
});

Deno.test("Answering says that it takes cancel frames once, and only for a query that is not answered on the spot", () => {
  const sync = new Desk({ handler: (data) => data });
  sync.answering.take(1, ONE);
  sync.answering.take(2, ONE);
  assertEquals(sync.sent, ["3 1", "3 2"]);
  const slow = new Desk();
  for (const id of [1, 2, 3, 4]) slow.answering.take(id, ONE);
  assertEquals(slow.sent, [ANNOUNCED]);
  const closing = new Desk();
  closing.queuedBytes = 100;
  closing.answering.refuse();
  closing.answering.take(1, ONE);
  assertEquals(closing.sent, [`${FrameKind.failure} 1`], "a side that closes announces nothing");
});
