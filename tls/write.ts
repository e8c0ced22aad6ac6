// Writes an identity to files: the key for its owner only, and never over existing files by accident.
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { Credentials } from "./handshake/options.ts";

/** Options of {@linkcode writeIdentity}. */
export interface WriteIdentityOptions extends Credentials {
  /** File for the certificate chain; every user may read it. */
  readonly certFile: string;
  /** File for the private key; only its owner may read it (mode 0600). */
  readonly keyFile: string;
  /**
   * Put the new files in the place of existing ones, each in one step, so that a server that
   * watches them takes over.
   *
   * @default {false} existing files are an error
   */
  readonly replace?: boolean | undefined;
}

const NAMES: OptionNames<WriteIdentityOptions> = {
  cert: true,
  key: true,
  certFile: true,
  keyFile: true,
  replace: true,
};

/**
 * Writes a certificate chain and its private key. No other user can read the key, not even for a
 * moment: the file is made with mode 0600. If it fails, nothing new is left behind, and old files
 * are what they were. A program that ends in the midst of a replacement, as by a power cut, can
 * leave the new key beside the old certificate, and the old key beside both, as `keyFile` with the
 * ending `.old`.
 *
 * @throws {Deno.errors.AlreadyExists} when a file exists and `replace` is not set
 *
 * @example
 * ```ts
 * import { createCa, writeIdentity } from "@parley/parley/tls";
 *
 * const directory = await Deno.makeTempDir();
 * await writeIdentity({ ...await createCa(), certFile: `${directory}/ca.pem`, keyFile:
 * `${directory}/ca.key` }); await Deno.remove(directory, { recursive: true });
 * ```
 */
export async function writeIdentity(options: WriteIdentityOptions): Promise<void> {
  checkOptionNames("Cannot write an identity", options, NAMES);
  const { cert, key, certFile, keyFile, replace = false } = options;
  if (certFile === keyFile) {
    throw new TypeError(
      `Cannot write an identity: "certFile" and "keyFile" must differ, both are ${
        JSON.stringify(certFile)
      }`,
    );
  }
  if (replace) await replaceBoth(options);
  else await writeNew(certFile, keyFile, { cert, key });
}

/** Writes two files that do not exist, or none. */
async function writeNew(
  certFile: string,
  keyFile: string,
  { cert, key }: Credentials,
): Promise<void> {
  const made: string[] = [];
  try {
    for (const [file, text, mode] of [[keyFile, key, 0o600], [certFile, cert, 0o644]] as const) {
      await Deno.writeTextFile(file, text, { createNew: true, mode });
      made.push(file);
    }
  } catch (error) {
    for (const file of made) await removeIfThere(file);
    throw error;
  }
}

/**
 * Replaces two files, each in one step, or none: when the second cannot be replaced, the first is
 * restored.
 */
async function replaceBoth({ certFile, keyFile, cert, key }: WriteIdentityOptions): Promise<void> {
  const id = crypto.randomUUID();
  const [newCert, newKey, oldKey] = [
    `${certFile}.${id}.new`,
    `${keyFile}.${id}.new`,
    `${keyFile}.${id}.old`,
  ];
  try {
    await writeNew(newCert, newKey, { cert, key });
    const existed = await keepCopy(keyFile, oldKey);
    try {
      // The key first, so that a reader that finds the new certificate finds its key.
      await Deno.rename(newKey, keyFile);
    } catch (error) {
      await removeIfThere(oldKey);
      throw error;
    }
    try {
      await Deno.rename(newCert, certFile);
    } catch (error) {
      // The copy stays where it cannot be put back: it is the only one.
      if (existed) await Deno.rename(oldKey, keyFile);
      else await Deno.remove(keyFile);
      throw error;
    }
    await removeIfThere(oldKey);
  } finally {
    for (const file of [newCert, newKey]) await removeIfThere(file);
  }
}

/**
 * Links a file to a second name, or copies it where names cannot be shared. Returns whether there
 * is such a file.
 */
async function keepCopy(file: string, copy: string): Promise<boolean> {
  try {
    await Deno.link(file, copy);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
  }
  await Deno.writeTextFile(copy, await Deno.readTextFile(file), { createNew: true, mode: 0o600 });
  return true;
}

async function removeIfThere(file: string): Promise<void> {
  await Deno.remove(file).catch(() => {});
}
