// Server of the mux races: `server.ts <contestant> <transport> <mode> <folder> <rounds>` prints its port.
import { createServer } from "node:net";
import { SocketTransport } from "../../../net/socket/socket_transport.ts";
import { type Contestant, type Flow, startLibp2pOverNode, startSession } from "./flows.ts";
import { rawConn, sinkRaw } from "./raw.ts";
import { answer } from "./work.ts";

const [contestant, transport, mode, folder, rounds] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
];

const isCrowded = mode === "idle";
const onFlow = (flow: Flow) => void answer(flow, mode).catch(() => {});

if (contestant === "libp2p-node") {
  const server = createServer((socket) => {
    startLibp2pOverNode(socket, { contestant: "libp2p", role: "server", onFlow, isCrowded });
  });
  server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));
} else await listen();

async function listen(): Promise<void> {
  const listener = transport === "tls"
    ? Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      cert: Deno.readTextFileSync(`${folder}/cert.pem`),
      key: Deno.readTextFileSync(`${folder}/key.pem`),
    })
    : Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log((listener.addr as Deno.NetAddr).port);

  for await (const conn of listener) {
    if (transport === "tcp") (conn as Deno.TcpConn).setNoDelay(true);
    const addr = { transport: "memory", name: "race" } as const;
    const wrap = () => new SocketTransport(conn, { localAddr: addr, remoteAddr: addr });
    if (contestant.startsWith("raw")) {
      const end = contestant === "raw" ? rawConn(conn) : wrap();
      void sinkRaw(end, JSON.parse(rounds)).catch(() => {});
      continue;
    }
    startSession(wrap(), {
      contestant: contestant as Contestant,
      role: "server",
      onFlow,
      isCrowded,
    });
  }
}
