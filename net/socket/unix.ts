// Unix sockets: dialling and listening by Deno's own sockets.
import { dialFault } from "../transport/faults.ts";
import { unlessAborted } from "../../async/deadline.ts";
import { DenoListener } from "./socket_listener.ts";
import { closeQuietly, SocketTransport } from "./socket_transport.ts";
import type { DialOptions, ListenOptions } from "./tcp.ts";
import type { Address, Listener, Transport } from "../transport/transport.ts";
import { checkUnixPath, claimUnixPath, type UnixListenTarget } from "./unix_path.ts";

/** Dials a unix socket. A path without a file counts as refused, because no program listens there. */
export async function dialUnix(
  target: { path: string },
  options: Pick<DialOptions, "signal" | "onStage">,
): Promise<Transport> {
  const { path } = target;
  const { signal, onStage } = options;
  checkUnixPath("connect", path);
  signal.throwIfAborted();
  const address: Address = { transport: "unix", path };
  onStage?.("connect");
  let socket: Deno.UnixConn;
  try {
    socket = await unlessAborted(Deno.connect({ transport: "unix", path }), signal, closeQuietly);
  } catch (cause) {
    signal.throwIfAborted();
    throw dialFault(address, cause);
  }
  if (signal.aborted) {
    closeQuietly(socket);
    throw signal.reason;
  }
  return new SocketTransport(socket, { localAddr: address, remoteAddr: address });
}

/** Listens on a unix socket. */
export async function listenUnix(
  target: UnixListenTarget,
  options: ListenOptions,
): Promise<Listener> {
  checkUnixPath("listen", target.path);
  const { listener, release } = await claimUnixPath(
    target,
    (path) => Deno.listen({ transport: "unix", path }),
  );
  const addr: Address = { transport: "unix", path: target.path };
  return new DenoListener(listener, {
    addr,
    proxySources: options.proxySources,
    describe: () => ({ localAddr: addr, remoteAddr: addr }),
    openNow: (socket, description) => new SocketTransport(socket, description),
    onClose: release,
  });
}
