// A server that is to keep its process alive, or not: run by process_test.ts.
import { connect, delimited, serve } from "@parley/parley";

const [how = "before"] = Deno.args;
const framing = delimited("\n");
const connected = Promise.withResolvers<void>();
// Until the client is there, this keeps the process alive.
const waiting = setTimeout(() => {}, 60_000);
const server = serve({ framing }, async (conn) => {
  clearTimeout(waiting);
  connected.resolve();
  for await (const message of conn) await conn.send(message);
});
if (!how.startsWith("stranger")) clearTimeout(waiting);
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
if (how === "stranger before" || how === "stranger after") {
  // A client of another process, which stays: what the connection holds alive here would show.
  if (how === "stranger before") server.unref();
  console.log(server.addr);
  await connected.promise;
  if (how === "stranger after") server.unref();
  console.log("unreferenced");
}
if (how === "ref") {
  server.unref();
  server.ref();
  console.log(server.addr);
}
