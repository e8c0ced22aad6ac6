// Claims paths of unix sockets: whole or not at all, and released by their owner alone.
import { AddressError } from "../../errors.ts";
import { isKind, listenFault } from "../transport/faults.ts";
import { closeQuietly } from "./socket_transport.ts";
import {
  byteLength,
  directoryOf,
  type FileId,
  isSame,
  lockDirectory,
  MAX_PATH_BYTES,
  nameBeside,
  removeIfSame,
  removeQuietly,
  secondName,
  statOrNull,
} from "./unix_files.ts";

/** Attempts on a path whose owner changes meanwhile. */
const MAX_ATTEMPTS = 10;

/** Name of a socket in its private directory. */
const INSIDE = "/s";

/** How long a starter waits for its turn before it goes on without one, in ms: a turn takes a few. */
const LOCK_MS = 1000;

/** Where to listen. */
export interface UnixListenTarget {
  /** Path of the socket, at most 107 bytes. */
  readonly path: string;
  /** Permission bits of the socket's file. @default {those that the process's umask leaves} */
  readonly mode?: number | undefined;
}

/** A path that a listener of ours owns. */
export interface ClaimedPath<T> {
  /** What was bound. */
  readonly listener: T;
  /**
   * Removes the file if it still is ours: a successor may have taken the path over. Call it right
   * after closing the listener; where an `accept` waits on the listener, call it with `false` then,
   * and again when that has ended.
   */
  release(isSettled?: boolean): void;
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
      `Cannot ${action}: "path" must be a path that is not empty, current value is ${
        JSON.stringify(path)
      }`,
    );
  }
  const bytes = byteLength(path);
  if (bytes > MAX_PATH_BYTES) {
    throw new AddressError(
      "ERR_SOCKET_PATH_TOO_LONG",
      `Cannot ${action}: the path of a unix socket has at most ${MAX_PATH_BYTES} bytes: ${
        JSON.stringify(path)
      } has ${bytes}`,
    );
  }
}

/**
 * Makes a path ours: of several that start at once exactly one gets it, no program sees the socket
 * half made, and at no time may more programs connect than `mode` says. A socket file that no
 * program listens on is taken over. In this order:
 *
 * 1. Bound at `path` itself, where the directory can be locked against other starters, and the mode
 *    can be set by the umask (`--allow-sys=umask`) or only its owner can enter the directory. Then
 *    the system lists the socket under its own path, and programs such as systemd-tmpfiles see that
 *    it is in use.
 * 2. Bound in a private directory beside `path`, its mode set there, and then linked to `path`.
 * 3. Bound at `path` and its mode set after that, where the program may touch `path` alone
 *    (`--allow-write=/run/app.sock`).
 *
 * @param bind Makes a listener on the name it is given, before it awaits anything: the umask holds
 * until then.
 * @throws {AddressError} `ERR_ADDRESS_IN_USE` when a program listens there, or the file is no
 * socket; `ERR_SOCKET_PATH_TOO_LONG` when there is no room for a private directory that the mode
 * needs
 */
export async function claimUnixPath<T extends { close(): void }>(
  target: UnixListenTarget,
  bind: (path: string) => T | Promise<T>,
): Promise<ClaimedPath<T>> {
  const { path } = target;
  try {
    if (!await mayWrite(nameBeside(path))) return await bindInPlace(target, bind);
    return await bindLocked(target, bind) ?? await bindBeside(target, bind);
  } catch (cause) {
    throw cause instanceof AddressError ? cause : listenFault({ transport: "unix", path }, cause);
  }
}

/** Binds at the path itself, while no other starter looks at it; `null` where that is not possible. */
async function bindLocked<T extends { close(): void }>(
  target: UnixListenTarget,
  bind: (path: string) => T | Promise<T>,
): Promise<ClaimedPath<T> | null> {
  const { path, mode } = target;
  if (mode !== undefined && !mayUmask() && !await isPrivate(directoryOf(path))) return null;
  const lock = await lockDirectory(path, LOCK_MS);
  if (lock === null) return null;
  try {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      await removeStale(path);
      try {
        return await claimed(await bindByUmask(target, bind), target);
      } catch (error) {
        // A program that knows nothing of the lock was faster.
        if (!isKind(error, Deno.errors.AddrInUse, "EADDRINUSE")) throw error;
      }
    }
  } finally {
    lock.close();
  }
  throw inUse(path, "its socket changes hands");
}

/** Binds under the umask that sets the mode of the socket. Nothing else of this thread runs meanwhile. */
function bindByUmask<T>(
  { path, mode }: UnixListenTarget,
  bind: (path: string) => T | Promise<T>,
): T | Promise<T> {
  if (mode === undefined || !mayUmask()) return bind(path);
  const before = Deno.umask(0o777 & ~mode);
  try {
    return bind(path);
  } finally {
    Deno.umask(before);
  }
}

/**
 * Takes over the socket that was bound at `path`, whose mode is right. Its closing removes no other
 * socket.
 */
async function claimed<T extends { close(): void }>(
  listener: T,
  { path, mode }: UnixListenTarget,
): Promise<ClaimedPath<T>> {
  try {
    const { dev, ino, mode: found } = await Deno.lstat(path);
    if (mode !== undefined && found !== null && (found & 0o777) !== mode) {
      await Deno.chmod(path, mode);
    }
    return { listener, release: spareSuccessor(listener, path, { dev, ino }) };
  } catch (error) {
    closeQuietly(listener);
    throw error;
  }
}

