// Servers of the IPC races: `server.ts <contestant> <path> <batch>` answers what it gets, and says so
// once it listens; it receives by batches unless a batch is 1.
import { createServer, type Socket } from "node:net";
import {
  createMessageConnection,
  SocketMessageReader,
  SocketMessageWriter,
} from "vscode-jsonrpc/node";
import { listenIpc } from "../../../ipc/mod.ts";

const [contestant, path, batch] = Deno.args as [string, string, string];

switch (contestant) {
  case "raw":
    await serveRaw();
    break;
  case "jsonrpc":
    serveJsonRpc();
    break;
  default:
    await serveParley(contestant === "parley");
}

/** The shortest loop: bytes go back unread; of one-way traffic it says how much it was. */
async function serveRaw(): Promise<void> {
  const listener = Deno.listen({ transport: "unix", path });
  console.log("listening");
  for await (const conn of listener) {
    void (async () => {
      const buffer = new Uint8Array(65536);
      const first = await conn.read(buffer);
      if (first === null) return conn.close();
      if (buffer[0] === 0xff) return await swallow(conn, buffer, first);
      for (let n: number | null = first; n !== null; n = await conn.read(buffer)) {
        for (let at = 0; at < n;) at += await conn.write(buffer.subarray(at, n));
      }
      conn.close();
    })().catch(() => {});
  }
}

/** Reads to the end and answers with one byte. */
async function swallow(conn: Deno.Conn, buffer: Uint8Array, first: number): Promise<void> {
  for (let n: number | null = first; n !== null; n = await conn.read(buffer));
  await conn.write(buffer.subarray(0, 1));
  conn.close();
}

function serveJsonRpc(): void {
  createServer((socket: Socket) => {
    socket.on("error", () => {});
    const connection = createMessageConnection(
      new SocketMessageReader(socket),
      new SocketMessageWriter(socket),
    );
    let count = 0;
    connection.onRequest("echo", (text: string) => text);
    connection.onNotification("message", (_text: string) => void count++);
    connection.onRequest("count", () => count);
    connection.listen();
  }).listen(path, () => console.log("listening"));
}

async function serveParley(encryption: boolean): Promise<void> {
  let count = 0;
  const server = await listenIpc({
    name: "race",
    path,
    encryption,
    onQuery: (data) => data.length === 0 ? `${count}` : data,
  });
  console.log("listening");
  if (batch === "1") {
    for await (const _message of server) count++;
  } else {
    for await (const messages of server.batches()) count += messages.length;
  }
}
