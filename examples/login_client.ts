// A client that logs in on each new link, before anything else is sent: restart login_server.ts,
// and it goes on.
//
//   deno run --allow-net examples/login_client.ts 5559 ann secret
//
// It sends the lines of standard input and prints what comes back. A refused login ends it.
import { AuthError, Client, delimited } from "@parley/parley";
import { stdin } from "node:process";
import { createInterface } from "node:readline";

const [port = "5559", user = "ann", password = "secret"] = Deno.args;
const decoder = new TextDecoder();

await using client = new Client({
  port: Number(port),
  framing: delimited("\n"),
  reconnect: { minDelayMs: 50, maxDelayMs: 2_000 },
  onConnect: async (link, { first }) => {
    await link.send(JSON.stringify({ user, password }));
    const answer = await link.receive({ timeoutMs: 3_000 });
    if (answer === null) throw new Error("The server left before it answered"); // so it is tried again
    // This one ends the client: the same password is refused the next time as well.
    if (decoder.decode(answer) === "denied") {
      throw new AuthError("ERR_AUTH", "The server refuses the login");
    }
    console.log(first ? "Logged in" : "Logged in again");
  },
});

async function sendLines(): Promise<void> {
  await client.ready;
  // Lines that are typed while there is no link wait for the next login.
  for await (const line of createInterface({ input: stdin })) await client.send(line);
}

async function printAnswers(): Promise<void> {
  for await (const message of client) console.log(decoder.decode(message));
}

try {
  await Promise.race([sendLines(), printAnswers()]);
} catch (error) {
  if (!(error instanceof AuthError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  Deno.exit(1);
}
