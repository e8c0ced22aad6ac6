// dial(): opens a connection to an address, by the backend that fits.
import type { ResolvedClientTls } from "../tls/handshake/options.ts";
import { connectNode } from "./node/node_dial.ts";
import { NodeTransport } from "./node/node_transport.ts";
import { withoutBrackets } from "./address/brackets.ts";
import { type DialOptions, dialTcp } from "./socket/tcp.ts";
import { dialTlsNative } from "./socket/tls_native.ts";
import { dialTlsNode } from "./node/tls_node.ts";
import type { Transport } from "./transport/transport.ts";
import { dialUnix } from "./socket/unix.ts";

export type { DialOptions, DialStage } from "./socket/tcp.ts";

/** Where to connect to. */
export type DialTarget =
  | {
    /** Name or IP address; IPv6 with or without brackets. @default {"127.0.0.1"} */
    readonly hostname?: string | undefined;
    /** 1 to 65535. */
    readonly port: number;
    /** TLS options; without them the connection is plain. */
    readonly tls?: ResolvedClientTls | undefined;
  }
  | {
    /** Path of a unix socket. */
    readonly path: string;
    /** TLS options; without them the connection is plain. */
    readonly tls?: ResolvedClientTls | undefined;
  };

/**
 * Connects. `backend: "auto"` is `node:tls`; docs/decisions/0010-tls-backend.md says why.
 *
 * @throws {TypeError} when the chosen TLS backend cannot do what is wanted; nothing was opened then
 * @throws {AddressError} `ERR_CONNECT_REFUSED` when nothing listens there, `ERR_ADDRESS_INVALID`
 * when it cannot be reached, `ERR_SOCKET_PATH_TOO_LONG`
 * @throws {TlsError} when the handshake fails
 *
 * @example
 * ```ts
 * import { dial } from "./dial.ts";
 * import { listen } from "./listen.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const listener = await listen({ port: 0 });
 * const { signal } = new AbortController();
 * if (listener.addr.transport !== "tcp") throw new TypeError("Not a TCP listener");
 * const client = await dial(listener.addr, { signal });
 * const server = await (await listener.accept())?.open({ signal });
 * await client.write(new Uint8Array([1, 2, 3]));
 * assertEquals(await server?.read(), new Uint8Array([1, 2, 3]));
 * client.close();
 * server?.close();
 * listener.close();
 * ```
 */
export async function dial(target: DialTarget, options: DialOptions): Promise<Transport> {
  const { tls } = target;
  if ("path" in target) {
    if (tls === undefined) return await dialUnix(target, options);
    if (tls.backend === "deno") throw lacks("has no TLS over unix sockets", "path");
    return await dialTlsNode({ path: target.path }, tls, options);
  }
  const { port } = target;
  const hostname = withoutBrackets(target.hostname ?? "127.0.0.1");
  if (tls === undefined) {
    if (options.canReset !== true) return await dialTcp({ hostname, port }, options);
    return new NodeTransport(await connectNode({ hostname, port }, options));
  }
  if (tls.backend !== "deno") return await dialTlsNode({ hostname, port }, tls, options);
  checkNative(tls, options);
  return await dialTlsNative({ hostname, port }, tls, options);
}

/** Refuses options that native TLS would ignore. */
function checkNative(tls: ResolvedClientTls, options: DialOptions): void {
  if (tls.minVersion !== "TLSv1.2") throw lacks("speaks TLS 1.2 and 1.3, both", "minVersion");
  if (tls.maxVersion !== "TLSv1.3") throw lacks("speaks TLS 1.2 and 1.3, both", "maxVersion");
  if (tls.pins !== undefined) throw lacks("does not tell which certificate a server showed", "pin");
  if (tls.cert === undefined) return;
  if (tls.serverName !== undefined) {
    throw lacks(
      "cannot check another name than the one it dials while it shows a certificate",
      "serverName",
    );
  }
  if (options.keepAlive) {
    throw lacks("cannot tune a socket while it shows a certificate", "keepAlive");
  }
}

function lacks(what: string, option: string): TypeError {
  return new TypeError(
    `Cannot connect: the "deno" TLS backend ${what} ("${option}"): use "auto" or "node"`,
  );
}
