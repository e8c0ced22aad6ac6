// Draws what streams are to do: everything that the protocol allows, in the proportions that a style asks
// for.
import { type Lanes, type Step, StreamPlan } from "../model_actor.ts";
import type { Random } from "../../random.ts";

/** What streams are like. Chances are 0 to 1. */
export interface Style {
  /** Bytes of one write: small more often than large, up to this. */
  readonly maxWriteBytes: number;
  /** Writes of one side, up to this. */
  readonly maxWrites: number;
  /** A reader takes some bytes and then rests for so long (ms, up to this). */
  readonly maxRestMs: number;
  readonly rests: number;
  /** A side resets the stream in the middle, or after its FIN. */
  readonly resets: number;
  /** A side ends its direction and stops reading, while the other may still send. */
  readonly closes: number;
  /** A read or a write has a time limit. */
  readonly impatience: number;
  /** Openers come within so many ms. */
  readonly openWithinMs: number;
}

/** The style that others are variations of. */
export const ORDINARY: Style = {
  maxWriteBytes: 60_000,
  maxWrites: 5,
  maxRestMs: 5000,
  rests: 0.2,
  resets: 0.05,
  closes: 0.1,
  impatience: 0.1,
  openWithinMs: 200,
};

/** Draws one stream. */
export function drawPlan(random: Random, style: Style): StreamPlan {
  // One side may wait for the other's end before its own; if both did, they would wait for ever.
  const politeSide = random.pick(["opener", "acceptor", "none"]);
  const lanes = {
    opener: drawLanes(random, style, politeSide === "opener"),
    acceptor: drawLanes(random, style, politeSide === "acceptor"),
  };
  return new StreamPlan(lanes, { atMs: random.int(0, style.openWithinMs) });
}

function drawLanes(random: Random, style: Style, isPolite: boolean): Lanes {
  const out = drawWrites(random, style);
  if (isPolite) out.push({ do: "readFirst" });
  const input = drawReads(random, style);
  if (random.chance(style.resets)) out.push({ do: "reset" });
  else if (random.chance(style.closes)) out.push({ do: "close" });
  else out.push({ do: "closeWrite" });
  if (random.chance(style.resets / 2)) out.push({ do: "reset" });
  return { out, in: input };
}

function drawWrites(random: Random, { maxWrites, maxWriteBytes, impatience }: Style): Step[] {
  const steps: Step[] = [];
  for (let count = random.int(0, maxWrites); count > 0; count--) {
    if (random.chance(0.3)) steps.push({ do: "pause", ms: random.int(0, 80) });
    const bytes = Math.max(1, random.length(maxWriteBytes));
    steps.push({
      do: "write",
      bytes,
      timeoutMs: random.chance(impatience / 4) ? random.int(1, 2000) : undefined,
    });
  }
  return steps;
}

function drawReads(random: Random, { rests, maxRestMs, maxWriteBytes, impatience }: Style): Step[] {
  const steps: Step[] = [];
  while (random.chance(rests)) {
    const timeoutMs = random.chance(impatience) ? random.int(100, 3000) : undefined;
    steps.push({ do: "read", bytes: Math.max(1, random.length(maxWriteBytes)), timeoutMs });
    steps.push({ do: "pause", ms: Math.max(1, random.length(maxRestMs)) });
  }
  steps.push({ do: "drain" });
  return steps;
}

/** Both sides send so much and read to the end; the acceptor's reader rests in between. */
export function upload(
  bytes: number,
  rest: { readonly afterBytes: number; readonly ms: number },
  atMs = 0,
): StreamPlan {
  const writes: Step[] = [];
  for (let left = bytes; left > 0; left -= 65_536) {
    writes.push({ do: "write", bytes: Math.min(left, 65_536) });
  }
  const reads: Step[] = [
    { do: "read", bytes: rest.afterBytes },
    { do: "pause", ms: rest.ms },
    { do: "drain" },
  ];
  return new StreamPlan({
    opener: { out: [...writes, { do: "closeWrite" }], in: [{ do: "drain" }] },
    acceptor: { out: [{ do: "closeWrite" }], in: reads },
  }, { atMs });
}

