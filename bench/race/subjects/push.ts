// Push: how late small messages arrive that get no reply, against `node:tls` and a bound in ms.
import type { Contest, Turn } from "../contest.ts";
import type { Place, Subject } from "../place.ts";

/** The most that 99 of 100 messages may be late. */
const GOAL_MS = 5;

/** The subject. */
export const push: Subject = {
  name: "push",
  title: "Messages that a server pushes",
  about: "A server sends a small message every 2 ms over TLS, and gets no reply. What counts is " +
    "how late 99 of 100 of them are at most: less is better.",
  contests(place: Place): Contest[] {
    return [{
      work: "push tls",
      unit: "ms",
      contestants: {
        "node:tls, no-delay": () => turn(place, "raw"),
        "send()": () => turn(place, "parley"),
        [`${GOAL_MS} ms`]: () => Promise.resolve({ value: GOAL_MS }),
      },
      rows: [
        { ours: "send()", baseline: `${GOAL_MS} ms`, by: "value", goal: "push in 5 ms" },
        { ours: "send()", baseline: "node:tls, no-delay", by: "value" },
      ],
    }];
  },
};

async function turn(place: Place, contestant: string): Promise<Turn> {
  const { folder, settings } = place;
  return await place.withServer(
    { file: "base/push_server.ts", args: [contestant, "tls", folder] },
    (port) =>
      place.load({ file: "base/push_load.ts", args: [port, folder, String(settings.seconds)] }),
  );
}
