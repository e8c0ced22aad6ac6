// Scenes of the legal peer model: each draws a life of two sessions around one kind of trouble.
import { StreamPlan } from "../model_actor.ts";
import {
  cancelledCall,
  cancelledDownload,
  closeWithoutCredit,
  download,
  drawPlan,
  longTalk,
  ORDINARY,
  shortCall,
  type Style,
  upload,
} from "./model_plans.ts";
import type { End, Event, Scene } from "../model_world.ts";
import type { Random } from "../../random.ts";

/** Unread bytes that a session may hold in most scenes: little, so that memory matters. */
const SMALL_BUDGET = 2 * 2 ** 20;

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function plansOf(random: Random, style: Style, most: number): Record<End, StreamPlan[]> {
  return {
    left: many(random.int(0, most), () => drawPlan(random, style)),
    right: many(random.int(0, most), () => drawPlan(random, style)),
  };
}

/** Pings of both, now and then. */
function pings(random: Random): Event[] {
  return many(random.int(0, 6), () => ({
    atMs: random.int(0, 2000),
    do: "ping" as const,
    by: random.pick<End>(["left", "right"]),
  }));
}

/** The same with a yamux program in another language at the left end, which gets none of our terms. */
export function withRawPeer(scene: Scene): Scene {
  // It cannot say that it stops reading, and its writes wait for themselves.
  const canDo = ({ lanes: { opener } }: StreamPlan) =>
    !opener.out.some(({ do: what }) => what === "writeOn" || what === "cancel");
  const plans = { ...scene.plans, left: scene.plans.left.filter(canDo) };
  return { ...scene, plans, raw: true, agreed: false };
}

/** The names of the scenes. */
type SceneName =
  | "ordinary"
  | "crowds"
  | "uploads"
  | "rests"
  | "leavings"
  | "hangups"
  | "farewells"
  | "impatience"
  | "cuts";

