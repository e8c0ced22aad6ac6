// Streams over another program's port: any program that speaks yamux there, such as a Go service
// with hashicorp/yamux.
//
//   deno run --allow-net examples/yamux_client.ts 127.0.0.1 4000 "first question" "second question"
//
// Each question goes over a stream of its own, all at once; what comes back on it is printed.
// yamux_server.ts is such a program.
import { connectTransport } from "@parley/parley";
import { MuxSession } from "@parley/parley/mux";

const [hostname = "127.0.0.1", port = "4000", ...questions] = Deno.args;

const transport = await connectTransport({ hostname, port: Number(port), timeoutMs: 3_000 });
const session = new MuxSession(transport, { role: "client" });
await Promise.all(questions.map(async (question) => {
  const stream = await session.openStream({ timeoutMs: 3_000 });
  await stream.write(new TextEncoder().encode(question));
  await stream.closeWrite(); // the question is over; the answer may go on
  console.log(await new Response(stream.readable).text());
}));
await session.close();
