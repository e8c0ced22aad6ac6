// Paths of unix sockets: claimed whole or not at all, given up only by their owner.
import { AddressError } from "../errors.ts";
import { listenFault } from "./faults.ts";
import { closeQuietly } from "./socket_transport.ts";

/** Longest path in bytes (`sun_path` of Linux without its ending zero). */
const MAX_PATH_BYTES = 107;

/** How often a path that changes hands meanwhile is tried again. */
const MAX_ATTEMPTS = 10;

/** Where to listen. */
export interface UnixListenTarget {
  /** Path of the socket, at most 107 bytes. */
  readonly path: string;
  /** Permission bits of the socket's file. @default {those that the process's umask leaves} */
  readonly mode?: number;
}

/** A path with a listener of ours behind it. */
export interface ClaimedPath<T> {
  /** What was bound. */
  readonly listener: T;
  /** Removes the file, if it still is ours: a successor may have taken the path over. */
  release(): void;
}

/**
 * Checks a path before any I/O.
 *
 * @throws {TypeError} when it is empty or holds a zero character
 * @throws {AddressError} `ERR_SOCKET_PATH_TOO_LONG`
 */
export function checkUnixPath(action: string, path: string): void {
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw new TypeError(
      `Cannot ${action} as "path" must be a path that is not empty: current value is ${JSON.stringify(path)}`,
    );
  }
  const bytes = byteLength(path);
  if (bytes > MAX_PATH_BYTES) {
    throw new AddressError(
      "ERR_SOCKET_PATH_TOO_LONG",
      `Cannot ${action} as the path of a unix socket has at most ${MAX_PATH_BYTES} bytes: ${
        JSON.stringify(path)
      } has ${bytes}`,
    );
  }
}

/**
 * Binds a listener to a name of its own beside `path`, sets its mode there, and only then links it to `path`: nobody sees it
 * half made, and of several that start at once exactly one gets the path. A socket file that nobody listens on is taken over.
 *
 * Where the program may touch `path` alone (`--allow-write=/run/app.sock`), it is bound in place.
 *
 * @param bind Makes a listener on the name it is given.
 * @throws {AddressError} `ERR_ADDRESS_IN_USE` when somebody listens there, or the file is no socket
 */
export async function claimUnixPath<T extends { close(): void }>(
  target: UnixListenTarget,
  bind: (path: string) => T | Promise<T>,
): Promise<ClaimedPath<T>> {
  const { path, mode } = target;
  const own = nameBeside(path);
  try {
    if (await mayWrite(own)) return await bindBeside(own, target, bind);
    return await bindInPlace(path, mode, bind);
  } catch (cause) {
    throw cause instanceof AddressError ? cause : listenFault({ transport: "unix", path }, cause);
  }
}

async function bindBeside<T extends { close(): void }>(
  own: string,
  { path, mode }: UnixListenTarget,
  bind: (path: string) => T | Promise<T>,
): Promise<ClaimedPath<T>> {
  let listener: T;
  try {
    listener = await bind(own);
  } catch (error) {
    // `--allow-net=unix:/run/app.sock` holds for that name alone.
    if (error instanceof Deno.errors.NotCapable) return await bindInPlace(path, mode, bind);
    throw error;
  }
  try {
    if (mode !== undefined) await Deno.chmod(own, mode);
    const { dev, ino } = await Deno.lstat(own);
    await linkTo(own, path);
    return { listener, release: () => removeIfSame(path, { dev, ino }) };
  } catch (error) {
    closeQuietly(listener);
    throw error;
  } finally {
    removeQuietly(own);
  }
}

/** The second best: whoever connects before `chmod` meets the mode that the umask left. */
async function bindInPlace<T extends { close(): void }>(
  path: string,
  mode: number | undefined,
  bind: (path: string) => T | Promise<T>,
): Promise<ClaimedPath<T>> {
  await removeStale(path);
  const listener = await bind(path);
  try {
    if (mode !== undefined) await Deno.chmod(path, mode);
    const { dev, ino } = await Deno.lstat(path);
    return { listener, release: () => removeIfSame(path, { dev, ino }) };
  } catch (error) {
    closeQuietly(listener);
    throw error;
  }
}

/** Asks nobody: a name made up here must not turn up in a prompt. */
async function mayWrite(path: string): Promise<boolean> {
  return (await Deno.permissions.query({ name: "write", path })).state === "granted";
}

/** Gives the socket at `own` the name `path`. Linking fails where a name exists, so no live one is ever replaced. */
async function linkTo(own: string, path: string): Promise<void> {
  if (await linked(own, path)) return;
  const lock = await lockDirectory(path);
  try {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      await removeStale(path);
      if (await linked(own, path)) return;
    }
  } finally {
    lock?.close();
  }
  throw inUse(path, "its socket changes hands");
}

/** Whether `own` could be given the name `path`, as nothing had it. */
async function linked(own: string, path: string): Promise<boolean> {
  try {
    await Deno.link(own, path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

/**
 * Makes starters take turns at removing a stale file: else one could move the live socket of another aside for a moment, and a third
 * take the name. The lock is on the directory, so it leaves nothing behind, and goes with the process. `null` where directories cannot
 * be locked.
 */
async function lockDirectory(path: string): Promise<Deno.FsFile | null> {
  const directory = path.slice(0, path.lastIndexOf("/") + 1) || ".";
  try {
    const permission = await Deno.permissions.query({ name: "read", path: directory });
    if (permission.state !== "granted") return null;
    const file = await Deno.open(directory);
    try {
      await file.lock(true);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  } catch {
    return null;
  }
}

/** Removes a socket file that nobody listens on. */
async function removeStale(path: string): Promise<void> {
  const found = await statOrNull(path);
  if (found === null) return;
  if (!found.isSocket) throw inUse(path, "there is a file that is no socket");
  if (await isAlive(path)) throw inUse(path, "somebody listens there");
  // Out of the way first, then looked at: another starter may have put its live socket there since.
  const aside = nameBeside(path);
  try {
    await Deno.rename(path, aside);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const moved = await statOrNull(aside);
  const stale = moved !== null && moved.ino === found.ino && moved.dev === found.dev;
  if (!stale) await Deno.link(aside, path).catch(() => {});
  removeQuietly(aside);
}

/** True unless the kernel says that nobody listens. */
async function isAlive(path: string): Promise<boolean> {
  try {
    closeQuietly(await Deno.connect({ transport: "unix", path }));
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound);
  }
}

function removeIfSame(path: string, { dev, ino }: { dev: number; ino: number | null }): void {
  try {
    const found = Deno.lstatSync(path);
    if (found.dev === dev && found.ino === ino) Deno.removeSync(path);
  } catch {
    // It was removed by another, or may not be: the next listener takes it over as stale.
  }
}

/** A name in the same directory that hardly anybody else has, no longer than is needed. */
function nameBeside(path: string): string {
  const slash = path.lastIndexOf("/") + 1;
  const directory = path.slice(0, slash);
  const room = MAX_PATH_BYTES - byteLength(directory);
  const random = crypto.randomUUID().replaceAll("-", "");
  return `${directory}${`.${random}`.slice(0, Math.max(4, Math.min(17, room)))}`;
}

function inUse(path: string, why: string): AddressError {
  return new AddressError("ERR_ADDRESS_IN_USE", `Cannot listen on ${JSON.stringify(path)} as ${why}`);
}

async function statOrNull(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is gone, which is all that was wanted.
  }
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
