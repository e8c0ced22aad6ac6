// A server that drains on SIGTERM and reports what it handled. Its argument is JSON: TLS options,
// or {}. Run by drain_load_test.ts.
import { delimited, serve } from "@parley/parley";
import { text } from "../support/bytes.ts";

const { tls } = JSON.parse(Deno.args[0] ?? "{}");
const controller = new AbortController();
Deno.addSignalListener("SIGTERM", () => controller.abort());
const handled: string[] = [];
const errors: string[] = [];
let late = 0;
const server = serve({
  framing: delimited("\n"),
  ...tls !== undefined && { tls },
  signal: controller.signal,
  onListen: (addr) => console.log(addr),
  onError: (error, { phase }) => errors.push(`${phase} ${error}`),
}, async (conn) => {
  let count = 0;
  for await (const message of conn) {
    handled.push(text(message));
    if (conn.draining.aborted) late++;
    // Work takes its time, so that answers are owed at every moment.
    await new Promise((resolve) => setTimeout(resolve, 1 + ++count % 4));
    await conn.send(`done ${text(message)}`);
  }
});
await server.finished;
console.log(`told ${JSON.stringify({ handled, late, errors, state: server.state })}`);
