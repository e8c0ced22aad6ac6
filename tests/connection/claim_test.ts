// claimMessages(): a consumer in place of a reader: order, pauses, ends, and turns of others.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { claimMessages, type MessageConsumer } from "../../connection/claim.ts";
import { delimited } from "../../framing.ts";
import { text, utf8 } from "../support/bytes.ts";
import {
  closeAll,
  connectedPair,
  scriptedConnection,
  settle,
} from "../support/simulation/memory_connections.ts";
import { until } from "../support/wait.ts";

const lines = { framing: delimited("\n") };

/** Keeps what comes. */
class Recorder implements MessageConsumer {
  isReady = true;
  isBusy = false;
  readonly sendsAnyBytes = false;
  readonly refusal = "Cannot receive: a recorder reads";
  readonly messages: string[] = [];
  readonly ends: unknown[] = [];
  /** Called for each message. */
  hook: ((message: string) => void) | undefined;
  /** What a close waits for. */
  work: Promise<void> | null = null;

  finish(): Promise<void> | null {
    return this.work;
  }

  onMessage(message: Uint8Array): void {
    this.messages.push(text(message));
    this.hook?.(text(message));
  }

  onEnd(error: unknown): void {
    this.ends.push(error);
  }
}

Deno.test("claimMessages() delivers what had come and what comes, in order, then the end once", async () => {
  const { connection, transport } = scriptedConnection(lines);
  transport.feed(utf8("one\ntwo\nth"));
  await settle();
  const consumer = new Recorder();
  claimMessages(connection, consumer);
  assertEquals(consumer.messages, [], "not before the end of this run of code");
  await settle();
  assertEquals(consumer.messages, ["one", "two"]);
  transport.feed(utf8("ree\nfour\n"));
  await settle();
  assertEquals(consumer.messages, ["one", "two", "three", "four"]);
  assertEquals(consumer.ends, []);
  transport.endInput();
  await settle();
  assertEquals(consumer.ends, [null]);
  await connection.close();
  assertEquals(consumer.ends, [null]);
});

Deno.test("claimMessages() stops while its consumer is not ready, and the connection reads no more", async () => {
  const [near, far] = connectedPair({ ...lines, readAheadBytes: 4096 } as never);
  const consumer = new Recorder();
  consumer.hook = (message) => consumer.isReady = message !== "stop";
  const claimed = claimMessages(far, consumer);
  for (const message of ["a", "stop", "b", "c", "stop", "d"]) await near.send(message);
  await near.flush();
  await settle();
  assertEquals(consumer.messages, ["a", "stop"]);
  claimed.resume();
  assertEquals(consumer.messages, ["a", "stop"], "it is not ready");
  consumer.isReady = true;
  claimed.resume();
  assertEquals(consumer.messages, ["a", "stop", "b", "c", "stop"]);
  for (let i = 0; i < 2000; i++) near.send("x".repeat(100)).catch(() => {});
  await settle(20);
  const { heldBytes } = far.stats();
  assert(heldBytes < 200_000, `${heldBytes} bytes are held`);
  consumer.isReady = true;
  claimed.resume();
  await until("all has come", () => consumer.messages.length === 2006);
  await closeAll(near, far);
});

Deno.test("claimMessages() delivers the error that ended the connection, also to a consumer that was not ready", async () => {
  for (const isReady of [true, false]) {
    const [near, far] = connectedPair(lines);
    const consumer = new Recorder();
    consumer.isReady = isReady;
    const claimed = claimMessages(far, consumer);
    await near.send("one");
    await settle();
    const reason = new Error("enough");
    far.abort(reason);
    await settle();
    assertEquals(consumer.ends, isReady ? [reason] : []);
    consumer.isReady = true;
    claimed.resume();
    assertEquals(consumer.ends, [reason]);
    claimed.resume();
    assertEquals(consumer.ends, [reason]);
    near.abort();
  }
});

Deno.test("claimMessages() bears a consumer that ends the connection while it gets a message", async () => {
  const [near, far] = connectedPair(lines);
  const consumer = new Recorder();
  const reason = new Error("enough");
  consumer.hook = () => far.abort(reason);
  claimMessages(far, consumer);
  for (const message of ["a", "b", "c"]) near.send(message).catch(() => {});
  await far.closed;
  await settle();
  assertEquals([consumer.messages, consumer.ends], [["a"], [reason]]);
  near.abort();
});

Deno.test("claimMessages() lets others have their turn between 256 messages", async () => {
  const [near, far] = connectedPair(lines);
  const consumer = new Recorder();
  claimMessages(far, consumer);
  const counts: number[] = [];
  for (let i = 0; i < 1000; i++) near.send("x").catch(() => {});
  await near.flush();
  while (consumer.messages.length < 1000) {
    await settle(1);
    counts.push(consumer.messages.length);
  }
  const most = Math.max(...counts.map((count, at) => count - (counts[at - 1] ?? 0)));
  assert(most <= 512, `${most} in one turn: ${counts}`);
  await closeAll(near, far);
});

Deno.test("claimMessages() is refused beside a reader and beside a consumer, and refuses readers", async () => {
  const [near, far] = connectedPair(lines);
  const waiting = near.receive();
  assertThrows(() => claimMessages(near, new Recorder()), TypeError, "another reader waits");
  await far.send("one");
  assertEquals(text((await waiting)!), "one");
  claimMessages(near, new Recorder());
  assertThrows(() => claimMessages(near, new Recorder()), TypeError, "a recorder reads");
  await assertRejects(() => near.receive(), TypeError, "a recorder reads");
  await assertRejects(() => near.receive({ timeoutMs: 0 }), TypeError, "a recorder reads");
  await assertRejects(() => near[Symbol.asyncIterator]().next(), TypeError, "a recorder reads");
  await closeAll(near, far);
});

Deno.test("Connection.close() lets its consumer finish: both directions work until then", async () => {
  const [near, far] = connectedPair(lines as never);
  const consumer = new Recorder();
  const { promise, resolve } = Promise.withResolvers<void>();
  consumer.work = promise;
  claimMessages(near, consumer);
  const closed = near.close();
  assertEquals(near.status, "closing");
  await far.send("late");
  await until("it comes", () => consumer.messages.length === 1);
  await near.send("answer");
  assertEquals(text((await far.receive())!), "answer");
  resolve();
  await closed;
  assertEquals(await far.receive(), null);
  await far.close();
});
