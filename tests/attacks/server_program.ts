// A server to be attacked, in a process of its own. Its one argument is JSON; see ServerSetup in
// server_process.ts.
import { type Connection, lengthPrefixed, serve } from "@parley/parley";
import type { ServerReport, ServerSetup } from "./server_process.ts";

const { mode, options, tls }: ServerSetup = JSON.parse(Deno.args[0] ?? "{}");
const chunk = new Uint8Array(64 * 1024).fill(7);
const errors: Record<string, number> = {};
let sent = 0;

/** Collects garbage, so that what is in RAM is what is held. */
function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

function report(): ServerReport {
  collect();
  const { queuedBytes, connectionsNow, pendingNow, overall, refusedBy, connections } = server
    .stats();
  const heldBytes = connections.reduce((sum, one) => sum + one.heldBytes, 0);
  const maxQueuedBytes = connections.reduce((most, one) => Math.max(most, one.queuedBytes), 0);
  const { heapUsed, external } = Deno.memoryUsage();
  return {
    queuedBytes,
    heldBytes,
    maxQueuedBytes,
    connectionsNow,
    pendingNow,
    overall,
    refusedBy,
    errors,
    heapBytes: heapUsed + external,
  };
}

/** Answers every message with itself, and `?` with a report. */
async function echo(conn: Connection): Promise<void> {
  for await (const message of conn) {
    const asked = message.length === 1 && message[0] === 0x3f;
    await conn.send(asked ? JSON.stringify(report()) : message);
  }
}

/** Sends without end on a command, and waits for each send or not. */
async function push(conn: Connection): Promise<void> {
  for await (const message of conn) {
    if (message[0] === 0x3f) {
      await conn.send(JSON.stringify(report()));
      continue;
    }
    for (;;) {
      // A message of its own each time: what is held is held for real.
      const sending = conn.send(chunk.slice());
      if (++sent % 64 === 0) collect();
      if (mode === "push") await sending;
      else if (conn.sending.pushedBytes % (64 * chunk.length) < chunk.length) await tick();
      if (conn.status === "closed") return await sending;
    }
  }
}

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

// As servers do; and Deno 2.9, which opens a pair of sockets for signals half a second after its
// start, panics when it finds no descriptor for them: here it has them before the flood.
Deno.addSignalListener("SIGTERM", () => void server.shutdown().then(() => Deno.exit(0)));

const server = serve({
  framing: lengthPrefixed(),
  ...options,
  ...tls !== undefined && { tls },
  onListen: (addr) => console.log(addr),
  onError: (error, { phase }) => {
    const name = `${phase} ${(error as { code?: string }).code ?? (error as Error).name}`;
    errors[name] = (errors[name] ?? 0) + 1;
  },
}, mode === "echo" ? echo : push);
await server.ready;
