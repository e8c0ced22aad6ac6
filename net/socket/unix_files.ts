// Files of unix sockets: names beside them, who they are, and turns among starters.
import { pause } from "../../async/pause.ts";

/** Longest path in bytes (`sun_path` of Linux without its ending zero). */
export const MAX_PATH_BYTES = 107;

/** Time between two attempts to take the lock, in ms. */
const RETRY_LOCK_MS = 10;

/**
 * Makes starters take turns at removing a stale file: else one could move the live socket of
 * another aside for a moment, and a third take the name. The lock is on the directory, so it leaves
 * nothing behind, and goes with the process. `null` where directories cannot be locked, or not
 * within `maxMs`.
 */
export async function lockDirectory(
  path: string,
  maxMs: number = Infinity,
): Promise<Deno.FsFile | null> {
  const directory = directoryOf(path);
  try {
    const permission = await Deno.permissions.query({ name: "read", path: directory });
    if (permission.state !== "granted") return null;
    const file = await Deno.open(directory);
    try {
      if (maxMs === Infinity) await file.lock(true);
      else if (!await lockWithin(file, maxMs)) throw new Error("Another program holds the lock");
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  } catch {
    return null;
  }
}

/** Locks a file unless another holds it for too long: every process that may read a directory may lock it. */
async function lockWithin(file: Deno.FsFile, maxMs: number): Promise<boolean> {
  for (const end = performance.now() + maxMs; !await file.tryLock(true);) {
    if (performance.now() >= end) return false;
    await pause(RETRY_LOCK_MS);
  }
  return true;
}

/** What makes a file the same under any name. */
export interface FileId {
  readonly dev: number;
  readonly ino: number | null;
}

/** Removes the file at a path if it is the given one. */
export function removeIfSame(path: string, own: FileId): void {
  // Another program may have removed it, or we may not: then the next listener takes it over as stale.
  if (isSame(path, own)) removeQuietly(path);
}

/** Whether the file at a path is the given one. */
export function isSame(path: string, own: FileId): boolean {
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return dev === own.dev && ino === own.ino;
  } catch {
    return false;
  }
}

/**
 * What the file at a path is like now; `null` when there is none. Another text says that it was
 * replaced, written to, or given another mode: numbers of files are used again, so
 * {@linkcode isSame} alone does not recognise one that is not kept open.
 */
export function markOf(path: string): string | null {
  try {
    const { dev, ino, size, mode, mtime } = Deno.lstatSync(path);
    return [dev, ino, size, mode, mtime?.getTime()].join(" ");
  } catch {
    return null;
  }
}

/** The directory that a path is in. */
export function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) || ".";
}

/**
 * A name in the same directory that hardly any other process uses, no longer than is needed, with
 * room for so many bytes more.
 */
export function nameBeside(path: string, more = 0): string {
  const slash = path.lastIndexOf("/") + 1;
  const directory = path.slice(0, slash);
  const room = MAX_PATH_BYTES - byteLength(directory) - more;
  const random = crypto.randomUUID().replaceAll("-", "");
  return `${directory}${`.${random}`.slice(0, Math.max(4, Math.min(17, room)))}`;
}

/** Returns what is at a path, without following links; `null` when nothing is. */
export async function statOrNull(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Removes a file that may be gone. */
export function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is gone, as wanted.
  }
}

/** Length of a text in UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Links the file at `path` to another name beside it; returns that name, `null` when there is none. */
export function secondName(path: string): string | null {
  const aside = nameBeside(path);
  try {
    Deno.linkSync(path, aside);
    return aside;
  } catch {
    return null;
  }
}
