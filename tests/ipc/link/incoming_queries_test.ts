// Tests of IncomingQueries: what waits for a caller is bounded, and a query whose caller has gone
// is given up.
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, ProtocolError } from "../../../errors.ts";
import {
  IncomingQueries,
  type IncomingQueriesOptions,
} from "../../../ipc/link/incoming_queries.ts";
import { LinkTelemetry } from "../../../ipc/link/telemetry.ts";
import { FrameKind, TAKES_CANCELS_TAG } from "../../../ipc/protocol/frames.ts";
import type { IpcQueryContext } from "../../../ipc/link/query_context.ts";

const ONE = new Uint8Array(1);
/**
 * How a test says what was sent: the ping by which a side says that it takes cancel frames is one
 * of them.
 */
const ANNOUNCED = `${FrameKind.ping} ${TAKES_CANCELS_TAG}`;

/** A handler's call in the test's hands. */
interface Call extends PromiseWithResolvers<Uint8Array> {
  readonly data: Uint8Array;
  readonly context: IpcQueryContext;
}

/**
 * An queries half whose outbox holds 100 bytes, is full above 50, and whose handler answers when
 * the test says so.
 */
class Desk {
  readonly calls: Call[] = [];
  readonly sent: string[] = [];
  readonly errors: unknown[] = [];
  queuedBytes = 0;
  doneCount = 0;
  readonly queries: IncomingQueries;

  constructor(change: Partial<IncomingQueriesOptions> = {}) {
    this.queries = new IncomingQueries({
      handler: (data, context) => {
        const call = { ...Promise.withResolvers<Uint8Array>(), data, context };
        this.calls.push(call);
        return call.promise;
      },
      maxRunning: 3,
      highWaterBytes: 1000,
      maxAnswerBytes: 1000,
      outbox: this,
      maxQueuedBytes: 100,
      onError: (error) => this.errors.push(error),
      telemetry: new LinkTelemetry("answering-test"),
      onDone: () => this.doneCount++,
      ...change,
    });
  }

  get full(): boolean {
    return this.queuedBytes > 50;
  }

