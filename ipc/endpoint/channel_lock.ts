// ChannelLock: the locked file which says that a channel has its server.
import { AddressError } from "../../errors.ts";
import { type FileId, isSame, removeIfSame } from "../../net/socket/unix_files.ts";
import { lstat } from "./directory.ts";

/** How often a lock whose file changes hands meanwhile is tried again. */
const MAX_ATTEMPTS = 10;

/** What a lock is made of. */
interface LockParts {
  readonly path: string;
  readonly file: Deno.FsFile;
  readonly id: FileId;
}

/**
 * A lock that is held. The kernel frees it when its holder dies, however that happens. A lock
 * counts only while its file is the one at the path: else a file that was removed and one that was
 * made after it could be locked by two servers at once.
 */
export class ChannelLock {
  readonly #parts: LockParts;

  private constructor(parts: LockParts) {
    this.#parts = parts;
  }

  /**
   * Takes the lock of a channel, and never waits for it.
   *
   * @param path of the lock's file
   * @param mode of that file: which users may look whether the channel is held
   * @returns `null` when another server holds it
   * @throws {AddressError} `ERR_ADDRESS_IN_USE` when something else is at the path
   */
  static async take(action: string, path: string, mode: number): Promise<ChannelLock | null> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const before = await lstat(path);
      if (before !== null && !before.isFile) throw inUse(action, path, "it is no plain file");
      const file = await Deno.open(path, { read: true, write: true, create: true, mode });
      try {
        if (!await file.tryLock(true)) {
          file.close();
          return null;
        }
        const { dev, ino, uid, mode: found } = await file.stat();
        const id = { dev, ino };
        if (isSame(path, id)) {
          // The umask may have taken bits, and an earlier server may have given others.
          if (found !== null && (found & 0o777) !== mode && uid === Deno.uid()) {
            await Deno.chmod(path, mode);
          }
          return new ChannelLock({ path, file, id });
        }
      } catch (error) {
        file.close();
        throw error;
      }
      file.close(); // its holder removed the file between our opening and locking it
    }
    throw inUse(action, path, "its lock changes hands");
  }

  /** Whether the file at the path still is the one that is locked. */
  get isInPlace(): boolean {
    return isSame(this.#parts.path, this.#parts.id);
  }

  /** Frees the lock; the file stays for the server that has the path now. */
  close(): void {
    this.#parts.file.close();
  }

  /** Removes the file, if it is the one that is locked, and frees the lock. */
  release(): void {
    const { path, id, file } = this.#parts;
    removeIfSame(path, id);
    file.close();
  }
}

function inUse(action: string, path: string, found: string): AddressError {
  return new AddressError("ERR_ADDRESS_IN_USE", `${action}: "${path}" must be free: ${found}`);
}
