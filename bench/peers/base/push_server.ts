// Push servers of the race: one small message every 2 ms, no reply; prints where it listens.
import { serve } from "../../../mod.ts";
import { createServer as createTlsServer } from "node:tls";
import type { Socket } from "node:net";

const [contestant, backend, folder] = Deno.args as [string, string, string];
const cert = Deno.readTextFileSync(`${folder}/cert.pem`);
const key = Deno.readTextFileSync(`${folder}/key.pem`);

/**
 * Each message is the time at which it was due, in ms since the epoch: the client computes how late
 * it is.
 */
function message(dueMs: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 8);
  view.setFloat64(4, dueMs);
  return bytes;
}

/** Calls `send` every 2 ms with the time it was called at. */
function everyTwoMs(send: (nowMs: number) => void, ended: () => boolean): void {
  const timer = setInterval(() => {
    if (ended()) clearInterval(timer);
    else send(performance.timeOrigin + performance.now());
  }, 2);
}

if (contestant === "raw") {
  const server = createTlsServer({ cert, key }, (socket: Socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    everyTwoMs((nowMs) => void socket.write(message(nowMs)), () => socket.destroyed);
  });
  server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));
} else {
  const server = serve({
    port: 0,
    tls: { cert, key, backend: backend === "tls-deno" ? "deno" : "auto" },
    onError: () => {},
  }, async (conn) => {
    everyTwoMs(
      (nowMs) => void conn.send(message(nowMs).subarray(4)),
      () => conn.status === "closed",
    );
    await conn.closed;
  });
  await server.ready;
  console.log(server.addr.transport === "tcp" ? server.addr.port : "");
}
