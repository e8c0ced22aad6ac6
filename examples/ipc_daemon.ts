// A daemon: hands out numbers to workers of the same user, collects what they make of them, and
// ends when all is done.
//
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_daemon.ts primes 2000
//
// Then start ipc_worker.ts with the same name, as often as you like.
import { listenIpc } from "@parley/parley/ipc";

const [name = "primes", last = "2000"] = Deno.args;
let next = 2;
let primes = 0;

await using server = await listenIpc({
  name,
  onQuery: () => next <= Number(last) ? `${next++}` : "", // an empty answer: no more work
});
console.log("Waiting for workers on", server.name);

let results = 0;
for await (const { data } of server) {
  if (data[0] === 1) primes++;
  if (++results === Number(last) - 1) break;
}
console.log(`${primes} of the numbers up to ${last} are prime`);
