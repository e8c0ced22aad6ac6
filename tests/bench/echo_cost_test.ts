// Guard of speed: what a message costs a server, against the raw loop, by processor time.
import { assertEquals } from "@std/assert";
import { type Outcome, runContest } from "../../bench/race/contest.ts";
import { Place } from "../../bench/race/place.ts";
import { echoContest } from "../../bench/race/subjects/echo.ts";

/**
 * A run fails below this part of the goals: half as fast is no noise. The goals are of a quiet
 * machine and long turns.
 */
const PART = 0.5;

/**
 * Few connections: each read of the loop has all that is in flight on one, however the system
 * schedules the two processes.
 */
const PLAN = { messageBytes: 64, inFlight: 64, connections: 4, serverMicros: 250_000 };

/** Runs before a failure counts: other work on the machine comes and goes. */
const ATTEMPTS = 3;

/** The least that a ratio may be, or 0 where there is no goal. */
function floorOf({ goal }: Outcome): number {
  return goal !== undefined && "atLeast" in goal ? PART * goal.atLeast : 0;
}

Deno.test({
  name: "an echo costs a server no more than twice what it may, by batches and by `for await`",
  // Processor time is read from /proc.
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using place = await Place.open({ seconds: 1, pairs: 1, quick: true });
    const { rows, contestants, ...work } = echoContest(place, "unix", PLAN);
    const { "by batches, sendBatch": _, ...guarded } = contestants;
    const contest = {
      ...work,
      contestants: guarded,
      rows: rows.filter(({ goal }) => goal !== undefined),
    };
    let slow: Outcome[] = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const outcomes = await runContest(contest, 1);
      for (const { why } of outcomes) assertEquals(why, undefined);
      slow = outcomes.filter((outcome) => !(outcome.ratio!.median >= floorOf(outcome)));
      if (slow.length === 0) return;
    }
    const faults = slow.map((outcome) =>
      `${outcome.ours}: ${outcome.ratio!.median.toFixed(3)} of the ${outcome.baseline}, ` +
      `less than ${floorOf(outcome).toFixed(3)}`
    );
    throw new Error(`${ATTEMPTS} times too slow: ${faults.join("; ")}`);
  },
});
