// Scenes of the legal peer model over Pool.
import type { Outage } from "../model_backend.ts";
import { type LesseePlan, STATES } from "../model_lessees.ts";
import type { PoolScene } from "../model_pools.ts";
import { type Question, question } from "../model_talk.ts";
import type { Random } from "../../random.ts";

/** Time in which a circuit that opened for a backend that was away is closed again. */
const CIRCUIT_MS = 2500;

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function questions(random: Random, name: string, count: number): Question[] {
  return many(count, (number) =>
    question(name, number, {
      bytes: random.length(2000),
      answerBytes: random.length(2000),
      parts: random.pick([1, 1, 1, 3]),
      workMs: random.pick([0, 0, random.int(0, 100)]),
      everyMs: random.int(0, 5),
    }));
}

function user(random: Random, index: number, most: number): LesseePlan {
  const name = `user-${index}`;
  return {
    name,
    questions: questions(random, name, random.int(1, most)),
    gapMs: random.pick([0, random.int(0, 300)]),
    retries: random.int(2, 3),
  };
}

function lessee(random: Random, index: number, most: number): LesseePlan {
  const name = `lessee-${index}`;
  return {
    name,
    questions: questions(random, name, random.int(1, most)),
    gapMs: random.pick([0, random.int(0, 300)]),
    states: many(random.int(1, 4), () => random.pick(STATES)),
  };
}

function someone(random: Random, index: number): LesseePlan {
  return random.chance(0.5) ? user(random, index, 20) : lessee(random, index, 20);
}

function options(random: Random): PoolScene["options"] {
  return {
    maxPerBackend: random.pick([1, 2, 16]),
    maxConnections: random.pick([2, 4, 256]),
    balance: random.pick(["two-choices", "round-robin", "least-busy"] as const),
  };
}

function link(random: Random): PoolScene["link"] {
  return { latencyMs: random.int(0, 10), segmentBytes: random.pick([50, 65_536]) };
}

/** The names of the scenes. */
type PoolSceneName =
  | "leases"
  | "rolling"
  | "crashes";

/** The scenes by name. */
export const POOL_SCENES: Readonly<Record<PoolSceneName, (random: Random) => PoolScene>> = {
  /** Programs that give leases back in every state, beside others that must not notice. */
  leases(random: Random): PoolScene {
    return {
      backends: many(random.int(1, 3), () => []),
      lessees: many(random.int(2, 6), (index) => someone(random, index)),
      // Those that call a lease failed, or want no answer, are not to be taken for backends that fail.
      options: { ...options(random), breaker: false, outliers: false },
      link: link(random),
      isSafe: true,
    };
  },

  /**
   * Backends restart in order, one after the other: no caller that may ask again fails, or gets
   * null for an answer.
   */
  rolling(random: Random): PoolScene {
    const count = random.int(2, 3);
    let atMs = 0;
    const backends: Outage[][] = many(count, () => []);
    for (let turn = random.int(1, 6); turn > 0; turn--) {
      const goneMs = random.pick([0, random.int(0, 400)]);
      atMs += random.int(50, 1200);
      backends[turn % count]!.push({ atMs, kind: "orderly", goneMs });
      // Circuits that opened are closed again by then.
      atMs += goneMs + CIRCUIT_MS;
    }
    return {
      backends,
      lessees: many(random.int(1, 5), (index) => user(random, index, 40)),
      options: options(random),
      asksHealth: random.chance(0.3),
      link: link(random),
      isSafe: true,
    };
  },

  /**
   * Backends crash, all at once at times: calls may fail with the errors that they get, and the
   * pool gets over it.
   */
  crashes(random: Random): PoolScene {
    return {
      backends: many(random.int(1, 3), () => {
        let atMs = 0;
        return many(random.int(0, 4), () => ({
          atMs: atMs += random.int(0, 3000),
          kind: random.pick(["orderly", "crash", "crash", "expire"] as const),
          goneMs: random.pick([0, random.int(0, 8000)]),
        }));
      }),
      lessees: many(random.int(1, 6), (index) => someone(random, index)),
      options: {
        ...options(random),
        breaker: { failures: random.int(1, 5), openMs: random.int(200, 2000) },
      },
      asksHealth: random.chance(0.3),
      hangs: random.chance(0.3) ? many(random.int(1, 3), () => random.int(0, 6)) : undefined,
      link: link(random),
    };
  },
};
