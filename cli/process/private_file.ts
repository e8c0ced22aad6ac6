// readPrivateFile(): the text of a file with secrets, which no other user may be able to read.
import { AuthError } from "../../errors.ts";

/** Most bytes of such a file: room for thousands of tokens. */
const MAX_BYTES = 2 ** 20;

/** Permission bits of group and others. */
const OTHERS = 0o077;

/**
 * Reads a file that holds secrets. A pipe will do as well, such as that of `--token-file <(pass show hub)`.
 *
 * @param what What it holds, for messages
 * @throws {AuthError} `ERR_FORBIDDEN` when others may read or write it, or it belongs to another user
 * @throws {RangeError} when it is longer than 1 MiB
 */
export async function readPrivateFile(path: string, what: string): Promise<string> {
  // The file that was looked at is the one that is read.
  using file = await Deno.open(path);
  const { isFile, mode, uid } = await file.stat();
  const own = Deno.build.os === "windows" ? null : Deno.uid();
  if (isFile && own !== null) {
    if (uid !== null && uid !== own && uid !== 0) {
      throw forbidden(what, path, `its owner must be ${own} or root`, `current owner is ${uid}`);
    }
    if (mode !== null && (mode & OTHERS) !== 0) {
      const shown = `0${(mode & 0o777).toString(8)}`;
      throw forbidden(what, path, "its mode must be 0600 or less", `current mode is ${shown}`);
    }
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of file.readable) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) {
      throw new RangeError(
        `Cannot read the ${what} "${path}": it must have ${MAX_BYTES} bytes at most`,
      );
    }
    chunks.push(chunk);
  }
  return await new Blob(chunks as BlobPart[]).text();
}

function forbidden(what: string, path: string, wanted: string, found: string): AuthError {
  return new AuthError("ERR_FORBIDDEN", `Cannot read the ${what} "${path}": ${wanted}, ${found}`);
}
