// Calls over one connection: both directions, order, giving up, limits, and ends.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  chunked,
  delimited,
  fixedLength,
  type Framing,
  lengthPrefixed,
  raw,
  varintPrefixed,
} from "@parley/parley/framing";
import { ClosedError, type Connection, FramingError, serve, TimeoutError } from "@parley/parley";
import { answer, call, type CallContext, caller, contract, feed } from "@parley/parley/calls";
import { bytes } from "@parley/parley/codec";
import { Pool } from "@parley/parley/pool";
import { encodeHead, encodeHeadStart } from "../../calls/protocol/head.ts";
import {
  bareFrame,
  CallFrame,
  frameId,
  frameType,
  replyFrame,
  writeFrameHead,
} from "../../calls/protocol/call_frames.ts";
import { ConnectionCalls } from "../../calls/ports/connection_calls.ts";
import { CARRIERS, connectedEnds } from "../support/calls/call_connections.ts";
import { forSeedsAsync } from "../support/random.ts";
import { connectedPair } from "../support/simulation/memory_connections.ts";
import { atRest, settles, until } from "../support/wait.ts";
import { watchedSignal } from "../support/watched_signal.ts";

const math = contract({
  add: call<{ a: number; b: number }, number>(),
  later: call<number, number>(),
  hang: call<void, void>(),
  echo: call({ input: bytes(), output: bytes() }),
  ticks: feed<void, number>(),
}, { name: "math" });

/** Answers on one end. */
function answering(conn: Connection) {
  const seen = { contexts: [] as CallContext[], order: [] as number[], running: 0, most: 0 };
  const released = Promise.withResolvers<void>();
  const stop = answer(conn, math, {
    add: ({ a, b }) => a + b,
    async later(n, context) {
      seen.contexts.push(context);
      seen.order.push(n);
      seen.most = Math.max(seen.most, ++seen.running);
      await released.promise;
      seen.running--;
      return n;
    },
    hang: (_, context) => {
      seen.contexts.push(context);
      return new Promise((_, reject) => {
        context.signal.addEventListener("abort", () => reject(context.signal.reason));
      });
    },
    echo: (data) => data,
    *ticks() {
      yield 1;
    },
  });
  return { seen, stop, release: () => released.resolve() };
}

for (const carrier of CARRIERS) {
  Deno.test(`caller() and answer() work in both directions at once over one connection (${carrier})`, async () => {
    await using ends = await connectedEnds(carrier);
    const { near, far } = ends;
    for (const conn of [near, far]) answering(conn);
    const sides = [caller(near, math), caller(far, math)];
    const sums = sides.map(async (side, at) =>
      await Promise.all(Array.from({ length: 300 }, (_, i) => side.add({ a: i, b: at })))
    );
    const [first, second] = await settles("calls", Promise.all(sums));
    assertEquals(first, Array.from({ length: 300 }, (_, i) => i));
    assertEquals(second, Array.from({ length: 300 }, (_, i) => i + 1));
    const large = crypto.getRandomValues(new Uint8Array(60_000));
    assertEquals(await sides[0]!.echo(large), large);
    assertEquals(await sides[1]!.echo(large), large);
  });
}

Deno.test("caller() shows the subject of a client's certificate as the peer", async () => {
  await using ends = await connectedEnds("tls");
  const { seen } = answering(ends.far);
  const hanging = caller(ends.near, math).hang(undefined, { timeoutMs: 30 });
  await assertRejects(() => hanging, TimeoutError);
  const { peer, via } = seen.contexts[0]!;
  assert(peer?.includes("agent-7"), peer);
  assertEquals(via === ends.far, true);
});

Deno.test("answer() begins calls in their order, 256 at a time, and answers all of 3000", async () => {
  await using ends = await connectedEnds("tcp");
  const { seen, release } = answering(ends.far);
  const remote = caller(ends.near, math);
  const all = Array.from({ length: 3000 }, (_, i) => remote.later(i));
  await until("256 run", () => seen.running === 256);
  assertEquals(
    await remote.add({ a: 1, b: 1 }, { timeoutMs: 50 }).catch((e) => e.code),
    "ERR_CALL_TIMEOUT",
  );
  release();
  assertEquals(await settles("all", Promise.all(all)), Array.from({ length: 3000 }, (_, i) => i));
  assertEquals(seen.order, Array.from({ length: 3000 }, (_, i) => i));
  assertEquals(seen.most, 256);
});

