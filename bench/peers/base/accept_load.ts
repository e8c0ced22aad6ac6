// Load of the accept races: `accept_load.ts <backend> <address> <folder> <seconds> <server's pid>`
// opens connections and closes them in order, 16 at once; prints what it measured as JSON.
import { Meter, warmUp } from "../meter.ts";
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

/** Opens and closes while `goesOn`; returns how many connections there were. */
async function run(goesOn: () => boolean): Promise<number> {
  let done = 0;
  await Promise.all(Array.from({ length: 16 }, async () => {
    for (; goesOn(); done++) await openAndClose();
  }));
  return done;
}

await warmUp(Number(serverPid), run);
const meter = new Meter(Number(serverPid));
const end = performance.now() + Number(seconds) * 1000;
const done = await run(() => performance.now() < end);
console.log(JSON.stringify(meter.read(done)));
Deno.exit(0);