/** The scenes by name. */
export const SCENES: Readonly<Record<SceneName, (random: Random) => Scene>> = {
  /** A bit of everything. */
  ordinary(random: Random): Scene {
    const events: Event[] = pings(random);
    if (random.chance(0.3)) {
      events.push({ atMs: random.int(0, 300), do: "stall", ms: random.int(1, 8000) });
    }
    return {
      plans: plansOf(random, ORDINARY, 5),
      agreed: random.chance(0.5),
      options: { keepAliveMs: random.pick([0, 15_000]) },
      acceptWithinMs: random.pick([0, 100, 5000]),
      events,
    };
  },

  /** More streams than the limit, at once; some are short, some stay. */
  crowds(random: Random): Scene {
    const maxStreams = random.pick([1, 2, 5, 12, 40]);
    const count = Math.ceil(maxStreams * random.pick([1, 1.2, 3]));
    const style = {
      ...ORDINARY,
      maxWriteBytes: 3000,
      resets: 0.1,
      openWithinMs: random.pick([0, 5, 500]),
    };
    return {
      plans: {
        left: many(
          count,
          () => random.chance(0.5) ? shortCall(random, 0) : drawPlan(random, style),
        ),
        right: many(random.int(0, count), () => drawPlan(random, style)),
      },
      agreed: random.chance(0.7),
      options: { maxStreams },
      acceptWithinMs: random.pick([0, 0, 300]),
    };
  },

  /** Many senders within their credit, readers that take some and then rest, and memory for a part of it. */
  uploads(random: Random): Scene {
    const maxBufferedBytes = random.pick([2 ** 20, SMALL_BUDGET, 4 * 2 ** 20]);
    const count = random.int(2, 24);
    const size = Math.min(2 * 2 ** 20, Math.ceil(random.int(2, 10) * 2 ** 20 / count));
    const rest = { afterBytes: random.pick([1, size / 4, size / 2]), ms: random.int(500, 20_000) };
    const kind = random.pick([upload, download]);
    return {
      plans: {
        left: many(count, () => kind(size, rest, random.int(0, 30))),
        right: [shortCall(random, 300)],
      },
      agreed: random.chance(0.5),
      options: { maxBufferedBytes, maxStreams: random.pick([count, 256]) },
      latencyMs: random.int(0, 20),
      bufferBytes: 1_000_000,
      maxChunkBytes: 65_536,
    };
  },

  /** Readers that rest for minutes while the other side must be silent; ends in either order. */
  rests(random: Random): Scene {
    const style = {
      ...ORDINARY,
      rests: 0.5,
      maxRestMs: 300_000,
      resets: 0,
      closes: 0,
      maxWriteBytes: 400_000,
    };
    const rest = { afterBytes: random.int(1, 100_000), ms: random.int(61_000, 200_000) };
    const size = random.int(300_000, 900_000);
    return {
      plans: {
        left: [
          random.pick([upload, download])(size, rest),
          ...many(random.int(0, 3), () => drawPlan(random, style)),
        ],
        right: [
          shortCall(random, random.int(0, 100_000)),
          ...many(random.int(0, 2), () => drawPlan(random, style)),
        ],
      },
      agreed: random.chance(0.5),
      options: { keepAliveMs: random.pick([0, 15_000]) },
      latencyMs: random.int(0, 60),
      bufferBytes: random.pick([65_536, 1_000_000]),
      maxChunkBytes: 65_536,
    };
  },

  /** Streams that one side ends or leaves while the other cannot send, or does not take. */
  leavings(random: Random): Scene {
    const { left, right } = plansOf(random, { ...ORDINARY, closes: 0.5 }, 3);
    const leave = () => random.chance(0.5) ? closeWithoutCredit(random) : cancelledDownload(random);
    return {
      plans: { left: [leave(), ...left], right: [leave(), ...right] },
      agreed: random.chance(0.5),
      bufferBytes: 65_536,
      maxChunkBytes: 65_536,
    };
  },

  /** Calls that are given up, hundreds in a row, beside one that is not. */
  hangups(random: Random): Scene {
    const gapMs = random.int(0, 4);
    return {
      plans: {
        left: [
          longTalk(random, 10, 200),
          ...many(random.int(150, 250), (index) => cancelledCall(random, index * gapMs)),
        ],
        right: [longTalk(random, 5, 400)],
      },
      agreed: random.chance(0.5),
      latencyMs: random.int(0, 5),
    };
  },

  /** Go-away and close() in the middle of it, over links that may be slow, crossing what is opened. */
  farewells(random: Random): Scene {
    const style = { ...ORDINARY, openWithinMs: 600, resets: 0.02, maxRestMs: 1000 };
    const by = random.pick<End>(["left", "right"]);
    const atMs = random.int(0, 600);
    const slow = random.chance(0.4);
    return {
      plans: plansOf(random, style, 4),
      agreed: random.chance(0.5),
      events: random.chance(0.6)
        ? [{ atMs, do: "close", by, timeoutMs: 900_000 }]
        : random.chance(0.5)
        ? [{ atMs, do: "goAway", by }]
        : [],
      bytesPerMs: slow ? random.pick([5, 20, 100]) : Infinity,
      bufferBytes: slow ? random.pick([1000, 8000]) : undefined,
      latencyMs: random.int(0, 100),
      options: { keepAliveMs: slow ? 0 : random.pick([0, 15_000]) },
    };
  },

  /** Time limits on everything: opening over the limit, reads of silent streams, writes without window. */
  impatience(random: Random): Scene {
    const style = { ...ORDINARY, impatience: 0.8, rests: 0.4, maxWriteBytes: 300_000 };
    const { left, right } = plansOf(random, style, 5);
    const hurried = many(random.int(0, 6), () => {
      const { lanes } = drawPlan(random, { ...style, maxWriteBytes: 1000 });
      return new StreamPlan(lanes, {
        atMs: random.int(0, 300),
        openTimeoutMs: random.int(1, 2000),
      });
    });
    return {
      plans: { left: [...left, ...hurried], right },
      agreed: random.chance(0.7),
      options: { maxStreams: random.pick([2, 4, 256]) },
      bufferBytes: random.pick([8000, 65_536]),
      maxChunkBytes: 8000,
    };
  },

  /**
   * The link is cut, a session aborted, or close() runs out of time: everything may break, but nothing in
   * silence.
   */
  cuts(random: Random): Scene {
    const atMs = random.int(0, 1500);
    const by = random.pick<End>(["left", "right"]);
    const event: Event = random.pick<Event>([
      { atMs, do: "cut" },
      { atMs, do: "abort", by },
      { atMs, do: "close", by, timeoutMs: random.int(1, 500) },
    ]);
    const style = { ...ORDINARY, rests: 0.4, openWithinMs: 1000, maxWriteBytes: 200_000 };
    const { left, right } = plansOf(random, style, 4);
    const rest = { afterBytes: 5000, ms: 20_000 };
    return {
      plans: { left: [upload(random.int(10_000, 600_000), rest), ...left], right },
      agreed: random.chance(0.5),
      events: [event],
      bytesPerMs: random.pick([20, 1000, Infinity]),
    };
  },
};
