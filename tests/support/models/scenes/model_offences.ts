// Offences against the mux protocol: what a rule-breaker may send, drawn at random.
import type { Random } from "../../random.ts";
import { frame } from "../../peers/raw_mux.ts";

const DATA = 0, WINDOW = 1, PING = 2, GO_AWAY = 3;
const SYN = 1, ACK = 2, FIN = 4, RST = 8;
const WINDOW_BYTES = 256 * 1024;

/** What an offence is drawn from. */
export interface Attack {
  readonly random: Random;
  /** Most frames of a flood. */
  readonly most: number;
  /** A stream id that was not used yet. */
  fresh(): number;
}

/** Frames of one kind in a flood: some that a session takes, some that it must not. */
function many({ random, most }: Attack): number {
  return random.pick([most, most, Math.ceil(most / 10)]);
}

/** Joins frames; all are as long as the first, or so. */
function repeat(count: number, make: (index: number) => Uint8Array): Uint8Array {
  let joined = new Uint8Array(0);
  let offset = 0;
  for (let index = 0; index < count; index++) {
    const part = make(index);
    if (joined.length < offset + part.length) {
      const grown = new Uint8Array(
        Math.max(offset + part.length, part.length * (count - index) + offset),
      );
      grown.set(joined);
      joined = grown;
    }
    joined.set(part, offset);
    offset += part.length;
  }
  return joined.subarray(0, offset);
}

function join(...parts: Uint8Array[]): Uint8Array {
  return repeat(parts.length, (index) => parts[index]!);
}

function opened({ fresh }: Attack): [number, Uint8Array] {
  const id = fresh();
  return [id, frame(WINDOW, SYN, id, 0)];
}

/**
 * The offences by name. Some are none by themselves; they are here for their number, or for what they leave
 * behind.
 */
export const OFFENCES: Readonly<Record<string, (attack: Attack) => Uint8Array>> = {
  dataOverWindow(attack) {
    const [id, syn] = opened(attack);
    return join(syn, frame(DATA, 0, id, WINDOW_BYTES + attack.random.int(1, 1000)));
  },
  windowUsedUp(attack) {
    const [id, syn] = opened(attack);
    return join(syn, repeat(40, () => frame(DATA, 0, id, 8000)));
  },
  fullWindows(attack) {
    return repeat(attack.random.int(2, 40), () => {
      const [id, syn] = opened(attack);
      return join(syn, frame(DATA, 0, id, WINDOW_BYTES));
    });
  },
  dataInSyn({ random, fresh }) {
    return frame(DATA, SYN, fresh(), random.pick([1, WINDOW_BYTES, WINDOW_BYTES + 1, 2_000_000]));
  },
  hugeLength: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, frame(DATA, 0, id, 0xffff_ffff, new Uint8Array(20_000)));
  },
  lyingLength: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, frame(DATA, 0, id, 200_000, new Uint8Array(attack.random.int(0, 1000))));
  },
  unknownType: ({ random, fresh }) => frame(random.int(4, 255), 0, fresh(), 0),
  unknownFlags: ({ random, fresh }) => frame(WINDOW, random.int(16, 65_535), fresh(), 0),
  otherVersion({ random, fresh }) {
    const bytes = frame(WINDOW, SYN, fresh(), 0);
    bytes[0] = random.int(1, 255);
    return bytes;
  },
  wrongParity: ({ fresh }) => frame(WINDOW, SYN, fresh() + 1, 0),
  usedId: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, frame(WINDOW, FIN, id, 0), syn);
  },
  idFarBack: ({ random, fresh }) => {
    const id = fresh();
    return join(
      frame(WINDOW, SYN, id + 100_000, 0),
      frame(WINDOW, SYN, id + 2 * random.int(0, 5), 0),
    );
  },
  idOfZero: ({ random }) => frame(random.pick([DATA, WINDOW]), random.pick([0, SYN]), 0, 10),
  neverOpened: ({ random, fresh }) =>
    frame(random.pick([DATA, WINDOW]), random.pick([0, ACK, FIN, RST]), fresh() + 2000, 5),
  ownIdOfPeer: ({ random }) =>
    frame(random.pick([DATA, WINDOW]), random.pick([0, ACK, FIN]), 2 * random.int(1, 50), 5),
  creditOverflow: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, frame(WINDOW, 0, id, 0xffff_ffff), frame(WINDOW, 0, id, 0xffff_ffff));
  },
  dataAfterFin: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, frame(WINDOW, FIN, id, 0), frame(DATA, 0, id, 100));
  },
  ackTwice: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, frame(WINDOW, ACK, id, 0), frame(WINDOW, ACK, id, 0));
  },
  goAways: (attack) => repeat(many(attack), () => frame(GO_AWAY, 0, 0, 0)),
  goAwayCode: ({ random }) => frame(GO_AWAY, 0, 0, random.int(1, 9)),
  garbage: ({ random }) => random.bytes(random.int(1, 3000)),
  syns: (attack) => repeat(many(attack), () => frame(WINDOW, SYN, attack.fresh(), 0)),
  synFins: (attack) => repeat(many(attack), () => frame(WINDOW, SYN | FIN, attack.fresh(), 0)),
  synRsts: (attack) => repeat(many(attack), () => frame(WINDOW, SYN | RST, attack.fresh(), 0)),
  rapidResets: (attack) =>
    repeat(many(attack), () => {
      const [id, syn] = opened(attack);
      return join(syn, frame(DATA, 0, id, 100), frame(WINDOW, RST, id, 0));
    }),
  pings: (attack) => repeat(many(attack), (index) => frame(PING, SYN, 0, index)),
  pongs: (attack) => repeat(many(attack), (index) => frame(PING, ACK, 0, index)),
  emptyData: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, repeat(many(attack), () => frame(DATA, 0, id, 0)));
  },
  emptyUpdates: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, repeat(many(attack), () => frame(WINDOW, 0, id, 0)));
  },
  credits: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, repeat(many(attack), () => frame(WINDOW, 0, id, 1)));
  },
  singleBytes: (attack) => {
    const [id, syn] = opened(attack);
    return join(syn, repeat(many(attack), () => frame(DATA, 0, id, 1)));
  },
  deadFrames: (attack) => {
    const [id, syn] = opened(attack);
    return join(
      syn,
      frame(WINDOW, RST, id, 0),
      repeat(many(attack), () => frame(WINDOW, 0, id, 1)),
    );
  },
};

/** Floods whose every frame is noise: a session must not go on with them for long. */
export const NOISE: ReadonlySet<string> = new Set([
  "goAways",
  "pings",
  "pongs",
  "emptyData",
  "emptyUpdates",
]);

/** Floods whose frames may each be answered. */
export const FLOODS: readonly string[] = [
  "syns",
  "synFins",
  "synRsts",
  "rapidResets",
  "pings",
  "deadFrames",
];
