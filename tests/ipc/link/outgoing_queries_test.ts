// Tests of OutgoingQueries: how much is under way at a time, and how queries that wait for their turn end.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, TimeoutError } from "../../../errors.ts";
import { MAX_QUERY_BYTES_IN_FLIGHT, OutgoingQueries } from "../../../ipc/link/outgoing_queries.ts";
import { FrameKind } from "../../../ipc/protocol/frames.ts";
import { settles, until } from "../../support/wait.ts";

const HALF = new Uint8Array(MAX_QUERY_BYTES_IN_FLIGHT / 2);
const ONE = new Uint8Array(1);
const PATIENT_MS = 20_000;

/** A table whose sends are noted. */
function table(
  { maxInFlight = 1000 } = {},
): { queries: OutgoingQueries; sent: number[]; sizes: number[]; cancelled: number[] } {
  const sent: number[] = [], sizes: number[] = [];
  const cancelled: number[] = [];
  const add = (kind: FrameKind, id: number, data: Uint8Array) => {
    if (kind === FrameKind.cancel) return void cancelled.push(id);
    sent.push(id);
    sizes.push(data.length);
  };
  const queries = new OutgoingQueries({
    maxInFlight,
    outbox: { full: false, add },
    onIdle: () => {},
  });
  return { queries, sent, sizes, cancelled };
}

Deno.test("OutgoingQueries has no more than 4 MiB of queries under way, and sends the others in order as answers come", async () => {
  const { queries, sent, sizes } = table();
  const answers = [HALF, HALF, ONE, HALF, ONE].map((data) => queries.ask(data, PATIENT_MS));
  assertEquals(sent, [1, 2], "the small one does not overtake");
  queries.onAnswer(FrameKind.answer, 2, ONE);
  assertEquals(sent, [1, 2, 3], "with the next half it would be too much");
  queries.onAnswer(FrameKind.failure, 3, ONE);
  assertEquals(sent, [1, 2, 3, 4]);
  queries.onAnswer(FrameKind.answer, 1, ONE);
  assertEquals(sent, [1, 2, 3, 4, 5]);
  for (const id of [4, 5]) queries.onAnswer(FrameKind.answer, id, ONE);
  const ends = await settles("all answers", Promise.allSettled(answers));
  assertEquals(ends.map(({ status }) => status === "fulfilled"), [true, true, false, true, true]);
  assertEquals([queries.size, sizes.reduce((sum, size) => sum + size)], [0, 3 * HALF.length + 2]);
  // Nothing is left on the account.
  const again = [HALF, HALF].map((data) => queries.ask(data, PATIENT_MS));
  assertEquals(sent.slice(5), [6, 7]);
  const gone = new ClosedError("ERR_CLOSED", "gone");
  queries.end(gone);
  for (const answer of again) assertStrictEquals(await answer.catch((error) => error), gone);
});

Deno.test("OutgoingQueries sends a query of more than 4 MiB alone", async () => {
  const { queries, sent } = table();
  const large = new Uint8Array(MAX_QUERY_BYTES_IN_FLIGHT + 1);
  const answers = [ONE, large, ONE].map((data) => queries.ask(data, PATIENT_MS));
  const seen = [[...sent]];
  for (const id of [1, 2, 3]) {
    queries.onAnswer(FrameKind.answer, id, ONE);
    seen.push([...sent]);
  }
  assertEquals(seen, [[1], [1, 2], [1, 2, 3], [1, 2, 3]]);
  await Promise.all(answers);
  queries.end(new Error("over"));
});

Deno.test("OutgoingQueries ends the wait for a turn by signal, by time and by the end of the link, and sends none of them", async () => {
  const { queries, sent } = table();
  const first = queries.ask(HALF, PATIENT_MS), second = queries.ask(HALF, PATIENT_MS);
  const controller = new AbortController();
  const aborted = queries.ask(ONE, PATIENT_MS, controller.signal);
  const late = queries.ask(ONE, 1);
  const ended = queries.ask(ONE, PATIENT_MS);
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assertStrictEquals(await aborted.catch((error) => error), reason);
  assertEquals(
    (await settles("the time limit", assertRejects(() => late, TimeoutError))).code,
    "ERR_READ_TIMEOUT",
  );
  assertEquals([queries.size, sent], [3, [1, 2]]);
  const gone = new ClosedError("ERR_CLOSED", "gone");
  queries.end(gone);
  for (const query of [first, second, ended]) {
    assertStrictEquals(await query.catch((error) => error), gone);
  }
  assertEquals([queries.size, sent], [0, [1, 2]]);
});

