// One of several servers on a port: sends its name. Run by process_test.ts.
import { delimited, serve } from "@parley/parley";

const [port = "0"] = Deno.args;
const server = serve({
  port: Number(port),
  reusePort: true,
  framing: delimited("\n"),
  onListen: (addr) => console.log(addr),
}, async (conn) => {
  for await (const _ of conn) await conn.send(`${Deno.pid}`);
});
await server.ready;
