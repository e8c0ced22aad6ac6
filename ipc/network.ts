// The way of IPC to the network: listens and dials at an endpoint, with or without TLS.
import { AddressError, ClosedError, ParleyError } from "../errors.ts";
import { dial } from "../net/dial.ts";
import { unlessAborted } from "../net/late.ts";
import { listen } from "../net/listen.ts";
import type { Listener, Transport } from "../net/transport.ts";
import { openServerCredentials, resolveClientTls } from "../tls/load.ts";
import type { ClientTlsOptions, CredentialSource, ServerTlsOptions } from "../tls/options.ts";
import { type Claim, type ClaimNet, claimSocket, isNobodyThere } from "./claim.ts";
import { checkSocket, type Endpoint } from "./endpoint.ts";

/** Longest time in ms to find out whether a socket is live. */
const PROBE_TIMEOUT_MS = 1000;

/** Listens at an endpoint. Releasing the claim ends it. */
export async function claimEndpoint(
  action: string,
  endpoint: Endpoint,
  tlsOptions: ServerTlsOptions | undefined,
): Promise<Claim> {
  const credentials = tlsOptions === undefined ? null : await openServerCredentials(tlsOptions);
  try {
    const tls = credentials === null ? undefined : { ...tlsOptions, credentials };
    const claim = endpoint.kind === "unix"
      ? await claimSocket(action, endpoint, unixNet(tls))
      : claimOf(await listen({ hostname: endpoint.hostname, port: endpoint.port, tls }, { noDelay: true }));
    return { listener: claim.listener, release: () => (claim.release(), credentials?.close()) };
  } catch (error) {
    credentials?.close();
    throw error;
  }
}

/**
 * Connects to an endpoint, once it is as it must be.
 *
 * @throws {AddressError} `ERR_CONNECT_REFUSED` when no program listens there, `ERR_ADDRESS_INVALID` when it is not safe
 */
export async function dialEndpoint(
  action: string,
  endpoint: Endpoint,
  options: { tls: ClientTlsOptions | undefined; signal: AbortSignal },
): Promise<Transport> {
  const { signal } = options;
  if (endpoint.kind === "unix" && !await checkSocket(action, endpoint)) {
    throw new AddressError("ERR_CONNECT_REFUSED", `${action} as nobody listens at "${endpoint.path}"`);
  }
  // The name in the certificate of a unix socket cannot come from its path.
  const serverName = endpoint.kind === "unix" ? "localhost" : undefined;
  const tls = options.tls === undefined ? undefined : await unlessAborted(
    resolveClientTls(serverName === undefined ? options.tls : { serverName, ...options.tls }),
    signal,
  );
  signal.throwIfAborted();
  return endpoint.kind === "unix"
    ? await dial({ path: endpoint.path, tls }, { signal })
    : await dial({ hostname: endpoint.hostname, port: endpoint.port, tls }, { signal, noDelay: true });
}

function claimOf(listener: Listener): Claim {
  return { listener, release: () => listener.close() };
}

function unixNet(tls: (Partial<ServerTlsOptions> & { credentials: CredentialSource }) | undefined): ClaimNet {
  return {
    listen: (path, mode) => listen({ path, mode, tls }),
    async isLive(path) {
      const late = new ClosedError("ERR_CLOSED", "The probe took too long");
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(late), PROBE_TIMEOUT_MS);
      try {
        (await dial({ path }, { signal: controller.signal })).close();
        return true;
      } catch (error) {
        if (isNobodyThere(error)) return false;
        if (error instanceof ParleyError) return true; // too busy to answer is alive
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
