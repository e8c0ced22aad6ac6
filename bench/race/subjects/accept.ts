// Accept: a connection is opened and closed in order, against the raw loop and a bound in µs.
import type { Contest, Turn } from "../contest.ts";
import type { Place, Subject } from "../place.ts";
import { type Backend, BACKENDS, type Echo, echoServer } from "./backends.ts";

/** The most that a connection over plain TCP should take. */
const GOAL_MICROS = 120;

/** The subject. */
export const accept: Subject = {
  name: "accept",
  title: "Accept and close",
  about:
    "A client opens a connection, over TLS with its handshake, and closes it in order: 16 at " +
    "once. What counts is the server's processor time for a connection.",
  contests(place: Place): Contest[] {
    return BACKENDS.map((backend) => ({
      work: `accept ${backend}`,
      unit: "connection",
      contestants: {
        "raw loop": () => turn(place, "raw", backend),
        "serve()": () => turn(place, "messages", backend),
        [`${GOAL_MICROS} µs`]: () => Promise.resolve({ serverMicros: GOAL_MICROS }),
      },
      rows: [
        { ours: "serve()", baseline: "raw loop", by: "server", goal: "accept against raw" },
        // A handshake alone takes more than that.
        ...backend.startsWith("tls") ? [] : [
          {
            ours: "serve()",
            baseline: `${GOAL_MICROS} µs`,
            by: "server",
            goal: "accept in 120 µs",
          } as const,
        ],
      ],
    }));
  },
};

function turn(place: Place, echo: Echo, backend: Backend): Promise<Turn> {
  const { folder, settings } = place;
  return place.withServer(echoServer(place, echo, backend), (address, pid) =>
    place.load({
      file: "base/accept_load.ts",
      args: [backend, address, folder, String(settings.seconds), String(pid)],
    }));
}
