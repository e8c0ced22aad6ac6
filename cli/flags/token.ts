// Token options: what proves who we are; from a file or the environment, never from the arguments.
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";
import { readPrivateFile } from "../process/private_file.ts";

/** Option of a command that shows or wants a token. */
export const TOKEN_FILE_FLAG: Flag = {
  name: "token-file",
  value: "FILE",
  about: "File that holds the token, readable by you only (default: the token in PARLEY_TOKEN)",
};

/**
 * The token that the options name, else that of the environment; `undefined` when there is none.
 *
 * @throws {AuthError} `ERR_FORBIDDEN` when others may read the file
 * @throws {RangeError} when there is no token in the file
 */
export async function tokenOf(args: Arguments): Promise<string | undefined> {
  const path = args.text("token-file");
  if (path === undefined) return Deno.env.get("PARLEY_TOKEN") || undefined;
  const token = (await readPrivateFile(path, "token")).replace(/\r?\n$/, "");
  if (token === "" || token.includes("\n")) {
    throw new RangeError(`Cannot read the token "${path}": it must be one line`);
  }
  return token;
}
