// An echo client: sends the lines of standard input and prints what comes back.
//
//   deno run --allow-net examples/echo_client.ts 5555 < README.md
//
// Start echo_server.ts first.
import { connect } from "@parley/parley";
import { stdin } from "node:process";
import { createInterface } from "node:readline";

const port = Number(Deno.args[0] ?? 5555);
await using conn = await connect({ port });

async function sendLines(): Promise<void> {
  for await (const line of createInterface({ input: stdin })) await conn.send(line);
  await conn.closeWrite(); // "that was all": the server answers the rest, then ends its side
}

async function printAnswers(): Promise<void> {
  const decoder = new TextDecoder();
  for await (const message of conn) console.log(decoder.decode(message));
}

// Both at once: a client that only sent would stop where a server stops that only answers.
await Promise.all([sendLines(), printAnswers()]);
