// The directory of a channel: where it is, and checks that no other user can change what is in it.
import { AddressError } from "../../errors.ts";

/**
 * Which users may connect to a unix socket, by the file system: its owner, its owner's group, or
 * all.
 */
export type IpcPermissions = "user" | "group" | "all";

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

/**
 * Modes of the files of a channel, and the suffix of its directory in `/tmp`, by who may connect.
 * Members of a group may look whether a channel of the group is held. Other users may not: a
 * process that may open a lock may hold it, and keep the server from starting.
 */
export const MODES: Record<
  IpcPermissions,
  { directory: number; socket: number; lock: number; suffix: string }
> = {
  user: { directory: 0o700, socket: 0o600, lock: 0o600, suffix: "" },
  group: { directory: 0o750, socket: 0o660, lock: 0o660, suffix: "-group" },
  all: { directory: 0o755, socket: 0o666, lock: 0o600, suffix: "-all" },
};

/** The mode bit by which only its owner may move a file of a directory. */
const STICKY = 0o1000;
/** The mode bits by which other users may change a directory. */
export const OTHERS_WRITE = 0o022;

/**
 * Checks that a directory is one, that it is no symlink, and that no other user can change what is
 * in it.
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
    refuse(
      `give others no more than 0${rule.mode.toString(8)} does`,
      `current mode is 0${mode.toString(8)}`,
    );
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

/** What is at a path, itself and not what it may point to; `null` when there is nothing. */
export async function lstat(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Does not prompt: a user who granted the folder of the channels alone is not asked for more. */
export async function mayRead(path: string): Promise<boolean> {
  return (await Deno.permissions.query({ name: "read", path })).state === "granted";
}

/**
 * The directory of a user's channels, and where it is for processes that see another
 * `XDG_RUNTIME_DIR`.
 */
export async function ownDirectory(
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
  return {
    rule: { path: inTmp, ...rule },
    elsewhere: hasRuntime ? `/run/user/${owner}/parley` : null,
  };
}

/**
 * Whether `$XDG_RUNTIME_DIR` is what its specification says; after `sudo` it may be another user's.
 * Where the program may read no more than the folder of the channels, that folder alone is looked
 * at, each time it is used: nothing in it is ours unless it is.
 */
async function isPrivate(path: string, owner: number): Promise<boolean> {
  if (!path.startsWith("/")) return false;
  if (!await mayRead(path)) return true;
  const info = await lstat(path);
  return info !== null && info.isDirectory && info.uid === owner && (info.mode! & 0o077) === 0;
}

/**
 * Without the sticky bit, any user could move our directory away and put another in its place. A
 * program that may not read all of `/tmp` cannot look; that our directory is ours is looked at each
 * time it is used.
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
