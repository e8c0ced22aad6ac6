// Lets others at the hub reach a port of this machine.
//
//   TOKEN=secret deno run --allow-net --allow-env examples/wire_expose.ts 7000 office web 8080
//
// Start wire_hub.ts first.
import { expose, join } from "@parley/parley/wire";

const [port = "7000", identity = "office", name = "web", local = "8080"] = Deno.args;
const token = Deno.env.get("TOKEN") ?? "secret";
const wire = join({ port: Number(port), identity, token, onOpen: () => console.log("Joined") });
expose(wire, name, { port: Number(local) });
