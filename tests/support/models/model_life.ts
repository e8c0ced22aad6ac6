// liveOut(): lets one simulated life come to its end, however much of it happens without any time passing.
import type { TestClock } from "../simulation/test_clock.ts";

/** Simulated time in which everything must have come to an end: an hour. */
const LIMIT_MS = 3_600_000;
/** Rounds without a timer after which nothing will happen any more. */
const QUIET_ROUNDS = 20;

/** Runs `life` under the clock; fails with its error, or when something still waits. */
export async function liveOut(
  clock: TestClock,
  life: () => Promise<void>,
  waiting: () => string,
): Promise<void> {
  const outcome = { failure: undefined as unknown, isOver: false };
  void life().catch((error) => outcome.failure = error).finally(() => outcome.isOver = true);
  for (let round = 0; round < QUIET_ROUNDS && !outcome.isOver; round++) {
    await clock.runUntil(() => outcome.isOver, LIMIT_MS);
    await clock.settle(1000);
    if (clock.pending > 0 && clock.now() < LIMIT_MS) round = 0;
  }
  if (outcome.failure !== undefined) throw outcome.failure;
  if (!outcome.isOver) throw new Error(`Something still waits after an hour:\n${waiting()}`);
}
