// The secrets of a channel: those of the options, or the key file that its server makes.
import { AddressError, AuthError } from "../../errors.ts";
import { markOf, removeQuietly } from "../../net/socket/unix_files.ts";
import type { KeyKeeper } from "./claim.ts";
import { checkDirectory, makeDirectory } from "./directory.ts";
import type { Endpoint, IpcAddressOptions } from "./endpoint.ts";
import { checkSocket, elsewhereText, keptFrom } from "./place_checks.ts";
import { secretBytes, SecretKey } from "./keys.ts";
import type { Role } from "../secure/key_schedule.ts";

/** What the options of a channel say about its secrets. */
export interface SecretOptions {
  /** What to say in errors: "Cannot listen". */
  readonly action: string;
  /** The name of the channel, and for which users it is. */
  readonly address: Pick<IpcAddressOptions, "name" | "permissions" | "owner">;
  /** Whether every process may connect, without a secret. */
  readonly anonymous: boolean;
  /** Keys, a passphrase, or `undefined` for the channel's own key file. */
  readonly secret: readonly SecretKey[] | string | undefined;
}

/**
 * Returns the bytes of the secrets to use. A client reads files anew each time, so that it follows
 * a server that made a new key; a passphrase is derived once. A server keeps the channel's key
 * file: it makes it, makes it anew when it has gone, and removes it.
 */
export class SecretSource implements KeyKeeper {
  readonly #options: SecretOptions;
  readonly #endpoint: Endpoint;
  #derived: Promise<SecretKey> | null = null;
  /** The channel's key while this side is its server. */
  #key: SecretKey | null = null;
  /** What the key's file was like when the key was taken from it. */
  #mark: string | null = null;
  /**
   * Whether the file is ours to remove: a key that a user put beside a socket of a path of theirs
   * is not.
   */
  #isOurs = false;

  /**
   * Checks that there can be a secret.
   *
   * @throws {TypeError} where the channel's own key file cannot serve and no other secret was given
   */
  constructor(options: SecretOptions, endpoint: Endpoint) {
    this.#options = options;
    this.#endpoint = endpoint;
    if (options.anonymous || options.secret !== undefined) return;
    if ((options.address.permissions ?? "user") !== "user" || options.address.owner !== undefined) {
      throw new TypeError(
        `${options.action}: a channel for other users needs "secret": the key file is for one user only`,
      );
    }
    if (endpoint.keyPath === null) {
      throw new TypeError(
        `${options.action}: a channel beyond this machine needs "secret": a key file cannot be shared`,
      );
    }
  }

  /**
   * The secrets for a handshake, none when anonymous. They belong to their keys: not to be changed.
   *
   * @throws {AddressError} `ERR_CONNECT_REFUSED` for a client when no server has made the channel's
   * key yet
   * @throws {AuthError} `ERR_FORBIDDEN` when others may read the key file
   */
  async get(role: Role): Promise<readonly Uint8Array[]> {
    const { anonymous, secret, address } = this.#options;
    if (anonymous) return [];
    if (typeof secret === "string") {
      if (this.#derived === null && role === "client") await this.#checkPlace();
      this.#derived ??= SecretKey.fromPassphrase(secret, { name: address.name });
      return [secretBytes(await this.#derived)];
    }
    if (secret !== undefined) return secret.map(secretBytes);
    if (role === "client") return [secretBytes(await this.#loadAsClient())];
    if (this.#key === null) await this.claim();
    return [secretBytes(this.#key!)];
  }

  /** Whether the channel's secret is in a file that its server makes. */
  get hasKeyFile(): boolean {
    return !this.#options.anonymous && this.#options.secret === undefined;
  }

  /**
   * Loads the channel's key as its server, or makes it. A passphrase is derived, before the first
   * client waits for it.
   *
   * @throws {AuthError} `ERR_FORBIDDEN` when others may read the key file
   */
  async claim(): Promise<void> {
    if (!this.hasKeyFile) return void await this.get("server");
    this.#isOurs = this.#endpoint.kind === "tcp" || this.#endpoint.makeDirectory;
    const { action } = this.#options;
    const { directory, kind } = this.#endpoint;
    // A unix socket's directory was prepared when the channel was claimed.
    if (kind === "tcp" && directory !== null) await makeDirectory(action, directory);
    if (await this.#adopt()) return;
    this.#isOurs = true;
    const key = SecretKey.generate();
    try {
      await key.toFile(this.#keyPath);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error; // another was faster: its key holds
    }
    if (!await this.#adopt()) {
      throw new AuthError("ERR_FORBIDDEN", `${action}: its key is removed time and again`);
    }
  }

  /**
   * Makes the key's file anew when it has gone. Follows a file that holds another key now; replaces
   * one that holds none.
   */
  async keep(): Promise<void> {
    if (this.#key === null || this.#mark === null || markOf(this.#keyPath) === this.#mark) return;
    const { directory, kind } = this.#endpoint;
    if (kind === "tcp" && directory !== null) await makeDirectory(this.#options.action, directory);
    try {
      if (await this.#adopt()) return;
    } catch (error) {
      // A file that a user put there is the user's to mend; the key that was in it serves on.
      if (!(error instanceof AuthError) || !this.#isOurs) throw error;
      await Deno.remove(this.#keyPath);
    }
    await this.#key.toFile(this.#keyPath);
    this.#isOurs = true;
    const isDropped = this.#mark === null;
    await this.#adopt();
    if (isDropped) this.drop();
  }

  /**
   * Removes the key's file if this server made it, or it is in our own directory: ended channels
   * leave nothing behind.
   */
  drop(): void {
    // What another put in its place meanwhile is not ours.
    if (this.#mark !== null && this.#isOurs && markOf(this.#keyPath) === this.#mark) {
      removeQuietly(this.#keyPath);
    }
    this.#mark = null; // the key itself stays for handshakes under way
  }

  get #keyPath(): string {
    const { keyPath } = this.#endpoint;
    if (keyPath === null) throw new TypeError(`${this.#options.action}: there is no key file`);
    return keyPath;
  }

  /** Takes the key that is in the file; `false` when there is none. */
  async #adopt(): Promise<boolean> {
    const mark = markOf(this.#keyPath);
    if (mark === null) return false;
    try {
      this.#key = await SecretKey.fromFile(this.#keyPath);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
    this.#mark = mark;
    return true;
  }

  /**
   * Deriving takes a while: a place that is not safe, or kept from this user, is reported before.
   */
  async #checkPlace(): Promise<void> {
    const { action } = this.#options;
    if (this.#endpoint.kind !== "unix") return;
    try {
      await checkSocket(action, this.#endpoint);
    } catch (error) {
      throw await keptFrom(action, this.#endpoint.path, error);
    }
  }

  async #loadAsClient(): Promise<SecretKey> {
    const { action } = this.#options;
    const { directory } = this.#endpoint;
    const keyPath = this.#keyPath;
    try {
      if (directory !== null) await checkDirectory(action, directory);
      return await SecretKey.fromFile(keyPath);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      const elsewhere = await elsewhereText(this.#endpoint);
      const text = `${action}: no server has made "${keyPath}" yet${elsewhere}`;
      throw new AddressError("ERR_CONNECT_REFUSED", text, { cause: error });
    }
  }
}
