// mountWorkers(): the server side of the wire, whose sessions are spread over threads.
import { checkMainThread } from "../workers/thread.ts";
import { MOUNT_WORKER_URL } from "./mount_worker.ts";
import { MountedWorkers } from "./mounted_workers.ts";
import { MOUNT_ACTION, type MountWorkersOptions, resolveMountWorkers } from "./workers_options.ts";

/**
 * Mounts the wire in several threads on one port, so that it uses every core. Each thread loads
 * `module`, whose default export registers the handlers of its wire; the kernel spreads connections
 * over the threads. The result is one wire: one `stats()`, one drain, one set of certificates, one
 * `maxConnections`, and one set of identities: a peer that joins again takes over its old session,
 * whichever worker has it, and a name that is taken is taken in all workers.
 *
 * A session lives in one worker: `wire.session()`, `wire.open()` and `wire.waitFor()` of a worker
 * find the sessions of that worker only. Peers that must reach each other need a `hub`, which runs
 * in one thread.
 *
 * It resolves when all workers listen.
 *
 * @param module Address of the module, such as `new URL("./wire.ts", import.meta.url)`
 * @throws {TypeError | RangeError} when an option is wrong, the module cannot be loaded or exports
 * no function, or the system cannot share a port; nothing runs then
 * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`
 *
 * @example
 * ```ts ignore
 * // wire.ts
 * import { type MountedWire, type MountModuleOptions, sameToken } from "@parley/parley/wire";
 *
 * export const options: MountModuleOptions = {
 *   authorize: ({ token }) => sameToken(token, Deno.env.get("TOKEN")),
 * };
 *
 * export default function serve(wire: MountedWire): void {
 *   wire.handle("echo", async (stream) => await stream.readable.pipeTo(stream.writable));
 * }
 *
 * // main.ts
 * import { mountWorkers } from "@parley/parley/wire";
 *
 * await using wire = await mountWorkers(new URL("./wire.ts", import.meta.url), { port: 5555 });
 * await wire.finished;
 * ```
 */
export async function mountWorkers(
  module: URL | string,
  options: MountWorkersOptions = {},
): Promise<MountedWorkers> {
  checkMainThread(MOUNT_ACTION, "mountWorkers");
  const wire = new MountedWorkers(resolveMountWorkers(module, options, MOUNT_WORKER_URL));
  await wire.start();
  return wire;
}
