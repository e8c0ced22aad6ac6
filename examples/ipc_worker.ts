// A worker: asks the daemon for numbers, sends back which are prime, and ends when there is no more work.
//
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_worker.ts primes
//
// It waits for the daemon to start (ipc_daemon.ts), and connects again should it be lost.
import { connectIpc } from "@parley/parley/ipc";

const [name = "primes"] = Deno.args;
const decoder = new TextDecoder();
const IS_PRIME = 1; // a message type of our own
let done = 0;

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
}

await using client = await connectIpc({ name });
for (;; done++) {
  const number = decoder.decode(await client.query("next"));
  if (number === "") break;
  await client.send(IS_PRIME, new Uint8Array([isPrime(Number(number)) ? 1 : 0]));
}
await client.flush(); // the daemon has it all
console.log(`Looked at ${done} numbers`);
