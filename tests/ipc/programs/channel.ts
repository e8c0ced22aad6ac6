// Listens on a channel, asks on it once, and prints the answer: by name, or with a port over TCP
// and with a secret of its own.
import { connectIpc, listenIpc, SecretKey } from "@parley/parley/ipc";

const [name = "", port] = Deno.args;
const channel = port === undefined ? { name } : {
  name,
  transport: "tcp" as const,
  hostname: "127.0.0.1",
  port: Number(port),
  secret: SecretKey.generate(),
};
await using _server = await listenIpc({ ...channel, onQuery: () => "answered" });
await using client = await connectIpc({ ...channel, reconnect: false });
console.log(new TextDecoder().decode(await client.query("x")));
