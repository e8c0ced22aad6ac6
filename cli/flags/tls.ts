// TLS options of commands that dial or listen, and what they mean for the library.
import type { ClientTlsOptions, ServerTlsOptions } from "../../tls/handshake/options.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";
import { UsageError } from "../command/usage.ts";

const CERT: Flag = { name: "cert", value: "FILE", about: "Own certificate, PEM" };
const KEY: Flag = { name: "key", value: "FILE", about: "Private key of --cert, PEM" };

/** Options of a command that dials. */
export const CLIENT_TLS_FLAGS: readonly Flag[] = [
  { name: "tls", about: "Use TLS; trust the system's authorities, or those of --ca" },
  {
    name: "ca",
    value: "FILE",
    about: "Trust only what these authorities signed, PEM; implies --tls",
  },
  {
    name: "server-name",
    value: "NAME",
    about: "Name that the certificate must hold (default: the host)",
  },
  { ...CERT, about: "Own certificate for a server that wants one, PEM; implies --tls" },
  KEY,
];

/** Options of a command that listens. */
export const SERVER_TLS_FLAGS: readonly Flag[] = [
  { ...CERT, about: "Use TLS with this certificate, PEM; read anew when it changes" },
  KEY,
  {
    name: "client-ca",
    value: "FILE",
    about: "Want client certificates that these authorities signed, PEM",
  },
];

/** What the options of a command that dials say; `undefined` for no TLS. */
export function clientTls(args: Arguments): ClientTlsOptions | undefined {
  const [ca, serverName] = [args.text("ca"), args.text("server-name")];
  const identity = identityOf(args);
  if (!args.has("tls") && ca === undefined && identity === undefined) {
    if (serverName !== undefined) throw new UsageError('Option "--server-name" goes with --tls');
    return undefined;
  }
  return {
    ...identity,
    ...(ca === undefined ? {} : { caFile: ca }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

/** What the options of a command that listens say; `undefined` for no TLS. */
export function serverTls(args: Arguments): ServerTlsOptions | undefined {
  const clientCa = args.text("client-ca");
  const identity = identityOf(args);
  if (identity === undefined) {
    if (clientCa !== undefined) {
      throw new UsageError('Option "--client-ca" goes with --cert and --key');
    }
    return undefined;
  }
  return {
    ...identity,
    watch: true,
    ...(clientCa === undefined ? {} : { clientCaFile: clientCa }),
  };
}

function identityOf(
  args: Arguments,
): { readonly certFile: string; readonly keyFile: string } | undefined {
  const [certFile, keyFile] = [args.text("cert"), args.text("key")];
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    throw new UsageError("--cert and --key go together");
  }
  return { certFile, keyFile };
}
