// Load of the mux races: `load.ts <contestant> <transport> <port> <folder> <plan>` prints what it
// measured, as JSON.
import { connect as connectNode } from "node:net";
import { type Measured, Meter, warmUp } from "../meter.ts";
import { SocketTransport } from "../../../net/socket/socket_transport.ts";
import { memoryPair } from "../../../net/transport/memory_pair.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import { type Contestant, type Session, startLibp2pOverNode, startSession } from "./flows.ts";
import { bulkRaw, rawConn, type RawEnd, sinkRaw } from "./raw.ts";
import { answer, bulk, churn, openIdle, takeTurns } from "./work.ts";

/** What to do. */
export interface Plan {
  /** Which load. */
  readonly mode: "bulk" | "churn" | "idle";
  /** Streams at once; idle ones in mode "idle". */
  readonly streams: number;
  /** Bytes of each round in mode "bulk"; the first warms up, the others count. */
  readonly rounds: readonly number[];
  /** Time to measure for in the other modes. */
  readonly seconds: number;
  /** Process of the server, whose processor time is measured with ours; 0 where there is none. */
  readonly serverPid: number;
}

const [contestant, transport, port, folder, json] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
];
const plan = JSON.parse(json) as Plan;
const isCrowded = plan.mode === "idle";

async function connect(): Promise<Deno.Conn> {
  const target = { hostname: "127.0.0.1", port: Number(port) };
  if (transport === "tls") {
    return await Deno.connectTls({
      ...target,
      caCerts: [Deno.readTextFileSync(`${folder}/ca.pem`)],
    });
  }
  const conn = await Deno.connect(target);
  conn.setNoDelay(true);
  return conn;
}

async function openRaw(): Promise<RawEnd> {
  if (contestant === "raw-transport") return wrap(await connect());
  if (transport !== "memory") return rawConn(await connect());
  const [near, far] = memoryPair();
  void sinkRaw(far, plan.rounds);
  return near;
}

function wrap(conn: Deno.Conn): Transport {
  const addr = { transport: "memory", name: "race" } as const;
  return new SocketTransport(conn, { localAddr: addr, remoteAddr: addr });
}

async function openSession(): Promise<Session> {
  if (contestant === "libp2p-node") {
    const socket = connectNode(Number(port), "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    return startLibp2pOverNode(socket, {
      contestant: "libp2p",
      role: "client",
      onFlow: () => {},
      isCrowded,
    });
  }
  let near: Transport;
  if (transport === "memory") {
    const [left, right] = memoryPair();
    near = left;
    startSession(right, {
      contestant: contestant as Contestant,
      role: "server",
      onFlow: (flow) => void answer(flow, plan.mode),
      isCrowded,
    });
  } else near = wrap(await connect());
  return startSession(near, {
    contestant: contestant as Contestant,
    role: "client",
    onFlow: () => {},
    isCrowded,
  });
}

/** Warms up, then measures. */
async function measure(): Promise<Measured> {
  if (contestant.startsWith("raw")) {
    const end = await openRaw();
    return await measureRounds((bytes) => bulkRaw(end, bytes));
  }
  const session = await openSession();
  if (plan.mode === "bulk") {
    return await measureRounds((bytes) => bulk(session, plan.streams, bytes));
  }
  if (plan.mode === "churn") {
    return await measureFor((goesOn) => churn(session, plan.streams, goesOn));
  }
  const turn = await openIdle(session, plan.streams);
  return await measureFor((goesOn) => takeTurns(turn, goesOn));
}

async function measureRounds(move: (bytes: number) => Promise<number>): Promise<Measured> {
  await move(plan.rounds[0]!);
  const meter = new Meter(plan.serverPid);
  let mib = 0;
  for (const bytes of plan.rounds.slice(1)) mib += await move(bytes);
  return meter.read(mib);
}

async function measureFor(work: (goesOn: () => boolean) => Promise<number>): Promise<Measured> {
  await warmUp(plan.serverPid, work);
  const meter = new Meter(plan.serverPid);
  const end = performance.now() + plan.seconds * 1000;
  return meter.read(await work(() => performance.now() < end));
}

console.log(JSON.stringify(await measure()));
Deno.exit();
