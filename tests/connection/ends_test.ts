// Ends: after an end every method says the same, and the peer learns which kind of end it was.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Connection, type ConnectionSetup } from "../../connection.ts";
import { ClosedError, ParleyError, TimeoutError, TlsError } from "../../errors.ts";
import { delimited } from "../../framing.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import { RateLimits } from "../../limits/rate_limits.ts";
import { text, utf8 } from "../support/bytes.ts";
import {
  connectedPair,
  isSettled,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";

const lines = { framing: delimited("\n") };

/** What each method says. */
async function answers(connection: Connection) {
  const outcome = (call: Promise<void>) => call.then(() => "resolves", (error) => error);
  return {
    send: await outcome(connection.send("x")),
    flush: await outcome(connection.flush()),
    closeWrite: await outcome(connection.closeWrite()),
  };
}

Deno.test("Connection rejects send(), flush() and closeWrite() with the same error after an abort and after a reset", async () => {
  for (const end of ["abort", "reset"] as const) {
    const { connection, transport } = scriptedConnection(lines);
    await connection.send("all of this is handed over");
    await connection.flush();
    if (end === "abort") connection.abort(new Error("ours"));
    else transport.failInput();
    const { error } = await connection.closed;
    const said = await answers(connection);
    for (const answer of Object.values(said)) assertStrictEquals(answer, error);
    assertStrictEquals(connection.signal.reason, error);
  }
});

Deno.test("Connection.closeWrite() rejects after closeNow(), which ended nothing in order", async () => {
  const { connection } = scriptedConnection(lines);
  await connection.send("handed over");
  await connection.flush();
  connection.closeNow();
  await connection.closed;
  const { send, flush, closeWrite } = await answers(connection);
  assertEquals([send.code, flush, closeWrite.code], ["ERR_CLOSED", "resolves", "ERR_CLOSED"]);
  assertEquals(closeWrite.message, "Cannot end the writing side: the connection is closed");
});

Deno.test("Connection.closeWrite() and flush() resolve after an end in order, as all was handed over", async () => {
  const { connection, transport } = scriptedConnection(lines);
  await connection.send("one");
  const closing = connection.close();
  transport.endInput();
  await closing;
  const { send, flush, closeWrite } = await answers(connection);
  assertEquals([send.code, flush, closeWrite], ["ERR_CLOSED", "resolves", "resolves"]);
});

Deno.test("Connection.closeWrite() under way rejects when the connection is cut", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.hold();
  connection.send("never taken");
  const ending = connection.closeWrite();
  await settle();
  const reason = new Error("ours");
  connection.abort(reason);
  assertStrictEquals(await ending.catch((error) => error), reason);
  assertStrictEquals(await connection.closeWrite().catch((error) => error), reason);
});

Deno.test("Connection makes no error when both sides end in order, either one first", async () => {
  const made: string[] = [];
  const parent = Object.getPrototypeOf(ClosedError);
  // `super()` looks the class above up at each call.
  const Counting = class extends ParleyError {
    constructor(...given: ConstructorParameters<typeof ParleyError>) {
      super(...given);
      made.push(this.stack!);
    }
  };
  Object.setPrototypeOf(ClosedError, Counting);
  try {
    for (const first of ["a", "b", "closeWrite"] as const) {
      const [a, b] = connectedPair(lines);
      const echo = (async () => {
        for await (const message of b) await b.send(message);
      })();
      await a.send("one");
      assertEquals(text((await a.receive())!), "one");
      if (first === "closeWrite") await a.closeWrite();
      else void (first === "a" ? a : b).close();
      if (first === "b") assertEquals(await a.receive(), null);
      await echo;
      await Promise.all([a.close(), b.close()]);
      assertEquals([(await a.closed).error, (await b.closed).error], [null, null]);
    }
  } finally {
    Object.setPrototypeOf(ClosedError, parent);
  }
  assertEquals(made, []);
});

/** An end, and whether the peer sees it as orderly. */
interface EndCase {
  readonly name: string;
  readonly signed: boolean;
  readonly setup?: ConnectionSetup<unknown> | undefined;
  act(parts: ReturnType<typeof scriptedConnection>): unknown;
}

const ends: readonly EndCase[] = [
  { name: "close()", signed: true, act: ({ connection }) => void connection.close() },
  {
    name: "closeNow() with nothing unsent",
    signed: true,
    act: ({ connection }) => connection.closeNow(),
  },
  {
    name: "idleness",
    signed: true,
    setup: { idleTimeoutMs: 100 },
    act: ({ sweeper }) => sweeper.advance(300),
  },
  {
    name: "silence",
    signed: true,
    setup: { receiveTimeoutMs: 100 },
    act: ({ sweeper }) => sweeper.advance(300),
  },
  { name: "abort()", signed: false, act: ({ connection }) => connection.abort() },
  {
    name: "a message over the limit",
    signed: false,
    setup: { maxMessageBytes: 10 },
    act: ({ connection, transport }) => {
      transport.feed(utf8("x".repeat(100)));
      return connection.receive().catch(() => {});
    },
  },
  {
    name: "a message that does not end",
    signed: false,
    setup: { messageTimeoutMs: 100 },
    async act({ connection, transport, sweeper }) {
      const receiving = connection.receive().catch(() => {});
      transport.feed(utf8("half"));
      await settle();
      sweeper.advance(300);
      await receiving;
    },
  },
  {
    name: "closeNow() with bytes unsent",
    signed: false,
    async act({ connection, transport }) {
      transport.hold();
      connection.send("never taken");
      await settle();
      connection.closeNow();
    },
  },
  {
    name: "a peer that takes nothing",
    signed: false,
    setup: { writeTimeoutMs: 100 },
    async act({ connection, transport, sweeper }) {
      transport.hold();
      connection.send("never taken");
      await settle();
      sweeper.advance(300);
    },
  },
];

