// Tests of MuxSession beside many idle streams: a frame costs what it costs, however many streams are open.
import { assert, assertEquals } from "@std/assert";
import type { MuxStream } from "../../mux/mod.ts";
import { agreedPair, type MuxPair, serveEcho } from "../support/peers/mux_pair.ts";

const IDLE_STREAMS = 10_000;
const TURNS = 200;
const ROUNDS = 12;

/** One ping-pong stream of a session with `idle` others, all of them answered once. */
async function besideIdle(pair: MuxPair, idle: number): Promise<MuxStream> {
  void serveEcho(pair.server).catch(() => {});
  for (let open = 0; open < idle; open += 100) {
    await Promise.all(Array.from({ length: 100 }, async () => {
      const stream = await pair.client.openStream();
      await stream.write(new Uint8Array([7]));
      assertEquals(await stream.read(), new Uint8Array([7]));
    }));
  }
  return await pair.client.openStream();
}

/** Milliseconds that some turns take, each checked. */
async function play(stream: MuxStream): Promise<number> {
  const message = new Uint8Array(64);
  const begin = performance.now();
  for (let turn = 0; turn < TURNS; turn++) {
    message.fill(turn);
    await stream.write(message);
    const echo = await stream.read();
    assert(echo?.length === 64 && echo[0] === (turn & 0xff));
  }
  return performance.now() - begin;
}

Deno.test("MuxSession plays ping-pong beside 10 000 idle streams as beside none", async () => {
  const limits = { maxStreams: IDLE_STREAMS + 1, keepAliveMs: 0 };
  // So many streams fit the budget with the small windows of sides that agreed on terms.
  await using quiet = agreedPair(limits);
  await using crowded = agreedPair(limits);
  const alone = await besideIdle(quiet, 0);
  const beside = await besideIdle(crowded, IDLE_STREAMS);
  await play(alone);
  await play(beside);
  assertEquals(crowded.server.stats().streams, IDLE_STREAMS + 1);

  const frames = [quiet, crowded].map((pair) => pair.client.stats());
  // In turns, and the best of each: what else the machine does falls on both, and on the best of neither.
  let [best, bestBeside] = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS; round++) {
    best = Math.min(best, await play(alone));
    bestBeside = Math.min(bestBeside, await play(beside));
  }

  for (const [index, pair] of [quiet, crowded].entries()) {
    const { framesIn, framesOut, bytesIn, bytesOut } = pair.client.stats();
    const before = frames[index]!;
    assert(
      framesOut - before.framesOut <= ROUNDS * TURNS + 100,
      "frames beyond one for each message",
    );
    assert(
      framesIn - before.framesIn <= ROUNDS * TURNS + 100,
      "frames beyond one for each message",
    );
    assert(bytesIn - before.bytesIn <= ROUNDS * TURNS * 80, "bytes beyond header and message");
    assert(bytesOut - before.bytesOut <= ROUNDS * TURNS * 80, "bytes beyond header and message");
  }
  // A walk over the streams for each frame, even one of 2 ns a stream, would make it several times slower.
  assert(
    bestBeside <= best * 3 + 1,
    `${TURNS} turns take ${bestBeside.toFixed(2)} ms beside idle streams and ${
      best.toFixed(2)
    } ms alone`,
  );
});
