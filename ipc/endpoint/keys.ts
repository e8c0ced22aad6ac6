// SecretKey: the secret that two processes share; made, stored, loaded, and never printed.
import { Buffer } from "node:buffer";
import { randomBytes, scrypt } from "node:crypto";
import { AuthError } from "../../errors.ts";

/** Bytes of a secret. */
export const SECRET_BYTES = 32;
/** Secrets that a server accepts at the same time, so that one can be replaced without a pause. */
export const MAX_SECRETS = 4;
/** Least characters of a passphrase. */
const MIN_PASSPHRASE_CHARACTERS = 16;
/** scrypt cost: half a second and 128 MiB for each guess. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 };
/** Permission bits of group and others. */
const OTHERS = 0o077;

let bytesOf: (key: SecretKey) => Uint8Array;

/**
 * A secret of 32 bytes that both processes know. It proves that the other side knows it, and is
 * never sent. It does not show its bytes when it is printed, inspected, cloned or turned into JSON.
 *
 * @example Make one, store it for this user only, load it again
 * ```ts
 * import { SecretKey } from "@parley/parley/ipc";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const key = SecretKey.generate();
 * await key.toFile(`${dir}/channel.key`);
 * const same = await SecretKey.fromFile(`${dir}/channel.key`);
 * assert(key.equals(same));
 * assertEquals(String(key), "SecretKey(hidden)");
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class SecretKey {
  readonly #bytes: Uint8Array;

  static {
    bytesOf = (key) => key.#bytes;
    // For `console.log` and `util.inspect`, which must not show the bytes either.
    const value = this.prototype.toString;
    for (const name of ["Deno.customInspect", "nodejs.util.inspect.custom"]) {
      Object.defineProperty(this.prototype, Symbol.for(name), { value });
    }
  }

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Makes a new secret from the system's random source. */
  static generate(): SecretKey {
    return new SecretKey(new Uint8Array(randomBytes(SECRET_BYTES)));
  }

  /**
   * Takes a secret that came from elsewhere, such as a key store. The bytes are copied.
   *
   * @throws {RangeError} when there are not exactly 32 bytes
   */
  static fromBytes(bytes: Uint8Array): SecretKey {
    if (bytes.length !== SECRET_BYTES) {
      throw new RangeError(
        `Cannot make a key: it must have ${SECRET_BYTES} bytes, got ${bytes.length}`,
      );
    }
    return new SecretKey(bytes.slice());
  }

  /**
   * Loads a secret from a file of 32 raw bytes that belongs to this user and that no other user may
   * read or write.
   *
   * @throws {AuthError} `ERR_FORBIDDEN` when the file is not a plain file of 32 bytes, or owner or
   * mode are wrong
   * @throws {Deno.errors.NotFound} when there is no such file
   */
  static async fromFile(path: string): Promise<SecretKey> {
    // The link itself first: a symlink may point to a file that its owner chose for us.
    const link = await readable(path, Deno.lstat(path));
    if (!link.isFile) throw forbidden(path, "it must be a plain file", "it is not");
    using file = await readable(path, Deno.open(path));
    const info = await file.stat();
    if (info.dev !== link.dev || info.ino !== link.ino) {
      throw unfinished(path, "it must stay in place", "it was replaced");
    }
    checkPrivate(path, info);
    if (info.size !== SECRET_BYTES) {
      throw unfinished(path, `it must hold ${SECRET_BYTES} bytes`, `current size is ${info.size}`);
    }
    const bytes = new Uint8Array(SECRET_BYTES);
    let held = 0;
    while (held < SECRET_BYTES) {
      const count = await file.read(bytes.subarray(held));
      if (count === null) {
        throw unfinished(path, `it must hold ${SECRET_BYTES} bytes`, `it ended after ${held}`);
      }
      held += count;
    }
    return new SecretKey(bytes);
  }

  /**
   * Derives a secret from a passphrase (scrypt, N = 2^17, salted with the channel name). Takes half
   * a second and 128 MiB; a generated secret is stronger and faster.
   *
   * @throws {RangeError} when the passphrase has fewer than 16 characters
   */
  static async fromPassphrase(passphrase: string, options: { name: string }): Promise<SecretKey> {
    const characters = [...passphrase].length;
    if (characters < MIN_PASSPHRASE_CHARACTERS) {
      throw new RangeError(
        `Cannot make a key: the passphrase must have ${MIN_PASSPHRASE_CHARACTERS} characters or more, got ${characters}`,
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    scrypt(passphrase, Buffer.from(options.name), SECRET_BYTES, SCRYPT, (error, derived) => {
      if (error !== null) reject(error);
      else resolve(new Uint8Array(derived));
    });
    return new SecretKey(await promise);
  }

  /**
   * Stores the secret: 32 raw bytes, readable by this user only. The file appears whole or not at
   * all; when that fails, such as on a disk that is full, nothing of it stays.
   *
   * @throws {Deno.errors.AlreadyExists} when there is something at `path`; it is never overwritten
   */
  async toFile(path: string): Promise<void> {
    const temporary = `${path}.${randomBytes(6).toString("hex")}`;
    const file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
    try {
      try {
        let written = 0;
        while (written < SECRET_BYTES) written += await file.write(this.#bytes.subarray(written));
        await file.sync();
      } finally {
        file.close();
      }
      // A link is made whole and fails when there is something at its path: exclusive, and never
      // half written.
      await Deno.link(temporary, path);
    } finally {
      await Deno.remove(temporary);
    }
  }

  /** Whether both are the same secret. Takes the same time wherever they differ. */
  equals(other: SecretKey): boolean {
    let difference = 0;
    for (let i = 0; i < SECRET_BYTES; i++) difference |= this.#bytes[i]! ^ other.#bytes[i]!;
    return difference === 0;
  }

  /** Overwrites the secret with zeros. Servers and clients that use it cannot connect any more. */
  [Symbol.dispose](): void {
    this.#bytes.fill(0);
  }

  /** Says that this is a secret, and nothing of it. */
  toString(): string {
    return "SecretKey(hidden)";
  }

  /** The same for JSON. */
  toJSON(): string {
    return this.toString();
  }
}

/**
 * The bytes of a secret, for the handshake alone. They belong to the key: do not change or keep
 * them.
 */
export function secretBytes(key: SecretKey): Uint8Array {
  return bytesOf(key);
}

/** Refuses a file that others may read or write, or that belongs to another user. */
export function checkPrivate(path: string, info: Deno.FileInfo): void {
  if (info.mode === null || info.uid === null) return;
  const uid = Deno.uid();
  if (info.uid !== uid) {
    throw forbidden(path, `its owner must be ${uid}`, `current owner is ${info.uid}`);
  }
  if ((info.mode & OTHERS) !== 0) {
    throw forbidden(
      path,
      "its mode must be 0600",
      `current mode is 0${(info.mode & 0o777).toString(8)}`,
    );
  }
}

function forbidden(path: string, wanted: string, found: string): AuthError {
  return new AuthError("ERR_FORBIDDEN", `Cannot load the key "${path}": ${wanted}, ${found}`);
}

/** Errors of files that may be right a moment later. */
const unfinishedKeys = new WeakSet<Error>();

/**
 * Whether an error says that a key file was being written or replaced at this moment, not that
 * others can get at it.
 */
export function isUnfinishedKey(error: unknown): boolean {
  return error instanceof Error && unfinishedKeys.has(error);
}

function unfinished(path: string, wanted: string, found: string): AuthError {
  const error = forbidden(path, wanted, found);
  unfinishedKeys.add(error);
  return error;
}

/** Waits for a file; one that the file system keeps from this user is another's. */
async function readable<T>(path: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (cause) {
    if (!(cause instanceof Deno.errors.PermissionDenied)) throw cause;
    throw forbidden(
      path,
      `user ${Deno.uid()} must be able to read it`,
      "the file system keeps it from this user",
    );
  }
}
