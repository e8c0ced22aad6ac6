// Load of the accept races: `accept_load.ts <backend> <address> <folder> <seconds> <server's pid>`
// opens connections and closes them in order, 16 at once; prints what it measured as JSON.
import { Meter } from "../meter.ts";
import { dial } from "./dial.ts";

const [backend, address, folder, seconds, serverPid] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
];
const buffer = new Uint8Array(64);

/** One connection: both sides close it, the server after the client. */
async function openAndClose(): Promise<void> {
  const conn = await dial(backend, address, folder);
  await conn.closeWrite();
  if (await conn.read(buffer) !== null) throw new Error("The server sent something");
  conn.close();
}

/** Returns how many connections there were. */
async function run(ms: number): Promise<number> {
  const end = performance.now() + ms;
  let done = 0;
  await Promise.all(Array.from({ length: 16 }, async () => {
    for (; performance.now() < end; done++) await openAndClose();
  }));
  return done;
}

await run(500);
const meter = new Meter(Number(serverPid));
const done = await run(Number(seconds) * 1000);
console.log(JSON.stringify(meter.read(done)));
Deno.exit(0);