Deno.test("OutgoingQueries makes room when a query that is under way is given up", async () => {
  const { queries, sent } = table();
  const first = queries.ask(HALF, 1),
    second = queries.ask(HALF, PATIENT_MS),
    third = queries.ask(HALF, PATIENT_MS);
  const late = assertRejects(() => first, TimeoutError);
  await until("the third goes", () => sent.length === 3);
  await late;
  // The answer that comes after all changes nothing.
  assertEquals(queries.onAnswer(FrameKind.answer, 1, ONE), true);
  const fourth = queries.ask(ONE, PATIENT_MS);
  assertEquals(sent, [1, 2, 3]);
  queries.end(new Error("over"));
  await Promise.allSettled([second, third, fourth]);
});

Deno.test("OutgoingQueries says to a side that takes it that a query was given up, and to no other", async () => {
  const { queries, cancelled } = table();
  const controller = new AbortController();
  const early = queries.ask(ONE, PATIENT_MS, controller.signal);
  const answered = queries.ask(ONE, PATIENT_MS, controller.signal);
  controller.abort(new Error("changed my mind"));
  await Promise.allSettled([early, answered]);
  assertEquals(cancelled, [], "an older version would end the session");
  queries.onAnswer(FrameKind.answer, 2, ONE);
  queries.peerTakesCancels();
  assertEquals(cancelled, [1], "what was answered meanwhile needs none");
  const late = queries.ask(ONE, 1);
  assertEquals((await assertRejects(() => late, TimeoutError)).code, "ERR_READ_TIMEOUT");
  assertEquals(cancelled, [1, 3]);
  const done = queries.ask(ONE, PATIENT_MS), lost = queries.ask(ONE, PATIENT_MS);
  queries.onAnswer(FrameKind.answer, 4, ONE);
  queries.end(new Error("over"));
  await Promise.allSettled([done, lost]);
  assertEquals(cancelled, [1, 3], "neither an answer nor the end of the link is a giving up");
});

Deno.test("OutgoingQueries says nothing of a query that was given up before it was sent, and sends the others", async () => {
  const { queries, sent, cancelled } = table({ maxInFlight: 1 });
  queries.peerTakesCancels();
  const first = queries.ask(ONE, PATIENT_MS);
  const waits: Promise<unknown>[] = [];
  for (let i = 0; i < 500; i++) {
    const controller = new AbortController();
    waits.push(queries.ask(ONE, PATIENT_MS, controller.signal).catch(() => {}));
    if (i % 100 !== 50) controller.abort();
  }
  for (let next = 1; queries.size > 0; next = sent.at(-1)!) {
    queries.onAnswer(FrameKind.answer, next, ONE);
  }
  await settles("the queries", Promise.all([first, ...waits]));
  assertEquals([sent, cancelled], [[1, 52, 152, 252, 352, 452], []]);
  queries.end(new Error("over"));
});

Deno.test("OutgoingQueries keeps a cancelled query on the account until its answer says that the other side has let go of it", async () => {
  const { queries, sent, cancelled } = table({ maxInFlight: 3 });
  queries.peerTakesCancels();
  const controller = new AbortController();
  const given = [HALF, HALF].map((data) =>
    queries.ask(data, PATIENT_MS, controller.signal).catch(() => {})
  );
  const waiting = [HALF, ONE, ONE].map((data) => queries.ask(data, PATIENT_MS));
  controller.abort();
  await Promise.all(given);
  assertEquals([sent, cancelled, queries.size], [[1, 2], [1, 2], 3]);
  assertEquals(queries.onAnswer(FrameKind.failure, 2, ONE), true);
  assertEquals(sent, [1, 2, 3], "3 are in flight with the one that is cancelled");
  queries.onAnswer(FrameKind.answer, 1, ONE); // it crossed the cancel frame
  assertEquals(sent, [1, 2, 3, 4, 5]);
  for (const id of [3, 4, 5]) queries.onAnswer(FrameKind.answer, id, ONE);
  await settles("the others", Promise.all(waiting));
  queries.end(new Error("over"));
});
