// A TCP proxy for races: ours, or the shortest read/write loop. `proxy.ts parley|loop <backend
// port>`; prints its port.
import { connect } from "../../../client.ts";
import { raw } from "../../../framing.ts";
import { splice } from "../../../pool.ts";
import { serve } from "../../../server.ts";

const [kind, target] = Deno.args;
const port = Number(target);
const framing = raw();

async function runParley(): Promise<void> {
  const server = serve({ framing, maxConnections: 2000, limitLoopback: false }, async (conn) => {
    await splice(conn, await connect({ port, framing }));
  });
  await server.ready;
  if (server.addr.transport === "tcp") console.log(server.addr.port);
}

async function copy(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65536);
  for (;;) {
    const length = await from.read(buffer);
    if (length === null) break;
    for (let at = 0; at < length;) at += await to.write(buffer.subarray(at, length));
  }
  await to.closeWrite();
}

async function runLoop(): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log((listener.addr as Deno.NetAddr).port);
  for await (const near of listener) {
    void (async () => {
      const far = await Deno.connect({ hostname: "127.0.0.1", port });
      await Promise.all([copy(near, far), copy(far, near)]);
      near.close();
      far.close();
    })();
  }
}

await (kind === "parley" ? runParley() : runLoop());