Deno.test("answer() lets handlers call back while all places are taken on both sides", async () => {
  const [near, far] = connectedPair();
  const nested = contract({ outer: call<number, number>(), inner: call<number, number>() });
  const sides = [near, far].map((conn) => {
    const remote = caller(conn, nested);
    answer(conn, nested, { outer: (n) => remote.inner(n), inner: (n) => Promise.resolve(n * 2) });
    return remote;
  });
  // The handlers of `inner` need places, too, although those of `outer` have all.
  const calls = sides.flatMap((side) => Array.from({ length: 500 }, (_, i) => side.outer(i)));
  const expected = Array.from({ length: 1000 }, (_, i) => (i % 500) * 2);
  assertEquals(await settles("all calls", Promise.all(calls)), expected);
  await Promise.all([near.close(), far.close()]);
});

Deno.test("caller() that gives up 10 000 calls at random leaves no call, timer or listener on either side", async () => {
  await forSeedsAsync(1, async (random) => {
    await using ends = await connectedEnds("unix");
    const { seen, release } = answering(ends.far);
    const remote = caller(ends.near, math);
    const watched = watchedSignal();
    let outcomes = 0;
    for (let round = 0; round < 100; round++) {
      const calls = Array.from({ length: 100 }, (_, i) => {
        const own = new AbortController();
        const kind = random.int(0, 3);
        const given = kind === 0
          ? { timeoutMs: random.int(1, 20) }
          : kind === 1
          ? { signal: own.signal }
          : { signal: watched.signal, timeoutMs: 10_000 };
        const call = kind === 2
          ? remote.add({ a: i, b: i }, given)
          : kind === 3
          ? remote.echo(new Uint8Array(64), given)
          : remote.hang(undefined, given);
        if (kind === 1) random.int(0, 1) === 0 ? own.abort() : queueMicrotask(() => own.abort());
        return call.then(() => outcomes++, () => outcomes++);
      });
      await Promise.all(calls);
      if (round % 10 === 9) {
        await until("handlers end", () => seen.contexts.every((c) => c.signal.aborted));
      }
      seen.contexts.length = 0;
    }
    assertEquals(outcomes, 10_000);
    assertEquals(watched.listeners, 0);
    for (const conn of [ends.near, ends.far]) {
      const engine = ConnectionCalls.of(conn);
      await until("nothing is left", () => !engine.isBusy && engine.timer.size === 0);
    }
    release();
    assertEquals(await remote.add({ a: 2, b: 2 }), 4);
  });
});

Deno.test("caller() gives up within 50 ms of its time, and the handler's signal has fired", async () => {
  const [near, far] = connectedPair();
  const { seen } = answering(far);
  const remote = caller(near, math);
  const startedMs = performance.now();
  const error = await assertRejects(() => remote.hang(undefined, { timeoutMs: 100 }), TimeoutError);
  const tookMs = performance.now() - startedMs;
  assertEquals(error.code, "ERR_CALL_TIMEOUT");
  assert(tookMs >= 99 && tookMs < 1000, `${tookMs} ms`);
  await until("the signal fires", () => seen.contexts[0]!.signal.aborted);
  const reason = new Error("enough");
  const own = new AbortController();
  const given = remote.hang(undefined, { signal: own.signal });
  await until("it runs", () => seen.contexts.length === 2);
  own.abort(reason);
  assertEquals(await given.catch((error) => error), reason);
  await until("the signal fires", () => seen.contexts[1]!.signal.aborted);
  await Promise.all([near.close(), far.close()]);
});

