// Scenes of the legal peer model over the wire, a hub and tunnels.
import {
  cancelledCall,
  download,
  drawPlan,
  longTalk,
  ORDINARY,
  question,
  shortCall,
  upload,
} from "./model_plans.ts";
import { type Lanes, StreamPlan } from "../model_actor.ts";
import type { Random } from "../../random.ts";
import type { Caller, WireScene } from "../model_wire.ts";

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** A caller that must notice nothing of what others do. */
function quiet(random: Random): Caller {
  return {
    plans: [
      longTalk(random, 8, 300),
      upload(200_000, { afterBytes: 50_000, ms: random.int(1, 70_000) }),
    ],
  };
}

function mixed(random: Random, most: number): StreamPlan[] {
  return many(
    random.int(1, most),
    () =>
      random.chance(0.3)
        ? question(random, random.int(0, 300))
        : drawPlan(random, { ...ORDINARY, rests: 0.3, maxRestMs: random.pick([2000, 150_000]) }),
  );
}

/** A caller of whom no two are alike. */
function noisy(random: Random): Caller {
  const plans = mixed(random, 5);
  switch (random.int(0, 4)) {
    case 0:
      return { plans, abortAtMs: random.int(20, 2000) };
    case 1:
      return { plans, closeAtMs: random.int(20, 2000) };
    case 2:
      return {
        plans: many(
          random.int(100, 160),
          (index) => cancelledCall(random, index * random.int(0, 3)),
        ),
      };
    case 3:
      return { plans: many(random.int(10, 40), () => shortCall(random, random.int(0, 200))) };
    default:
      return { plans };
  }
}

/** The names of the scenes. */
type WireSceneName =
  | "mount"
  | "closings"
  | "hub"
  | "hubTurns"
  | "hubRests";

/** The scenes by name. */
export const WIRE_SCENES: Readonly<Record<WireSceneName, (random: Random) => WireScene>> = {
  /** One client and its server: streams both ways, questions, ends in the middle, limits. */
  mount(random: Random): WireScene {
    const maxStreams = random.pick([undefined, undefined, 3, 10]);
    const [client, back] = [mixed(random, 8), mixed(random, 4)];
    const slow = random.chance(0.2);
    return {
      hub: false,
      callers: [{
        plans: client,
        closeAtMs: random.chance(0.3) ? random.int(20, 3000) : undefined,
        closeTimeoutMs: random.chance(0.5) ? random.int(1, 2000) : undefined,
      }],
      handlerRestMs: random.chance(0.3) ? random.int(1, 1500) : 0,
      back,
      maxStreams,
      latencyMs: random.int(0, 50),
      bytesPerMs: slow ? random.pick([20, 200]) : Infinity,
      bufferBytes: slow ? 8000 : 65_536,
    };
  },

  /** A client ends with a time limit while its handlers go on after their streams. */
  closings(random: Random): WireScene {
    const ms = random.int(0, 1000);
    const lanes: Lanes = {
      out: [{ do: "write", bytes: 100 }, { do: "pause", ms }, { do: "closeWrite" }],
      in: [{ do: "drain" }],
    };
    return {
      hub: false,
      callers: [{
        plans: [],
        closeAtMs: random.int(50, 500),
        closeTimeoutMs: random.int(1000, 3000),
      }],
      back: many(random.int(1, 3), () => new StreamPlan({ opener: lanes, acceptor: lanes })),
      handlerRestMs: random.int(1500, 6000),
    };
  },

  /** Several callers of one target; one is quiet, and must notice nothing of the others. */
  hub(random: Random): WireScene {
    return {
      hub: true,
      callers: [quiet(random), ...many(random.int(1, 3), () => noisy(random))],
      maxStreams: random.pick([undefined, 20]),
      maxStreamsPerPair: random.pick([undefined, undefined, 4]),
      latencyMs: random.int(0, 30),
    };
  },

  /**
   * Far more short streams than a pair may have at a time, from two programs of one client, and one more
   * client.
   */
  hubTurns(random: Random): WireScene {
    const maxStreamsPerPair = random.pick([2, 8, 64]);
    const count = Math.min(150, maxStreamsPerPair * random.int(2, 10));
    return {
      hub: true,
      callers: many(2, () => ({ plans: many(count, () => shortCall(random, random.int(0, 20))) })),
      maxStreamsPerPair,
      maxStreams: random.pick([undefined, maxStreamsPerPair + 1]),
      latencyMs: random.int(0, 3),
      isBrisk: true,
    };
  },

  /** Each caller reads slowly, or not for a minute, what the target sends through the hub. */
  hubRests(random: Random): WireScene {
    return {
      hub: true,
      callers: many(random.int(1, 3), () => ({
        plans: many(
          random.int(1, 2),
          () =>
            random.pick([upload, download])(random.int(300_000, 900_000), {
              afterBytes: random.int(1, 100_000),
              ms: random.int(61_000, 200_000),
            }, random.int(0, 100)),
        ),
      })),
      latencyMs: random.int(0, 30),
      bufferBytes: 1_000_000,
    };
  },
};
