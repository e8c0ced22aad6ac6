// Scenes of the legal peer model over serve().
import { assert } from "@std/assert";
import type { RateLimit } from "../../../../server.ts";
import type { Leaving, PeerPlan } from "../model_peers.ts";
import { comeAndGo, giveUp, probe } from "./model_probes.ts";
import type { ServeScene, ServeWorld } from "../model_serve.ts";
import { type Question, question } from "../model_talk.ts";
import type { Random } from "../../random.ts";

const OFFICE = "192.0.2.7";
/**
 * A peer that waits for a reader may be cut after 60 s (`writeTimeoutMs`), and a reader that pauses before
 * each message may find two in what was read ahead.
 */
const LONG_PAUSE_MS = 28_000;
const LEAVINGS: readonly Leaving[] = [
  "half-close",
  "half-close",
  "close",
  "close",
  "abort",
  "reset",
];

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** Alone behind an address, or one of an office. */
function hostOf(random: Random, index: number): string {
  return random.chance(0.5) ? OFFICE : `198.51.100.${index + 1}`;
}

function ask(who: string, count: number, make: (number: number) => Partial<Question>): Question[] {
  return many(count, (number) => question(who, number, make(number)));
}

/** A program like most. */
function usual(random: Random, index: number): PeerPlan {
  const name = `peer-${index}`;
  const most = random.pick([100, 3000, 40_000]);
  return {
    name,
    host: hostOf(random, index),
    atMs: random.int(0, 500),
    questions: ask(name, random.int(0, 6), () => ({
      bytes: random.length(most),
      answerBytes: random.length(most),
      parts: random.pick([0, 1, 1, 1, 1, 3]),
      workMs: random.pick([0, 0, random.int(0, 300)]),
      everyMs: random.int(0, 50),
    })),
    pipelined: random.chance(0.4),
    gapMs: random.pick([0, 0, random.int(0, 2000)]),
    restMs: random.pick([0, 0, random.int(0, 1000)]),
    lingerMs: random.pick([0, random.int(0, 3000)]),
    leaving: random.pick(LEAVINGS),
    leavesAfter: random.chance(0.2) ? random.int(1, 3) : undefined,
  };
}

/** The names of the scenes. */
type ServeSceneName =
  | "ordinary"
  | "crowds"
  | "pauses"
  | "slow"
  | "quiet"
  | "drains"
  | "vanishing"
  | "balanced"
  | "quitters"
  | "rates"
  | "held"
  | "full";

