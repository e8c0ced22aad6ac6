// Workers: two against one, on two cores that the load uses as well.
import type { Contest, Turn } from "../contest.ts";
import type { Place, Program, Subject } from "../place.ts";
import { type EchoPlan, loadEcho } from "./echo_plan.ts";

const SMALL: EchoPlan = { messageBytes: 64, inFlight: 16, connections: 100 };
const ONE_AT_A_TIME: EchoPlan = { messageBytes: 64, inFlight: 1, connections: 100 };

/** Arithmetic of some 200 µs, beside which the load needs next to nothing of the cores. */
const STEPS = 200_000;

const ONE = "1 worker";
const TWO = "2 workers";

/** The subject. */
export const workers: Subject = {
  name: "workers",
  title: "Workers",
  about: "Two workers behind one port against one, on two cores that the load uses as well. The " +
    "first row compares the processor time of a message: 0.85 of it on each of two cores is 1.7 " +
    "times as much. In the second, a message of 64 B costs the handler some 200 µs of " +
    "arithmetic; it compares wall clock.",
  contests: (place: Place): Contest[] => [
    {
      work: "workers tcp, 64 B, 16 in flight",
      unit: "message",
      contestants: {
        [ONE]: () => turn(place, 1, 0, SMALL),
        [TWO]: () => turn(place, 2, 0, SMALL),
      },
      rows: [{ ours: TWO, baseline: ONE, by: "server", goal: "two workers, processor time" }],
    },
    {
      work: "workers tcp, 64 B, much arithmetic",
      unit: "message",
      contestants: {
        [ONE]: () => turn(place, 1, STEPS, ONE_AT_A_TIME),
        [TWO]: () => turn(place, 2, STEPS, ONE_AT_A_TIME),
      },
      rows: [{ ours: TWO, baseline: ONE, by: "wall", goal: "two workers, wall clock" }],
    },
  ],
};

function turn(place: Place, count: number, steps: number, plan: EchoPlan): Promise<Turn> {
  const server: Program = {
    file: "base/workers.ts",
    args: [String(count), String(steps)],
    cores: "0,1",
  };
  return place.withServer(
    server,
    (address, pid) => loadEcho(place, "tcp", plan, address, pid, "0,1"),
  );
}
