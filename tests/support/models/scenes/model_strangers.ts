// Strangers that break the rules of the wire: what they send before and after they have joined, drawn at
// random.
import { OFFENCES } from "./model_offences.ts";
import type { Random } from "../../random.ts";
import { frame } from "../../peers/raw_mux.ts";

const DATA = 0, WINDOW = 1;
const SYN = 1, FIN = 4, RST = 8;

/** What a stranger writes, piece by piece, and whether it reads what comes. */
export interface Stranger {
  readonly name: string;
  readonly pieces: readonly Uint8Array[];
  readonly reads: boolean;
}

/** A frame of the wire: its length, then JSON or whatever is given. */
function wireFrame(value: object | Uint8Array): Uint8Array {
  const body = value instanceof Uint8Array
    ? value
    : new TextEncoder().encode(JSON.stringify(value));
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes.set(body, 4);
  return bytes;
}

function data(id: number, body: Uint8Array, flags = 0): Uint8Array {
  return frame(DATA, flags, id, body.length, body);
}

function hello(random: Random, more: object = {}): Uint8Array {
  const identity = `stranger-${random.int(0, 1_000_000)}`;
  return data(1, wireFrame({ parley: 1, identity, token: "", streams: [], ...more }), SYN);
}

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** What they do before they are authenticated. */
const AT_THE_DOOR: Readonly<Record<string, (random: Random) => Uint8Array[]>> = {
  silence: () => [],
  garbage: (random) => [random.bytes(random.int(1, 3000))],
  http: () => [new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
  halfHello: (random) => [hello(random).subarray(0, random.int(1, 60))],
  noJson: (random) => [data(1, wireFrame(random.bytes(100)), SYN)],
  wrongTypes: (
    random,
  ) => [
    hello(random, random.pick([{ identity: 5 }, { streams: "x" }, { token: {} }, { parley: 9 }])),
  ],
  lyingLimits: (
    random,
  ) => [
    hello(random, {
      limits: random.pick<unknown>([5, { maxStreams: -1 }, { windowBytes: 1e99 }, []]),
    }),
  ],
  hugeFrame: () => [data(1, new Uint8Array([0xff, 0xff, 0xff, 0xff]), SYN)],
  streamsBeforeHello: () => many(50, (index) => frame(WINDOW, SYN, 2 * index + 1, 0)),
};

/** What they do once they have joined. */
const INSIDE: Readonly<Record<string, (random: Random) => Uint8Array[]>> = {
  offences(random) {
    let id = 3;
    const fresh = () => (id += 2) - 2;
    const names = many(random.int(1, 3), () => random.pick(Object.keys(OFFENCES)));
    return names.map((name) => OFFENCES[name]!({ random, fresh, most: 1000 }));
  },
  opens: (random) =>
    many(
      random.pick([20, 400]),
      (index) => data(2 * index + 3, wireFrame({ name: "model", to: "nobody", meta: {} }), SYN),
    ),
  opensAndResets: (random) =>
    many(random.pick([20, 400]), (index) => {
      const open = data(2 * index + 3, wireFrame({ name: "none", meta: {} }), SYN);
      const reset = frame(WINDOW, RST, 2 * index + 3, 0);
      const both = new Uint8Array(open.length + reset.length);
      both.set(open);
      both.set(reset, open.length);
      return both;
    }),
  opensSaidHalf: (random) =>
    many(random.int(1, 300), (index) => data(2 * index + 3, new Uint8Array([0, 0]), SYN)),
  opensToTarget: (random) =>
    many(
      random.int(1, 300),
      (index) => data(2 * index + 3, wireFrame({ name: "none", to: "target", meta: {} }), SYN),
    ),
  forgedFrom:
    () => [data(3, wireFrame({ name: "model", to: "target", from: "caller-0", meta: {} }), SYN)],
  openedBadly: (
    random,
  ) => [
    data(
      3,
      wireFrame(random.pick([{ name: 5 }, { name: "" }, { meta: [] }, random.bytes(50)])),
      SYN,
    ),
  ],
  names: (random) =>
    many(
      random.pick([10, 300]),
      (index) =>
        data(1, wireFrame({ streams: many(60, (at) => `${index}-${"n".repeat(100)}-${at}`) })),
    ),
  controlGarbage: (random) => [data(1, random.bytes(200))],
  controlEnds: () => [frame(WINDOW, FIN, 1, 0)],
  controlReset: () => [frame(WINDOW, RST, 1, 0)],
};

/** All names, for counting what was tried. */
export const STRANGERS: readonly string[] = [...Object.keys(AT_THE_DOOR), ...Object.keys(INSIDE)];

/** Draws a stranger. */
export function drawStranger(random: Random): Stranger {
  const reads = random.chance(0.5);
  const name = random.pick(STRANGERS);
  const door = AT_THE_DOOR[name];
  if (door !== undefined) return { name, reads, pieces: door(random) };
  return { name, reads, pieces: [hello(random), ...INSIDE[name]!(random)] };
}
