// What ends with a turn of the event loop, and how early it may: before the platform calls back.
import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { atTurnEnd, readNowMs } from "../../connection/turns.ts";
import { Connection } from "../../connection.ts";
import { memoryPair } from "../../net/transport/memory_pair.ts";
import type { Transport } from "../../net/transport/transport.ts";

/** Resolves with the next callback of the event loop. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A pair whose far end counts the writes to it. */
function counted(): { near: Connection; far: Connection; writes: number[] } {
  const [a, b] = memoryPair();
  const writes: number[] = [];
  const { write } = b;
  const tapped: Transport = Object.assign(b, {
    write(bytes: Uint8Array): Promise<void> {
      writes.push(bytes.length);
      return write.call(b, bytes);
    },
  });
  return { near: new Connection(a), far: new Connection(tapped), writes };
}

Deno.test("A turn ends before the platform's callback when nothing needs the end", async () => {
  const told: string[] = [];
  const immediate = nextTurn().then(() => told.push("platform"));
  atTurnEnd({ needsTurnEnd: false, onTurnEnd: () => told.push("early") });
  atTurnEnd({ needsTurnEnd: false, onTurnEnd: () => told.push("with it") });
  assertEquals(told, []);
  await immediate;
  assertEquals(told, ["early", "with it", "platform"]);
});

Deno.test("A turn does not end early while one item needs its end", async () => {
  const told: string[] = [];
  const before = nextTurn().then(() => told.push("platform"));
  atTurnEnd({ needsTurnEnd: false, onTurnEnd: () => told.push("other") });
  atTurnEnd({ needsTurnEnd: true, onTurnEnd: () => told.push("needs it") });
  for (let i = 0; i < 100; i++) await null;
  assertEquals(told, []);
  await before;
  await nextTurn();
  assertEquals(told, ["platform", "other", "needs it"]);
});

Deno.test("What needs the end and got it meanwhile holds no other up", async () => {
  const told: string[] = [];
  const item = { needsTurnEnd: true, onTurnEnd: () => told.push("item") };
  const immediate = nextTurn().then(() => told.push("platform"));
  atTurnEnd(item);
  atTurnEnd({ needsTurnEnd: false, onTurnEnd: () => told.push("other") });
  await null;
  item.needsTurnEnd = false;
  await immediate;
  assertEquals(told, ["item", "other", "platform"]);
});

Deno.test("Reads that end together share a reading of the clock, later ones do not", async () => {
  const { now } = performance;
  try {
    performance.now = () => 1;
    assertEquals(readNowMs(), 1);
    performance.now = () => 2;
    assertEquals(readNowMs(), 1);
    await null;
    assertEquals(readNowMs(), 2);
  } finally {
    performance.now = now;
    await null;
  }
});

Deno.test("An answer leaves before the platform's callback once the handler asks for the next message", async () => {
  const { near, far, writes } = counted();
  const served = (async () => {
    for await (const message of far) await far.send(message);
  })();
  let platformCalled = false;
  const turn = nextTurn().then(() => platformCalled = true);
  await near.send("question");
  await near.receive();
  assertEquals(platformCalled, false);
  assertEquals(writes, [12]);
  await Promise.all([turn, near.close(), served.then(() => far.close())]);
});

for (const hops of [0, 1, 3, 7, 20]) {
  Deno.test(`Answers to a burst leave in one write when the handler waits ${hops} microtasks for each`, async () => {
    const { near, far, writes } = counted();
    const served = (async () => {
      for await (const message of far) {
        for (let i = 0; i < hops; i++) await null;
        await far.send(message);
      }
    })();
    for (let i = 0; i < 64; i++) near.send(new Uint8Array(64));
    for (let got = 0; got < 64; got++) await near.receive();
    assertEquals(writes, [64 * 68]);
    await Promise.all([near.close(), served.then(() => far.close())]);
  });
}