Deno.test("caller() rejects calls whose connection ends: sent ones may have been done", async () => {
  for (const way of ["abort", "close"] as const) {
    const [near, far] = connectedPair();
    const { seen } = answering(far);
    const remote = caller(near, math);
    const calls = Array.from({ length: 1100 }, (_, i) => remote.later(i));
    const settled = Promise.allSettled(calls);
    await until("256 run", () => seen.running === 256);
    if (way === "abort") far.abort();
    else await assertRejects(() => far.close({ timeoutMs: 50 }), TimeoutError);
    const outcomes = await settles("all", settled);
    const codes = outcomes.map((each) => each.status === "rejected" ? each.reason.code : "done");
    assertEquals(codes.slice(0, 1024), Array(1024).fill("ERR_RESET"), way);
    const unsent = way === "abort" ? "ERR_CLOSED" : "ERR_GOING_AWAY";
    assertEquals(codes.slice(1024), Array(76).fill(unsent), way);
    await until("signals fire", () => seen.contexts.every(({ signal }) => signal.aborted));
    const late = await assertRejects(() => remote.add({ a: 1, b: 1 }), ClosedError);
    assertEquals(late.code, "ERR_CLOSED");
    await Promise.all([near.closed, far.closed]);
  }
});

Deno.test("answer() aborts signals when the caller has closed, and the connection ends on both sides", async () => {
  await using ends = await connectedEnds("tcp");
  const { seen } = answering(ends.far);
  caller(ends.near, math).hang().catch(() => {});
  await until("it runs", () => seen.contexts.length === 1);
  const { signal } = seen.contexts[0]!;
  assertEquals(signal.aborted, false);
  await assertRejects(() => ends.near.close({ timeoutMs: 30 }), TimeoutError);
  await until("the signal fires", () => signal.aborted);
  await settles("the far end closes", ends.far.closed);
});

Deno.test("Connection.drain() under calls lets all that came be answered, and tells the caller", async () => {
  await using ends = await connectedEnds("tcp");
  const { seen, release } = answering(ends.far);
  const remote = caller(ends.near, math);
  const calls = Array.from({ length: 600 }, (_, i) => remote.later(i));
  await until("256 run", () => seen.running === 256);
  ends.far.drain();
  await until("the caller learns it", async () => {
    const error = await remote.add({ a: 1, b: 1 }, { timeoutMs: 20 }).catch((error) => error);
    return error instanceof ClosedError && error.code === "ERR_GOING_AWAY";
  });
  release();
  assertEquals(await settles("all", Promise.all(calls)), Array.from({ length: 600 }, (_, i) => i));
  assertEquals((await settles("it closes", ends.near.closed)).error, null);
});

Deno.test("calls refuse every other reader of their connection, with the reason", async () => {
  const [near, far] = connectedPair();
  caller(near, math);
  answering(far);
  for (const conn of [near, far]) {
    await assertRejects(() => conn.receive(), TypeError, "calls take every message");
    await assertRejects(() => conn[Symbol.asyncIterator]().next(), TypeError, "calls take every");
    await assertRejects(() => conn.readable.getReader().read(), TypeError, "calls take every");
  }
  const [read] = connectedPair();
  const waiting = read.receive();
  assertThrows(() => caller(read, math), TypeError, "another reader waits");
  read.abort();
  await waiting.catch(() => {});
  await Promise.all([near.close(), far.close()]);
});

Deno.test("caller() refuses streams on a connection, and leased connections", async () => {
  const [near, far] = connectedPair();
  answering(far);
  await assertRejects(() => caller(near, math).ticks().next(), TypeError, "use a wire or IPC");
  await using server = serve(async (conn) => void await conn.receive());
  await server.ready;
  await using pool = new Pool({ backends: [server.addr] });
  await pool.use((conn) => {
    assertThrows(() => caller(conn, math), TypeError, "use the pool itself");
    assertThrows(() => answer(conn, math, handlersOf()), TypeError, "use the pool itself");
  });
  await Promise.all([near.close(), far.close()]);
});

