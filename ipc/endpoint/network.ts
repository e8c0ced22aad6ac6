// The way of IPC to the network: listens and dials at an endpoint, with or without TLS.
import { AddressError, ClosedError, ParleyError } from "../../errors.ts";
import { dial } from "../../net/dial.ts";
import { unlessAborted } from "../../async/deadline.ts";
import { listen } from "../../net/listen.ts";
import type { Listener, Transport } from "../../net/transport/transport.ts";
import { openServerCredentials, resolveClientTls } from "../../tls/load.ts";
import type {
  ClientTlsOptions,
  CredentialSource,
  ServerTlsOptions,
} from "../../tls/handshake/options.ts";
import {
  type Claim,
  type ClaimNet,
  type ClaimOptions,
  claimSocket,
  isNobodyThere,
  type KeyKeeper,
  watchPlace,
} from "./claim.ts";
import type { Endpoint } from "./endpoint.ts";
import { checkSocket, elsewhereText, keptFrom } from "./place_checks.ts";

/** Longest time in ms to find out whether a socket is live. */
const PROBE_TIMEOUT_MS = 1000;

/** The part of an `IpcReporter` that is used here. */
interface PlaceReporter {
  report(error: unknown, phase: "accept"): void;
  debug(message: string): void;
}

/** The part of a `SecretSource` that is used here. */
interface PlaceSecrets extends KeyKeeper {
  /** Whether the channel's secret is in a file that its server makes. */
  readonly hasKeyFile: boolean;
}

/** What {@linkcode claimEndpoint} works with. */
export interface ClaimEndpointOptions {
  readonly resolved: { readonly action: string; readonly reporter: PlaceReporter };
  readonly endpoint: Endpoint;
  readonly secrets: PlaceSecrets;
  readonly tls: ServerTlsOptions | undefined;
}

/**
 * Listens at an endpoint, and makes or loads its key before the first client comes. Releasing the
 * claim ends it, and removes its files.
 *
 * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`
 * @throws {AuthError} `ERR_FORBIDDEN` when others may read the key file
 */
export async function claimEndpoint(options: ClaimEndpointOptions): Promise<Claim> {
  const { resolved: { action, reporter }, endpoint, secrets, tls: tlsOptions } = options;
  const credentials = tlsOptions === undefined ? null : await openServerCredentials(tlsOptions);
  try {
    const tls = credentials === null ? undefined : { ...tlsOptions, credentials };
    const keeping: ClaimOptions = {
      key: secrets,
      onFault: (error) => reporter.report(error, "accept"),
      onRenewed: (what) =>
        reporter.debug(`Made anew as it had gone or was replaced: ${JSON.stringify(what)}`),
    };
    const claim = endpoint.kind === "unix"
      ? await claimSocket(action, endpoint, unixNet(tls), keeping)
      : await claimPort(
        await listen({ ...where(endpoint), tls }, { noDelay: true }),
        secrets,
        keeping,
      );
    return {
      listener: claim.listener,
      lost: claim.lost,
      check: () => claim.check(),
      release: () => (claim.release(), credentials?.close()),
    };
  } catch (error) {
    credentials?.close();
    throw endpoint.kind === "unix" ? await keptFrom(action, endpoint.path, error) : error;
  }
}

/**
 * Connects to an endpoint, once it is as it must be.
 *
 * @throws {AddressError} `ERR_CONNECT_REFUSED` when no program listens there, `ERR_ADDRESS_INVALID`
 * when it is not safe
 */
export async function dialEndpoint(
  action: string,
  endpoint: Endpoint,
  options: { tls: ClientTlsOptions | undefined; signal: AbortSignal },
): Promise<Transport> {
  if (endpoint.kind === "tcp") return await dialPort(endpoint, options);
  try {
    if (await checkSocket(action, endpoint)) return await dialSocket(endpoint, options);
  } catch (error) {
    throw await keptFrom(action, endpoint.path, error);
  }
  const elsewhere = await elsewhereText(endpoint);
  throw new AddressError(
    "ERR_CONNECT_REFUSED",
    `${action}: no program listens at "${endpoint.path}"${elsewhere}`,
  );
}

type Unix = Endpoint & { kind: "unix" };
type Tcp = Endpoint & { kind: "tcp" };
type DialEndpointOptions = {
  readonly tls: ClientTlsOptions | undefined;
  readonly signal: AbortSignal;
};

async function dialSocket({ path }: Unix, options: DialEndpointOptions): Promise<Transport> {
  const { signal } = options;
  // The name in the certificate of a unix socket cannot come from its path.
  const given = options.tls && { serverName: "localhost", ...options.tls };
  const tls = given && await unlessAborted(resolveClientTls(given), signal);
  signal.throwIfAborted();
  return await dial({ path, tls }, { signal });
}

async function dialPort(endpoint: Tcp, options: DialEndpointOptions): Promise<Transport> {
  const { signal } = options;
  const tls = options.tls && await unlessAborted(resolveClientTls(options.tls), signal);
  signal.throwIfAborted();
  return await dial({ ...where(endpoint), tls }, { signal, noDelay: true });
}

function where({ hostname, port }: Tcp): { hostname: string; port: number } {
  return { hostname, port };
}

/** A port has no files but the channel's key; only the kernel hands it to another program. */
async function claimPort(
  listener: Listener,
  secrets: PlaceSecrets,
  options: ClaimOptions,
): Promise<Claim> {
  try {
    await secrets.claim();
  } catch (error) {
    listener.close();
    throw error;
  }
  let lastFault = "";
  const check = async () => {
    try {
      await secrets.keep();
      lastFault = "";
    } catch (error) {
      if (lastFault !== String(error)) options.onFault?.(error);
      lastFault = String(error);
    }
  };
  const stopWatching = secrets.hasKeyFile ? watchPlace(check) : () => {};
  let isHeld = true;
  const release = () => {
    if (!isHeld) return;
    isHeld = false;
    stopWatching();
    listener.close();
    secrets.drop();
  };
  return { listener, lost: new Promise(() => {}), check, release };
}

/**
 * Where Linux lists unix sockets, each with the path that it was bound at; Deno lets programs with
 * all permissions read it.
 */
const SOCKET_LIST = "/proc/net/unix";
/** The flag of a socket that listens. */
const LISTENING = "00010000";

/**
 * Whether a socket that was bound at `path` listens, if its file is there or not; `false` where
 * that cannot be read.
 */
async function isListed(path: string): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  try {
    const list = await Deno.readTextFile(SOCKET_LIST);
    return list.split("\n").some((line) =>
      line.endsWith(` ${path}`) && line.split(" ", 4)[3] === LISTENING
    );
  } catch {
    return false;
  }
}

function unixNet(
  tls: (Partial<ServerTlsOptions> & { credentials: CredentialSource }) | undefined,
): ClaimNet {
  return {
    listen: (path, mode) => listen({ path, mode, tls }),
    isListed,
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
