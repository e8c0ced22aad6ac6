// One of many clients: sends each line of standard input to the others, and prints what they say.
//
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_chat_client.ts lobby Ann
//
// Start ipc_chat_server.ts first. With a number behind the name it ends after so many lines of others.
import { connectIpc } from "@parley/parley/ipc";
import { createInterface } from "node:readline";
import { stdin } from "node:process";

const [name = "lobby", nick = "somebody", most = "Infinity"] = Deno.args;
const LINE = 1;
await using client = await connectIpc({ name });
console.log("Connected");

const sending = (async () => {
  for await (const line of createInterface({ input: stdin })) {
    await client.send(LINE, `${nick}: ${line}`);
  }
})();

let heard = 0;
for await (const { data } of client) {
  console.log(new TextDecoder().decode(data));
  if (++heard >= Number(most)) break;
}
await sending;