/** The scenes by name. */
export const SERVE_SCENES: Readonly<Record<ServeSceneName, (random: Random) => ServeScene>> = {
  /** A few programs of which no two are alike. */
  ordinary(random: Random): ServeScene {
    return {
      peers: many(random.int(1, 6), (index) => usual(random, index)),
      restMs: random.pick([0, 0, random.int(0, 500)]),
      link: {
        latencyMs: random.int(0, 40),
        bytesPerMs: random.chance(0.2) ? random.int(50, 500) : Infinity,
        segmentBytes: random.pick([3, 1000, 65_536]) * 22,
      },
    };
  },

  /** An office of clients, and balancers and lost phones at the same address, which come and go silently. */
  crowds(random: Random): ServeScene {
    const count = random.int(5, 40);
    return {
      peers: many(count, (index) => {
        const name = `peer-${index}`;
        return {
          name,
          host: OFFICE,
          atMs: random.int(0, 4000),
          questions: ask(name, 2, () => ({ answerBytes: random.length(2000) })),
          gapMs: random.int(0, 2000),
          leaving: random.pick(LEAVINGS),
        };
      }),
      link: { latencyMs: random.int(0, 20) },
      isBrisk: true,
      beside: (world) =>
        probe(world, random, { host: OFFICE, count: random.int(1, 60), mostMs: 4000 }),
    };
  },

  /** A reader of either side that pauses for long, with more under way than the kernels take. */
  pauses(random: Random): ServeScene {
    const big = () => random.int(1, 900_000);
    const longMs = random.int(1, LONG_PAUSE_MS);
    const sleeper = random.pick(["server", "worker", "peer"]);
    return {
      peers: many(random.int(1, 2), (index) => {
        const name = `peer-${index}`;
        const workMs = sleeper === "worker" ? longMs : random.int(0, 100);
        return {
          name,
          host: hostOf(random, index),
          questions: ask(
            name,
            random.int(1, 4),
            () => ({ bytes: big(), answerBytes: big(), workMs }),
          ),
          pipelined: random.chance(0.7),
          restMs: sleeper === "peer" ? longMs : random.int(0, 1000),
          leaving: random.pick(LEAVINGS),
        };
      }),
      restMs: sleeper === "server" ? longMs : random.int(0, 1000),
      link: {
        latencyMs: random.int(0, 40),
        sendBytes: random.pick([20_000, 500_000]),
        receiveBytes: random.pick([20_000, 500_000]),
      },
    };
  },

  /** A reader that reads slowly, and without pause, what the kernels hold much of. */
  slow(random: Random): ServeScene {
    const bytesPerSecond = random.int(2000, 20_000);
    const answerBytes = random.int(1000, 40_000);
    const name = "peer-0";
    const wanted = random.int(400_000, 2_000_000);
    return {
      peers: [{
        name,
        host: OFFICE,
        questions: ask(name, 1, () => ({ answerBytes, parts: Math.ceil(wanted / answerBytes) })),
        restMs: Math.ceil(answerBytes * 1000 / bytesPerSecond),
        leaving: "half-close",
      }],
      options: { idleTimeoutMs: 600_000 },
      link: {
        latencyMs: random.int(0, 40),
        sendBytes: random.pick([100_000, 1_000_000]),
        receiveBytes: random.pick([100_000, 500_000]),
      },
    };
  },

  /** Nothing to say for long, but for a ping by either side now and then. */
  quiet(random: Random): ServeScene {
    const idleTimeoutMs = random.int(2000, 60_000);
    const mostMs = idleTimeoutMs * 0.7 | 0;
    const pings = () => random.int(mostMs / 3, mostMs);
    const mayListen = random.chance(0.5);
    return {
      options: { idleTimeoutMs, receiveTimeoutMs: mayListen ? 0 : idleTimeoutMs },
      peers: many(random.int(1, 4), (index) => {
        const name = `peer-${index}`;
        const byServer = mayListen && random.chance(0.5);
        const count = random.int(3, 8);
        return {
          name,
          host: hostOf(random, index),
          questions: ask(
            name,
            byServer ? 1 : count,
            () => byServer ? { parts: count, everyMs: pings() } : {},
          ),
          gapMs: byServer ? 0 : pings(),
          lingerMs: random.int(0, mostMs),
          leaving: random.pick(LEAVINGS),
          options: byServer ? { receiveTimeoutMs: idleTimeoutMs } : {},
        };
      }),
      link: { latencyMs: random.int(0, 40) },
      isBrisk: true,
    };
  },

  /** The server leaves in order while its peers are at work. */
  drains(random: Random): ServeScene {
    const latencyMs = random.int(0, 20);
    const shutdownAtMs = random.int(0, 2500);
    // Some come in the very moment.
    const momentMs = Math.max(0, shutdownAtMs - 2 * latencyMs);
    return {
      peers: many(random.int(1, 8), (index) => {
        const name = `peer-${index}`;
        return {
          name,
          host: hostOf(random, index),
          atMs: random.chance(0.2) ? momentMs : random.int(0, 1500),
          questions: ask(name, random.int(1, 20), () => ({
            bytes: random.length(random.pick([100, 2000])),
            answerBytes: random.length(3000),
            workMs: random.pick([0, random.int(0, 200)]),
            parts: random.pick([1, 1, 1, 3]),
            everyMs: random.int(0, 20),
          })),
          pipelined: random.chance(0.6),
          gapMs: random.pick([0, 0, random.int(0, 400)]),
          restMs: random.pick([0, 0, random.int(0, 300)]),
          lingerMs: random.int(0, 2000),
          leaving: random.pick(LEAVINGS),
        };
      }),
      // What is not read ahead waits in the kernel, and has arrived all the same.
      options: { readAheadBytes: random.pick([1024, 65_536]) },
      restMs: random.pick([0, 0, random.int(0, 200)]),
      shutdownAtMs,
      link: { latencyMs },
    };
  },

  /** Networks that are gone without a word, while others come and go whose times are short. */
  vanishing(random: Random): ServeScene {
    const receiveTimeoutMs = random.int(3000, 30_000);
    return {
      options: { receiveTimeoutMs, idleTimeoutMs: random.pick([0, 300_000]) },
      peers: many(random.int(1, 3), (index) => {
        const name = `peer-${index}`;
        // Either side goes on sending into the void.
        const everyMs = random.int(100, receiveTimeoutMs / 2 | 0);
        const long = Math.ceil(300_000 / everyMs);
        return {
          name,
          host: hostOf(random, index),
          questions: ask(name, long, () => ({})),
          gapMs: everyMs,
          pipelined: true,
          vanishesAfterMs: random.int(200, 5000),
          options: { receiveTimeoutMs },
        };
      }),
      link: { latencyMs: random.int(0, 20) },
      beside: (world) =>
        comeAndGo(world, random, { host: OFFICE, everyMs: random.int(50, 400), mostMs: 60_000 }),
    };
  },

  /** A balancer that sends the client's address, and looks now and then whether there is anything. */
  balanced(random: Random): ServeScene {
    const balancer = "10.0.0.5";
    const scene = SERVE_SCENES.crowds(random);
    return {
      ...scene,
      balancer,
      peers: scene.peers.map((plan, index) => ({ ...plan, host: hostOf(random, index) })),
      options: {
        proxyProtocol: { sources: ["10.0.0.0/8"] },
        ...random.chance(0.5) && { maxConnectionsPerSource: 50 },
      },
      beside: (world) =>
        probe(world, random, { host: balancer, count: random.int(1, 60), mostMs: 4000 }),
    };
  },

  /** Programs that give up while they dial, beside others that do not. */
  quitters(random: Random): ServeScene {
    const latencyMs = random.int(0, 20);
    return {
      peers: many(random.int(1, 3), (index) => usual(random, index)),
      link: { latencyMs },
      beside: (world) =>
        giveUp(world, random, {
          host: OFFICE,
          count: random.int(1, 30),
          mostMs: 2 * latencyMs + 3,
        }),
    };
  },

  /** Messages over the rate wait; a burst does not, and a neighbour not for long. */
  rates(random: Random): ServeScene {
    const messagesPerSecond = random.pick([2, 10, 50]);
    const burstMessages = random.int(1, 30);
    const limit: RateLimit = { messagesPerSecond, burstMessages };
    const scope = random.pick(["perConnection", "perSource", "perServer"] as const);
    const eager = random.int(1, 4);
    const count = random.int(1, 40);
    const peers = many(eager, (index) => rated(`eager-${index}`, count, { pipelined: true }));
    const polite = rated("polite", 3, {
      atMs: random.int(0, 3000),
      gapMs: 1000 + Math.ceil(1000 / messagesPerSecond),
    });
    return {
      options: { rateLimits: { [scope]: limit }, idleTimeoutMs: 5000 },
      peers: [...peers, polite],
      link: { latencyMs: random.int(0, 20) },
      check: (world) =>
        checkRates(world, {
          eager,
          count,
          messagesPerSecond,
          burstMessages,
          alone: scope === "perConnection",
        }),
    };
  },

  /** Messages that a rate holds back are no idleness: their sender has nothing to send meanwhile. */
  held(random: Random): ServeScene {
    const messagesPerSecond = random.pick([1, 2, 5]);
    const count = random.int(10, 30);
    return {
      options: {
        rateLimits: { perConnection: { messagesPerSecond, burstMessages: 1 } },
        idleTimeoutMs: 2000,
      },
      peers: many(random.int(1, 3), (index) => {
        const name = `peer-${index}`;
        return {
          name,
          host: hostOf(random, index),
          questions: ask(name, count, () => ({ parts: 0 })),
          pipelined: true,
          lingerMs: count * 1000 / messagesPerSecond,
          leaving: random.pick<Leaving>(["half-close", "close"]),
        };
      }),
      link: { latencyMs: random.int(0, 20) },
    };
  },

  /** More programs than the server has room for: who is turned away comes again, and is served in the end. */
  full(random: Random): ServeScene {
    return {
      options: { maxConnections: random.int(1, 6) },
      peers: many(random.int(2, 15), (index) => {
        const name = `peer-${index}`;
        return {
          name,
          host: hostOf(random, index),
          atMs: random.int(0, 1000),
          questions: ask(
            name,
            random.int(1, 3),
            () => ({ answerBytes: random.length(2000), workMs: random.int(0, 200) }),
          ),
          lingerMs: random.int(0, 1000),
          leaving: random.pick<Leaving>(["half-close", "close"]),
          comesAgain: true,
        };
      }),
      link: { latencyMs: random.int(0, 20) },
    };
  },
};

