// Beside idle: an echo on 50 connections while 10 000 others are idle, against 100 others.
import type { Contest, Turn } from "../contest.ts";
import type { Place, Subject } from "../place.ts";
import { echoServer } from "./backends.ts";
import { loadEcho } from "./echo_plan.ts";
import { besideIdle } from "./idle_turns.ts";

const PLAN = { messageBytes: 64, inFlight: 1, connections: 50 };

/** The subject. */
export const besideIdleConnections: Subject = {
  name: "beside idle",
  title: "An echo beside many idle connections",
  about: "50 connections over TCP echo 64 B one at a time, while others are open and idle. What " +
    "counts is the server's processor time for a message.",
  contests(place: Place): Contest[] {
    const many = place.settings.quick ? 1000 : 10_000;
    return [{
      work: "beside idle tcp",
      unit: "message",
      contestants: {
        "100 idle": () => turn(place, 100),
        [`${many} idle`]: () => turn(place, many),
      },
      rows: [{
        ours: `${many} idle`,
        baseline: "100 idle",
        by: "server",
        goal: "echo beside 10 000 idle",
      }],
    }];
  },
};

function turn(place: Place, idle: number): Promise<Turn> {
  return place.withServer(
    echoServer(place, "messages", "tcp"),
    (address, pid) =>
      besideIdle(place, "tcp", address, idle, () => loadEcho(place, "tcp", PLAN, address, pid)),
  );
}
