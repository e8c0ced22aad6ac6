// A server that is to keep its process alive, or not: run by process_test.ts.
import { connect, delimited, serve } from "@parley/parley";

const [how = "before"] = Deno.args;
const framing = delimited("\n");
const server = serve({ framing }, async (conn) => {
  for await (const message of conn) await conn.send(message);
});
if (how === "before") server.unref();
await server.ready;
console.log("listening");
if (how === "after") server.unref();
if (how === "connection") {
  const conn = await connect({ ...server.addr, framing });
  await conn.send("one");
  await conn.receive();
  console.log("answered");
  conn.unref();
  server.unref();
}
if (how === "ref") {
  server.unref();
  server.ref();
  console.log(server.addr);
}
