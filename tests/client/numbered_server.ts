// A server for the restart test: takes numbered messages and logs each number when it has handled it.
//
// Arguments: port, file of the log. It listens on SIGUSR2 (Deno's inspector has SIGUSR1), and
// drains on SIGTERM.
import { AddressError, type Connection, serve, type Server } from "@parley/parley";

/** Messages after which it says that it is at work. */
const BUSY_AFTER = 300;

const [port = "0", logFile = ""] = Deno.args;
const log = Deno.openSync(logFile, { create: true, append: true });
let handled = 0;

async function handle(connection: Connection): Promise<void> {
  for await (const message of connection) {
    log.writeSync(message.subarray(0, 4));
    if (++handled === BUSY_AFTER) console.log("busy");
  }
}

async function listen(): Promise<Server> {
  for (;;) {
    const server = serve({ port: Number(port) }, handle);
    try {
      await server.ready;
      return server;
    } catch (error) {
      // The port of the one that was killed may take a moment to be free.
      if (!(error instanceof AddressError)) throw error;
    }
  }
}

const told = Promise.withResolvers<void>();
const asked = Promise.withResolvers<void>();
Deno.addSignalListener("SIGUSR2", told.resolve);
Deno.addSignalListener("SIGTERM", asked.resolve);
console.log("loaded");
await told.promise;
const server = await listen();
if (server.addr.transport === "tcp") console.log(`port: ${server.addr.port}\n`);
await asked.promise;
await server.shutdown();
Deno.exit(0);
