// A server for tests that run out of descriptors: echoes over the transport that its argument
// names, and reports where it listens.
import { listen, type ListenTarget } from "../../net/listen.ts";
import type { Incoming, Listener } from "../../net/transport/transport.ts";
import { sourceOf, testCerts } from "../support/programs/certs.ts";

// Deno sets up its handling of signals in the background and panics when no descriptor is free
// then: have it done now.
Deno.addSignalListener("SIGTERM", () => Deno.exit(0));

const [kind = "tcp", path = ""] = Deno.args;
const certs = await testCerts();
const listener = await listen(await targetOf(kind));
const { addr } = listener;
console.log(JSON.stringify({ port: addr.transport === "tcp" ? addr.port : 0, ca: certs.ca.cert }));
await serve(listener);

function targetOf(kind: string): ListenTarget {
  const credentials = sourceOf(certs.server);
  switch (kind) {
    case "tcp":
      return { port: 0 };
    case "unix":
      return { path };
    case "deno":
    case "node":
      return { port: 0, tls: { credentials, backend: kind } };
    case "node-unix":
      return { path, tls: { credentials } };
    default:
      throw new TypeError(`There is no such kind: ${kind}`);
  }
}

async function serve(listener: Listener): Promise<void> {
  for (;;) {
    let incoming: Incoming | null;
    try {
      incoming = await listener.accept();
    } catch {
      // No descriptor is free: as a server's accept loop does, wait and go on.
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    if (incoming === null) return;
    echo(incoming).catch(() => {});
  }
}

async function echo(incoming: Incoming): Promise<void> {
  const transport = await incoming.open({ signal: AbortSignal.timeout(2000) });
  try {
    for (let chunk; (chunk = await transport.read()) !== null;) await transport.write(chunk);
  } finally {
    transport.close();
  }
}
