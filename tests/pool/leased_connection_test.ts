// Tests of LeasedConnection: what a holder may do while its lease lasts, what it leaves behind, and
// that nothing is left to it after.
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, Connection, delimited, lengthPrefixed, raw } from "@parley/parley";
import { isStaleEnd } from "../../pool/lease_errors.ts";
import { LeasedConnection, type LeaseTerms } from "../../pool/leased_connection.ts";
import { text } from "../support/bytes.ts";
import { codeOf, errorOf, lines } from "../support/peers/servers.ts";
import { connectedPair, settle } from "../support/simulation/memory_connections.ts";
import { askOnce, backendOf, poolOf, question, statsOf } from "./backends.ts";

/** A connection that is lent, and its far end. */
function lent(terms: Partial<LeaseTerms> = {}) {
  const [conn, far] = connectedPair(lines, lines);
  const handle = new LeasedConnection(conn, {
    backend: "a",
    isReused: false,
    answers: "each",
    given: lines,
    onFirstMessage: null,
    ...terms,
  });
  void conn.inputEnded.then(() => handle.onInputEnded());
  void conn.closed.then((end) => handle.onClosed(end));
  const end = () => Promise.all([conn.close(), far.close()]);
  return { conn, far, handle, leased: handle.asConnection(), end };
}

Deno.test("LeasedConnection has every member of Connection, and is one for instanceof", async () => {
  const { leased, end } = lent();
  assert(leased instanceof Connection);
  const own = Object.getOwnPropertyNames(LeasedConnection.prototype);
  for (const name of Reflect.ownKeys(Connection.prototype)) {
    assert(
      own.includes(String(name)) || Reflect.ownKeys(LeasedConnection.prototype).includes(name),
      String(name),
    );
  }
  await end();
});

Deno.test("LeasedConnection does what its connection does while the lease lasts", async () => {
  const { conn, far, leased, end } = lent();
  await leased.send("one");
  await leased.flush();
  assertEquals(text((await far.receive())!), "one");
  await far.send("two");
  await far.send("three");
  assertEquals(text((await leased.receive())!), "two");
  for await (const message of leased) {
    assertEquals(text(message), "three");
    break;
  }
  assertEquals([leased.id, leased.localAddr, leased.status], [conn.id, conn.localAddr, "open"]);
  assertEquals([leased.stats().messagesIn, leased.stats().messagesOut], [2, 1]);
  assertStrictEquals(leased.sending, conn.sending);
  const writer = leased.writable.getWriter();
  await writer.write("four");
  assertEquals(text((await far.receive())!), "four");
  const reader = leased.readable.getReader();
  await far.send("five");
  assertEquals(text((await reader.read()).value!), "five");
  const closing = leased.close();
  await far.close();
  await closing;
  assertEquals(await leased.closed, { error: null, unsentBytes: 0 });
  await leased.inputEnded;
  await end();
});

Deno.test("LeasedConnection counts the messages of batches, and knows by them what is unanswered", async () => {
  let firsts = 0;
  const { far, handle, leased, end } = lent({ onFirstMessage: () => firsts++ });
  await leased.sendBatch(["one", "two"]);
  await assertRejects(() => leased.sendBatch(["three", "fo\nur"]));
  assertEquals((await far.receiveBatch())!.map(text), ["one", "two"]);
  await far.sendBatch(["1", "2", "3"]);
  assertEquals((await leased.receiveBatch({ maxMessages: 1 }))!.map(text), ["1"]);
  const waiting = leased.receiveBatch();
  assert(!handle.isWhole);
  assertEquals((await waiting)!.map(text), ["2", "3"]);
  assert(handle.isWhole);
  assertEquals([handle.messagesOut, handle.messagesIn, firsts], [2, 3, 1]);
  await leased.sendBatch(["five", "six"]);
  await far.send("4");
  await far.closeWrite();
  const got: string[] = [];
  await assertRejects(
    async () => {
      for await (const batch of leased.batches()) got.push(...batch.map(text));
      // Four messages were sent, and four came.
      assertEquals(got, ["4"]);
      await leased.sendBatch(["seven"]);
      await leased.receiveBatch();
    },
    Error,
    "before it answered",
  );
  await end();
});

Deno.test("LeasedConnection sends nothing of a batch whose making ended the lease, and counts once what it sent", async () => {
  const { conn, far, handle, leased, end } = lent();
  await leased.sendBatch(function* () {
    void leased.send("one");
    yield "two";
    yield "three";
  }());
  assertEquals(handle.messagesOut, 3);
  assertEquals((await far.receiveBatch())!.map(text), ["one", "two", "three"]);
  const late = leased.sendBatch(function* () {
    handle.revoke(conn.stats(), true);
    yield "another's";
  }());
  await assertRejects(() => late, ClosedError, "the lease on the connection has ended");
  assertEquals(conn.stats().messagesOut, 3);
  await end();
});

