// The examples that speak yamux over a port: with each other, and with libp2p's yamux as the other program.
import { assert, assertEquals } from "@std/assert";
import { connectTransport, listenTransport } from "@parley/parley";
import { libp2pMux, sendLibp2p } from "../support/peers/libp2p_mux.ts";
import { Program, runProgram } from "../support/programs/program.ts";
import { settles } from "../support/wait.ts";

const QUESTIONS = ["first question", "second question", "third question"];

/** The port of the example's server, by what it prints. */
async function portOf(server: Program): Promise<string> {
  await server.printed(/port: (\d+)/);
  const port = /port: (\d+)/.exec(server.stdout)?.[1];
  assert(port !== undefined);
  return port;
}

Deno.test("yamux_client asks the program of another, here libp2p's yamux", async () => {
  await using listener = listenTransport();
  await listener.ready;
  assert(listener.addr.transport === "tcp");
  const { port } = listener.addr;
  const running = runProgram("examples/yamux_client.ts", ["127.0.0.1", `${port}`, ...QUESTIONS]);
  const transport = await settles("a connection", listener.accept());
  assert(transport !== null);
  const theirs = libp2pMux(transport, "server", "echo");
  const { code, stdout, stderr } = await running;
  assertEquals([code, stdout.trim().split("\n").sort()], [0, QUESTIONS.toSorted()], stderr);
  theirs.abort(new Error("The test is over"));
});

Deno.test("yamux_server answers the program of another, here libp2p's yamux", async () => {
  await using server = new Program("examples/yamux_server.ts", ["0"]);
  const transport = await connectTransport({ port: Number(await portOf(server)) });
  const theirs = libp2pMux(transport, "client", "echo");
  const stream = await theirs.createStream();
  await sendLibp2p(stream, new TextEncoder().encode("hello"));
  const closing = stream.close();
  let text = "";
  for await (const chunk of stream) text += new TextDecoder().decode(chunk.subarray());
  await closing;
  assertEquals(text, "HELLO");
  theirs.abort(new Error("The test is over"));
  assertEquals(server.stderr, "");
});

Deno.test("yamux_client and yamux_server speak with each other", async () => {
  await using server = new Program("examples/yamux_server.ts", ["0"]);
  const { code, stdout, stderr } = await runProgram("examples/yamux_client.ts", [
    "127.0.0.1",
    await portOf(server),
    ...QUESTIONS,
  ]);
  const answers = QUESTIONS.map((question) => question.toUpperCase());
  assertEquals([code, stdout.trim().split("\n").sort()], [0, answers.sort()], stderr);
});
