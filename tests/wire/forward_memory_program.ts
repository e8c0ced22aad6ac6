// A program for the test of memory: a forward one below its limit, through which short connections
// pass one after the other.
//
// It prints how many passed, and by how many bytes each made the heap grow. It runs with the flag
// --v8-flags=--expose-gc, so that garbage does not count.
import { expose, forward, join, mount } from "@parley/parley/wire";

const LIMIT = 16;
const PASSED = 2000;

declare const gc: () => void;

function inUse(): number {
  gc();
  gc();
  return Deno.memoryUsage().heapUsed;
}

const echo = Deno.listen({ hostname: "127.0.0.1", port: 0 });
void (async () => {
  for await (const conn of echo) conn.readable.pipeTo(conn.writable).catch(() => {});
})();
const server = mount({ insecureAnyone: true });
await server.ready;
expose(server, "echo", { port: echo.addr.port });
const wire = join({ ...server.addr, identity: "home" });
const tunnel = await forward(wire, "echo", { maxConnections: LIMIT });
const { addr } = tunnel;
const port = addr.transport === "tcp" ? addr.port : 0;

async function connectThrough(): Promise<Deno.Conn> {
  const conn = await Deno.connect({ port });
  await conn.write(new Uint8Array(1));
  await conn.read(new Uint8Array(1));
  return conn;
}

async function pass(count: number): Promise<void> {
  for (let i = 0; i < count; i++) (await connectThrough()).close();
}

for (let i = 1; i < LIMIT; i++) await connectThrough();
await pass(200);
const before = inUse();
await pass(PASSED);
console.log(JSON.stringify({ passed: PASSED, bytesEach: (inUse() - before) / PASSED }));
Deno.exit(0);
