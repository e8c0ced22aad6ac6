// Memory: what an idle connection adds to a server's resident size, against the raw loop.
import type { Contest } from "../contest.ts";
import type { Place, Subject } from "../place.ts";
import { type Backend, BACKENDS, type Echo, echoServer } from "./backends.ts";
import { idleMemory } from "./idle_turns.ts";

const LOOP = "raw loop";
const SMALL_LOOP = "raw loop, 1 KiB buffer";

/** The subject. */
export const memory: Subject = {
  name: "idle memory",
  title: "Memory of an idle connection",
  about: "Connections are opened and nothing is sent. What counts is the resident size that each " +
    "adds to the server: less is better. The loop has a buffer of 64 KiB for " +
    "each, as it needs for its speed; one with 1 KiB stands beside it.",
  contests(place: Place): Contest[] {
    const counts = place.settings.quick ? [1000] : [1000, 10_000];
    return BACKENDS.flatMap((backend) => counts.map((count) => contestOf(place, backend, count)));
  },
};

function contestOf(place: Place, backend: Backend, count: number): Contest {
  const of = (echo: Echo) => () =>
    idleMemory(place, echoServer(place, echo, backend), backend, count);
  // Sockets of node's have no buffer of ours.
  const small = backend !== "tls-node";
  return {
    work: `idle memory ${backend}, ${count} connections`,
    unit: "bytes",
    contestants: {
      [LOOP]: of("raw"),
      ...small ? { [SMALL_LOOP]: of("raw small") } : {},
      "serve()": of("messages"),
    },
    rows: [
      { ours: "serve()", baseline: LOOP, by: "value", goal: "idle memory" },
      ...small ? [{ ours: "serve()", baseline: SMALL_LOOP, by: "value" } as const] : [],
    ],
  };
}
