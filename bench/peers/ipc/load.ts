// Load of the IPC races: `load.ts <contestant> <path> <json>` asks or sends, checks what comes of
// it, prints what it measured as JSON.
import { createConnection } from "node:net";
import {
  createMessageConnection,
  SocketMessageReader,
  SocketMessageWriter,
} from "vscode-jsonrpc/node";
import { connectIpc } from "../../../ipc/mod.ts";
import { type Measured, Meter, warmUp } from "../meter.ts";

/** What to do. */
export interface Plan {
  /** Queries with answers, or messages one way. */
  readonly kind: "query" | "one-way";
  /** Messages that one way sends at once; the server takes them by batches when they are several. */
  readonly batch: number;
  readonly inFlight: number;
  readonly messageBytes: number;
  readonly seconds: number;
  /** Process of the server, whose processor time is measured with ours. */
  readonly serverPid: number;
}

const [contestant, path, json] = Deno.args as [string, string, string];
const plan = JSON.parse(json) as Plan;
const data = Uint8Array.from({ length: plan.messageBytes }, (_, i) => 97 + i % 26);
const text = new TextDecoder().decode(data);

/** Something that can be asked, and sent to. */
interface Side {
  /** Asks and checks the answer. */
  ask(): Promise<void>;
  /** Sends as many messages as the plan says at once. */
  send(): Promise<void>;
  /** Waits until all that was sent has arrived, and returns how much that is. */
  arrived(): Promise<number>;
}

async function parley(): Promise<Side> {
  const batch = Array.from({ length: plan.batch }, () => ({ type: 1, data }));
  const client = await connectIpc({ name: "race", path, encryption: contestant === "parley" });
  return {
    async ask() {
      const answer = await client.query(data);
      if (answer.length !== data.length || answer[data.length - 1] !== data[data.length - 1]) {
        throw new Error("Wrong answer");
      }
    },
    send: () => plan.batch === 1 ? client.send(1, data) : client.sendBatch(batch),
    async arrived() {
      await client.flush();
      return Number(new TextDecoder().decode(await client.query("")));
    },
  };
}

async function jsonRpc(): Promise<Side> {
  const socket = createConnection(path);
  await new Promise((resolve) => socket.once("connect", resolve));
  const connection = createMessageConnection(
    new SocketMessageReader(socket),
    new SocketMessageWriter(socket),
  );
  connection.listen();
  return {
    async ask() {
      const answer = await connection.sendRequest<string>("echo", text);
      if (answer.length !== text.length || answer.at(-1) !== text.at(-1)) {
        throw new Error("Wrong answer");
      }
    },
    send: () => connection.sendNotification("message", text),
    arrived: () => connection.sendRequest<number>("count"),
  };
}

/** Asks or sends while `goesOn`; returns how often. */
async function operate(side: Side, goesOn: () => boolean): Promise<number> {
  let done = 0;
  if (plan.kind === "query") {
    const loop = async () => {
      for (; goesOn(); done++) await side.ask();
    };
    await Promise.all(Array.from({ length: plan.inFlight }, loop));
  } else {
    const before = await side.arrived();
    for (; goesOn(); done += plan.batch) await side.send();
    const count = await side.arrived() - before;
    if (count !== done) throw new Error(`${count} of ${done} messages arrived`);
  }
  return done;
}

/** The same bytes by the shortest loop, as many at once as fit into a read. */
async function operateRaw(goesOn: () => boolean): Promise<number> {
  const conn = await Deno.connect({ transport: "unix", path });
  const oneWay = plan.kind === "one-way";
  const frameBytes = data.length + 9;
  const copies = oneWay ? Math.max(1, Math.floor(65536 / frameBytes)) : plan.inFlight;
  const burst = new Uint8Array(copies * frameBytes).fill(oneWay ? 0xff : 1);
  let done = 0;
  for (; goesOn(); done += copies) {
    for (let at = 0; at < burst.length;) at += await conn.write(burst.subarray(at));
    for (let got = 0; !oneWay && got < burst.length;) got += await conn.read(buffer) ?? Infinity;
  }
  if (oneWay) {
    await conn.closeWrite();
    await conn.read(buffer);
  }
  conn.close();
  return done;
}

const buffer = new Uint8Array(65536);

/** Warms up, then measures. */
async function measure(): Promise<Measured> {
  const side = contestant === "raw"
    ? null
    : await (contestant === "jsonrpc" ? jsonRpc() : parley());
  const run = (goesOn: () => boolean) => side === null ? operateRaw(goesOn) : operate(side, goesOn);
  await warmUp(plan.serverPid, run);
  const meter = new Meter(plan.serverPid);
  const end = performance.now() + plan.seconds * 1000;
  return meter.read(await run(() => performance.now() < end));
}

console.log(JSON.stringify(await measure()));
Deno.exit(0);
