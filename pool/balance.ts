// Balancing: which of several backends gets the next piece of work. Pure: randomness is passed in.

/**
 * How a backend is chosen. `two-choices`: two at random, the less busy of them; it spreads evenly
 * and never sends a crowd to the one that is free just now. `round-robin`: in turns. `least-busy`:
 * the least busy of all.
 */
export type Balance = "two-choices" | "round-robin" | "least-busy";

/** Every way to balance. */
export const BALANCES: readonly Balance[] = ["two-choices", "round-robin", "least-busy"];

/** What may be chosen. */
export interface Candidate {
  /** Its share of the work, compared with that of others; above 0. */
  readonly weight: number;
  /** Pieces of work that it has in hand. */
  readonly load: number;
}

/** Chooses one of the candidates that can take work now; `undefined` when there are none. */
export interface Balancer {
  /** The one to give the next piece of work to. */
  pick<T extends Candidate>(candidates: readonly T[]): T | undefined;
}

/**
 * Makes a balancer.
 *
 * @param random returns numbers from 0 up to but not including 1
 *
 * @example
 * ```ts
 * import { newBalancer } from "./balance.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const balancer = newBalancer("least-busy", Math.random);
 * const free = { weight: 1, load: 0 };
 * assertEquals(balancer.pick([{ weight: 1, load: 3 }, free]), free);
 * ```
 */
export function newBalancer(balance: Balance, random: () => number): Balancer {
  switch (balance) {
    case "two-choices":
      return new TwoChoices(random);
    case "round-robin":
      return new RoundRobin();
    case "least-busy":
      return new LeastBusy(random);
  }
}

/** Draws two, each as often as its weight says, and takes the one with less to do for its weight. */
class TwoChoices implements Balancer {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  pick<T extends Candidate>(candidates: readonly T[]): T | undefined {
    if (candidates.length < 2) return candidates[0];
    const first = drawByWeight(candidates, null, this.#random)!;
    const second = drawByWeight(candidates, first, this.#random)!;
    return busyness(second) < busyness(first) ? second : first;
  }
}

/** Takes the least busy; among equals, each as often as its weight says. */
class LeastBusy implements Balancer {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  pick<T extends Candidate>(candidates: readonly T[]): T | undefined {
    let least = Infinity;
    for (const candidate of candidates) least = Math.min(least, busyness(candidate));
    return drawByWeight(candidates.filter((each) => busyness(each) === least), null, this.#random);
  }
}

/**
 * Smooth weighted round robin: each turn every candidate gains its weight, the richest is taken and
 * pays what all gained. So the turns of a heavy one are spread, not in a row.
 */
class RoundRobin implements Balancer {
  readonly #credits = new WeakMap<Candidate, number>();

  pick<T extends Candidate>(candidates: readonly T[]): T | undefined {
    let best: T | undefined;
    let bestCredit = -Infinity;
    let gained = 0;
    for (const candidate of candidates) {
      const credit = (this.#credits.get(candidate) ?? 0) + candidate.weight;
      this.#credits.set(candidate, credit);
      gained += candidate.weight;
      if (credit <= bestCredit) continue;
      best = candidate;
      bestCredit = credit;
    }
    if (best !== undefined) this.#credits.set(best, bestCredit - gained);
    return best;
  }
}

function busyness({ load, weight }: Candidate): number {
  return load / weight;
}

function drawByWeight<T extends Candidate>(
  candidates: readonly T[],
  except: T | null,
  random: () => number,
): T | undefined {
  let total = 0;
  for (const candidate of candidates) if (candidate !== except) total += candidate.weight;
  let at = random() * total;
  let last: T | undefined;
  for (const candidate of candidates) {
    if (candidate === except) continue;
    last = candidate;
    at -= candidate.weight;
    if (at < 0) return candidate;
  }
  return last; // rounding
}
