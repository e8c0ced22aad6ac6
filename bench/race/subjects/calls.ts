// Typed calls over each carrier, against the same call by its peers, under Deno and Node.
import type { Plan } from "../../peers/calls/load.ts";
import type { Contest, Row, Turn } from "../contest.ts";
import type { GoalName } from "../goals.ts";
import { type NodeRuntime, prepareNode } from "../node.ts";
import type { Place, Program, Subject } from "../place.ts";

/** A contestant of `bench/peers/calls`, and the name that it races under. */
interface Peer {
  readonly contestant: string;
  readonly name: string;
  readonly goal: GoalName;
}

/** A carrier of our calls, and the peers that work over the same. */
interface Group {
  readonly carrier: string;
  readonly ours: Readonly<Record<string, string>>;
  readonly peers: readonly Peer[];
}

const GROUPS: readonly Group[] = [
  {
    carrier: "unix",
    ours: { "encrypted IPC": "ipc" },
    peers: [{
      contestant: "jsonrpc",
      name: "vscode-jsonrpc, plain",
      goal: "calls against vscode-jsonrpc",
    }],
  },
  {
    carrier: "tcp",
    ours: { connection: "connection", "wire session": "wire" },
    peers: [
      { contestant: "grpc", name: "gRPC", goal: "calls against gRPC and Connect" },
      { contestant: "connect", name: "Connect", goal: "calls against gRPC and Connect" },
    ],
  },
];

/** The subject. */
export const calls: Subject = {
  name: "calls",
  title: "Typed calls",
  about:
    "A call takes a text of 64 bytes and returns it, over TCP or a unix socket. The peers run " +
    "under Deno and under Node 24, which the run gets from npm. What counts is the processor " +
    "time of both sides.",
  contests: (place: Place): Contest[] =>
    [1, 64].flatMap((inFlight) => GROUPS.map((group) => contestOf(place, group, inFlight))),
};

let prepared: Promise<NodeRuntime | null> | undefined;

async function onNode(place: Place, contestant: string, inFlight: number): Promise<Turn | string> {
  const node = await (prepared ??= prepareNode(place.folder));
  return node === null
    ? "Node could not be had from npm"
    : await turn(place, contestant, node, inFlight);
}

function contestOf(
  place: Place,
  { carrier, ours, peers }: Group,
  inFlight: number,
): Contest {
  const contestants: Record<string, () => Promise<Turn | string>> = {};
  const rows: Row[] = [];
  for (const { contestant, name, goal } of peers) {
    contestants[`${name} (Deno)`] = () => turn(place, contestant, null, inFlight);
    contestants[`${name} (Node)`] = () => onNode(place, contestant, inFlight);
    for (const own of Object.keys(ours)) {
      for (const runtime of ["Deno", "Node"]) {
        rows.push({ ours: own, baseline: `${name} (${runtime})`, by: "both", goal });
      }
    }
  }
  if (carrier === "unix") {
    const baseline = "encrypted queries of our own";
    contestants[baseline] = () => turn(place, "query", null, inFlight);
    rows.push({
      ours: Object.keys(ours)[0]!,
      baseline,
      by: "both",
      goal: "calls against plain queries",
    });
  }
  for (const [name, contestant] of Object.entries(ours)) {
    contestants[name] = () => turn(place, contestant, null, inFlight);
  }
  return { work: `calls ${carrier}, ${inFlight} in flight`, unit: "call", contestants, rows };
}

/** Runs a server and its load once. */
async function turn(
  place: Place,
  contestant: string,
  node: NodeRuntime | null,
  inFlight: number,
): Promise<Turn> {
  const program = (file: string, args: readonly string[]): Program =>
    node === null
      ? { file: `calls/${file}`, args }
      : { file: `${node.programs}/${file}`, args, runtime: [node.node] };
  const server = program("server.ts", [contestant, place.socketPath()]);
  return await place.withServer(server, (address, serverPid) => {
    const { seconds } = place.settings;
    const plan: Plan = { inFlight, messageBytes: 64, seconds, serverPid };
    return place.load(program("load.ts", [contestant, address, JSON.stringify(plan)]));
  });
}
