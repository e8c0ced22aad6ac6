// A server that loses no job when it has to stop: SIGTERM or Ctrl-C drains it, within a deadline.
//
//   deno run --allow-net --allow-write examples/graceful_shutdown.ts 5560 journal.txt
//
// A message is a job: its id and the ms that it takes, such as "42 250". Each job that was done is
// written to the journal, then answered with "done 42". The program exits with 0 when all it had
// received was answered, with 1 when it had to cut.
import { ParleyError, serve } from "@parley/parley";

const [port = "5560", journal = "journal.txt", deadlineMs = "10000"] = Deno.args;
const file = await Deno.open(journal, { append: true, create: true });
const encoder = new TextEncoder();

const server = serve({
  port: Number(port),
  onListen: (addr) => console.log("Listening on", addr),
}, async (conn) => {
  // While the server drains, this loop ends by itself behind the last job that was received.
  for await (const message of conn) {
    const [id, ms] = new TextDecoder().decode(message).split(" ");
    await new Promise((resolve) => setTimeout(resolve, Number(ms)));
    file.writeSync(encoder.encode(`${id}\n`));
    await conn.send(`done ${id}`);
  }
});

let asked = 0;
async function stop(): Promise<void> {
  if (++asked > 1) Deno.exit(130); // asked twice: now
  console.log("Draining", server.connections.size, "connections");
  try {
    await server.shutdown({ timeoutMs: Number(deadlineMs) });
    console.log("Stopped, nothing lost");
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof ParleyError)) throw error;
    console.error(`${error.code}: ${error.message}`);
    Deno.exit(1); // handlers that never return must not keep the program alive
  }
}

Deno.addSignalListener("SIGINT", stop);
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", stop);