for (const { name, signed, setup, act } of ends) {
  Deno.test(`Connection ends ${signed ? "in order" : "without the mark of order"} by ${name}`, async () => {
    const parts = scriptedConnection({ ...lines, ...setup });
    await act(parts);
    await settle();
    parts.transport.endInput();
    await parts.connection.closed;
    assertEquals(parts.transport.unsigned, !signed);
  });
}

Deno.test("Connection hands over what it sent before it ends for the peer's fault, and the peer gets an error then", async () => {
  const [a, b] = connectedPair({ ...lines, maxMessageBytes: 1000 }, {
    ...lines,
    maxMessageBytes: 10,
  });
  await a.send("x".repeat(500));
  await b.send("last word");
  await assertRejects(() => b.receive(), ParleyError);
  assertEquals(text((await a.receive())!), "last word");
  const error = await assertRejects(() => a.receive(), ClosedError);
  assertEquals(error.code, "ERR_RESET");
  await Promise.all([a.closed, b.closed]);
});

Deno.test("Connection.closed is the alert of the peer, although a write had failed before", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.failWrites();
  connection.send("one");
  await settle();
  const alert = new TlsError("ERR_TLS_HANDSHAKE", "it wants a client certificate");
  transport.failInput(alert);
  assertStrictEquals((await connection.closed).error, alert);
  assertStrictEquals(await connection.receive().catch((error) => error), alert);
});

Deno.test("Connection.signal aborts when the peer ends its direction, and leaves the other one open", async () => {
  const { connection, transport } = scriptedConnection(lines);
  const { signal } = connection;
  assert(!signal.aborted);
  assertStrictEquals(connection.signal, signal);
  transport.feed(utf8("one\n"));
  transport.endInput();
  await settle();
  assert(signal.aborted);
  assertEquals([signal.reason.name, signal.reason.code], ["ClosedError", "ERR_CLOSED"]);
  assertEquals(signal.reason.message, "The peer has ended its direction");
  assertEquals(text((await connection.receive())!), "one");
  await connection.send("still open");
  connection.abort();
});

Deno.test("Connection.signal is aborted at once when it is asked for after the end, with the error of the end", async () => {
  for (const end of ["close", "reset"] as const) {
    const { connection, transport } = scriptedConnection(lines);
    if (end === "close") {
      void connection.close();
      transport.endInput();
    } else transport.failInput();
    const { error } = await connection.closed;
    const { signal } = connection;
    assert(signal.aborted);
    if (error !== null) assertStrictEquals(signal.reason, error);
    else assertEquals(signal.reason.message, "The connection is closed");
  }
});

Deno.test("Connection.signal ends a wait of the handler that pushes", async () => {
  const [near, far] = memoryPair();
  const connection = new Connection(near, lines);
  const pushing = (async () => {
    for (let count = 0; !connection.signal.aborted; count++) {
      await connection.send(`${count}`);
      await settle();
    }
    return "over";
  })();
  await far.closeWrite();
  assertEquals(await pushing, "over");
  void connection.close();
  far.close();
});

Deno.test("receiveTimeoutMs ends a connection whose peer says nothing, whatever we send", async () => {
  const { connection, transport, sweeper } = scriptedConnection({
    ...lines,
    receiveTimeoutMs: 1000,
  });
  const receiving = connection.receive();
  for (let i = 0; i < 9; i++) {
    await connection.send("are you there");
    await settle();
    sweeper.advance(100);
  }
  transport.feed(utf8("half"));
  await settle();
  sweeper.advance(1000);
  assert(!(await isSettled(connection.closed)));
  sweeper.advance(200);
  const error = await assertRejects(
    () => receiving,
    TimeoutError,
    "nothing was received on it for 1000 ms",
  );
  assertEquals(error.code, "ERR_IDLE_TIMEOUT");
  transport.endInput();
  assertEquals((await connection.closed).error, error);
});

Deno.test("receiveTimeoutMs does not run while we do not read, while a write waits, or once the peer has ended", async () => {
  const options = { ...lines, receiveTimeoutMs: 1000, readAheadBytes: 1024 };
  const paused = scriptedConnection(options);
  for (let i = 0; i < 3; i++) paused.transport.feed(utf8("x".repeat(999) + "\n"));
  await settle();
  paused.sweeper.advance(5000);
  assertEquals(paused.connection.status, "open");
  while (paused.transport.unreadBytes > 0) await paused.connection.receive();
  await settle();
  paused.sweeper.advance(900);
  assertEquals(paused.connection.status, "open", "the time begins when we read again");

  const writing = scriptedConnection(options);
  writing.transport.hold();
  writing.connection.send("one");
  await settle();
  writing.sweeper.advance(5000);
  assertEquals(writing.connection.status, "open");

  const ended = scriptedConnection(options);
  ended.transport.endInput();
  await settle();
  ended.sweeper.advance(5000);
  assertEquals(ended.connection.status, "open");

  const limits = new RateLimits({ perConnection: { messagesPerSecond: 0.001 } });
  const held = scriptedConnection({ ...options, rateGate: limits.gate(null, performance.now())! });
  held.transport.feed(utf8("one\ntwo\n"));
  await held.connection.receive();
  void held.connection.receive().catch(() => {});
  await settle();
  held.sweeper.advance(5000);
  assertEquals(held.connection.status, "open");
  for (const { connection } of [paused, writing, ended, held]) connection.abort();
});