Deno.test("caller() refuses a connection whose framing cannot carry all bytes", async () => {
  const TABLE: readonly [Framing, boolean][] = [
    [lengthPrefixed(), true],
    [varintPrefixed(), true],
    [chunked(), true],
    [delimited("\n"), false],
    [delimited("\r\n"), false],
    [fixedLength(10), false],
    [raw(), false],
  ];
  for (const [framing, isFit] of TABLE) {
    const [near, far] = connectedPair({ framing });
    answerOrThrow(isFit, framing.name, () => answering(far));
    answerOrThrow(isFit, framing.name, () => caller(near, math));
    if (isFit) assertEquals(await caller(near, math).add({ a: 10, b: 3 }), 13);
    near.abort();
    far.abort();
  }
  const [small, other] = connectedPair({ maxMessageBytes: 50 });
  answering(other);
  assertEquals(await caller(small, math).add({ a: 1, b: 2 }), 3, "whatever the limit");
  small.abort();
  other.abort();
});

function answerOrThrow(isFit: boolean, name: string, work: () => unknown): void {
  if (isFit) work();
  else assertThrows(work, TypeError, "its framing cannot carry all bytes", name);
}

Deno.test("caller() of a request or reply that is too large fails alone", async () => {
  const [near, far] = connectedPair({ maxMessageBytes: 100_000 }, { maxMessageBytes: 1000 });
  answer(far, math, { ...handlersOf(), echo: () => new Uint8Array(5000) });
  answering(near);
  const [remote, back] = [caller(near, math), caller(far, math)];
  await assertRejects(() => back.echo(new Uint8Array(2000)), FramingError, "1000");
  const error = await assertRejects(() => remote.echo(new Uint8Array(10)), FramingError);
  assertEquals(error.code, "ERR_FRAME_TOO_LARGE");
  assertEquals(await Promise.all([remote.add({ a: 1, b: 2 }), back.add({ a: 3, b: 4 })]), [3, 7]);
  await Promise.all([near.close(), far.close()]);
});

function handlersOf() {
  return {
    add: ({ a, b }: { a: number; b: number }) => a + b,
    later: (n: number) => n,
    hang: () => {},
    echo: (data: Uint8Array) => data,
    *ticks() {
      yield 1;
    },
  };
}

const head = encodeHeadStart({ kind: "call", name: "math.later", version: "" });
const json = new TextEncoder().encode("1");
const request = (id: number) =>
  writeFrameHead(
    encodeHead(head, { timeoutMs: 0, trace: "" }, json, { leadBytes: 5 }),
    CallFrame.request,
    id,
  );

const BREAKERS: readonly [name: string, frames: Uint8Array[]][] = [
  ["garbage", [crypto.getRandomValues(new Uint8Array(20)).fill(99, 0, 1)]],
  ["an empty message", [new Uint8Array(0)]],
  ["no head", [new Uint8Array([1, 0, 0, 0, 1, 200, 200])]],
  ["a repeated id", [request(7), request(7)]],
  ["an id that goes back", [request(7), request(6)]],
  ["a reply to nothing", [replyFrame(2, new Uint8Array([0]))]],
  ["a cancel of nothing", [new Uint8Array([3, 0, 0, 0, 1])]],
  ["too many requests", Array.from({ length: 1025 }, (_, i) => request(i + 1))],
];

Deno.test("answer() ends the connection of a peer that breaks the rules, and no other", async () => {
  for (const [name, frames] of BREAKERS) {
    const [bad, far] = connectedPair();
    const [near, good] = connectedPair();
    const { seen } = answering(far);
    answering(good);
    const own = caller(far, math);
    const lost = assertRejects(() => own.hang(), ClosedError);
    for (const frame of frames) bad.send(frame).catch(() => {});
    const { error } = await settles(name, far.closed);
    assertEquals((error as { code?: string } | null)?.code, "ERR_CALL_FRAME", name);
    await lost;
    assert(seen.contexts.every(({ signal }) => signal.aborted), name);
    assertEquals(await caller(near, math).add({ a: 1, b: 1 }), 2);
    bad.abort();
    await Promise.all([near.close(), good.close()]);
  }
});

