// Runs the races of mux: bulk, churn, idle streams. `--seconds 1 --pairs 5 --mib 256 --json --only
// "bulk tcp" --against "raw copy"`
import { parseArgs } from "@std/cli/parse-args";
import { createCa, createCertificate } from "../../../tls/mod.ts";
import {
  canPin,
  firstLine,
  median,
  type Outcome,
  race,
  result,
  row,
  start,
  stop,
} from "../race.ts";
import type { Plan } from "./load.ts";

const flags = parseArgs(Deno.args, {
  string: ["seconds", "pairs", "only", "mib", "idle", "against"],
  boolean: ["json"],
});
const seconds = Number(flags.seconds ?? 1);
const pairs = Number(flags.pairs ?? 5);
const mib = Number(flags.mib ?? 256);
const idleStreams = Number(flags.idle ?? 10_000);
const rounds = [Math.min(mib, 64) * 2 ** 20, mib * 2 ** 20];

const BASELINES = {
  raw: "raw copy",
  "raw-transport": "raw copy over our transport",
  libp2p: "@libp2p/yamux over our transport",
  "libp2p-node": "@libp2p/yamux over node:net",
};

const folder = await Deno.makeTempDir({ prefix: "parley-race-" });
const outcomes: Outcome[] = [];
/** A load that takes longer than this has failed. */
const LOAD_TIMEOUT_MS = 60_000;

async function makeCertificates(): Promise<void> {
  const ca = await createCa();
  const { cert, key } = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
  await Deno.writeTextFile(`${folder}/ca.pem`, ca.cert);
  await Deno.writeTextFile(`${folder}/cert.pem`, cert);
  await Deno.writeTextFile(`${folder}/key.pem`, key, { mode: 0o600 });
}

/** One turn of one contestant, each with processes of its own; in memory it is one process. */
async function turn(contestant: string, transport: string, plan: Partial<Plan>): Promise<number> {
  const whole = { streams: 1, rounds, seconds, ...plan };
  const server = transport === "memory" ? undefined : start(0, "mux/server.ts", [
    contestant,
    transport,
    plan.mode!,
    folder,
    JSON.stringify(rounds),
  ]);
  try {
    const port = server === undefined ? "0" : await firstLine(server);
    const load = start(1, "mux/load.ts", [
      contestant,
      transport,
      port,
      folder,
      JSON.stringify(whole),
    ]);
    const timer = setTimeout(() => void stop(load), LOAD_TIMEOUT_MS);
    try {
      return (await result<{ reached: number }>(load)).reached;
    } finally {
      clearTimeout(timer);
    }
  } finally {
    if (server !== undefined) await stop(server);
  }
}

/** Races two turns under a subject, if that was asked for. */
async function tell(
  subject: string,
  unit: string,
  ours: () => Promise<number>,
  baseline: string,
  theirs: () => Promise<number>,
): Promise<void> {
  if (flags.only !== undefined && !subject.startsWith(flags.only)) return;
  if (flags.against !== undefined && baseline !== flags.against) return;
  const outcome = await race(subject, unit, pairs, ours, baseline, theirs);
  outcomes.push(outcome);
  console.error(row(outcome));
}

async function raceBulk(): Promise<void> {
  for (const transport of ["tcp", "tls", "memory"]) {
    for (const streams of [1, 64]) {
      const plan = { mode: "bulk", streams } as const;
      for (const baseline of ["raw", "raw-transport", "libp2p", "libp2p-node"] as const) {
        if (baseline.includes("-") && transport !== "tcp") continue;
        await tell(
          `bulk ${transport}, ${streams} ${streams === 1 ? "stream" : "streams"}`,
          "MiB/s",
          () => turn("parley", transport, plan),
          BASELINES[baseline],
          () => turn(baseline, transport, plan),
        );
      }
    }
  }
}

async function raceChurn(): Promise<void> {
  const plan = { mode: "churn", streams: 64 } as const;
  for (const baseline of ["libp2p", "libp2p-node"] as const) {
    await tell(
      "churn tcp, open, echo 64 B, close, 64 at once",
      "streams/s",
      () => turn("parley", "tcp", plan),
      BASELINES[baseline],
      () => turn(baseline, "tcp", plan),
    );
  }
}

async function raceIdle(): Promise<void> {
  const idle = (contestant: string, streams: number) => () =>
    turn(contestant, "tcp", { mode: "idle", streams });
  const subject = `idle tcp, ping-pong beside ${idleStreams}`;
  await tell(subject, "turns/s", idle("parley", idleStreams), "beside none", idle("parley", 0));
  await tell(
    subject,
    "turns/s",
    idle("parley", idleStreams),
    BASELINES.libp2p,
    idle("libp2p", idleStreams),
  );
  // A subject of its own: with 10 000 streams the set-up alone takes libp2p several seconds.
  await tell(
    `libp2p ${subject}`,
    "turns/s",
    idle("libp2p", idleStreams),
    "beside none",
    idle("libp2p", 0),
  );
}

try {
  await makeCertificates();
  console.error(
    `Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores, ` +
      `${
        canPin() ? "server on core 0 and load on core 1" : "not pinned"
      }; ${pairs} pairs in turns, ` +
      `${mib} MiB or ${seconds} s each.\nRatio to the baseline, its spread over the turns, then the medians:`,
  );
  await raceBulk();
  await raceChurn();
  await raceIdle();
  if (flags.json) {
    console.log(
      JSON.stringify(outcomes.map((one) => ({ ...one, median: median(one.ours) })), null, 2),
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
