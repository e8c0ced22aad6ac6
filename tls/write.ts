// Writing an identity to files: the key for its owner only, and never over what is there by accident.
import type { Credentials } from "./options.ts";

/** Options of {@linkcode writeIdentity}. */
export interface WriteIdentityOptions extends Credentials {
  /** File for the certificate chain; anybody may read it. */
  readonly certFile: string;
  /** File for the private key; only its owner may read it (mode 0600). */
  readonly keyFile: string;
  /**
   * Put the new files in the place of old ones, each in one step, so that a server that watches them takes
   * over.
   *
   * @default {false} existing files are an error
   */
  readonly replace?: boolean;
}

/**
 * Writes a certificate chain and its private key. Nobody else can read the key, not even for a moment: the
 * file is made with mode 0600. If it fails, nothing new is left behind.
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
  const { cert, key, certFile, keyFile, replace = false } = options;
  if (certFile === keyFile) {
    throw new TypeError(
      `Cannot write an identity as "certFile" and "keyFile" must differ: both are ${
        JSON.stringify(certFile)
      }`,
    );
  }
  const suffix = replace ? `.${crypto.randomUUID()}.new` : "";
  const made: string[] = [];
  try {
    // The key first: whoever sees the new certificate finds its key there.
    for (const [file, text, mode] of [[keyFile, key, 0o600], [certFile, cert, 0o644]] as const) {
      await Deno.writeTextFile(file + suffix, text, { createNew: true, mode });
      made.push(file + suffix);
    }
    if (!replace) return;
    await Deno.rename(keyFile + suffix, keyFile);
    await Deno.rename(certFile + suffix, certFile);
  } catch (error) {
    for (const file of made) await Deno.remove(file).catch(() => {});
    throw error;
  }
}
