// The option to go without TLS, and the refusal to do so beyond this machine without it.
import { isLoopbackSource, sourceKey } from "../../limits/source_key.ts";
import { addressText, type TypedAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";
import { UsageError } from "../command/usage.ts";

/** Option of a command that would send secrets. */
export const PLAIN_FLAG: Flag = {
  name: "insecure-plain",
  about: "Go without TLS beyond this machine: an attacker on the way can then read tokens and data",
};

/**
 * Refuses an address beyond this machine without TLS: tokens would go over the network as they are.
 *
 * @param need The options that bring TLS, for the message
 * @throws {UsageError} unless `--insecure-plain` was given
 */
export function checkPlain(
  args: Arguments,
  address: TypedAddress,
  { tls, need }: { readonly tls: unknown; readonly need: string },
): void {
  if (tls !== undefined || args.has(PLAIN_FLAG.name) || isLocal(address)) return;
  throw new UsageError(
    `${
      addressText(address)
    } is beyond this machine, and without TLS any attacker on the way can read the tokens: ` +
      `add ${need}, or --insecure-plain where the network is safe, as in a VPN`,
  );
}

/** Whether an address is on this machine, as far as that shows without a look-up. */
function isLocal(address: TypedAddress): boolean {
  if ("path" in address || address.hostname === "localhost") return true;
  const source = sourceKey({ transport: "tcp", ...address });
  return source !== null && isLoopbackSource(source);
}
