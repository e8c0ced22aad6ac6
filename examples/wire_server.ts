// A server that calls its clients: asks every sensor that joins for its temperature, though none
// can be connected to.
//
//   TOKEN=secret deno run --allow-net --allow-env examples/wire_server.ts 7000
//
// Then start wire_client.ts, from anywhere.
import { mount, sameToken } from "@parley/parley/wire";

const secret = Deno.env.get("TOKEN") ?? "secret";

const wire = mount({
  port: Number(Deno.args[0] ?? 7000),
  authorize: ({ token }) => sameToken(token, secret),
  onOpen: async (session) => {
    const stream = await session.open("temperature", { meta: { unit: "C" } });
    console.log(session.identity, "says", await new Response(stream.readable).text());
  },
});
await wire.ready;
console.log("Listening on", wire.addr);