Deno.test("answer() begins no more calls than a caller reads replies of, and serves others meanwhile", async () => {
  await using ends = await connectedEnds("tcp");
  let begun = 0;
  const data = new Uint8Array(60_000);
  answer(ends.far, math, { ...handlersOf(), echo: () => (begun++, data) });
  const start = encodeHeadStart({ kind: "call", name: "math.echo", version: "" });
  const empty = new Uint8Array(0);
  for (let id = 1; id <= 400; id++) {
    const frame = encodeHead(start, { timeoutMs: 0, trace: "" }, empty, { leadBytes: 5 });
    await ends.near.send(writeFrameHead(frame, CallFrame.request, id));
  }
  await ends.near.flush();
  const most = await atRest(() => begun);
  assert(most < 300, `${most} of 400 calls have begun`);
  await using other = await connectedEnds("tcp");
  answering(other.far);
  assertEquals(await caller(other.near, math).add({ a: 1, b: 2 }), 3);
  for (let id = 1; id <= 400; id++) {
    const frame = (await ends.near.receive({ timeoutMs: 20_000 }))!;
    assertEquals([frameType(frame), frameId(frame), frame.length], [CallFrame.reply, id, 60_006]);
  }
  assertEquals(begun, 400);
});

Deno.test("calls outlive whatever frames a peer sends: each connection goes on or ends with ERR_CALL_FRAME", async () => {
  await forSeedsAsync(60, async (random) => {
    const [bad, far] = connectedPair();
    answering(far);
    caller(far, math).hang().catch(() => {});
    for (let i = 0; i < 30; i++) {
      const frame = random.int(0, 2) > 0 ? request(i + 1) : replyFrame(i, new Uint8Array([0]));
      if (random.int(0, 3) === 0) frame[random.int(0, frame.length - 1)] = random.int(0, 255);
      await bad.send(frame.subarray(0, random.int(0, 9) === 0 ? random.int(0, 9) : frame.length))
        .catch(() => {});
    }
    const closed = Promise.race([far.closed, bad.flush().then(() => null, () => null)]);
    const end = await settles("the connection", closed);
    if (end !== null) assertEquals((end.error as { code?: string }).code, "ERR_CALL_FRAME");
    bad.abort();
    await far.closed;
  });
});

Deno.test("caller() rejects what a last word says was never begun, as retryable, and waits for the rest", async () => {
  const [near, peer] = connectedPair();
  const remote = caller(near, math);
  const calls = [1, 2, 3].map((n) => remote.later(n).catch((error) => error.code));
  const told = (await peer.receive())!;
  assertEquals([frameType(told), frameId(told)], [CallFrame.limit, 2 ** 20]);
  const frames = [await peer.receive(), await peer.receive(), await peer.receive()];
  const ids = frames.map((frame) => frameId(frame!));
  await peer.send(bareFrame(CallFrame.last, ids[1]!));
  assertEquals(await settles("the third", calls[2]!), "ERR_GOING_AWAY");
  assertEquals(await remote.later(4).catch((error) => error.code), "ERR_GOING_AWAY");
  await peer.send(replyFrame(ids[0]!, new TextEncoder().encode("\0" + "7")));
  assertEquals(await settles("the first", calls[0]!), 7);
  await peer.close();
  assertEquals(await settles("the second", calls[1]!), "ERR_RESET");
  await near.closed;
});

Deno.test("Connection.drain() under calls says that it goes away, then which call was the last", async () => {
  const [near, far] = connectedPair();
  const { release } = answering(far);
  for (const id of [3, 9]) await near.send(request(id));
  await near.flush();
  far.drain();
  const first = (await near.receive())!;
  assertEquals([frameType(first), frameId(first)], [CallFrame.goingAway, 0]);
  const last = (await near.receive())!;
  assertEquals([frameType(last), frameId(last)], [CallFrame.last, 9]);
  release();
  const replies = [(await near.receive())!, (await near.receive())!];
  assertEquals(replies.map((frame) => [frameType(frame), frameId(frame)]), [[2, 3], [2, 9]]);
  assertEquals(await near.receive(), null);
  await Promise.all([near.close(), far.closed]);
});
