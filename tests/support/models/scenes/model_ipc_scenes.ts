// Scenes of the model of IPC: random schedules of what legal programs do, each kind with its own dangers.
import type { IpcLife, IpcPlan, IpcScene } from "../model_ipc.ts";
import type { Random } from "../../random.ts";

/** Few messages are so large: more than every queue of these scenes holds. */
const LARGE_BYTES = 300_000;

/** The names of the scenes. */
type IpcSceneName = "talk" | "restarts" | "crashes" | "pairs" | "takeovers" | "pauses";

/** Makes a scene of each kind. */
export const IPC_SCENES: Readonly<Record<IpcSceneName, (random: Random) => IpcScene>> = {
  talk,
  restarts,
  crashes,
  pairs,
  takeovers,
  pauses,
};

/** One server and some clients: messages and queries both ways, and ends in order. */
function talk(random: Random): IpcScene {
  const clients = random.int(1, 4);
  return {
    ...surroundings(random),
    programs: [
      program(random, "server", "server", [{ atMs: random.int(0, 500) }]),
      ...times(
        clients,
        (i) => program(random, `client${i}`, "client", comingAndGoing(random, "close")),
      ),
    ],
  };
}

/** The server ends in order and comes back. */
function restarts(random: Random): IpcScene {
  return {
    ...surroundings(random),
    programs: [
      program(random, "server", "server", consecutive(random, () => "close")),
      ...times(
        random.int(1, 3),
        (i) => program(random, `client${i}`, "client", comingAndGoing(random, "close")),
      ),
    ],
  };
}

/** Server and clients are killed, connections are cut. */
function crashes(random: Random): IpcScene {
  return {
    ...surroundings(random),
    cutsAtMs: times(random.int(0, 4), () => random.int(0, 4000)),
    programs: [
      program(
        random,
        "server",
        "server",
        consecutive(random, () => random.pick(["kill", "close"] as const)),
      ),
      ...times(
        random.int(1, 3),
        (i) =>
          program(
            random,
            `client${i}`,
            "client",
            comingAndGoing(random, random.pick(["kill", "close"] as const)),
          ),
      ),
    ],
  };
}

/** Two processes of a pair that end in order and come back. */
function pairs(random: Random): IpcScene {
  return {
    ...surroundings(random),
    programs: times(
      2,
      (i) => program(random, `pair${i}`, "pair", consecutive(random, () => "close")),
    ),
  };
}

/** Two processes of a pair that are killed, or lose their connection. */
function takeovers(random: Random): IpcScene {
  return {
    ...surroundings(random),
    cutsAtMs: times(random.int(0, 4), () => random.int(0, 4000)),
    programs: times(
      2,
      (i) =>
        program(
          random,
          `pair${i}`,
          "pair",
          consecutive(random, () => random.pick(["kill", "close"] as const)),
        ),
    ),
  };
}

/** Readers that rest for longer than any time limit. */
function pauses(random: Random): IpcScene {
  const resting = (plan: IpcPlan): IpcPlan => ({
    ...plan,
    pauses: [{ atMs: random.int(0, 3000), ms: random.int(5000, 90_000) }],
  });
  const isPair = random.chance(0.4);
  const stay = [{ atMs: 0 }];
  const plans = isPair
    ? times(2, (i) => program(random, `pair${i}`, "pair", stay))
    : ["server" as const, "client" as const].map((part) => program(random, part, part, stay));
  const { options, ...rest } = surroundings(random);
  return {
    ...rest,
    closeTimeoutMs: 200_000,
    options: {
      ...options,
      queryTimeoutMs: 300_000,
      // A side that takes nothing for that long is ended, as documented: the options of these
      // programs allow more.
      writeTimeoutMs: 200_000,
      messageTimeoutMs: 200_000,
      keepaliveMs: random.int(1000, 15_000),
    },
    programs: plans.map(resting),
  };
}

/** Lines and limits. */
function surroundings(random: Random): Pick<IpcScene, "link" | "options"> {
  const small = random.chance(0.5);
  return {
    link: {
      latencyMs: random.int(0, 5),
      bytesPerMs: random.pick([2000, 20_000, Infinity]),
      sendBytes: random.pick([8192, 65_536, 262_144]),
      receiveBytes: random.pick([8192, 65_536, 262_144]),
      segmentBytes: random.pick([16_384, 65_536]),
    },
    // Messages may be larger than the queue and than what is read ahead.
    options: small
      ? {
        highWaterBytes: random.int(1, 65_536),
        maxQueuedBytes: 65_536,
        readAheadBytes: random.int(1024, 65_536),
        maxQueriesRunning: random.int(1, 4),
        maxQueriesInFlight: random.int(1, 8),
        queryTimeoutMs: 30_000,
      }
      : { queryTimeoutMs: 30_000 },
  };
}

function program(
  random: Random,
  name: string,
  part: IpcPlan["part"],
  lives: readonly IpcLife[],
): IpcPlan {
  const gapMs = random.pick([0, 5, 200]);
  const works = (max: number, bytes: () => number) =>
    times(random.int(0, max), () => ({ bytes: bytes(), gapMs: random.int(0, gapMs) }));
  return {
    name,
    part,
    lives,
    messages: works(
      20,
      () => random.chance(0.03) ? random.int(0, LARGE_BYTES) : random.length(60_000),
    ),
    queries: works(10, () => random.length(2000)),
    pauses: random.chance(0.5) ? [{ atMs: random.int(0, 2000), ms: random.int(1, 3000) }] : [],
  };
}

/** One life, which may end before the world does. */
function comingAndGoing(random: Random, end: "close" | "kill"): readonly IpcLife[] {
  const atMs = random.int(0, 3000);
  return [random.chance(0.5) ? { atMs } : { atMs, endAtMs: atMs + random.int(0, 4000), end }];
}

/** One life after the other, the last one to the end. */
function consecutive(random: Random, how: () => "close" | "kill"): readonly IpcLife[] {
  const lives: IpcLife[] = [];
  let atMs = random.int(0, 1000);
  for (let count = random.int(0, 2); count > 0; count--) {
    const endAtMs = atMs + random.int(0, 3000);
    lives.push({ atMs, endAtMs, end: how() });
    // A process that ends in order takes its time.
    atMs = endAtMs + 11_000 + random.int(0, 500);
  }
  return [...lives, { atMs }];
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
