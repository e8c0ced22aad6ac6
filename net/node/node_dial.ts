// connectNode(): dials by node:net, over TCP or a unix socket.
import { unlessAborted } from "../../async/deadline.ts";
import net from "node:net";
import { dialFault, isSelf, selfConnected } from "../transport/faults.ts";
import { NodeLink } from "./node_link.ts";
import { addressesToDial, dialFirst } from "../socket/resolve.ts";
import type { DialOptions, TcpTarget } from "../socket/tcp.ts";
import type { Address } from "../transport/transport.ts";
import { checkUnixPath } from "../socket/unix_path.ts";

/** Connects a socket of node:net, and sets its options. */
export async function connectNode(
  target: TcpTarget | { readonly path: string },
  options: DialOptions,
): Promise<NodeLink> {
  const { signal, noDelay = true, keepAlive = false } = options;
  signal.throwIfAborted();
  const link = "path" in target
    ? await connectPath(target.path, options)
    : await connectHost(target, options);
  link.tune({ noDelay, ...keepAlive && { keepAlive } });
  return link;
}

async function connectPath(path: string, { signal, onStage }: DialOptions): Promise<NodeLink> {
  checkUnixPath("connect", path);
  onStage?.("connect");
  const address: Address = { transport: "unix", path };
  return await connectSocket(net.connect({ path, allowHalfOpen: true }), address, signal);
}

async function connectHost(
  { hostname, port }: TcpTarget,
  { signal, onStage }: DialOptions,
): Promise<NodeLink> {
  const address: Address = { transport: "tcp", hostname, port };
  onStage?.("resolve");
  const addresses = await addressesToDial({ hostname, port }, signal).catch((cause) => {
    signal.throwIfAborted();
    throw dialFault(address, cause);
  });
  onStage?.("connect");
  return await dialFirst(
    addresses,
    signal,
    (host, signal) =>
      connectSocket(net.connect({ host, port, allowHalfOpen: true }), address, signal),
    (late) => late.destroy(),
  );
}

/** Waits until a socket is connected. When this rejects, its descriptor is free. */
async function connectSocket(
  socket: net.Socket,
  address: Address,
  signal: AbortSignal,
): Promise<NodeLink> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("connect", resolve);
  socket.on("error", (cause) => reject(dialFault(address, cause)));
  try {
    await unlessAborted(promise, signal);
    const link = new NodeLink(socket, address.transport === "unix" ? address.path : undefined);
    if (isSelf(link.localAddr, link.remoteAddr)) throw selfConnected(address);
    return link;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