/**
 * The platform removes the file of the path that it bound, whosever it is by then, and does so late
 * where an `accept` waits: so another's file gets a second name when the listener is closed, and is
 * put back. Returns the function to call then.
 */
function spareSuccessor(
  listener: { close(): void },
  path: string,
  own: FileId,
): (isSettled?: boolean) => void {
  const close = listener.close.bind(listener);
  let aside: string | null = null;
  listener.close = () => {
    aside = isSame(path, own) ? null : secondName(path);
    close();
  };
  return (isSettled = true) => {
    removeIfSame(path, own);
    if (aside === null) return;
    try {
      Deno.linkSync(aside, path);
    } catch {
      // The platform has left it there.
    }
    if (isSettled) removeQuietly(aside);
  };
}

async function bindBeside<T extends { close(): void }>(
  target: UnixListenTarget,
  bind: (path: string) => T | Promise<T>,
): Promise<ClaimedPath<T>> {
  const { path, mode } = target;
  const place = await makePlace(target);
  if (place === null) return await bindInPlace(target, bind);
  let listener: T;
  try {
    listener = await bind(place.path);
  } catch (error) {
    place.remove();
    // `--allow-net=unix:/run/app.sock` holds for that name alone.
    if (error instanceof Deno.errors.NotCapable) return await bindInPlace(target, bind);
    throw error;
  }
  try {
    if (mode !== undefined) await Deno.chmod(place.path, mode);
    const { dev, ino } = await Deno.lstat(place.path);
    await linkTo(place.path, path);
    return { listener, release: () => removeIfSame(path, { dev, ino }) };
  } catch (error) {
    closeQuietly(listener);
    throw error;
  } finally {
    place.remove();
  }
}

/** A name to bind at before the socket appears at its path. */
interface Place {
  readonly path: string;
  /** Removes the name, and the directory that was made for it. */
  remove(): void;
}

/**
 * Makes a private directory for a socket whose mode must be set: no other user can reach the socket
 * in it. Without a mode, or where the directory is private already, a name beside the path will do;
 * `null` when even that has no room.
 */
async function makePlace({ path, mode }: UnixListenTarget): Promise<Place | null> {
  const own = nameBeside(path, INSIDE.length);
  const room = byteLength(own) + INSIDE.length <= MAX_PATH_BYTES;
  if (mode === undefined || (!room && await isPrivate(directoryOf(path)))) {
    const beside = nameBeside(path);
    if (byteLength(beside) > MAX_PATH_BYTES) return null;
    return { path: beside, remove: () => removeQuietly(beside) };
  }
  if (!room) {
    const text =
      `Cannot listen on ${
        JSON.stringify(path)
      } with a mode: its directory leaves no room for a private one beside it: ` +
      `choose a path of at most ${MAX_PATH_BYTES - 6} bytes, or allow --allow-sys=umask`;
    throw new AddressError("ERR_SOCKET_PATH_TOO_LONG", text);
  }
  await Deno.mkdir(own, { mode: 0o700 });
  const socket = own + INSIDE;
  return {
    path: socket,
    remove() {
      removeQuietly(socket);
      removeQuietly(own);
    },
  };
}

/** Whether only the owner can reach what is in a directory. */
async function isPrivate(directory: string): Promise<boolean> {
  const permission = await Deno.permissions.query({ name: "read", path: directory });
  if (permission.state !== "granted") return false;
  const { mode } = await Deno.stat(directory);
  return mode !== null && (mode & 0o011) === 0;
}

/**
 * Binds, then sets the mode, where the umask cannot be set: until then the mode that the umask left
 * holds.
 */
async function bindInPlace<T extends { close(): void }>(
  target: UnixListenTarget,
  bind: (path: string) => T | Promise<T>,
): Promise<ClaimedPath<T>> {
  await removeStale(target.path);
  return await claimed(await bindByUmask(target, bind), target);
}

/** Prompts for nothing, as {@linkcode mayWrite}. */
function mayUmask(): boolean {
  if (Deno.build.os === "windows") return false;
  return Deno.permissions.querySync({ name: "sys", kind: "umask" }).state === "granted";
}

/** Prompts for nothing: a name made up here must not appear in a prompt. */
async function mayWrite(path: string): Promise<boolean> {
  return (await Deno.permissions.query({ name: "write", path })).state === "granted";
}

/**
 * Links the socket at `own` to the name `path`. Linking fails where a name exists, so no live one
 * is ever replaced.
 */
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

/** Whether `own` could get the name `path`, because no file had it. */
async function linked(own: string, path: string): Promise<boolean> {
  try {
    await Deno.link(own, path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

/** Removes a socket file that no program listens on. */
async function removeStale(path: string): Promise<void> {
  const found = await statOrNull(path);
  if (found === null) return;
  if (!found.isSocket) throw inUse(path, "there is a file that is no socket");
  if (await isAlive(path)) throw inUse(path, "another program listens there");
  // First moved aside, then looked at: another starter may have put its live socket there since.
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

/** Whether a program may listen there: `true` unless the kernel says that none does. */
async function isAlive(path: string): Promise<boolean> {
  try {
    closeQuietly(await Deno.connect({ transport: "unix", path }));
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.ConnectionRefused ||
      error instanceof Deno.errors.NotFound);
  }
}

function inUse(path: string, why: string): AddressError {
  return new AddressError("ERR_ADDRESS_IN_USE", `Cannot listen on ${JSON.stringify(path)}: ${why}`);
}
