// Fairness: a flood of tiny messages is read no faster than it is taken, and leaves others their turn.
import { assert, assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { lengthPrefixed } from "../../framing.ts";
import { scriptedConnection } from "../support/simulation/memory_connections.ts";

const CHUNK_BYTES = 64 * 1024;
const CHUNKS = 40;
const MESSAGES = CHUNKS * CHUNK_BYTES / 4;

/** A connection whose peer has sent empty messages only, a lot of them. */
function flooded() {
  const { connection, transport } = scriptedConnection({
    framing: lengthPrefixed(),
    readAheadBytes: CHUNK_BYTES,
  });
  for (let i = 0; i < CHUNKS; i++) transport.feed(new Uint8Array(CHUNK_BYTES));
  transport.endInput();
  return { connection, transport };
}

Deno.test("Connection reads no further ahead than readAheadBytes and one chunk while its reader takes a flood", async () => {
  const { connection, transport } = flooded();
  let taken = 0;
  let most = 0;
  for await (const message of connection) {
    assertEquals(message.length, 0);
    taken++;
    most = Math.max(most, transport.readBytes - 4 * taken);
  }
  assertEquals(taken, MESSAGES);
  assert(most <= 2 * CHUNK_BYTES, `${most} bytes were held`);
  connection.abort();
});

Deno.test("Connection reads no further ahead while its reader uses receive(), with and without a time limit", async () => {
  for (const options of [undefined, { timeoutMs: 10_000 }]) {
    const { connection, transport } = flooded();
    let most = 0;
    for (let taken = 1; await connection.receive(options) !== null; taken++) {
      most = Math.max(most, transport.readBytes - 4 * taken);
    }
    assert(most <= 2 * CHUNK_BYTES, `${most} bytes were held`);
    connection.abort();
  }
});

Deno.test("Connection leaves others their turn while its reader takes a flood", async () => {
  const { connection } = flooded();
  let taken = 0;
  let most = 0;
  let turns = 0;
  let before = 0;
  let done = false;
  const turn = () => {
    most = Math.max(most, taken - before);
    before = taken;
    turns++;
    if (!done) setImmediate(turn);
  };
  setImmediate(turn);
  for await (const _ of connection) taken++;
  done = true;
  assertEquals(taken, MESSAGES);
  // 256 of them in each turn, and two turns may meet between two looks.
  assert(most <= 512, `${most} messages were taken in one turn`);
  assert(turns >= MESSAGES / 512, `there were ${turns} turns`);
  connection.abort();
});

Deno.test("Connection loses nothing when a wait for a turn is given up", async () => {
  const { connection } = flooded();
  const controller = new AbortController();
  let taken = 0;
  let givenUp = 0;
  for (;;) {
    const receiving = connection.receive({
      signal: controller.signal.aborted ? undefined : controller.signal,
    });
    // Given up at the very message at which the reader has to wait for its turn.
    if (taken === 256) controller.abort(new Error("given up"));
    const message = await receiving.catch((error: Error) => {
      assertEquals(error.message, "given up");
      givenUp++;
      return undefined;
    });
    if (message === null) break;
    if (message !== undefined) taken++;
  }
  assertEquals([taken, givenUp], [MESSAGES, 1]);
  connection.abort();
});
