// A hub: clients of it open streams to each other. Each client has its own token, from a file of
// "identity token" lines.
//
//   deno run --allow-net --allow-read examples/wire_hub.ts 7000 tokens.txt
//
// Then start wire_chat.ts twice, or wire_expose.ts and wire_forward.ts.
import { hub, sameToken } from "@parley/parley/wire";

const [port = "7000", file = "tokens.txt"] = Deno.args;
const lines = (await Deno.readTextFile(file)).trim().split("\n");
const tokens = new Map(lines.map((line) => line.trim().split(" ") as [string, string]));

const wire = hub({
  port: Number(port),
  authorize: ({ kind, identity, token, to }) => {
    const wanted = tokens.get(identity);
    if (wanted === undefined || !sameToken(token, wanted)) return false;
    return kind === "session" || to !== undefined; // say here who may reach whom, by which name
  },
  presence: () => true,
  onOpen: ({ identity }) => console.log(identity, "joined"),
  onClose: ({ identity }) => console.log(identity, "left"),
});
await wire.ready;
console.log("Listening on", wire.addr);
