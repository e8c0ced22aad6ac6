// The load of the proxy races: `load.ts bulk <port> <MiB> <proxy's pid>` or `load.ts short <port>
// <connections> <proxy's pid>`; prints what it measured as JSON.
import { Meter } from "../meter.ts";

const [plan, portText, amountText, serverPid] = Deno.args;
const port = Number(portText);
const amount = Number(amountText);

/** Sends all on a new connection, ends it, and returns the count that comes back. */
async function send(chunk: Uint8Array, times: number): Promise<number> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  for (let i = 0; i < times; i++) {
    for (let at = 0; at < chunk.length;) at += await conn.write(chunk.subarray(at));
  }
  await conn.closeWrite();
  const answer = new Uint8Array(8);
  for (let at = 0; at < answer.length;) {
    const length = await conn.read(answer.subarray(at));
    if (length === null) throw new Error("The proxy ended before the answer");
    at += length;
  }
  return Number(new BigUint64Array(answer.buffer)[0]);
}

async function checked(chunk: Uint8Array, times: number): Promise<void> {
  const count = await send(chunk, times);
  if (count !== chunk.length * times) {
    throw new Error(`${count} bytes of ${chunk.length * times} came`);
  }
}

/** Moves so many MiB over one connection, or opens so many short ones, 16 at once. */
async function run(count: number): Promise<void> {
  if (plan === "bulk") return await checked(new Uint8Array(1 << 18).fill(7), count * 4);
  let left = count;
  const hello = new Uint8Array(64).fill(7);
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (left-- > 0) await checked(hello, 1);
  }));
}

await run(Math.ceil(amount / 4));
const meter = new Meter(Number(serverPid));
await run(amount);
console.log(JSON.stringify(meter.read(amount)));
