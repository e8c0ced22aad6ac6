// Makes a port that another machine exposes at the hub a port of this machine.
//
//   TOKEN=secret deno run --allow-net --allow-env examples/wire_forward.ts 7000 home office web 9090
//
// Start wire_hub.ts and wire_expose.ts first; then see http://127.0.0.1:9090/
import { forward, join } from "@parley/parley/wire";

const [port = "7000", identity = "home", to = "office", name = "web", local = "9090"] = Deno.args;
const token = Deno.env.get("TOKEN") ?? "secret";
const wire = join({ port: Number(port), identity, token, onOpen: () => console.log("Joined") });
const tunnel = await forward(wire, name, { to, port: Number(local) });
console.log("Forwarding", tunnel.addr);
