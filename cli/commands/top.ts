// parley top: a live view of a statistics page, in the terminal.
import type { Command } from "../command/command.ts";
import { SORT_KEYS } from "./top/view.ts";

/** `parley top` */
export const topCommand: Command = {
  name: "top",
  summary: "Watch the statistics of a running program",
  about:
    `Shows the statistics of a program that calls serveStats(): rates, throughput, connections, errors. The view is
    live; where standard output is no terminal, it is one snapshot as plain text. When the program goes away, the view
    waits for it to come back.

    Keys: r, b, w, a, n sort the connections by rate, bytes, waiting bytes, age and name; up and down scroll, p pauses,
    q quits.`,
  operands: "ADDRESS|URL",
  flags: [
    { name: "once", about: "One snapshot, as plain text" },
    { name: "json", about: "A line of JSON for each snapshot, as in /stats.json" },
    { name: "interval", value: "TIME", about: "Time between two snapshots (default: 1s)" },
    {
      name: "sort",
      value: "ORDER",
      about: `First order of connections: ${Object.values(SORT_KEYS).join(", ")} (default: rate)`,
      choices: Object.values(SORT_KEYS),
    },
  ],
  examples: ["parley top 9100", "parley top http://10.0.0.7:9100/ --once --sort waiting"],
  async run(args): Promise<number> {
    const { runTop } = await import("./top/run.ts");
    return await runTop(args);
  },
};
