// One trace through two processes: start the server, then the client, and read the spans of both on
// standard error.
//
//   export OTEL_DENO=true OTEL_EXPORTER_OTLP_PROTOCOL=console
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env examples/traces.ts server 7000
//   deno run --allow-net --allow-read --allow-write --allow-sys=uid --allow-env examples/traces.ts client 7000
import { connectIpc, listenIpc } from "@parley/parley/ipc";
import { join, mount } from "@parley/parley/wire";
import { trace } from "@opentelemetry/api";

const [role, port = "7000", name = "traces"] = Deno.args;
const tracer = trace.getTracer("example");

if (role === "server") {
  await using wire = mount({ port: Number(port), insecureAnyone: true });
  wire.handle("greet", async (stream) => {
    // This runs within the span of the stream, which is a child of the client's.
    tracer.startActiveSpan("look up a greeting", (span) => span.end());
    await stream.write("Hello!");
  });
  await wire.ready;
  await using _ipc = await listenIpc({ name, onQuery: (data) => data });
  console.log("Listening on", wire.addr, "until you press Enter");
  await Deno.stdin.read(new Uint8Array(1));
} else {
  await using wire = join({ port: Number(port), identity: "client" });
  await using ipc = await connectIpc({ name });
  await tracer.startActiveSpan("work", async (span) => {
    const stream = await wire.open("greet");
    console.log(await new Response(stream.readable).text());
    await stream.close();
    await ipc.query("and again");
    span.end();
  });
}
