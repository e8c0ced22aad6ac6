// Strangers that break the rules of the wire at a hub where honest peers are at work: these notice nothing,
// and the strangers get no more than their slot.
import { assert, assertEquals } from "@std/assert";
import {
  drawStranger,
  type Stranger,
  STRANGERS,
} from "../support/models/scenes/model_strangers.ts";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import { longTalk, shortCall, upload } from "../support/models/scenes/model_plans.ts";
import { simulateWire, type WireScene } from "../support/models/model_wire.ts";
import { newTally } from "../support/models/model_world.ts";
import type { Random } from "../support/random.ts";

const SEEDS = 100;

function sceneOf(random: Random, strangers: readonly Stranger[]): WireScene {
  const rest = { afterBytes: 50_000, ms: random.int(1, 4000) };
  const calls = Array.from({ length: 5 }, () => shortCall(random, random.int(0, 4000)));
  return {
    hub: true,
    presence: random.chance(0.5),
    callers: [{ plans: [longTalk(random, 8, 500), upload(200_000, rest), ...calls] }],
    latencyMs: random.int(0, 20),
    beside: async (port) =>
      void await Promise.all(strangers.map((stranger) => misbehave(stranger, port, random))),
  };
}

/** Comes, does its worst, stays for a while, and is gone. */
async function misbehave({ pieces, reads }: Stranger, port: number, random: Random): Promise<void> {
  const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  await wait(random.int(0, 500));
  const conn = await Deno.connect({ port });
  const reading = reads ? drain(conn) : Promise.resolve();
  const writing = (async () => {
    for (const piece of pieces) {
      await conn.write(piece);
      if (random.chance(0.1)) await wait(random.int(1, 100));
    }
  })().catch(() => {});
  await wait(random.int(1000, 12_000));
  conn.close();
  await Promise.all([reading, writing]);
}

async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // It was thrown out.
  }
}

Deno.test("a hub gives strangers that break the rules no more than their slot, and its peers notice nothing", async () => {
  const tally = newTally();
  const kinds = new Set<string>();
  const test = { file: "tests/models/wire_breaker_test.ts", filter: "strangers", seeds: SEEDS };
  await modelSeeds(test, async (random) => {
    const strangers = Array.from({ length: random.int(1, 4) }, () => drawStranger(random));
    for (const { name } of strangers) kinds.add(name);
    try {
      await simulateWire(random, sceneOf(random, strangers), tally);
    } catch (error) {
      if (error instanceof Error) {
        error.message += `\nbeside ${strangers.map(({ name }) => name).join(", ")}`;
      }
      throw error;
    }
  });
  if (!runsAllSeeds) return;
  assertEquals(kinds.size, STRANGERS.length, "some strangers never came");
  assert(tally.streams > 600 && tally.excused === 0, JSON.stringify(tally));
});
