// Echo: many messages in flight, one handler by batches and one by `for await`, against the raw loop.
import type { Contest } from "../contest.ts";
import type { Place, Subject } from "../place.ts";
import { type Backend, BACKENDS } from "./backends.ts";
import { type EchoPlan, echoTurn } from "./echo_plan.ts";

/** What is echoed. */
export const PLAN: EchoPlan = { messageBytes: 64, inFlight: 64, connections: 50 };

/** The subject. */
export const echo: Subject = {
  name: "echo",
  title: "Echo, 64 messages of 64 B in flight",
  about: "A server returns each message, over 50 connections. The loop returns the same bytes by " +
    "the shortest read and write on the same backend, without a look at them. What counts is the " +
    "server's processor time for a message.",
  contests: (place: Place): Contest[] =>
    BACKENDS.map((backend) => echoContest(place, backend, PLAN)),
};

/** Returns the contest of one backend. */
export function echoContest(place: Place, backend: Backend, plan: EchoPlan): Contest {
  return {
    work: `echo ${backend}`,
    unit: "message",
    contestants: {
      "raw loop": echoTurn(place, "raw", backend, plan),
      "by batches": echoTurn(place, "batches", backend, plan),
      "by batches, sendBatch": echoTurn(place, "send batches", backend, plan),
      "for await": echoTurn(place, "messages", backend, plan),
    },
    rows: [
      {
        ours: "by batches",
        baseline: "raw loop",
        by: "server",
        goal: `echo by batches, ${backend}`,
      },
      { ours: "by batches, sendBatch", baseline: "raw loop", by: "server" },
      {
        ours: "for await",
        baseline: "raw loop",
        by: "server",
        goal: `echo for await, ${backend}`,
      },
    ],
  };
}
