// A pair: start this twice. The first process listens, the second connects; when either is killed
// and started again, it goes on.
//
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_pair.ts duo Ann 3
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_pair.ts duo Bob 3
import { pairIpc } from "@parley/parley/ipc";

const [name = "duo", me = "somebody", rounds = "10"] = Deno.args;
const decoder = new TextDecoder();
let answered = 0;
const wanted = Number(rounds);
const enough = Promise.withResolvers<void>();

await using peer = await pairIpc({ name }, (data) => {
  if (++answered === wanted) enough.resolve();
  return `${me} says hello to ${decoder.decode(data)}`;
});
console.log(`${me} is the ${peer.role}`);

for (let round = 0; round < wanted;) {
  try {
    console.log(decoder.decode(await peer.query(me)));
    round++;
  } catch (error) {
    console.log("The other is away:", (error as Error).message); // it is found again by itself
  }
}
await enough.promise; // the other has its answers as well
