// Checks of a place before a client connects to it, and what an error says of a place out of reach.
import { AddressError } from "../../errors.ts";
import { checkDirectory, lstat, mayRead } from "./directory.ts";
import type { Endpoint } from "./endpoint.ts";

/**
 * Checks what a client is about to connect to.
 *
 * @returns `false` when there is nothing
 * @throws {AddressError} `ERR_ADDRESS_INVALID`, `ERR_NOT_OUR_PROTOCOL`
 */
export async function checkSocket(
  action: string,
  endpoint: Endpoint & { kind: "unix" },
): Promise<boolean> {
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

/**
 * Says where else a channel is, for an error that says that nothing is at `endpoint`: processes of
 * one user look in different places when some of them see `XDG_RUNTIME_DIR` and others do not, such
 * as services and a desktop.
 */
export async function elsewhereText({ kind, elsewhere }: Endpoint): Promise<string> {
  if (elsewhere === null) return "";
  const what = kind === "unix" ? elsewhere : `${elsewhere}.key`;
  const isThere = await mayRead(what) &&
    await lstat(what).then((info) => info !== null, () => false);
  return isThere
    ? `; there is "${what}", of a process with another XDG_RUNTIME_DIR: set it alike for both, or "path"`
    : `, nor at "${what}", where processes with another XDG_RUNTIME_DIR look`;
}

/**
 * The error for a place that the file system keeps from this user, with its owner; any other error
 * is returned unchanged.
 */
export async function keptFrom(action: string, path: string, cause: unknown): Promise<unknown> {
  const denied = cause instanceof AddressError ? cause.cause : cause;
  if (!(denied instanceof Deno.errors.PermissionDenied)) return cause;
  let found = "the owner is out of sight";
  for (let place = path; place !== ""; place = place.slice(0, place.lastIndexOf("/"))) {
    const info = await Deno.lstat(place).catch(() => null);
    if (info === null) continue;
    found = `"${place}" belongs to user ${info.uid} and has mode 0${
      (info.mode! & 0o7777).toString(8)
    }`;
    break;
  }
  return new AddressError(
    "ERR_ADDRESS_INVALID",
    `${action}: "${path}" must be open to this user: ${found}`,
    { cause },
  );
}
