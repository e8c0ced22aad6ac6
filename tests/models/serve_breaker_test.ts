// Intruders at serve() beside honest programs: these notice nothing, and the intruders get no more
// than their budget, for a while.
import { assert, assertEquals } from "@std/assert";
import {
  intrude,
  type Intruders,
  INTRUSIONS,
  STAY_MS,
} from "../support/models/scenes/model_intruders.ts";
import type { PeerPlan } from "../support/models/model_peers.ts";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import {
  newServeTally,
  type ServeScene,
  type ServeWorld,
  simulateServe,
} from "../support/models/model_serve.ts";
import { question } from "../support/models/model_talk.ts";
import type { Random } from "../support/random.ts";

const SEEDS = 50;
const HOSTS = ["192.0.2.7", "203.0.113.9"];
const MAX_MESSAGE_BYTES = 100_000;
const HIGH_WATER_BYTES = 100_000;
const READ_BYTES = 65_536;
/** The largest answer that an intruder asks for, of which one more may wait than there is room for. */
const ANSWER_BYTES = 51_000;
const LIMIT_MS = 20_000;
/** Reports in a second of what strangers can bring about, of each kind. */
const MAX_REPORTS = 10;
const LIMITED = ["accept", "handshake", "connection"];

function sceneOf(random: Random, intruders: Intruders): ServeScene {
  const isRated = intruders.offences.includes("flood") || random.chance(0.3);
  return {
    options: {
      maxMessageBytes: MAX_MESSAGE_BYTES,
      highWaterBytes: HIGH_WATER_BYTES,
      maxQueuedBytes: 3 * HIGH_WATER_BYTES,
      idleTimeoutMs: LIMIT_MS,
      writeTimeoutMs: LIMIT_MS,
      messageTimeoutMs: LIMIT_MS / 2,
      closeTimeoutMs: LIMIT_MS / 2,
      ...isRated &&
        {
          rateLimits: {
            perConnection: { messagesPerSecond: random.pick([2, 20, 100]), burstMessages: 10 },
          },
        },
    },
    peers: Array.from({ length: random.int(1, 4) }, (_, index) => honest(random, index)),
    link: { latencyMs: random.int(0, 20) },
    isBrisk: true,
    beside: async (world) => {
      const stop = watch(world);
      await Promise.all([intrude(world, random, intruders), throwOut(world)]);
      stop();
    },
    check: checkReports,
  };
}

function honest(random: Random, index: number): PeerPlan {
  const name = `peer-${index}`;
  return {
    name,
    host: random.pick(HOSTS),
    atMs: random.int(0, 2000),
    questions: Array.from(
      { length: 8 },
      (_, number) => question(name, number, { answerBytes: random.length(3000) }),
    ),
    gapMs: random.int(50, 3000),
    leaving: random.pick(["half-close", "close"]),
  };
}

/** No connection holds more than it may. */
function watch({ server, stage }: ServeWorld): () => void {
  let cancel = () => {};
  const look = () => {
    for (const { heldBytes, queuedBytes } of server.stats().connections) {
      if (heldBytes > 2 * READ_BYTES + MAX_MESSAGE_BYTES) {
        stage.fail(`a connection holds ${heldBytes} bytes`);
      }
      if (queuedBytes > HIGH_WATER_BYTES + 2 * ANSWER_BYTES) {
        stage.fail(`${queuedBytes} bytes wait for one connection`);
      }
    }
    cancel = stage.clock.after(500, look);
  };
  look();
  return () => cancel();
}

/** Who only costs is gone before it goes. */
async function throwOut({ server, stage }: ServeWorld): Promise<void> {
  await stage.clock.sleep(STAY_MS - 1000);
  assertEquals(server.connections.size, 0, "intruders are still there");
}

function checkReports({ errors }: ServeWorld): void {
  const counts = new Map<string, number>();
  for (const { atMs, context: { phase } } of errors) {
    if (!LIMITED.includes(phase)) continue;
    const key = `${phase} in second ${atMs / 1000 | 0}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  // A second of the clock may meet two of the limiter's.
  for (const [key, count] of counts) assert(count <= 2 * MAX_REPORTS, `${count} reports of ${key}`);
}

Deno.test("serve gives intruders no more than their budget, and honest programs notice nothing", async () => {
  const tally = newServeTally();
  const kinds = new Set<string>();
  const test = { file: "tests/models/serve_breaker_test.ts", filter: "intruders", seeds: SEEDS };
  await modelSeeds(test, async (random) => {
    const offences = Array.from(
      { length: random.int(1, 3) },
      () => random.pick(Object.keys(INTRUSIONS)),
    );
    for (const offence of offences) kinds.add(offence);
    const intruders = {
      hosts: HOSTS,
      offences,
      count: random.pick([1, 5, 40]),
      mostMs: random.pick([100, 5000]),
    };
    try {
      await simulateServe(random, sceneOf(random, intruders), tally);
    } catch (error) {
      if (error instanceof Error) {
        error.message += `\nbeside ${intruders.count} of ${offences.join(", ")}`;
      }
      throw error;
    }
  });
  if (!runsAllSeeds) return;
  assertEquals(kinds.size, Object.keys(INTRUSIONS).length, "some intruders never came");
  assert(tally.answers > 800, JSON.stringify(tally));
});
