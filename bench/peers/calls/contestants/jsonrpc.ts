// vscode-jsonrpc over a unix socket: a request with a text.
import { createConnection, createServer } from "node:net";
import {
  createMessageConnection,
  SocketMessageReader,
  SocketMessageWriter,
} from "vscode-jsonrpc/node";
import type { Contestant } from "./contestant.ts";

/** The contestant. */
export const contestant: Contestant = {
  serve: (path) =>
    new Promise((resolve) => {
      createServer((socket) => {
        socket.on("error", () => {});
        const connection = createMessageConnection(
          new SocketMessageReader(socket),
          new SocketMessageWriter(socket),
        );
        connection.onRequest("echo", (text: string) => text);
        connection.listen();
      }).listen(path, () => resolve(path));
    }),
  async dial(path) {
    const socket = createConnection(path);
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    const connection = createMessageConnection(
      new SocketMessageReader(socket),
      new SocketMessageWriter(socket),
    );
    connection.listen();
    return (text) => connection.sendRequest<string>("echo", text);
  },
};
