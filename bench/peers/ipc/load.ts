// Load of the IPC race: `load.ts <contestant> <path> <json>` asks or sends, checks what comes of
// it, prints JSON.
import { createConnection } from "node:net";
import {
  createMessageConnection,
  SocketMessageReader,
  SocketMessageWriter,
} from "vscode-jsonrpc/node";
import { connectIpc } from "../../../ipc/mod.ts";

/** What to do. */
export interface Plan {
  /** Queries with answers, or messages one way. */
  readonly kind: "query" | "one-way";
  readonly inFlight: number;
  readonly messageBytes: number;
  readonly seconds: number;
}

const [contestant, path, json] = Deno.args as [string, string, string];
const plan = JSON.parse(json) as Plan;
const data = Uint8Array.from({ length: plan.messageBytes }, (_, i) => 97 + i % 26);
const text = new TextDecoder().decode(data);

/** Something that can be asked, and sent to. */
interface Side {
  /** Asks and checks the answer. */
  ask(): Promise<void>;
  /** Sends one message. */
  send(): Promise<void>;
  /** Waits until all that was sent has arrived, and returns how much that is. */
  arrived(): Promise<number>;
}

async function parley(): Promise<Side> {
  const client = await connectIpc({ name: "race", path, encryption: contestant === "parley" });
  return {
    async ask() {
      const answer = await client.query(data);
      if (answer.length !== data.length || answer[data.length - 1] !== data[data.length - 1]) {
        throw new Error("Wrong answer");
      }
    },
    send: () => client.send(1, data),
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

/** Operations per second of a side. */
async function run(side: Side): Promise<number> {
  const begin = performance.now();
  const end = begin + plan.seconds * 1000;
  let done = 0;
  if (plan.kind === "query") {
    const loop = async () => {
      for (; performance.now() < end; done++) await side.ask();
    };
    await Promise.all(Array.from({ length: plan.inFlight }, loop));
  } else {
    for (; performance.now() < end; done++) await side.send();
    const count = await side.arrived();
    if (count !== done) throw new Error(`${count} of ${done} messages arrived`);
  }
  return done / (performance.now() - begin) * 1000;
}

/** The same bytes by the shortest loop, as many at once as fit into a read. */
async function runRaw(): Promise<number> {
  const conn = await Deno.connect({ transport: "unix", path });
  const oneWay = plan.kind === "one-way";
  const copies = oneWay ? Math.max(1, Math.floor(65536 / (data.length + 9))) : plan.inFlight;
  const frameBytes = data.length + 9;
  const burst = new Uint8Array(copies * frameBytes).fill(oneWay ? 0xff : 1);
  const buffer = new Uint8Array(65536);
  const begin = performance.now();
  const end = begin + plan.seconds * 1000;
  let done = 0;
  const write = async () => {
    for (let at = 0; at < burst.length;) at += await conn.write(burst.subarray(at));
  };
  for (; performance.now() < end; done += copies) {
    await write();
    for (let got = 0; !oneWay && got < burst.length;) got += await conn.read(buffer) ?? Infinity;
  }
  if (oneWay) {
    await conn.closeWrite();
    await conn.read(buffer);
  }
  return done / (performance.now() - begin) * 1000;
}

const rate = contestant === "raw"
  ? await runRaw()
  : await run(await (contestant === "jsonrpc" ? jsonRpc() : parley()));
console.log(JSON.stringify({ rate }));
Deno.exit(0);
