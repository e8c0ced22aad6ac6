// The options of `parley ipc` that say which channel is meant, and who may use it.
import { type IpcCommonOptions, SecretKey } from "../../../ipc/mod.ts";
import { parseAddress } from "../../command/address.ts";
import type { Arguments } from "../../command/arguments.ts";
import type { Flag } from "../../command/syntax.ts";
import { UsageError } from "../../command/usage.ts";

const PERMISSIONS = ["user", "group", "all"] as const;

/** Greatest message that may be asked for. */
const MOST_BYTES = 2 ** 30;

/** Options of each command of `parley ipc`. */
export const CHANNEL_FLAGS: readonly Flag[] = [
  {
    name: "secret-file",
    value: "FILE",
    about:
      'Key that both sides have, of "parley keygen secret" (default: the passphrase in PARLEY_SECRET, else the channel\'s own key)',
  },
  { name: "plain", about: "Do not encrypt; the secret is still proven. Both sides must say so" },
  {
    name: "permissions",
    value: "WHO",
    about: "Who may connect: user, group or all; the latter two need a secret (default: user)",
    choices: PERMISSIONS,
  },
  {
    name: "owner",
    value: "UID",
    about: "User that the server runs as, for clients of another user",
  },
  {
    name: "path",
    value: "FILE",
    about: "Socket of the channel (default: one that follows from NAME)",
  },
  { name: "tcp", value: "HOST:PORT", about: "Use TCP in place of a socket of the file system" },
  { name: "max-message", value: "BYTES", about: "Greatest message to accept (default: 3MiB)" },
];

/** What a command of `parley ipc` hands to the library. */
export type Channel =
  & Pick<
    IpcCommonOptions,
    | "name"
    | "encryption"
    | "permissions"
    | "owner"
    | "path"
    | "transport"
    | "hostname"
    | "port"
    | "secret"
  >
  & { readonly maxMessageBytes: number };

/**
 * What the options say of a channel.
 *
 * @throws {AuthError} `ERR_FORBIDDEN` when others may read the file of the secret
 */
export async function channelOf(args: Arguments, name: string): Promise<Channel> {
  const [secretFile, tcp, path] = [args.text("secret-file"), args.text("tcp"), args.text("path")];
  if (tcp !== undefined && path !== undefined) {
    throw new UsageError("--tcp and --path exclude each other");
  }
  const passphrase = Deno.env.get("PARLEY_SECRET") || undefined;
  const secret = secretFile === undefined ? passphrase : await SecretKey.fromFile(secretFile);
  return {
    name,
    encryption: !args.has("plain"),
    permissions: args.choice("permissions", PERMISSIONS, "user"),
    maxMessageBytes: args.bytes("max-message", {
      byDefault: 3 * 2 ** 20,
      least: 1024,
      most: MOST_BYTES,
    }),
    ...(secret === undefined ? {} : { secret }),
    ...(path === undefined ? {} : { path: absolute(path) }),
    ...(args.text("owner") === undefined
      ? {}
      : { owner: args.count("owner", { byDefault: 0, most: 2 ** 32 - 1 }) }),
    ...(tcp === undefined ? {} : tcpOf(tcp)),
  };
}

function tcpOf(typed: string) {
  const address = parseAddress(typed);
  if ("path" in address) {
    throw new UsageError('Option "--tcp" is HOST:PORT; a path is given with --path');
  }
  return { transport: "tcp" as const, ...address };
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}
