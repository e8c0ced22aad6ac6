// Endpoint: from the name of a channel to its place.
import { AddressError } from "../../errors.ts";
import { checkInteger, checkOneOf, checkText } from "../../options/check.ts";
import {
  type DirectoryRule,
  type IpcPermissions,
  MODES,
  OTHERS_WRITE,
  ownDirectory,
} from "./directory.ts";

/** Where the two processes meet: a unix socket, or TCP with either or one version of IP. */
export type IpcTransport = "unix" | "tcp" | "tcp4" | "tcp6";

/** Where a channel is. */
export interface IpcAddressOptions {
  /** Name of the channel: 1 to 64 of `A–Z a–z 0–9 . _ -`. It is part of the handshake. */
  name: string;
  /** How to meet. @default {"unix"} */
  transport?: IpcTransport | undefined;
  /**
   * Path of the unix socket, at most 107 bytes. Its directory must belong to this user, to root, or
   * to `owner`, and no other user may write to it.
   *
   * @default {`$XDG_RUNTIME_DIR/parley/<name>.sock`, else `/tmp/parley-<uid>/<name>.sock`}
   */
  path?: string | undefined;
  /** Host for TCP. @default {`PARLEY_IPC_HOST`, else loopback} */
  hostname?: string | undefined;
  /**
   * Port for TCP, 0 to 65535; a server may use 0 for any that is free.
   *
   * @default {`PARLEY_IPC_PORT`, else 7300}
   */
  port?: number | undefined;
  /** Which users may connect; the same on both sides. @default {"user"} */
  permissions?: IpcPermissions | undefined;
  /** User id that the channel belongs to, for clients of another user. @default {this user} */
  owner?: number | undefined;
}

/** A place to meet, not yet looked at. */
export type Endpoint =
  | {
    readonly kind: "unix";
    /** Path of the socket. */
    readonly path: string;
    /** Directory of the socket. */
    readonly directory: DirectoryRule;
    /**
     * Directory of our own that may be made when it is missing, `null` for one that the user chose.
     */
    readonly makeDirectory: boolean;
    /** Mode of the socket. */
    readonly socketMode: number;
    /** Where the channel's lock is. */
    readonly lockPath: string;
    /** Mode of the lock. */
    readonly lockMode: number;
    /** User id that must own the socket that a client connects to. */
    readonly owner: number;
    /** Where the channel's own key is. */
    readonly keyPath: string;
    /**
     * Where the socket is for processes that see another `XDG_RUNTIME_DIR`, or none; `null` when
     * there is no such place.
     */
    readonly elsewhere: string | null;
  }
  | {
    readonly kind: "tcp";
    readonly hostname: string;
    readonly port: number;
    /**
     * Where the channel's own key is; `null` beyond loopback, without a directory of our own, and
     * where another secret serves.
     */
    readonly keyPath: string | null;
    /** Directory of the key. */
    readonly directory: DirectoryRule | null;
    /** As of a unix socket: where the key is for processes that see another `XDG_RUNTIME_DIR`. */
    readonly elsewhere: string | null;
  };

/** What {@linkcode findEndpoint} looks at. */
export interface FindEndpointOptions extends IpcAddressOptions {
  /** A secret of the user's own: then there is no key file, and no directory for it. */
  secret?: unknown | undefined;
  /** No secret at all. */
  insecureAnonymous?: boolean | undefined;
}

/** Longest path that a unix socket can have, in bytes. */
const MAX_PATH_BYTES = 107;
const NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
/** Port of channels over TCP that name none. */
const DEFAULT_PORT = 7300;

/**
 * Finds the place of a channel. Reads the environment, and looks at `$XDG_RUNTIME_DIR` or `/tmp`
 * where it may.
 *
 * @throws {TypeError | RangeError} when an option is wrong
 * @throws {AddressError} `ERR_SOCKET_PATH_TOO_LONG`, `ERR_ADDRESS_INVALID`
 */
