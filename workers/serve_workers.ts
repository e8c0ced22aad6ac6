// serveWorkers(): a server whose connections are spread over threads, one for each core.
import { ACTION, resolveWorkersOptions, type ServeWorkersOptions } from "./options.ts";
import { checkMainThread } from "./thread.ts";
import { WORKER_URL } from "./worker.ts";
import { WorkersServer } from "./workers_server.ts";

/**
 * Listens in several threads on one port, so that a server uses every core. Each thread loads
 * `module`, whose default export serves connections as the handler of `serve` does; the kernel
 * spreads connections over the threads. The result is one server: one `stats()`, one drain, one set
 * of certificates, one `maxConnections`.
 *
 * A thread that dies by an error loses its own connections only: `onError` learns of it (phase
 * `"worker"`), and it is started again after a pause that grows.
 *
 * It resolves when all workers listen. Without the flag `--unstable-net` plain TCP runs on sockets
 * of node:net, which are a little slower.
 *
 * @param module Address of the module, such as `new URL("./handler.ts", import.meta.url)`
 * @throws {TypeError | RangeError} when an option is wrong, the module cannot be loaded or exports
 * no handler, or the system cannot share a port; nothing runs then
 * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`
 *
 * @example
 * ```ts ignore
 * // handler.ts
 * import { type Connection, delimited, type WorkerModuleOptions } from "@parley/parley";
 *
 * export const options: WorkerModuleOptions = { framing: delimited("\n") };
 *
 * export default async function echo(conn: Connection): Promise<void> {
 *   for await (const message of conn) await conn.send(message);
 * }
 *
 * // main.ts
 * import { serveWorkers } from "@parley/parley";
 *
 * await using server = await serveWorkers(new URL("./handler.ts", import.meta.url), { port: 5555 });
 * await server.finished;
 * ```
 */
export async function serveWorkers(
  module: URL | string,
  options: ServeWorkersOptions = {},
): Promise<WorkersServer> {
  checkMainThread(ACTION, "serveWorkers");
  const server = new WorkersServer(resolveWorkersOptions(module, options, WORKER_URL));
  await server.start();
  return server;
}
