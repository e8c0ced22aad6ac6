// A client with typed calls: makes one of each kind. Its methods have the types of calls_contract.ts.
//
//   TOKEN=secret deno run --allow-net --allow-env=TOKEN examples/calls_client.ts 7000 alice
//
// Start calls_server.ts first, or within ten seconds.
import { caller, isCallError } from "@parley/parley/calls";
import { join } from "@parley/parley/wire";
import { clock } from "./calls_contract.ts";

await using wire = join({
  port: Number(Deno.args[0] ?? 7000),
  identity: Deno.args[1] ?? "alice",
  token: Deno.env.get("TOKEN") ?? "secret",
});
const remote = caller(wire, clock, { timeoutMs: 10_000 });

console.log("It is", await remote.now());
console.log("1 + 2 =", await remote.add({ a: 1, b: 2 }, { timeoutMs: 1_000 }));

try {
  await remote.add({ a: 999_999, b: 2 });
} catch (error) {
  if (!isCallError(error, clock.add)) throw error;
  console.log(`${error.message}: at most ${error.data.max}`); // `data` has the type of its schema
}

let left = 3;
for await (const tick of remote.ticks({ everyMs: 50 })) {
  console.log("Tick", tick);
  if (--left === 0) break; // the server stops ticking
}

console.log("On average", await remote.average([1, 2, 3, 6]));
for await (const word of remote.spell([4, 2])) console.log(word);
