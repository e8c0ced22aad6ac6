// Memory: what an idle connection adds to a server's resident size, against the raw loop.
import type { Contest } from "../contest.ts";
import type { Place, Subject } from "../place.ts";
import { BACKENDS, echoServer } from "./backends.ts";
import { idleMemory } from "./idle_turns.ts";

/** The subject. */
export const memory: Subject = {
  name: "idle memory",
  title: "Memory of an idle connection",
  about: "Connections are opened and nothing is sent. What counts is the resident size that each " +
    "adds to the server: less is better. The loop has a buffer of 64 KiB for " +
    "each, as it needs for its speed.",
  contests(place: Place): Contest[] {
    const counts = place.settings.quick ? [1000] : [1000, 10_000];
    return BACKENDS.flatMap((backend) =>
      counts.map((count) => ({
        work: `idle memory ${backend}, ${count} connections`,
        unit: "bytes",
        contestants: {
          "raw loop": () => idleMemory(place, echoServer(place, "raw", backend), backend, count),
          "serve()": () =>
            idleMemory(place, echoServer(place, "messages", backend), backend, count),
        },
        rows: [{ ours: "serve()", baseline: "raw loop", by: "value", goal: "idle memory" }],
      }))
    );
  },
};
