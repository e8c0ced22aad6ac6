// Claim: makes a unix socket ours. One of many starters wins, a stale socket is taken over, a live one never.
import { AddressError, ParleyError } from "../errors.ts";
import type { Listener } from "../net/transport.ts";
import { checkDirectory, type Endpoint, lstat, makeDirectory } from "./endpoint.ts";

/** What a claim needs of the network, so that it can be tested without. */
export interface ClaimNet {
  /** Listens at `path`, taking over a stale socket; closing it removes the socket unless it is another's. */
  listen(path: string, mode: number): Promise<Listener>;
  /** Whether someone listens at `path`. */
  isLive(path: string): Promise<boolean>;
}

/** A socket that is ours until released. */
export interface Claim {
  /** What accepts on it. */
  readonly listener: Listener;
  /** Stops listening, removes the socket if it is still ours, and gives the channel free. Idempotent. */
  release(): void;
}

/**
 * Makes the socket of a channel ours.
 * ```
 * directory is safe? ─▶ lock ─▶ something there? ─▶ listen
 *                        │ held by another   │ live, no socket, or another user's
 *                        ▼                   ▼
 *                   ERR_ADDRESS_IN_USE   ERR_ADDRESS_IN_USE
 * ```
 * The kernel frees the lock when its holder dies, however that happens: what the dead leave behind is taken over. The
 * socket has its mode before it has its name, and the name changes hands in one step.
 *
 * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`
 */
export async function claimSocket(
  action: string,
  endpoint: Endpoint & { kind: "unix" },
  net: ClaimNet,
): Promise<Claim> {
  await prepareDirectory(action, endpoint);
  const lock = await lockChannel(action, endpoint.path);
  try {
    await refuseLive(action, endpoint.path, net);
    return await bind(endpoint, lock, net);
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Makes or checks the directory of an endpoint. */
export async function prepareDirectory(action: string, endpoint: Endpoint & { kind: "unix" }): Promise<void> {
  const { directory } = endpoint;
  if (endpoint.makeDirectory) return await makeDirectory(action, directory);
  if (!await checkDirectory(action, directory)) {
    throw new AddressError(
      "ERR_ADDRESS_INVALID",
      `${action} as directory "${directory.path}" must exist: it does not`,
    );
  }
}

/** Takes the lock of a channel. It lives as long as the file is open, and no longer than the process. */
async function lockChannel(action: string, path: string): Promise<Deno.FsFile> {
  const lockPath = `${path}.lock`;
  const before = await lstat(lockPath);
  if (before !== null && !before.isFile) throw inUse(action, lockPath, "it is no plain file");
  const lock = await Deno.open(lockPath, { read: true, write: true, create: true, mode: 0o600 });
  try {
    if (!await lock.tryLock(true)) throw inUse(action, path, "another server holds it");
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Something may listen there that knows nothing of our lock. */
async function refuseLive(action: string, path: string, net: ClaimNet): Promise<void> {
  const info = await lstat(path);
  if (info === null) return;
  if (!info.isSocket) throw inUse(action, path, "it is no socket");
  if (info.uid !== Deno.uid()) throw inUse(action, path, `it belongs to user ${info.uid}`);
  if (await net.isLive(path)) throw inUse(action, path, "another program listens there");
}

/** Listens; the network binds a name of its own, sets the mode there, and gives it the socket's name in one step. */
async function bind(endpoint: Endpoint & { kind: "unix" }, lock: Deno.FsFile, net: ClaimNet): Promise<Claim> {
  const listener = await net.listen(endpoint.path, endpoint.socketMode);
  let held = true;
  const release = () => {
    if (!held) return;
    held = false;
    // While we hold the lock, no other server puts a socket there: the one that is removed is ours.
    listener.close();
    lock.close();
  };
  return { listener, release };
}

/** Whether an error says that nobody listens at an address. */
export function isNobodyThere(error: unknown): boolean {
  return error instanceof ParleyError && error.code === "ERR_CONNECT_REFUSED";
}

function inUse(action: string, path: string, found: string): AddressError {
  return new AddressError("ERR_ADDRESS_IN_USE", `${action} as "${path}" must be free: ${found}`);
}
