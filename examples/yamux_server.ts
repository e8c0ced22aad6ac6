// A port for any program that speaks yamux: each of its streams is answered in upper case, as it comes.
//
//   deno run --allow-net examples/yamux_server.ts 4000
//
// The other program may be yamux_client.ts, or one in Go with hashicorp/yamux. Ctrl+C ends it.
import { listenTransport, type Transport } from "@parley/parley";
import { MuxSession, type MuxStream } from "@parley/parley/mux";

const listener = listenTransport({
  port: Number(Deno.args[0] ?? 4000),
  onError: (error, { phase }) =>
    console.error(phase, error instanceof Error ? error.message : error),
});
const sessions = new Set<MuxSession>();

async function answer(stream: MuxStream): Promise<void> {
  for await (const chunk of stream) {
    await stream.write(new TextEncoder().encode(new TextDecoder().decode(chunk).toUpperCase()));
  }
  await stream.close();
}

async function serve(transport: Transport): Promise<void> {
  const session = new MuxSession(transport, { role: "server" });
  sessions.add(session);
  // A stream that breaks ends its own answer only.
  for await (const stream of session) answer(stream).catch((error) => console.error(error.message));
  sessions.delete(session);
}

Deno.addSignalListener("SIGINT", async () => {
  await listener.shutdown();
  await Promise.all([...sessions].map((session) => session.close().catch(() => {})));
  Deno.exit();
});

await listener.ready;
console.log("Listening on", listener.addr);
for await (const transport of listener) {
  serve(transport).catch((error) => console.error(error.message));
}
