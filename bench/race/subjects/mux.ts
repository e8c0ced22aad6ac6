// Streams: bulk, churn and idle streams of one connection, against a raw copy, libp2p's yamux and Go's.
import type { Plan } from "../../peers/mux/load.ts";
import type { Contest, Row, Turn } from "../contest.ts";
import type { GoalName } from "../goals.ts";
import { NO_GO, type Place, type Program, type Subject } from "../place.ts";

const RAW = "raw copy";
const RAW_TRANSPORT = "raw copy over our transport";
const LIBP2P = "@libp2p/yamux over our transport";
const LIBP2P_NODE = "@libp2p/yamux over node:net";
const OURS = "MuxSession";
const GO = "hashicorp/yamux (Go)";

/** Names of the contestants in `bench/peers/mux`. */
const CONTESTANTS: Readonly<Record<string, string>> = {
  [RAW]: "raw",
  [RAW_TRANSPORT]: "raw-transport",
  [LIBP2P]: "libp2p",
  [LIBP2P_NODE]: "libp2p-node",
  [OURS]: "parley",
};

/** The subject. */
export const mux: Subject = {
  name: "mux",
  title: "Streams over one connection",
  about: "Two processes over TCP or native TLS, or both sides in one process over memory. A raw " +
    "copy moves the same bytes over one connection without streams. Churn opens a stream, echoes " +
    "64 B and closes it. What counts is the processor time of both sides; where one load in Go " +
    "drives both servers, that of the server.",
  contests: (place: Place): Contest[] => [
    ...bulk(place),
    churn(place),
    churnUnderGo(place),
    idle(place),
  ],
};

/** Goals of bulk by baseline. */
const BULK_GOALS: Readonly<Record<string, GoalName>> = {
  [RAW]: "mux bulk against raw",
  [LIBP2P]: "mux bulk against libp2p",
  [LIBP2P_NODE]: "mux bulk against libp2p",
};

function bulk(place: Place): Contest[] {
  const mib = place.settings.quick ? 32 : 256;
  return ["tcp", "tls", "memory"].flatMap((transport) =>
    [1, 64].map((streams) => {
      const plan = { mode: "bulk", streams } as const;
      const names = [RAW, LIBP2P, ...transport === "tcp" ? [RAW_TRANSPORT, LIBP2P_NODE] : []];
      const go = transport !== "memory" && {
        [GO]: () =>
          withGo(place, (path) => turn(place, GO, transport, plan, { server: path, load: path })),
      };
      return {
        work: `mux bulk ${transport}, ${mib} MiB over ${
          streams === 1 ? "1 stream" : `${streams} streams`
        }`,
        unit: "MiB",
        contestants: { ...contestants(place, [...names, OURS], transport, plan), ...go },
        rows: [...names, ...go ? [GO] : []].map((baseline): Row => ({
          ours: OURS,
          baseline,
          by: "both",
          goal: BULK_GOALS[baseline],
        })),
      };
    })
  );
}

const CHURN = { mode: "churn", streams: 64 } as const;

function churn(place: Place): Contest {
  const names = [LIBP2P, LIBP2P_NODE];
  return {
    work: "mux churn tcp, 64 at once",
    unit: "stream",
    contestants: {
      ...contestants(place, [...names, OURS], "tcp", CHURN),
      [GO]: () => withGo(place, (go) => turn(place, GO, "tcp", CHURN, { server: go, load: go })),
    },
    rows: [
      ...names.map((baseline) => ({
        ours: OURS,
        baseline,
        by: "both",
        goal: "mux churn against libp2p",
      } as const)),
      { ours: OURS, baseline: GO, by: "both" },
    ],
  };
}

/** Each server under the same load, a program of Go's. */
function churnUnderGo(place: Place): Contest {
  return {
    work: "mux churn tcp, 64 at once, load in Go",
    unit: "stream",
    contestants: {
      [GO]: () => withGo(place, (go) => turn(place, GO, "tcp", CHURN, { server: go, load: go })),
      [OURS]: () => withGo(place, (go) => turn(place, OURS, "tcp", CHURN, { load: go })),
    },
    rows: [{ ours: OURS, baseline: GO, by: "server", goal: "mux churn against Go" }],
  };
}

/** Lets `use` work with the program of `bench/peers/go/mux.go`, where it can be built. */
async function withGo(
  place: Place,
  use: (program: string) => Promise<Turn>,
): Promise<Turn | string> {
  const program = await place.goProgram("mux");
  return program === null ? NO_GO : await use(program);
}

function idle(place: Place): Contest {
  const streams = place.settings.quick ? 1000 : 10_000;
  const turns = (name: string, count: number) => () =>
    turn(place, name, "tcp", { mode: "idle", streams: count });
  return {
    work: `mux idle tcp, ping-pong beside ${streams} streams`,
    unit: "turn",
    contestants: {
      "beside none": turns(OURS, 0),
      [OURS]: turns(OURS, streams),
      [LIBP2P]: turns(LIBP2P, streams),
    },
    rows: [
      { ours: OURS, baseline: "beside none", by: "both", goal: "mux beside 10 000 idle" },
      { ours: OURS, baseline: LIBP2P, by: "both" },
    ],
  };
}

function contestants(
  place: Place,
  names: readonly string[],
  transport: string,
  plan: Pick<Plan, "mode" | "streams">,
): Contest["contestants"] {
  return Object.fromEntries(
    names.map((name) => [name, () => turn(place, name, transport, plan)]),
  );
}

/** Paths of Go programs that stand in for ours. */
interface GoPrograms {
  readonly server?: string;
  readonly load?: string;
}

/** One turn, each with processes of its own; in memory it is one process. */
async function turn(
  place: Place,
  name: string,
  transport: string,
  plan: Pick<Plan, "mode" | "streams">,
  go: GoPrograms = {},
): Promise<Turn> {
  const { folder, settings } = place;
  const contestant = CONTESTANTS[name] ?? "";
  const rounds = (settings.quick ? [16, 32] : [64, 256, 256]).map((mib) => mib * 2 ** 20);
  const load = (port: string, serverPid: number) => {
    const whole: Plan = { ...plan, rounds, seconds: settings.seconds, serverPid };
    const args = [transport, port, folder, JSON.stringify(whole)];
    return place.load(
      go.load === undefined
        ? { file: "mux/load.ts", args: [contestant, ...args] }
        : { file: "", runtime: [go.load, "load"], args },
    );
  };
  if (transport === "memory") return await load("0", 0);
  const server: Program = go.server === undefined
    ? {
      file: "mux/server.ts",
      args: [contestant, transport, plan.mode, folder, JSON.stringify(rounds)],
    }
    : {
      file: "",
      runtime: [go.server, "server"],
      // A load of Go's says first how much it sends.
      args: [transport, plan.mode === "bulk" ? "counted" : plan.mode, folder],
    };
  return await place.withServer(server, load);
}
