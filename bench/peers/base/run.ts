// Runs the races of the base: echo, push, idle memory. `--seconds 2 --pairs 5 --json --only "echo tcp"`
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

const flags = parseArgs(Deno.args, {
  string: ["seconds", "pairs", "only", "connections"],
  boolean: ["json"],
});
const seconds = Number(flags.seconds ?? 2);
const pairs = Number(flags.pairs ?? 5);
const idleConnections = Number(flags.connections ?? 1000);

const BACKENDS = ["tcp", "unix", "tls-deno", "tls-node"] as const;
const ECHO_PLANS = [
  { connections: 1, inFlight: 1, messageBytes: 64 },
  { connections: 100, inFlight: 1, messageBytes: 64 },
  { connections: 100, inFlight: 1, messageBytes: 1024 },
  { connections: 50, inFlight: 64, messageBytes: 64 },
];

const folder = await Deno.makeTempDir({ prefix: "parley-race-" });
const outcomes: Outcome[] = [];

/** Whether a race was asked for: all are, or those whose subject begins as `--only` says. */
function isWanted(subject: string): boolean {
  return flags.only === undefined || subject.startsWith(flags.only);
}

async function makeCertificates(): Promise<void> {
  const ca = await createCa();
  const { cert, key } = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1"] });
  await Deno.writeTextFile(`${folder}/ca.pem`, ca.cert);
  await Deno.writeTextFile(`${folder}/cert.pem`, cert);
  await Deno.writeTextFile(`${folder}/key.pem`, key, { mode: 0o600 });
}

/** Starts a server, lets `use` work with it, ends it. */
async function withServer<T>(
  file: string,
  args: readonly string[],
  use: (address: string, server: Deno.ChildProcess) => Promise<T>,
): Promise<T> {
  const server = start(0, file, [...args, folder]);
  try {
    return await use(await firstLine(server), server);
  } finally {
    await stop(server);
    await Deno.remove(`${folder}/${args[0]}.sock`).catch(() => {});
  }
}

function echo(contestant: string, backend: string, plan: Record<string, unknown>): Promise<number> {
  return withServer("base/server.ts", [contestant, backend], async (address) => {
    const json = JSON.stringify({
      ...plan,
      seconds,
      framing: contestant === "parley-lines" ? "lines" : "lengths",
    });
    const load = start(1, "base/load.ts", [backend, address, folder, json]);
    return (await result<{ perSecond: number }>(load)).perSecond;
  });
}

async function raceEcho(): Promise<void> {
  for (const backend of BACKENDS) {
    for (const plan of ECHO_PLANS) {
      const { connections, inFlight, messageBytes } = plan;
      const subject =
        `echo ${backend}, ${messageBytes} B, ${connections} conn, ${inFlight} in flight`;
      if (!isWanted(subject)) continue;
      tell(
        await race(
          subject,
          "msg/s",
          pairs,
          () => echo("parley-lengths", backend, plan),
          "raw loop",
          () => echo("raw", backend, plan),
        ),
      );
    }
  }
}

async function racePush(): Promise<void> {
  const subject = "push over TLS every 2 ms, p99 of lateness";
  if (!isWanted(subject)) return;
  const lateness = (contestant: string) =>
    withServer("base/push_server.ts", [contestant, "tls"], async (port) => {
      return (await result<{ p99: number }>(
        start(1, "base/push_load.ts", [port, folder, String(seconds)]),
      ))
        .p99;
    });
  const outcome = await race(
    subject,
    "ms",
    pairs,
    () => lateness("parley"),
    "node:tls, no-delay",
    () => lateness("raw"),
  );
  tell(outcome);
}

async function residentBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

async function raceIdle(): Promise<void> {
  for (const backend of BACKENDS) {
    const subject = `idle memory ${backend}, ${idleConnections} conn`;
    if (!isWanted(subject)) continue;
    const perConnection = (contestant: string) =>
      withServer("base/server.ts", [contestant, backend], async (address, server) => {
        const before = await residentBytes(server.pid);
        const load = start(1, "base/idle.ts", [address, backend, folder, String(idleConnections)]);
        try {
          await firstLine(load);
          return (await residentBytes(server.pid) - before) / idleConnections;
        } finally {
          await stop(load);
        }
      });
    tell(
      await race(
        subject,
        "B/conn",
        pairs,
        () => perConnection("parley-lengths"),
        "raw loop",
        () => perConnection("raw"),
      ),
    );
  }
}

function tell(outcome: Outcome): void {
  outcomes.push(outcome);
  console.error(row(outcome));
}

try {
  await makeCertificates();
  console.error(
    `Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores, server on core 0 and load on core 1` +
      `${
        canPin() ? "" : " wished for, but taskset is missing: not pinned"
      }; ${pairs} pairs of ${seconds} s in turns.\n` +
      `Ratio of the medians' turns to the baseline (spread), then the medians:`,
  );
  await raceEcho();
  await racePush();
  await raceIdle();
  if (flags.json) {
    console.log(
      JSON.stringify(outcomes.map((one) => ({ ...one, median: median(one.ours) })), null, 2),
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
