// Random: a small seeded generator, and runs over many seeds that name the failed one.

/** Seed of the first run: fixed, so that a gate is never red by chance; `PARLEY_SEED` sets another. */
const FIRST_SEED = Number(Deno.env.get("PARLEY_SEED") ?? 1);

/** Seed for fast-check. */
export const propertySeed: number = FIRST_SEED;

/** By how much `deno task fuzz` multiplies the work, unless `PARLEY_FUZZ_RUNS` sets another factor. */
const LONG_EFFORT = 50;

/** How many times the usual work is done: 1 in the gate, more on demand. */
export const effort: number = Number(
  Deno.env.get("PARLEY_FUZZ_RUNS") ?? (Deno.env.has("PARLEY_FUZZ") ? LONG_EFFORT : 1),
);

/**
 * A generator of random values (mulberry32): good enough for tests, and the same for the same seed
 * everywhere.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.#next() * (max - min + 1));
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** One of the choices. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.int(0, choices.length - 1)]!;
  }

  /** A length that is small more often than large, up to `max`. */
  length(max: number): number {
    return Math.floor(max ** this.#next()) - (this.chance(0.5) ? 1 : 0);
  }

  /** Random bytes; few different ones when `alphabet` says so. */
  bytes(length: number, alphabet?: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      bytes[i] = alphabet === undefined
        ? this.int(0, 255)
        : alphabet[this.int(0, alphabet.length - 1)]!;
    }
    return bytes;
  }

  /** Cuts bytes into random pieces, some of them empty. */
  cut(bytes: Uint8Array, maxPieceBytes: number): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) {
      const size = this.int(0, Math.min(maxPieceBytes, bytes.length - at));
      pieces.push(bytes.slice(at, at + size));
      at += size;
    }
    return pieces;
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Runs `body` with `runs` seeds, times the effort asked for; a failure prints its seed. */
export function forSeeds(runs: number, body: (random: Random) => void): void {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + runs * effort; seed++) {
    try {
      body(new Random(seed));
    } catch (error) {
      throw failedWith(seed, error);
    }
  }
}

/** The same as {@linkcode forSeeds}, one run after the other. */
export async function forSeedsAsync(
  runs: number,
  body: (random: Random) => Promise<void>,
): Promise<void> {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + runs * effort; seed++) {
    try {
      await body(new Random(seed));
    } catch (error) {
      throw failedWith(seed, error);
    }
  }
}

function failedWith(seed: number, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(`Failed with seed ${seed} (repeat with PARLEY_SEED=${seed}): ${message}`, {
    cause: error,
  });
}
