// HttpServer: node:http with deadlines and caps: strangers cost it a few slots for a few seconds.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { listenFault } from "../../net/transport/faults.ts";
import type { Address } from "../../net/transport/transport.ts";

/** Bytes that the head of a request may have. */
const MAX_HEADER_BYTES = 8192;

/** Time that a connection may stay open without a request, in milliseconds. */
const KEEP_ALIVE_MS = 5000;

type Socket = IncomingMessage["socket"];

/** Options of {@linkcode HttpServer}. */
export interface HttpServerOptions {
  /** Address to listen on. */
  readonly hostname: string;
  /** Port to listen on. */
  readonly port: number;
  /** Connections at a time; more are closed at once. */
  readonly maxConnections: number;
  /** Time for a request to come in whole, in milliseconds; then 408. */
  readonly requestTimeoutMs: number;
  /** Answers a request. */
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
}

/** A listening HTTP server. It keeps the process alive only when asked to. */
export class HttpServer {
  readonly #server: Server;
  readonly #options: HttpServerOptions;
  readonly #sockets = new Set<Socket>();
  #referenced = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { requestTimeoutMs, maxConnections } = options;
    this.#server = createServer({
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: Math.min(1000, requestTimeoutMs),
    }, options.onRequest);
    this.#server.maxConnections = maxConnections;
    this.#server.on("connection", (socket: Socket) => this.#watch(socket));
  }

  /**
   * Listens. Returns the address, with the real port.
   *
   * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`
   */
  listen(): Promise<Address> {
    const { hostname, port } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Address>();
    this.#server.on(
      "error",
      (cause) => reject(listenFault({ transport: "tcp", hostname, port }, cause)),
    );
    this.#server.listen(port, hostname, () => {
      const bound = this.#server.address();
      if (bound === null || typeof bound === "string") {
        reject(new TypeError("Cannot tell the address"));
      } else resolve({ transport: "tcp", hostname: bound.address, port: bound.port });
    });
    this.setReferenced(this.#referenced);
    return promise;
  }

  /** Whether it keeps the process alive. */
  setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    for (const handle of [this.#server, ...this.#sockets]) {
      referenced ? handle.ref() : handle.unref();
    }
  }

  /** Stops to listen and cuts every connection; resolves when the descriptors are free. */
  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    return promise;
  }

  #watch(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    if (!this.#referenced) socket.unref();
  }
}