export async function findEndpoint(
  action: string,
  options: FindEndpointOptions,
): Promise<Endpoint> {
  checkName(action, options.name);
  const { permissions = "user", transport = "unix" } = options;
  checkOneOf(action, "permissions", permissions, ["user", "group", "all"]);
  checkOneOf(action, "transport", transport, ["unix", "tcp", "tcp4", "tcp6"]);
  if (options.owner !== undefined) checkInteger(action, "owner", options.owner, 0, 2 ** 32 - 1);
  if (transport !== "unix") return await findTcp(action, transport, options);
  for (const wrong of ["hostname", "port"] as const) {
    if (options[wrong] !== undefined) {
      throw new TypeError(`${action}: "${wrong}" needs "transport": "tcp"`);
    }
  }
  const uid = Deno.uid();
  if (uid === null) {
    throw new AddressError(
      "ERR_ADDRESS_INVALID",
      `${action}: this system has no unix sockets: use "transport": "tcp"`,
    );
  }
  const owner = options.owner ?? uid;
  const modes = MODES[permissions];
  let path = options.path;
  let directory: DirectoryRule;
  let elsewhere: string | null = null;
  if (path === undefined) {
    const own = await ownDirectory(action, permissions, owner);
    directory = own.rule;
    path = `${directory.path}/${options.name}.sock`;
    if (own.elsewhere !== null) elsewhere = `${own.elsewhere}/${options.name}.sock`;
  } else {
    checkText(action, "path", path, 1, 4096);
    if (!path.startsWith("/") || path.endsWith("/") || path.includes("\0")) {
      throw new RangeError(
        `${action}: "path" must be absolute and name a file, current value is ${
          JSON.stringify(path)
        }`,
      );
    }
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    directory = {
      path: parent,
      owners: [uid, owner, 0],
      forbidden: OTHERS_WRITE,
      mode: modes.directory,
    };
  }
  checkPathLength(action, path);
  return {
    kind: "unix",
    path,
    directory,
    makeDirectory: options.path === undefined && owner === uid,
    socketMode: modes.socket,
    lockPath: `${path}.lock`,
    lockMode: modes.lock,
    owner,
    keyPath: `${path}.key`,
    elsewhere,
  };
}

/** Checks the name of a channel. */
export function checkName(action: string, name: unknown): void {
  if (typeof name !== "string") {
    throw new TypeError(`${action}: "name" must be a text, current value is ${typeof name}`);
  }
  if (!NAME_PATTERN.test(name) || name === "." || name === "..") {
    throw new RangeError(
      `${action}: "name" must be 1 to 64 of "A-Z a-z 0-9 . _ -", current value has ${name.length} characters`,
    );
  }
}

function checkPathLength(action: string, path: string): void {
  const bytes = new TextEncoder().encode(path).length;
  if (bytes <= MAX_PATH_BYTES) return;
  throw new AddressError(
    "ERR_SOCKET_PATH_TOO_LONG",
    `${action}: the path of a unix socket must have at most ${MAX_PATH_BYTES} bytes: "${path}" has ${bytes}`,
  );
}

async function findTcp(
  action: string,
  transport: "tcp" | "tcp4" | "tcp6",
  options: FindEndpointOptions,
): Promise<Endpoint> {
  if (options.path !== undefined) {
    throw new TypeError(`${action}: "path" needs "transport": "unix"`);
  }
  const loopback = transport === "tcp6" ? "::1" : "127.0.0.1";
  let hostname = options.hostname ?? Deno.env.get("PARLEY_IPC_HOST") ?? loopback;
  checkText(action, "hostname", hostname, 1, 253);
  if (hostname === "localhost") hostname = loopback;
  const isIpv6 = hostname.includes(":");
  const isIpv4 = /^\d+(\.\d+){3}$/.test(hostname);
  if (transport === "tcp4" && !isIpv4 || transport === "tcp6" && !isIpv6) {
    throw new RangeError(
      `${action}: "hostname" must be an address of "${transport}", current value is "${hostname}"`,
    );
  }
  const port = options.port ?? readPort(action, Deno.env.get("PARLEY_IPC_PORT"));
  checkInteger(action, "port", port, 0, 65535);
  const isLoopback = isIpv6 ? hostname === "::1" : isIpv4 && hostname.startsWith("127.");
  const place = {
    kind: "tcp",
    hostname,
    port,
    keyPath: null,
    directory: null,
    elsewhere: null,
  } as const;
  if (!isLoopback || options.secret !== undefined || options.insecureAnonymous === true) {
    return place;
  }
  const uid = Deno.uid();
  if (uid === null) return place;
  const { rule, elsewhere } = await ownDirectory(action, "user", options.owner ?? uid);
  const file = `${options.name}.sock`;
  return {
    ...place,
    keyPath: `${rule.path}/${file}.key`,
    directory: rule,
    elsewhere: elsewhere === null ? null : `${elsewhere}/${file}`,
  };
}

function readPort(action: string, text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT;
  if (!/^\d{1,5}$/.test(text)) {
    throw new RangeError(`${action}: PARLEY_IPC_PORT must be 0 to 65535, it is not`);
  }
  return Number(text);
}
