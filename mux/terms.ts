// Terms: what each side of a session accepts from the other, as announced or as learned from refusals.
import type { Clock } from "../async/clock.ts";
import type { ResolvedMuxOptions } from "./options.ts";
import { INITIAL_WINDOW_BYTES } from "./credit_window.ts";

/** What one side of a session takes from the other. */
export interface MuxTerms {
  /** Streams that the peer may have open. */
  readonly maxStreams: number;
  /** Window with which each stream starts, in bytes. */
  readonly windowBytes: number;
}

/** The terms that a peer has announced so far. */
export type PeerTerms = { readonly [Name in keyof MuxTerms]?: MuxTerms[Name] | undefined };

/** The most streams that a side may allow, as in the options. */
export const MAX_STREAMS: number = 1 << 24;
/** The least window with which streams start: one small write. */
const MIN_WINDOW_BYTES = 1024;
/**
 * A refusal with fewer streams open than this is no limit that the peer has: its program did not
 * want the stream.
 */
const MIN_LEARNED = 16;
/** How long a limit that was learned holds, in ms: the peer may only have been short of memory. */
const LEARNED_MS = 30_000;

/** Terms of a session: what was agreed on, and how many streams of ours the peer takes. */
export class SessionTerms {
  readonly #options: ResolvedMuxOptions;
  readonly #limit: OpeningLimit;
  #maxStreams: number;
  #hasAgreed = false;
  #receiveWindowBytes = INITIAL_WINDOW_BYTES;
  #sendWindowBytes = INITIAL_WINDOW_BYTES;
  /**
   * A bare ACK came: the peer answers at once what it takes. Others (@libp2p/yamux) send theirs
   * with their first data.
   */
  answersAtOnce = false;

  constructor(options: ResolvedMuxOptions) {
    this.#options = options;
    this.#maxStreams = options.maxStreams;
    this.#limit = new OpeningLimit(options.clock);
  }

  /** Whether both sides know each other's window, and the ends that only sides of ours understand. */
  get hasAgreed(): boolean {
    return this.#hasAgreed;
  }

  /** Streams that the peer may have open. */
  get maxStreams(): number {
    return this.#maxStreams;
  }

  /** Windows with which streams start: what the peer may send on them ... */
  get receiveWindowBytes(): number {
    return this.#receiveWindowBytes;
  }

  /** ... and what this side may send. */
  get sendWindowBytes(): number {
    return this.#sendWindowBytes;
  }

  /**
   * What this side announces. The window: a quarter of the budget holds all streams that the peer
   * may open, another quarter as many of ours, and the rest is for windows that grow.
   */
  get ours(): MuxTerms {
    const share = Math.floor(this.#options.maxBufferedBytes / 4 / this.#options.maxStreams);
    const windowBytes = Math.min(INITIAL_WINDOW_BYTES, Math.max(MIN_WINDOW_BYTES, share));
    return { maxStreams: this.#maxStreams, windowBytes };
  }

  /** Takes note of the peer's terms; true when windows start at another size from now on. */
  agree({ maxStreams, windowBytes }: PeerTerms): boolean {
    if (maxStreams !== undefined) this.#limit.tell(maxStreams);
    if (windowBytes === undefined || this.#hasAgreed) return false;
    this.#hasAgreed = true;
    this.#receiveWindowBytes = this.ours.windowBytes;
    this.#sendWindowBytes = windowBytes;
    return true;
  }

  /** Lets the peer have more streams open. */
  raiseMaxStreams(maxStreams: number): void {
    this.#maxStreams = Math.max(this.#maxStreams, maxStreams);
  }

  /** Whether the peer takes another stream of ours beside `open` ones. */
  allows(open: number): boolean {
    return this.#limit.allows(open);
  }

  /** The peer refused a stream of ours while `open` others were open. */
  learn(open: number): void {
    this.#limit.learn(open);
  }

  /** Whether a RST before any answer refuses a stream, while `open` streams of ours are open. */
  refusesByReset(open: number): boolean {
    return this.#hasAgreed || this.answersAtOnce || open >= MIN_LEARNED;
  }
}

/** How many streams the peer takes: told by it, or learned from its first refusal. */
export class OpeningLimit {
  readonly #clock: Clock;
  #told = Infinity;
  #learned = Infinity;
  #learnedAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The peer said so. */
  tell(maxStreams: number): void {
    this.#told = maxStreams;
  }

  /** The peer refused a stream while `open` others of this side were open. */
  learn(open: number): void {
    if (open < MIN_LEARNED) return;
    this.#learned = Math.min(this.#current(), open);
    this.#learnedAt = this.#clock.now();
  }

  /** Whether another stream may be opened beside `open` ones. */
  allows(open: number): boolean {
    return open < this.#told && (open === 0 || open < this.#current());
  }

  #current(): number {
    if (this.#clock.now() - this.#learnedAt > LEARNED_MS) this.#learned = Infinity;
    return this.#learned;
  }
}

/** Checks a term. @throws {RangeError} when it is out of range */
export function checkTerm(name: string, value: number, max: number, min = 1): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot agree on terms: "${name}" must be ${min} to ${max}, current value is ${value}`,
  );
}