function rated(name: string, count: number, plan: Partial<PeerPlan>): PeerPlan {
  return {
    name,
    host: OFFICE,
    questions: ask(name, count, () => ({})),
    leaving: "half-close",
    ...plan,
  };
}

interface Rates {
  readonly eager: number;
  readonly count: number;
  readonly messagesPerSecond: number;
  readonly burstMessages: number;
  /** Each connection has its own rate. */
  readonly alone: boolean;
}

/** As many as the burst come at once, the others at the rate; and who asks less has a turn among them. */
function checkRates(
  world: ServeWorld,
  { eager, count, messagesPerSecond, burstMessages, alone }: Rates,
): void {
  const { latencyMs = 1 } = world.scene.link ?? {};
  const slackMs = 2 * latencyMs + 300;
  const everyMs = 1000 / messagesPerSecond;
  for (const { plan, asked } of world.peers) {
    const startMs = asked[0]!.atMs;
    const sharers = alone ? 1 : eager + 1;
    for (const { question: { number }, atMs, answeredAtMs = Infinity } of asked) {
      const tookMs = answeredAtMs - atMs;
      if (plan.name === "polite") {
        assert(
          tookMs <= everyMs * sharers + slackMs,
          `a polite peer waited ${tookMs} ms for answer ${number}`,
        );
        continue;
      }
      const before = alone ? number + 1 : eager * (number + 2) + 3;
      const mostMs = Math.max(0, before - burstMessages) * everyMs + slackMs;
      assert(
        answeredAtMs - startMs <= mostMs,
        `answer ${number} of ${plan.name} came after ${
          answeredAtMs - startMs
        } ms and not ${mostMs}`,
      );
    }
    if (plan.name === "polite" || !alone) continue;
    const leastMs = Math.max(0, count - burstMessages - 1) * everyMs;
    const spanMs = (asked.at(-1)!.answeredAtMs ?? 0) - startMs;
    assert(spanMs >= leastMs, `${count} messages passed in ${spanMs} ms, within ${leastMs}`);
  }
}
