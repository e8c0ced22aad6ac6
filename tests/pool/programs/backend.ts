// A backend for the tests of faults: answers with its name, after a pause that can be changed by a question.
import { delimited, serve } from "@parley/parley";

const [name, port] = Deno.args;
let pauseMs = 0;

const server = serve({
  port: Number(port),
  framing: delimited("\n"),
  onListen: (addr) => console.log("Listening on", addr),
}, async (conn) => {
  for await (const message of conn) {
    const question = new TextDecoder().decode(message);
    if (question.startsWith("pause ")) pauseMs = Number(question.slice(6));
    else if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    await conn.send(`${name} ${question}`);
  }
});
Deno.addSignalListener("SIGTERM", () => void server.shutdown().finally(() => Deno.exit()));