/** The other way: asked for by the opener, who has said all and rests while it reads. */
export function download(
  bytes: number,
  rest: { readonly afterBytes: number; readonly ms: number },
  atMs = 0,
): StreamPlan {
  const { opener, acceptor } = upload(bytes, rest).lanes;
  return new StreamPlan({ opener: acceptor, acceptor: opener }, { atMs });
}

/** One side ends a stream whose other side takes nothing for ten minutes, with bytes still to go. */
export function closeWithoutCredit(random: Random): StreamPlan {
  return new StreamPlan({
    opener: {
      out: [
        { do: "writeOn", bytes: random.int(600_000, 1_000_000) },
        { do: "pause", ms: random.pick([0, random.int(1, 500)]) },
        { do: "close" },
      ],
      in: [],
    },
    acceptor: {
      out: [{ do: "closeWrite" }],
      in: [{ do: "read", bytes: random.int(1, 5000) }, { do: "pause", ms: 600_000 }, {
        do: "drain",
      }],
    },
  });
}

/** One side has said all and stops reading, while the other is in the middle of what it sends. */
export function cancelledDownload(random: Random): StreamPlan {
  return new StreamPlan({
    opener: {
      out: [
        { do: "write", bytes: random.int(1, 500) },
        { do: "closeWrite" },
        { do: "readFirst" },
        // By then the window is full, and the other waits.
        { do: "pause", ms: 2000 },
        { do: "cancel" },
      ],
      in: [{ do: "read", bytes: random.int(1, 50_000) }],
    },
    acceptor: {
      out: [{ do: "write", bytes: 1_000_000 }, { do: "closeWrite" }],
      in: [{ do: "drain" }],
    },
  }, { atMs: random.int(0, 50) });
}

/** A call that its caller gives up after the first bytes of the answer. */
export function cancelledCall(random: Random, atMs: number): StreamPlan {
  const bytes = random.int(1, 500);
  return new StreamPlan({
    opener: {
      out: [{ do: "write", bytes: 20 }, { do: "readFirst" }, { do: "reset" }],
      in: [{ do: "read", bytes }],
    },
    acceptor: {
      out: [{ do: "write", bytes: 500 }, { do: "readFirst" }, { do: "closeWrite" }],
      in: [{ do: "drain" }],
    },
  }, { atMs });
}

/** A short stream that both sides end in order at once. */
export function shortCall(random: Random, atMs: number): StreamPlan {
  const lanes = (bytes: number): Lanes => ({
    out: [{ do: "write", bytes }, { do: "closeWrite" }],
    in: [{ do: "drain" }],
  });
  return new StreamPlan(
    { opener: lanes(random.int(1, 300)), acceptor: lanes(random.int(1, 300)) },
    { atMs },
  );
}

/** A stream that stays open for a while, with a little each way now and then. */
export function longTalk(random: Random, rounds: number, pauseMs: number): StreamPlan {
  const out: Step[] = [];
  for (let round = 0; round < rounds; round++) {
    out.push({ do: "write", bytes: random.int(1, 2000) }, {
      do: "pause",
      ms: random.int(1, pauseMs),
    });
  }
  const lanes: Lanes = { out: [...out, { do: "closeWrite" }], in: [{ do: "drain" }] };
  return new StreamPlan({ opener: lanes, acceptor: lanes });
}

/**
 * A question whose opener only reads the answer to its end; who serves it reads what there is and returns.
 */
export function question(random: Random, atMs: number): StreamPlan {
  const bytes = random.int(1, 3000);
  return new StreamPlan({
    opener: { out: [{ do: "write", bytes }], in: [{ do: "drain" }] },
    acceptor: {
      out: [{ do: "readFirst" }, { do: "write", bytes: random.int(1, 3000) }],
      in: [{ do: "read", bytes }],
    },
  }, { atMs, isQuestion: true });
}
