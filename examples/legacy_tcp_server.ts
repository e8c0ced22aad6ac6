// A plain TCP server for a text protocol that old programs speak: lines that end with CR LF, no
// TLS, no frames of ours.
//
//   deno run --allow-net examples/legacy_tcp_server.ts 5559
//   printf 'SET city Lisbon\r\nGET city\r\nQUIT\r\n' | nc 127.0.0.1 5559
//
// SIGTERM or Ctrl-C: every client gets a last line after the answers to what it has asked, then the
// program ends.
import { delimited, serve } from "@parley/parley";

const values = new Map<string, string>();
const stop = new AbortController();
Deno.addSignalListener("SIGINT", () => stop.abort());
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => stop.abort());

function answer(line: string): string {
  const [command = "", key = "", ...rest] = line.split(" ");
  switch (command.toUpperCase()) {
    case "SET":
      if (key === "" || values.size >= 10_000) return "-ERR no key, or no room";
      values.set(key, rest.join(" "));
      return "+OK";
    case "GET":
      return values.has(key) ? `+${values.get(key)}` : "-ERR no such key";
    case "QUIT":
      return "+BYE";
    default:
      return "-ERR commands are SET, GET, QUIT";
  }
}

const server = serve({
  port: Number(Deno.args[0] ?? 5559),
  framing: delimited("\r\n"),
  maxMessageBytes: 512, // as in the old mail protocols: a longer line ends the connection
  idleTimeoutMs: 60_000,
  signal: stop.signal,
  onListen: (addr) => console.log("Listening on", addr),
}, async (conn) => {
  await conn.send("+READY");
  for await (const bytes of conn) {
    const line = new TextDecoder().decode(bytes);
    await conn.send(answer(line));
    if (line.toUpperCase() === "QUIT") return; // what was sent still goes out, then the connection closes
  }
  if (conn.draining.aborted) await conn.send("-ERR going down");
});
await server.finished;
console.log("Stopped");
