// A chat: every line of standard input goes to every client that handles "chat" at the hub.
//
//   TOKEN=secret deno run --allow-net --allow-env examples/wire_chat.ts 7000 alice
//
// Start wire_hub.ts first.
import { join } from "@parley/parley/wire";
import { stdin } from "node:process";
import { createInterface } from "node:readline";

const [port = "7000", identity = "alice"] = Deno.args;
await using wire = join({
  port: Number(port),
  identity,
  token: Deno.env.get("TOKEN") ?? "secret",
  onPeers: (peers) => console.log("Here:", [...peers.keys()].sort().join(" ") || "nobody"),
});

wire.handle("chat", async (stream) => {
  console.log(`${stream.from}: ${await new Response(stream.readable).text()}`);
});

for await (const line of createInterface({ input: stdin })) {
  for (const [peer, offers] of wire.peers) {
    if (!offers.includes("chat")) continue;
    const stream = await wire.peer(peer).open("chat");
    await stream.write(line);
    await stream.close();
  }
}
