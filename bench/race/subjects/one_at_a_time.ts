// One at a time: each connection waits for its echo before it sends again, against the raw loop.
import type { Contest } from "../contest.ts";
import type { Place, Subject } from "../place.ts";
import { BACKENDS } from "./backends.ts";
import { type EchoPlan, echoTurn } from "./echo_plan.ts";

const PLANS: readonly EchoPlan[] = [
  { messageBytes: 64, inFlight: 1, connections: 1 },
  { messageBytes: 64, inFlight: 1, connections: 100 },
  { messageBytes: 64, inFlight: 1, connections: 1000 },
  { messageBytes: 1024, inFlight: 1, connections: 100 },
];

/** The subject. */
export const oneAtATime: Subject = {
  name: "one at a time",
  title: "Echo, one message at a time",
  about: "Each connection sends a message and waits for it to come back. The handler is a `for " +
    "await`. What counts is the server's processor time for a message.",
  contests(place: Place): Contest[] {
    return BACKENDS.flatMap((backend) =>
      PLANS.map((plan) => {
        const { messageBytes, connections } = plan;
        const many = connections === 1 ? "1 connection" : `${connections} connections`;
        return {
          work: `one at a time ${backend}, ${messageBytes} B, ${many}`,
          unit: "message",
          contestants: {
            "raw loop": echoTurn(place, "raw", backend, plan),
            "for await": echoTurn(place, "messages", backend, plan),
          },
          rows: [{
            ours: "for await",
            baseline: "raw loop",
            by: "server",
            goal: "echo one at a time",
          }],
        };
      })
    );
  },
};
