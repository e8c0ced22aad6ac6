// Scenes of the legal peer model over Client.
import type { Outage } from "../model_backend.ts";
import type { ClientPlan, ClientScene } from "../model_clients.ts";
import { type Question, question } from "../model_talk.ts";
import type { Random } from "../../random.ts";

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function messages(name: string, count: number, make: () => Partial<Question>): Question[] {
  return many(count, (number) => question(name, number, make()));
}

function usual(random: Random, index: number): ClientPlan {
  const name = `client-${index}`;
  const habit = random.pick(["asks", "tells"] as const);
  const most = random.pick([100, 5000, 60_000]);
  return {
    name,
    host: random.chance(0.5) ? "192.0.2.7" : `198.51.100.${index + 1}`,
    atMs: random.int(0, 800),
    habit,
    messages: messages(name, habit === "asks" ? random.int(1, 12) : random.int(1, 40), () => ({
      bytes: random.length(most),
      answerBytes: random.length(1000),
      parts: random.pick(habit === "asks" ? [1, 1, 3] : [0, 0, 1]),
      workMs: random.pick([0, 0, random.int(0, 200)]),
      everyMs: random.int(0, 10),
    })),
    gapMs: random.pick([0, 0, random.int(0, 600)]),
    forgets: habit === "tells" ? false : undefined,
  };
}

function outages(random: Random, kinds: readonly Outage["kind"][], goneMs: number): Outage[] {
  let atMs = 0;
  return many(random.int(1, 4), () => ({
    atMs: atMs += random.int(0, 3000),
    kind: random.pick(kinds),
    goneMs: random.pick([0, random.int(0, goneMs)]),
  }));
}

function link(random: Random): ClientScene["link"] {
  return { latencyMs: random.int(0, 20), segmentBytes: random.pick([100, 65_536]) };
}

/** The names of the scenes. */
type ClientSceneName =
  | "restarts"
  | "backlogs"
  | "crashes"
  | "closings"
  | "full"
  | "balancer";

/** The scenes by name. */
export const CLIENT_SCENES: Readonly<Record<ClientSceneName, (random: Random) => ClientScene>> = {
  /** The server restarts in order: what it took is answered, and nothing is counted twice. */
  restarts(random: Random): ClientScene {
    return {
      clients: many(random.int(1, 5), (index) => usual(random, index)),
      outages: outages(random, ["orderly"], 5000),
      wantsHello: random.chance(0.5),
      link: link(random),
    };
  },

  /** A server restarts in order that takes little at a time: what it will not read goes to the next one. */
  backlogs(random: Random): ClientScene {
    const kernel = random.int(3000, 20_000);
    return {
      clients: many(random.int(1, 2), (index) => {
        const name = `client-${index}`;
        const notes = messages(name, 30, () => ({
          bytes: random.int(1000, 40_000),
          parts: 0,
          workMs: random.int(0, 100),
        }));
        return { name, host: "192.0.2.7", habit: "tells", messages: notes };
      }),
      outages: outages(random, ["orderly"], 2000),
      link: { latencyMs: random.int(0, 5), sendBytes: kernel, receiveBytes: kernel },
    };
  },

  /** The server crashes, too, and what lies between ends connections. */
  crashes(random: Random): ClientScene {
    return {
      clients: many(random.int(1, 5), (index) => usual(random, index)),
      outages: outages(random, ["orderly", "crash", "expire"], 20_000),
      wantsHello: random.chance(0.5),
      link: link(random),
    };
  },

  /** Clients are closed in the middle of whatever they do. */
  closings(random: Random): ClientScene {
    return {
      clients: many(
        random.int(1, 4),
        (index) => ({ ...usual(random, index), closeAtMs: random.int(0, 4000) }),
      ),
      outages: random.chance(0.5) ? outages(random, ["orderly", "crash", "expire"], 10_000) : [],
      wantsHello: random.chance(0.5),
      link: link(random),
    };
  },

  /** More clients than the server has room for: each gets its turn, and loses nothing. */
  full(random: Random): ClientScene {
    return {
      clients: many(random.int(2, 8), (index) => {
        const plan = usual(random, index);
        return { ...plan, habit: "asks", messages: plan.messages.slice(0, 6) };
      }),
      serve: { maxConnections: random.int(1, 3) },
      wantsHello: random.chance(0.3),
      link: link(random),
    };
  },

  /**
   * A balancer ends each connection after its own idle time: links that work are no failures,
   * however often they end.
   */
  balancer(random: Random): ClientScene {
    const everyMs = random.int(5000, 55_000);
    return {
      clients: many(random.int(1, 2), (index) => {
        const name = `client-${index}`;
        return {
          name,
          host: "192.0.2.7",
          habit: "asks",
          messages: messages(name, 10, () => ({})),
          gapMs: random.int(everyMs / 4, everyMs * 2),
          options: { reconnect: { maxAttempts: random.int(1, 5) } },
        };
      }),
      outages: many(
        random.int(6, 10),
        (index) => ({ atMs: everyMs * (index + 1), kind: "expire" }),
      ),
      wantsHello: random.chance(0.5),
      link: link(random),
    };
  },
};
