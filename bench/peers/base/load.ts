// Load of the echo races: `load.ts <backend> <address> <folder> <json>` sends frames, checks what
// comes back, prints what it measured as JSON.
import { Buffer } from "node:buffer";
import { Meter, untilTaken, warmUp } from "../meter.ts";
import { dial } from "./dial.ts";

/** What to do. */
export interface Plan {
  readonly connections: number;
  readonly inFlight: number;
  readonly messageBytes: number;
  readonly seconds: number;
  /** Processor time of the server that it warms up for, and works for in place of a time, in µs. */
  readonly serverMicros?: number | undefined;
  readonly framing: "lines" | "lengths";
  /** Process of the server, whose processor time is measured with ours. */
  readonly serverPid: number;
}

const [backend, address, folder, json] = Deno.args as [string, string, string, string];
const plan = JSON.parse(json) as Plan;

function makeFrame(): Uint8Array {
  const { messageBytes, framing } = plan;
  const body = Uint8Array.from({ length: messageBytes }, (_, index) => 97 + index % 26);
  const frame = new Uint8Array(messageBytes + (framing === "lines" ? 1 : 4));
  if (framing === "lines") {
    frame.set(body);
    frame[messageBytes] = 10;
  } else {
    new DataView(frame.buffer).setUint32(0, messageBytes);
    frame.set(body, 4);
  }
  return frame;
}

const frame = makeFrame();
const burst = new Uint8Array(frame.length * plan.inFlight);
for (let at = 0; at < burst.length; at += frame.length) burst.set(frame, at);

/** Whether `bytes` continue the echo at `offset`: all of it is compared. */
function matches(bytes: Uint8Array, offset: number): boolean {
  return Buffer.compare(bytes, burst.subarray(offset, offset + bytes.length)) === 0;
}

/** Echoes bursts on a connection, one after the other, while `goesOn`; returns the messages. */
async function run(conn: Deno.Conn, goesOn: () => boolean): Promise<number> {
  const buffer = new Uint8Array(65536);
  let messages = 0;
  while (goesOn()) {
    const written = (async () => {
      for (let at = 0; at < burst.length;) at += await conn.write(burst.subarray(at));
    })();
    for (let got = 0; got < burst.length;) {
      const n = await conn.read(buffer);
      if (n === null) throw new Error("The server closed the connection");
      if (!matches(buffer.subarray(0, n), got)) {
        throw new Error("The echo differs from what was sent");
      }
      got += n;
    }
    await written;
    messages += plan.inFlight;
  }
  return messages;
}

const conns: Deno.Conn[] = [];
for (let i = 0; i < plan.connections; i++) conns.push(await dial(backend, address, folder));
/** Echoes on all connections at once; returns the messages. */
async function runAll(goesOn: () => boolean): Promise<number> {
  const counts = await Promise.all(conns.map((conn) => run(conn, goesOn)));
  return counts.reduce((sum, count) => sum + count, 0);
}

await warmUp(plan.serverPid, runAll, plan.serverMicros);
const meter = new Meter(plan.serverPid);
const end = performance.now() + plan.seconds * 1000;
const done = plan.serverMicros === undefined
  ? await runAll(() => performance.now() < end)
  : await untilTaken(plan.serverPid, plan.serverMicros, runAll);
console.log(JSON.stringify(meter.read(done)));
Deno.exit(0);
