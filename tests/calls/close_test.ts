// close() of a connection or a client: calls under way end in order, within its time; abort() ends now.
import {
  Client,
  ClosedError,
  type Connection,
  ParleyError,
  serve,
  TimeoutError,
} from "@parley/parley";
import { answer, call, caller, contract } from "@parley/parley/calls";
import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { CARRIERS, connectedEnds } from "../support/calls/call_connections.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";

const work = contract({ later: call<number, number>(), now: call<number, number>() });

/** Answers on one end; calls of `later` wait for `release`. */
function answering(conn: Parameters<typeof answer>[0]) {
  const begun = Promise.withResolvers<AbortSignal>();
  const { promise, resolve } = Promise.withResolvers<void>();
  answer(conn, work, {
    now: (n) => n,
    async later(n, { signal }) {
      begun.resolve(signal);
      await promise;
      return n;
    },
  });
  return { begun: begun.promise, release: () => resolve() };
}

for (const carrier of CARRIERS) {
  for (const closes of ["the caller", "the answerer", "both"]) {
    Deno.test(`close() waits for the calls under way, and takes no new ones: ${closes} (${carrier})`, async () => {
      await using ends = await connectedEnds(carrier);
      const { near, far } = ends;
      const { begun, release } = answering(far);
      const remote = caller(near, work);
      const running = Array.from({ length: 200 }, (_, i) => remote.later(i));
      await settles("it begins", begun);
      const closing: Connection[] = [];
      if (closes !== "the answerer") closing.push(near);
      if (closes !== "the caller") closing.push(far);
      const closed = closing.map((conn) => conn.close());
      assertEquals(closing.map(({ status }) => status), closing.map(() => "closing"));
      if (closing.includes(near)) await assertRejects(() => remote.now(1), ClosedError);
      release();
      assertEquals(
        await settles("the calls", Promise.all(running)),
        Array.from({ length: 200 }, (_, i) => i),
      );
      await settles("the close", Promise.all(closed));
      await settles("both ends", Promise.all([near.closed, far.closed]));
      await assertRejects(() => remote.now(1), ClosedError);
    });
  }
}

Deno.test("close() cuts calls that take longer than its time, and says so", async () => {
  await using ends = await connectedEnds("tcp");
  const { begun } = answering(ends.far);
  const running = errorOf(caller(ends.near, work).later(1));
  const signal = await settles("it begins", begun);
  const error = await assertRejects(() => ends.near.close({ timeoutMs: 30 }), TimeoutError);
  assertEquals(error.code, "ERR_DRAIN_TIMEOUT");
  assertInstanceOf(await settles("the call", running), ClosedError);
  await until("the handler learns it", () => signal.aborted);
});

Deno.test("abort() ends the calls under way at once, while a close waits for them, too", async () => {
  await using ends = await connectedEnds("tcp");
  const { begun } = answering(ends.far);
  const running = errorOf(caller(ends.near, work).later(1));
  await settles("it begins", begun);
  const closed = ends.near.close();
  await ends.near.flush();
  ends.near.abort(new Error("enough"));
  assertInstanceOf(await settles("the call", running), ParleyError);
  await settles("the close", closed);
});

Deno.test("close() ends soon when the calls under way are given up", async () => {
  await using ends = await connectedEnds("tcp");
  const { begun, release } = answering(ends.far);
  const giving = new AbortController();
  const running = errorOf(caller(ends.near, work).later(1, { signal: giving.signal }));
  await settles("it begins", begun);
  const closed = ends.near.close();
  giving.abort();
  await settles("the close", closed);
  await settles("the call", running);
  release();
});

Deno.test("close() of a client waits for the calls under way in both directions, and cuts those that are late", async () => {
  for (const isLate of [false, true]) {
    const accepted = Promise.withResolvers<Connection>();
    await using server = serve(async (conn) => {
      accepted.resolve(conn);
      await conn.closed;
    });
    await server.ready;
    const client = new Client(server.addr);
    const there = answering(client);
    await settles("it is up", client.ready);
    const conn = await settles("it is accepted", accepted.promise);
    const here = answering(conn);
    const running = [caller(client, work).later(1), caller(conn, work).later(2)];
    const outcomes = Promise.allSettled(running);
    await settles("both begin", Promise.all([there.begun, here.begun]));
    const closed = client.close(isLate ? { timeoutMs: 30 } : {});
    const refused = errorOf(caller(client, work).now(1));
    if (isLate) {
      const error = await assertRejects(() => closed, TimeoutError);
      assertEquals(error.code, "ERR_DRAIN_TIMEOUT");
    } else {
      there.release();
      here.release();
      assertEquals((await settles("calls", outcomes)).map((o) => o.status), [
        "fulfilled",
        "fulfilled",
      ]);
      await settles("the close", closed);
    }
    assertEquals((await settles("calls", outcomes)).length, 2);
    assertInstanceOf(await settles("a call after it", refused), ClosedError);
    there.release();
    here.release();
  }
});
