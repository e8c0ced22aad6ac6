// Endpoint: from a channel name to a place to meet, and the checks that nobody else can get at it.
import { AddressError } from "../../errors.ts";
import { checkInteger, checkOneOf, checkText } from "../../options/check.ts";

/** Where the two processes meet: a unix socket, or TCP with either or one version of IP. */
export type IpcTransport = "unix" | "tcp" | "tcp4" | "tcp6";

/** Who may connect to a unix socket, by the file system: its owner, its owner's group, or everyone. */
export type IpcPermissions = "user" | "group" | "all";

/** Where a channel is. */
export interface IpcAddressOptions {
  /** Name of the channel: 1 to 64 of `A–Z a–z 0–9 . _ -`. It is part of the handshake. */
  name: string;
  /** How to meet. @default {"unix"} */
  transport?: IpcTransport | undefined;
  /**
   * Path of the unix socket, at most 107 bytes. Its directory must belong to this user, to root, or to `owner`, and nobody
   * else may write to it.
   *
   * @default {`$XDG_RUNTIME_DIR/parley/<name>.sock`, else `/tmp/parley-<uid>/<name>.sock`}
   */
  path?: string | undefined;
  /** Host for TCP. @default {`PARLEY_IPC_HOST`, else loopback} */
  hostname?: string | undefined;
  /** Port for TCP, 0 to 65535; a server may use 0 for any that is free. @default {`PARLEY_IPC_PORT`, else 7300} */
  port?: number | undefined;
  /** Who may connect. Both sides give the same. @default {"user"} */
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
    /** Directory of our own that may be made when it is missing, `null` for one that the user chose. */
    readonly makeDirectory: boolean;
    /** Mode of the socket. */
    readonly socketMode: number;
    /** Where the channel's lock is. */
    readonly lockPath: string;
    /** Mode of the lock. */
    readonly lockMode: number;
    /** Who must own the socket that a client connects to. */
    readonly owner: number;
    /** Where the channel's own key is. */
    readonly keyPath: string;
    /** Where the socket is for processes that see another `XDG_RUNTIME_DIR`, or none; `null` when there is no such place. */
    readonly elsewhere: string | null;
  }
  | {
    readonly kind: "tcp";
    readonly hostname: string;
    readonly port: number;
    /** Where the channel's own key is; `null` beyond loopback, without a directory of our own, and where another secret serves. */
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

/** What a directory must be like. */
export interface DirectoryRule {
  readonly path: string;
  /** One of these must own it. */
  readonly owners: readonly number[];
  /** Permission bits that it must have none of. */
  readonly forbidden: number;
  /** Mode to make it with. */
  readonly mode: number;
}

/** Longest path that a unix socket can have, in bytes. */
const MAX_PATH_BYTES = 107;
const NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
/** Port of channels over TCP that name none. */
const DEFAULT_PORT = 7300;
/**
 * Members of a group may look whether a channel of the group is held. Not so everyone: who may open a lock may hold it, and keep the
 * server from starting.
 */
const MODES: Record<IpcPermissions, { directory: number; socket: number; lock: number; suffix: string }> = {
  user: { directory: 0o700, socket: 0o600, lock: 0o600, suffix: "" },
  group: { directory: 0o750, socket: 0o660, lock: 0o660, suffix: "-group" },
  all: { directory: 0o755, socket: 0o666, lock: 0o600, suffix: "-all" },
};
const STICKY = 0o1000;
const OTHERS_WRITE = 0o022;

/**
 * Finds the place of a channel. Reads the environment, and looks at `$XDG_RUNTIME_DIR` or `/tmp` where it may.
 *
 * @throws {TypeError | RangeError} when an option is wrong
 * @throws {AddressError} `ERR_SOCKET_PATH_TOO_LONG`, `ERR_ADDRESS_INVALID`
 */
export async function findEndpoint(action: string, options: FindEndpointOptions): Promise<Endpoint> {
  checkName(action, options.name);
  const { permissions = "user", transport = "unix" } = options;
  checkOneOf(action, "permissions", permissions, ["user", "group", "all"]);
  checkOneOf(action, "transport", transport, ["unix", "tcp", "tcp4", "tcp6"]);
  if (options.owner !== undefined) checkInteger(action, "owner", options.owner, 0, 2 ** 32 - 1);
  if (transport !== "unix") return await findTcp(action, transport, options);
  for (const wrong of ["hostname", "port"] as const) {
    if (options[wrong] !== undefined) throw new TypeError(`${action}: "${wrong}" needs "transport": "tcp"`);
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
        `${action}: "path" must be absolute and name a file, current value is ${JSON.stringify(path)}`,
      );
    }
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    directory = { path: parent, owners: [uid, owner, 0], forbidden: OTHERS_WRITE, mode: modes.directory };
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

/**
 * Checks that a directory is one, that it is no symlink, and that nobody else can change what is in it.
 *
 * @returns `false` when there is none
 * @throws {AddressError} `ERR_ADDRESS_INVALID`
 */
export async function checkDirectory(action: string, rule: DirectoryRule): Promise<boolean> {
  const info = await lstat(rule.path);
  if (info === null) return false;
  const refuse = (wanted: string, found: string) => {
    throw new AddressError(
      "ERR_ADDRESS_INVALID",
      `${action}: directory "${rule.path}" must ${wanted}: ${found}`,
    );
  };
  if (!info.isDirectory) {
    refuse("be a directory and no link", info.isSymlink ? "it is a symlink" : "it is a file");
  }
  if (!rule.owners.includes(info.uid!)) {
    refuse(`belong to user ${rule.owners[0]}`, `current owner is ${info.uid}`);
  }
  const mode = info.mode! & 0o7777;
  if ((mode & rule.forbidden) !== 0) {
    refuse(`give others no more than 0${rule.mode.toString(8)} does`, `current mode is 0${mode.toString(8)}`);
  }
  return true;
}

/** Makes a directory that is missing, and checks it either way. */
export async function makeDirectory(action: string, rule: DirectoryRule): Promise<void> {
  if (await checkDirectory(action, rule)) return;
  try {
    await Deno.mkdir(rule.path, { mode: rule.mode });
    // The umask may have taken bits that group or all need.
    if (rule.mode !== MODES.user.directory) await Deno.chmod(rule.path, rule.mode);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error; // another starter was faster
  }
  await checkDirectory(action, rule);
}

/**
 * Checks what a client is about to connect to.
 *
 * @returns `false` when there is nothing
 * @throws {AddressError} `ERR_ADDRESS_INVALID`, `ERR_NOT_OUR_PROTOCOL`
 */
export async function checkSocket(action: string, endpoint: Endpoint & { kind: "unix" }): Promise<boolean> {
  if (!await checkDirectory(action, endpoint.directory)) return false;
  const info = await lstat(endpoint.path);
  if (info === null) return false;
  if (!info.isSocket) {
    throw new AddressError(
      "ERR_NOT_OUR_PROTOCOL",
      `${action}: "${endpoint.path}" must be a socket, it is something else`,
    );
  }
  if (info.uid !== endpoint.owner) {
    throw new AddressError(
      "ERR_ADDRESS_INVALID",
      `${action}: "${endpoint.path}" must belong to user ${endpoint.owner}, current owner is ${info.uid}`,
    );
  }
  return true;
}

/** What is at a path, itself and not what it may point to; `null` when there is nothing. */
export async function lstat(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The directory of a user's channels, and where it is for processes that see another `XDG_RUNTIME_DIR`. */
async function ownDirectory(
  action: string,
  permissions: IpcPermissions,
  owner: number,
): Promise<{ rule: DirectoryRule; elsewhere: string | null }> {
  const { directory: mode, suffix } = MODES[permissions];
  const rule = { owners: [owner], forbidden: ~mode & 0o777, mode };
  const inTmp = `/tmp/parley-${owner}${suffix}`;
  const hasRuntime = permissions === "user" && owner === Deno.uid();
  const runtime = hasRuntime ? Deno.env.get("XDG_RUNTIME_DIR") : undefined;
  if (runtime !== undefined && await isPrivate(runtime, owner)) {
    return { rule: { path: `${runtime}/parley`, ...rule }, elsewhere: inTmp };
  }
  await checkTmp(action);
  return { rule: { path: inTmp, ...rule }, elsewhere: hasRuntime ? `/run/user/${owner}/parley` : null };
}

/**
 * Whether `$XDG_RUNTIME_DIR` is what its specification says; after `sudo` it may be another user's. Where the program may read no more
 * than the folder of the channels, that folder alone is looked at, each time it is used: nothing in it is ours unless it is.
 */
async function isPrivate(path: string, owner: number): Promise<boolean> {
  if (!path.startsWith("/")) return false;
  if (!await mayRead(path)) return true;
  const info = await lstat(path);
  return info !== null && info.isDirectory && info.uid === owner && (info.mode! & 0o077) === 0;
}

/**
 * Without the sticky bit, anyone could move our directory away and put up their own. A program that may not read all of `/tmp` cannot
 * look; that our directory is ours is looked at each time it is used.
 */
async function checkTmp(action: string): Promise<void> {
  if (!await mayRead("/tmp")) return;
  const info = await Deno.stat("/tmp");
  if ((info.mode! & STICKY) === 0 && (info.mode! & OTHERS_WRITE) !== 0) {
    throw new AddressError(
      "ERR_ADDRESS_INVALID",
      `${action}: "/tmp" must have the sticky bit, it has not (set XDG_RUNTIME_DIR, or "path")`,
    );
  }
}

/** Prompts for nothing: who gave the folder of the channels alone is not asked for more. */
async function mayRead(path: string): Promise<boolean> {
  return (await Deno.permissions.query({ name: "read", path })).state === "granted";
}

/**
 * Says where else a channel is, for an error that says that nothing is at `endpoint`: processes of one user look in different places
 * when some of them see `XDG_RUNTIME_DIR` and others do not, such as services and a desktop.
 */
export async function elsewhereText({ kind, elsewhere }: Endpoint): Promise<string> {
  if (elsewhere === null) return "";
  const what = kind === "unix" ? elsewhere : `${elsewhere}.key`;
  const isThere = await mayRead(what) && await lstat(what).then((info) => info !== null, () => false);
  return isThere
    ? `; there is "${what}", of a process with another XDG_RUNTIME_DIR: set it alike for both, or "path"`
    : `, nor at "${what}", where processes with another XDG_RUNTIME_DIR look`;
}

/**
 * The error for a place that the file system keeps from this user, with its owner; any other error is given back as it is.
 */
export async function keptFrom(action: string, path: string, cause: unknown): Promise<unknown> {
  const denied = cause instanceof AddressError ? cause.cause : cause;
  if (!(denied instanceof Deno.errors.PermissionDenied)) return cause;
  let found = "the owner is out of sight";
  for (let place = path; place !== ""; place = place.slice(0, place.lastIndexOf("/"))) {
    const info = await Deno.lstat(place).catch(() => null);
    if (info === null) continue;
    found = `"${place}" belongs to user ${info.uid} and has mode 0${(info.mode! & 0o7777).toString(8)}`;
    break;
  }
  return new AddressError(
    "ERR_ADDRESS_INVALID",
    `${action}: "${path}" must be open to this user: ${found}`,
    { cause },
  );
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
  if (options.path !== undefined) throw new TypeError(`${action}: "path" needs "transport": "unix"`);
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
  const place = { kind: "tcp", hostname, port, keyPath: null, directory: null, elsewhere: null } as const;
  if (!isLoopback || options.secret !== undefined || options.insecureAnonymous === true) return place;
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