Deno.test("LeasedConnection refuses everything once its lease has ended, and gives nothing away", async () => {
  const { conn, far, handle, leased, end } = lent();
  const { readable, writable, signal } = leased;
  await leased.send("mine");
  await far.receive();
  await far.send("answer");
  await leased.receive();
  assert(handle.isWhole);
  handle.revoke(conn.stats(), true);
  assertEquals(leased.status, "closed");
  const refused: [string, () => Promise<unknown>][] = [
    ["send", () => leased.send("late")],
    ["flush", () => leased.flush()],
    ["receive", () => leased.receive()],
    ["sendBatch", () => leased.sendBatch(["late"])],
    ["receiveBatch", () => leased.receiveBatch()],
    ["batches", () => leased.batches().next()],
    ["closeWrite", () => leased.closeWrite()],
    ["iteration", () => leased[Symbol.asyncIterator]().next()],
    ["readable", () => readable.getReader().read()],
    ["writable", () => writable.getWriter().write("late")],
    ["setFraming", async () => await leased.setFraming(raw())],
    ["tune", async () => await leased.tune({ noDelay: true })],
  ];
  for (const [name, call] of refused) {
    const error = await errorOf(call());
    assertEquals([codeOf(error), error.message.includes("the lease on the connection has ended")], [
      "ERR_CLOSED",
      true,
    ], name);
  }
  for (const call of ["abort", "closeNow", "drain", "ref", "unref"] as const) leased[call]();
  await leased.close();
  assertEquals(await leased.closed, { error: null, unsentBytes: 0 });
  await leased.inputEnded;
  assertEquals([signal.aborted, codeOf(signal.reason)], [true, "ERR_CLOSED"]);
  // The next holder is not concerned.
  assertEquals([conn.status, leased.stats().messagesOut], ["open", 1]);
  await conn.send("theirs");
  assertEquals(text((await far.receive())!), "theirs");
  assertEquals(leased.stats().messagesOut, 1);
  await end();
});

Deno.test("LeasedConnection rejects what still waits when its lease ends, and lets the rest of the end be seen", async () => {
  const { conn, far, handle, leased, end } = lent();
  const reads = [leased.receive(), leased.closed, leased.inputEnded] as const;
  assertEquals(handle.isWhole, false);
  handle.revoke(conn.stats(), false);
  const closing = conn.close();
  assertEquals(codeOf(await errorOf(reads[0])), "ERR_CLOSED");
  await far.close();
  await closing;
  assertEquals(await reads[1], { error: null, unsentBytes: 0 });
  await reads[2];
  await end();
});

/** What a holder may leave behind, and whether the connection is whole then. */
const LEFT: Record<string, [whole: boolean, deed: (conn: Connection, far: Connection) => unknown]> =
  {
    "a receive() that waits": [false, (conn) => void conn.receive()],
    "an iteration that waits": [false, (conn) => void conn[Symbol.asyncIterator]().next()],
    "a reader of readable that waits": [
      false,
      (conn) => void conn.readable.getReader().read().catch(() => {}),
    ],
    "a receive() that gave up": [true, (conn) => errorOf(conn.receive({ timeoutMs: 1 }))],
    "a writer that was closed": [false, (conn) => conn.writable.getWriter().close()],
    "a writer that does nothing": [true, (conn) => void conn.writable.getWriter()],
    "another framing": [false, (conn) => conn.setFraming(raw())],
    "another limit": [false, (conn) => conn.setFraming(lines.framing, { maxMessageBytes: 5 })],
    "the framing as it was, after another": [true, (conn) => {
      conn.setFraming(lengthPrefixed());
      conn.setFraming(lines.framing);
    }],
    "its direction ended": [false, (conn) => conn.closeWrite()],
    "it drained": [false, (conn) => conn.drain()],
    "other tuning": [false, (conn) => assertThrows(() => conn.tune({ noDelay: false }))],
    "data of its own": [true, (conn) => conn.data = "secret"],
    "it unreferenced": [true, (conn) => conn.unref()],
  };

for (const [what, [whole, deed]] of Object.entries(LEFT)) {
  Deno.test(`LeasedConnection is ${whole ? "whole" : "not whole"} with ${what} left behind`, async () => {
    const { conn, far, handle, leased, end } = lent();
    await deed(leased, far);
    assertEquals(handle.isWhole, whole);
    handle.revoke(conn.stats(), whole);
    await settle();
    await end();
  });
}

Deno.test("LeasedConnection does not pass data on, nor that a holder unreferenced it", async () => {
  const { conn, handle, leased, end } = lent();
  let refs = 0;
  conn.ref = () => void refs++;
  leased.data = "secret";
  leased.unref();
  handle.revoke(conn.stats(), true);
  assertEquals([conn.data, refs], [undefined, 1]);
  await end();
});