  add(kind: FrameKind, id: number, data: Uint8Array): void {
    this.sent.push(`${kind} ${id}`);
    this.queuedBytes += data.length;
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

Deno.test("IncomingQueries keeps finished answers back while the outbox is full, and sends each once there is room", async () => {
  const desk = new Desk();
  const { queries } = desk;
  for (const id of [1, 2, 3, 4]) queries.take(id, ONE);
  desk.queuedBytes = 60;
  await desk.answer(new Uint8Array(40)); // fits to the byte
  const scratch = new Uint8Array(41).fill(7);
  await desk.answer(scratch);
  scratch.fill(0); // the handler's buffer is its own again
  await desk.answer(ONE);
  assertEquals(desk.sent, [ANNOUNCED, "3 1"]);
  assertEquals([queries.finishedBytes, queries.size, desk.calls.length], [42, 3, 0]);
  desk.queuedBytes = 50;
  queries.resume();
  assertEquals(desk.sent, [ANNOUNCED, "3 1", "3 2", "3 3"]);
  assertEquals([queries.finishedBytes, queries.size, desk.doneCount], [0, 1, 3]);
  assertEquals(desk.calls.length, 0, "the outbox is full again: the next handler waits");
  desk.queuedBytes = 0;
  queries.resume();
  assertEquals(desk.calls.length, 1);
  await desk.answer(ONE);
  queries.end(new Error("over"));
});

Deno.test("IncomingQueries keeps the bytes of an answer as they were when the handler returned them", async () => {
  const datas: Uint8Array[] = [];
  const desk = new Desk();
  desk.add = (kind, _id, data) => void (kind === FrameKind.answer && datas.push(data));
  desk.queries.take(1, ONE);
  desk.queuedBytes = 100;
  const scratch = new Uint8Array([1, 2]);
  await desk.answer(scratch);
  scratch.fill(9);
  desk.queuedBytes = 0;
  desk.queries.resume();
  assertEquals(datas, [new Uint8Array([1, 2])]);
  desk.queries.end(new Error("over"));
});

Deno.test("IncomingQueries refuses what it cannot hand over to an asker that reads nothing, and keeps it for one that reads", async () => {
  const desk = new Desk();
  const { queries } = desk;
  for (const id of [1, 2, 3]) queries.take(id, ONE);
  queries.tick(0, 10);
  desk.queuedBytes = 100;
  await desk.answer(ONE);
  await desk.answer(ONE);
  for (const [nowMs, writtenBytes] of [[1000, 20], [1900, 20], [2000, 21], [2999, 21]]) {
    queries.tick(nowMs!, writtenBytes!);
    assertEquals([queries.size, desk.sent], [3, [ANNOUNCED]], `at ${nowMs} ms`);
  }
  queries.tick(3000, 21);
  assertEquals([queries.finishedBytes, queries.size], [0, 1]);
  assertEquals(desk.sent, [ANNOUNCED, "4 1", "4 2"]);
  await desk.answer(ONE); // while it still reads nothing
  assertEquals(desk.sent.at(-1), "4 3");
  assertEquals([queries.size, desk.errors], [0, []], "no handler is at fault");
  queries.end(new Error("over"));
});

Deno.test("IncomingQueries takes no more than its bound of waiting queries, what each costs included, and takes on when they run", async () => {
  const desk = new Desk({ maxRunning: 1 });
  const { queries } = desk;
  queries.take(1, ONE);
  let taken = 0;
  while (!queries.full && taken < 1000) queries.take(2 + taken++, new Uint8Array(36));
  assertEquals(taken, 10);
  await desk.answer(ONE);
  assertEquals([queries.full, desk.calls.length], [false, 1]);
  queries.end(new Error("over"));
});

Deno.test("IncomingQueries aborts the signal of a running query that is cancelled, and answers it at once", async () => {
  const desk = new Desk({ maxRunning: 1 });
  const { queries } = desk;
  queries.take(7, ONE);
  queries.take(8, ONE);
  const { signal } = desk.calls[0]!.context;
  assertEquals([signal.aborted, queries.size], [false, 2]);
  queries.cancel(7);
  assertEquals([signal.aborted, signal.reason.code, queries.size], [true, "ERR_CLOSED", 1]);
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
  queries.cancel(8);
  const fault = new Error("a fault of the handler");
  desk.calls[0]!.reject(fault);
  await rest();
  assertEquals([desk.sent, desk.errors, queries.size], [[ANNOUNCED, "4 7", "4 8"], [fault], 0]);
  queries.cancel(8); // crossed the answer
  queries.cancel(99);
  queries.end(new Error("over"));
});

Deno.test("IncomingQueries never runs a waiting query that is cancelled, and keeps nothing of many", async () => {
  const desk = new Desk({ maxRunning: 1 });
  Object.defineProperty(desk, "full", { value: false });
  const { queries } = desk;
  queries.take(1, ONE);
  for (let id = 2; id < 5000; id++) {
    queries.take(id, new Uint8Array(500));
    if (id !== 100) queries.cancel(id);
  }
  assertEquals([queries.size, queries.full], [2, false]);
  await desk.answer(ONE);
  assertEquals([desk.calls.length, desk.calls[0]!.data.length, queries.size], [1, 500, 1]);
  await desk.answer(ONE);
  assertEquals(desk.sent.filter((frame) => frame.startsWith("3")), ["3 1", "3 100"]);
  assertEquals([desk.sent.length, queries.size], [5000, 0], "each has one answer");
  queries.end(new Error("over"));
});

Deno.test("IncomingQueries is full for an asker that asks, cancels and reads none of it, until there is room again", () => {
  const desk = new Desk();
  const { queries } = desk;
  desk.queuedBytes = 51;
  let cancelled = 0;
  for (; !queries.full && cancelled < 100; cancelled++) {
    queries.take(cancelled + 1, ONE);
    queries.cancel(cancelled + 1);
  }
  assertEquals(cancelled, 16, "64 bytes for each, of 1000");
  queries.resume();
  assertEquals(queries.full, true, "none of it was read");
  desk.queuedBytes = 0;
  queries.resume();
  assertEquals(queries.full, false);
});

Deno.test("IncomingQueries refuses queries of a side that closes at once, and holds none of them, until too much is unread", () => {
  const desk = new Desk();
  const { queries } = desk;
  desk.queuedBytes = 51;
  queries.refuse();
  for (let id = 1; id <= 15; id++) queries.take(id, new Uint8Array(1000));
  assertEquals([desk.sent.length, queries.size, queries.full, desk.doneCount], [15, 0, false, 15]);
  desk.queuedBytes = 0;
  queries.resume();
  desk.queuedBytes = 51;
  for (let id = 16; id <= 30; id++) queries.take(id, ONE);
  assertEquals(desk.sent.every((frame) => frame.startsWith(`${FrameKind.failure} `)), true);
  assertThrows(() => queries.take(31, ONE), ProtocolError, "none of the answers is read");
});

Deno.test("IncomingQueries drops a finished answer whose query is cancelled", async () => {
  const desk = new Desk();
  const { queries } = desk;
  queries.take(1, ONE);
  queries.take(2, ONE);
  desk.queuedBytes = 100;
  await desk.answer(new Uint8Array(30));
  await desk.answer(new Uint8Array(20));
  queries.cancel(1);
  assertEquals([queries.finishedBytes, queries.size], [20, 1]);
  desk.queuedBytes = 0;
  queries.resume();
  assertEquals(desk.sent, [ANNOUNCED, "4 1", "3 2"]);
  queries.end(new Error("over"));
});

Deno.test("IncomingQueries aborts every signal at the end of the link, and reports what a handler throws after it", async () => {
  const desk = new Desk();
  const { queries } = desk;
  for (const id of [1, 2]) queries.take(id, ONE);
  const [first, second] = desk.calls.map(({ context }) => context.signal);
  const gone = new ClosedError("ERR_RESET", "lost");
  queries.end(gone);
  for (const signal of [first!, second!]) assertStrictEquals(signal.reason, gone);
  const fault = new Error("a fault of the handler");
  desk.calls[0]!.reject(new Error("stopped", { cause: gone }));
  desk.calls[1]!.reject(fault);
  await rest();
  assertEquals(desk.errors, [fault]);
});

Deno.test("IncomingQueries says that it takes cancel frames once, and only for a query that is not answered on the spot", () => {
  const sync = new Desk({ handler: (data) => data });
  sync.queries.take(1, ONE);
  sync.queries.take(2, ONE);
  assertEquals(sync.sent, ["3 1", "3 2"]);
  const slow = new Desk();
  for (const id of [1, 2, 3, 4]) slow.queries.take(id, ONE);
  assertEquals(slow.sent, [ANNOUNCED]);
  const closing = new Desk();
  closing.queuedBytes = 100;
  closing.queries.refuse();
  closing.queries.take(1, ONE);
  assertEquals(closing.sent, [`${FrameKind.failure} 1`], "a side that closes announces nothing");
});
