// A client behind NAT: connects out once, and from then on answers the server's calls, across reconnects.
//
//   TOKEN=secret deno run --allow-net --allow-env examples/wire_client.ts 7000 sensor-7
//
// Start wire_server.ts first, or later.
import { join } from "@parley/parley/wire";

const wire = join({
  port: Number(Deno.args[0] ?? 7000),
  identity: Deno.args[1] ?? "sensor-7",
  token: Deno.env.get("TOKEN") ?? "secret",
  onOpen: () => console.log("Joined"),
  onRetry: ({ delayMs }) => console.log("No server, next try in", Math.round(delayMs), "ms"),
});

wire.handle("temperature", async (stream) => {
  await stream.write(`21.5 °${stream.meta["unit"]}`);
});
