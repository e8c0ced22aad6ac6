// A chat of many clients: whatever one writes goes to all the others, as fast as each of them reads.
//
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env=XDG_RUNTIME_DIR examples/ipc_chat_server.ts lobby
//
// Then start ipc_chat_client.ts a few times.
import { listenIpc } from "@parley/parley/ipc";

await using server = await listenIpc({ name: Deno.args[0] ?? "lobby" });
console.log("The lobby is open");

for await (const { client, type, data } of server) {
  for (const other of server.clients.values()) {
    // A client that does not read is cut off once 8 MiB wait for it: no other client has to wait.
    if (other !== client) other.send(type, data).catch(() => {});
  }
}
