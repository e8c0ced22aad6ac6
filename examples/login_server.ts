// A server that wants a login before anything else, and answers each line once it had one.
//
//   deno run --allow-net examples/login_server.ts 5559 secret
//
// The first line of a connection must be {"user":"ann","password":"secret"}; the answer is "welcome
// ann" or "denied". Connect with login_client.ts, stop this server with Ctrl-C and start it again:
// the client logs in anew by itself.
import { type Connection, delimited, serve } from "@parley/parley";

const [port = "5559", password = "secret"] = Deno.args;
const decoder = new TextDecoder();

/** The user's name, or `null` when the login is none. */
function userOf(line: Uint8Array): string | null {
  try {
    const login = JSON.parse(decoder.decode(line));
    return typeof login.user === "string" && login.password === password ? login.user : null;
  } catch {
    return null;
  }
}

const stop = new AbortController();
Deno.addSignalListener("SIGINT", () => stop.abort());
Deno.addSignalListener("SIGTERM", () => stop.abort());

const server = serve({
  port: Number(port),
  framing: delimited("\n"),
  signal: stop.signal,
  onListen: (addr) => console.log("Listening on", addr),
}, async (conn: Connection) => {
  const login = await conn.receive({ timeoutMs: 5_000 });
  const user = login === null ? null : userOf(login);
  if (user === null) return await conn.send("denied"); // the connection closes once this is written
  await conn.send(`welcome ${user}`);
  for await (const line of conn) await conn.send(`${user} said: ${decoder.decode(line)}`);
});
await server.finished;
