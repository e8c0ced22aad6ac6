// The secrets of a channel: those the user gave, or the key file that its server makes.
import { AddressError } from "../errors.ts";
import { checkDirectory, type Endpoint, makeDirectory } from "./endpoint.ts";
import { secretBytes, SecretKey } from "./keys.ts";
import type { ResolvedIpcOptions } from "./options.ts";
import type { Role } from "./secure/key_schedule.ts";

/**
 * Gives the bytes of the secrets to use. Files are read anew each time, so that a client follows a server that made a new key; a
 * passphrase is derived once.
 */
export class SecretSource {
  readonly #options: ResolvedIpcOptions;
  readonly #endpoint: Endpoint;
  #derived: Promise<SecretKey> | null = null;
  /** What a server has loaded; it holds as long as the server does. */
  #loaded: readonly Uint8Array[] | null = null;

  /**
   * Checks that there can be a secret.
   *
   * @throws {TypeError} where the channel's own key file cannot serve and no other secret was given
   */
  constructor(options: ResolvedIpcOptions, endpoint: Endpoint) {
    this.#options = options;
    this.#endpoint = endpoint;
    if (options.anonymous || options.secret !== undefined) return;
    if ((options.address.permissions ?? "user") !== "user" || options.address.owner !== undefined) {
      throw new TypeError(
        `${options.action} as a channel for other users needs "secret": the key file is for one user only`,
      );
    }
    if (endpoint.keyPath === null) {
      throw new TypeError(
        `${options.action} as a channel beyond this machine needs "secret": a key file cannot be shared`,
      );
    }
  }

  /**
   * The secrets for a handshake, none when anonymous. They belong to their keys: not to be changed.
   *
   * @throws {AddressError} `ERR_CONNECT_REFUSED` for a client when no server has made the channel's key yet
   * @throws {AuthError} `ERR_FORBIDDEN` when others may read the key file
   */
  async get(role: Role): Promise<readonly Uint8Array[]> {
    const { anonymous, secret, address } = this.#options;
    if (anonymous) return [];
    if (typeof secret === "string") {
      this.#derived ??= SecretKey.fromPassphrase(secret, { name: address.name });
      return [secretBytes(await this.#derived)];
    }
    if (secret !== undefined) return secret.map(secretBytes);
    if (role === "server") return this.#loaded ??= await this.#loadOrMake();
    return await this.#load("client");
  }

  async #load(role: Role): Promise<readonly Uint8Array[]> {
    const { action } = this.#options;
    const { directory, keyPath } = this.#endpoint;
    if (directory === null || keyPath === null) throw new TypeError(`${action} as there is no key file`);
    try {
      if (role === "client") await checkDirectory(action, directory);
      return [secretBytes(await SecretKey.fromFile(keyPath))];
    } catch (error) {
      if (role === "server" || !(error instanceof Deno.errors.NotFound)) throw error;
      throw new AddressError("ERR_CONNECT_REFUSED", `${action} as no server has made "${keyPath}" yet`, {
        cause: error,
      });
    }
  }

  async #loadOrMake(): Promise<readonly Uint8Array[]> {
    await this.#prepare();
    try {
      return await this.#load("server");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    try {
      await SecretKey.generate().toFile(this.#endpoint.keyPath!);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error; // another starter was faster: its key holds
    }
    return await this.#load("server");
  }

  /** A unix socket's directory was prepared when the channel was claimed. */
  async #prepare(): Promise<void> {
    const { directory, kind } = this.#endpoint;
    if (kind === "tcp" && directory !== null) await makeDirectory(this.#options.action, directory);
  }
}