/** How leases end: what was sent and came, then the backend's end in order. */
const ENDS: [
  string,
  Partial<LeaseTerms>,
  sent: number,
  came: number,
  seen: "null" | "unanswered" | "stale",
][] = [
  ["a question without an answer", {}, 1, 0, "unanswered"],
  ["two questions and one answer", {}, 2, 1, "unanswered"],
  ["an answer", {}, 1, 1, "null"],
  ["nothing asked on a new connection", {}, 0, 0, "null"],
  ["nothing asked on one kept for reuse", { isReused: true }, 0, 0, "stale"],
  ["a question on one kept for reuse", { isReused: true }, 1, 0, "stale"],
  ["an answer on one kept for reuse", { isReused: true }, 1, 1, "null"],
  ["two messages and one answer, by a rule of the user's", { answers: "last" }, 2, 1, "null"],
  ["no answer, by a rule of the user's", { answers: "last" }, 1, 0, "unanswered"],
  ["no answer where messages mean nothing", { answers: "never" }, 1, 0, "null"],
  [
    "no answer where messages mean nothing, kept for reuse",
    { answers: "never", isReused: true },
    1,
    0,
    "null",
  ],
];

for (const [what, terms, sent, came, seen] of ENDS) {
  Deno.test(`LeasedConnection ends with ${seen === "null" ? "null" : `an error (${seen})`} after ${what}`, async () => {
    const { far, leased, end } = lent(terms);
    for (let i = 0; i < sent; i++) await leased.send("?");
    await leased.flush();
    for (let i = 0; i < came; i++) {
      await far.send("!");
      await leased.receive();
    }
    await far.closeWrite();
    for (let twice = 0; twice < 2; twice++) {
      const outcome = await leased.receive().catch((error) => error);
      if (seen === "null") {
        assertEquals(outcome, null);
      } else {
        assertEquals([codeOf(outcome), isStaleEnd(outcome)], ["ERR_CLOSED", seen === "stale"]);
      }
    }
    await end();
  });
}

Deno.test("LeasedConnection ends with null after its holder's own end, and after another framing", async () => {
  for (
    const deed of [
      (conn: Connection) => conn.drain(),
      (conn: Connection) => conn.setFraming(delimited("\r\n")),
    ]
  ) {
    const { far, leased, end } = lent();
    await leased.send("?");
    deed(leased);
    await far.closeWrite();
    assertEquals(await leased.receive(), null);
    await end();
  }
  const { far, leased, end } = lent({ isReused: true });
  await leased.closeWrite();
  await far.closeWrite();
  assertEquals(await leased.receive(), null, "It asked for nothing, and said so");
  await end();
});

Deno.test("LeasedConnection sends nothing on a connection kept for reuse that has ended", async () => {
  const { far, leased, end } = lent({ isReused: true });
  await far.closeWrite();
  await leased.inputEnded;
  assert(isStaleEnd(await errorOf(leased.send("?"))));
  assert(isStaleEnd(await errorOf(leased.sendBatch(["?"]))));
  assertEquals(leased.signal.aborted, true);
  await end();
});

Deno.test("Lease.conn cannot be used after release, and the next holder of its connection gets its own answer", async () => {
  await using backend = await backendOf("a");
  await using pool = poolOf([backend], { maxPerBackend: 1 });
  const old = await pool.acquire();
  assertEquals(await question(old.conn, "first"), "a first");
  old.release();
  const next = await pool.acquire();
  await assertRejects(() => old.conn.send("a late one"));
  assertEquals(await question(next.conn, "second"), "a second");
  old.conn.abort();
  assertEquals(await question(next.conn, "third"), "a third");
  next.release();
  assertEquals(statsOf(pool, "a").dials, 1);
});

for (
  const [what, leave] of Object.entries<(conn: Connection) => Promise<unknown>>({
    "a receive()": (conn) => conn.receive(),
    "a for await": async (conn) => {
      for await (const _ of conn) throw new Error("It got a message");
    },
    "a reader": (conn) => conn.readable.getReader().read(),
  })
) {
  Deno.test(`Pool never leases a connection again on which ${what} still waits`, async () => {
    await using backend = await backendOf("a");
    await using pool = poolOf([backend], { maxPerBackend: 1 });
    let waits: Promise<unknown> | undefined;
    await pool.use(async (conn) => {
      await question(conn, "first");
      waits = leave(conn);
      waits.catch(() => {});
    });
    assertEquals(codeOf(await errorOf(waits!)), "ERR_CLOSED");
    assertEquals(await askOnce(pool, "second"), "a second");
    assertEquals([statsOf(pool, "a").dials, statsOf(pool, "a").leasesFailed], [2, 0]);
  });
}
