// TLS by node:tls: no stalls of small writes, descriptors freed at once, mutual TLS, versions,
// server names, unix sockets.
import { DeadlineSignal, unlessAborted } from "../../async/deadline.ts";
import type { Buffer } from "node:buffer";
import { setImmediate } from "node:timers";
import tls from "node:tls";
import { TimeoutError, TlsError } from "../../errors.ts";
import { peerCertificate } from "../../tls/handshake/describe.ts";
import { diagnoseCertificate } from "../../tls/handshake/diagnose.ts";
import { checkHost, matchesName } from "../../tls/handshake/host.ts";
import { checkPin } from "../../tls/handshake/pin.ts";
import type {
  Credentials,
  ResolvedClientTls,
  ServerCredentials,
  TlsVersion,
} from "../../tls/handshake/options.ts";
import { alpnMismatch, handshakeFault, HangUp } from "../transport/faults.ts";
import { connectNode } from "./node_dial.ts";
import { type NodeLink, nothing } from "./node_link.ts";
import { NodeTransport } from "./node_transport.ts";
import { ProvenCertificates } from "./proven.ts";
import type { DialOptions, TcpTarget } from "../socket/tcp.ts";
import { nameOptions, peekTls } from "./tls_peek.ts";
import { refuseByAlert } from "./tls_refusal.ts";
import type { PeerCertificate, TlsInfo, Transport } from "../transport/transport.ts";

/**
 * Turns node's own handshake timer off, whose two minutes outlive the connection. The caller sets
 * the deadline.
 */
const NO_TIMER = -1;

/** Time for a look at a certificate that was refused: the caller waits for it, only to learn why. */
const PEEK_MS = 1000;

const NO_PINS: ReadonlySet<string> = new Set();

/** What a server on this backend offers. */
export interface NodeServerTls {
  /** Lowest version spoken. */
  readonly minVersion: TlsVersion;
  /** Highest version spoken. */
  readonly maxVersion: TlsVersion;
  /**
   * Application protocols, in order of preference. If there are any, a client that shares none is
   * refused.
   */
  readonly alpnProtocols: readonly string[];
}

/**
 * Dials with node:tls, over TCP or a unix socket. The name of a server behind a path is `localhost`
 * unless set otherwise.
 */
export async function dialTlsNode(
  target: TcpTarget | { readonly path: string },
  client: ResolvedClientTls,
  options: DialOptions,
): Promise<Transport> {
  const hostname = client.serverName ?? ("path" in target ? "localhost" : target.hostname);
  const link = await connectNode(target, options);
  options.onStage?.("secure");
  try {
    return await beginClient(link, client, { hostname, signal: options.signal });
  } catch (error) {
    const isRefusal = error instanceof TlsError && error.code === "ERR_CERT_UNTRUSTED";
    // A pinned certificate was compared here, so the reason is known.
    if (!isRefusal || client.pins !== undefined) throw error;
    // The platform says the same of all certificates that it refuses: a look at this one shows why.
    const certificate = await peekBriefly(target, hostname, options);
    // The refusal is certain: a deadline that passes meanwhile does not change it.
    const { aborted, reason } = options.signal;
    if (aborted && !(reason instanceof TimeoutError)) throw reason;
    if (certificate === undefined) throw error;
    const diagnosis = diagnoseCertificate(certificate, { hostname, cause: error.cause });
    // The platform found that the issuer is unknown, and did not look at the host yet.
    throw diagnosis.code === "ERR_CERT_WRONG_HOST"
      ? diagnoseCertificate(certificate, { cause: error.cause })
      : diagnosis;
  }
}

/**
 * Fetches the certificate of a server over a connection of its own; `undefined` when the server
 * does not show it soon.
 */
async function peekBriefly(
  target: TcpTarget | { readonly path: string },
  hostname: string,
  options: DialOptions,
): Promise<PeerCertificate | undefined> {
  using deadline = new DeadlineSignal({ signal: options.signal, timeoutMs: PEEK_MS });
  try {
    return (await peekTls(target, hostname, { ...options, signal: deadline.signal })).chain[0];
  } catch {
    return undefined;
  }
}

/** Callbacks for the end of a handshake. */
interface Handshake {
  finish(session: tls.TLSSocket): void;
  fail(cause: Error): void;
}

/** The TLS of a server with one set of credentials. */
export class ServerTls {
  /** It never listens, but gets sockets: so the platform's own checks of clients apply. */
  readonly #server: tls.Server;
  readonly #handshakes = new WeakMap<object, Handshake>();
  readonly #mutual: boolean;
  /** Fingerprints of the only client certificates that are accepted; empty where authorities decide. */
  readonly #pins: ReadonlySet<string>;
  readonly #alpnProtocols: readonly string[];
  /** Fingerprints of client certificates that were checked in full. */
  readonly #proven: ProvenCertificates;
  readonly #credentials: ServerCredentials;
  readonly #offer: NodeServerTls;

  /** Checks and takes the credentials. `proven` were checked by the same authorities or pins. */
  constructor(
    credentials: ServerCredentials,
    offer: NodeServerTls,
    proven: ProvenCertificates = new ProvenCertificates(),
  ) {
    const { minVersion, maxVersion, alpnProtocols } = offer;
    this.#credentials = credentials;
    this.#offer = offer;
    this.#proven = proven;
    const { cert, key, clientCa, pins = NO_PINS, sni } = credentials;
    const common = { minVersion, maxVersion, ...clientCa.length > 0 && { ca: [...clientCa] } };
    this.#mutual = clientCa.length > 0 || pins.size > 0;
    this.#pins = pins;
    this.#alpnProtocols = alpnProtocols;
    this.#server = tls.createServer({
      ...common,
      cert,
      key,
      requestCert: this.#mutual,
      rejectUnauthorized: true,
      handshakeTimeout: NO_TIMER,
      ...sni.size > 0 && { SNICallback: chooseByName(sni, common) },
      ...alpnProtocols.length > 0 && { ALPNProtocols: [...alpnProtocols] },
    });
    // The platform refuses a client without a certificate by an alert, and ends one whose
    // certificate it does not trust without a word. With neither true nor false here it still wants
    // a certificate, checks it, and leaves the end to #establish.
    if (this.#mutual) {
      (this.#server as unknown as { rejectUnauthorized: unknown }).rejectUnauthorized = null;
    }
    this.#server.on(
      "secureConnection",
      (session) => this.#handshakes.get(socketOf(session))?.finish(session),
    );
    this.#server.on(
      "tlsClientError",
      (cause, session) => this.#handshakes.get(socketOf(session))?.fail(cause),
    );
  }

  /**
   * Returns the TLS of the same server with other credentials. Clients keep their sessions where the
   * same authorities and pins decide on them: a new certificate of the server is no reason to refuse
   * them.
   */
  renew(credentials: ServerCredentials): ServerTls {
    const isSame = admitsTheSame(this.#credentials, credentials);
    return new ServerTls(credentials, this.#offer, isSame ? this.#proven : undefined);
  }

  /** Finishes the handshake of a client. When it fails or is aborted, the descriptor is free. */
  async open(link: NodeLink, { signal }: { signal: AbortSignal }): Promise<Transport> {
    const left = () => new HangUp("the client left");
    return await settle(link, { signal, left }, (finish, fail) => {
      this.#handshakes.set(link.socket, {
        finish: (session) => finish(session, () => this.#establish(link, session)),
        fail: (cause) => fail(handshakeFault(isReset(cause) ? left() : cause)),
      });
      this.#server.emit("connection", link.socket);
      link.watch();
    }).finally(() => this.#handshakes.delete(link.socket));
  }

  #establish(link: NodeLink, session: tls.TLSSocket): Transport {
    const alpnProtocols = this.#alpnProtocols;
    if (!this.#mutual) return establish(link, session, { alpnProtocols, certificate: null });
    const certificate = certificateOf(session);
    if (certificate === null) {
      throw new TlsError(
        "ERR_TLS_HANDSHAKE",
        "Cannot finish the TLS handshake: the client sent no certificate",
      );
    }
    if (this.#pins.size > 0) checkPin(certificate, this.#pins);
    else if (session.authorized !== true) throw untrusted(certificate, session.authorizationError);
    this.#checkProof(certificate, session.isSessionReused());
    return establish(link, session, { alpnProtocols, certificate });
  }

  /**
   * A resumed session skips the check of the client's certificate, and Deno resumes sessions of any
   * listener of the process, even of one that trusts other authorities. So a resumed session counts
   * only for a certificate that these credentials have accepted before.
   */
  #checkProof(certificate: PeerCertificate, resumed: boolean): void {
    const { fingerprint256, notAfter } = certificate;
    if (resumed && (!this.#proven.has(fingerprint256) || notAfter.getTime() < Date.now())) {
      throw new TlsError(
        "ERR_TLS_HANDSHAKE",
        "Cannot finish the TLS handshake: a resumed session proves nothing about this certificate",
      );
    }
    this.#proven.add(fingerprint256);
  }
}

/** Whether the same client certificates are accepted: by the same authorities, in order, and pins. */
function admitsTheSame(before: ServerCredentials, next: ServerCredentials): boolean {
  const { clientCa, pins = NO_PINS } = before;
  const { clientCa: nextCa, pins: nextPins = NO_PINS } = next;
  return clientCa.length === nextCa.length && clientCa.every((ca, at) => ca === nextCa[at]) &&
    pins.size === nextPins.size && pins.isSubsetOf(nextPins);
}

/**
 * Chooses a certificate by the name that a client asks for; the main certificate when there is none
 * for that name.
 */
function chooseByName(
  sni: ReadonlyMap<string, Credentials>,
  common: tls.SecureContextOptions,
): (name: string, done: (error: Error | null, context?: tls.SecureContext) => void) => void {
  // Made once: each costs a check of certificate and key.
  const contexts = [...sni].map(([pattern, { cert, key }]) => ({
    pattern: pattern.toLowerCase(),
    context: tls.createSecureContext({ ...common, cert, key }),
  }));
  const exact = new Map(contexts.map(({ pattern, context }) => [pattern, context]));
  return (name, done) => {
    const wanted = name.toLowerCase();
    const found = exact.get(wanted) ??
      contexts.find(({ pattern }) => matchesName(pattern, wanted))?.context;
    done(null, found);
  };
}

/**
 * Returns the socket under a session. The property is not public, but has been the same in node for
 * many years.
 */
function socketOf(session: tls.TLSSocket): object {
  return (session as unknown as { _parent?: object | undefined })._parent ?? session;
}

async function beginClient(
  link: NodeLink,
  client: ResolvedClientTls,
  { hostname, signal }: { hostname: string; signal: AbortSignal },
): Promise<Transport> {
  const { caCerts, pins, cert, key, minVersion, maxVersion, alpnProtocols } = client;
  let certificate: PeerCertificate | null = null;
  const left = () =>
    new HangUp(
      link.socket.bytesRead > 0
        ? "the server closed the connection"
        : "the server closed the connection without a byte: if it does not speak TLS, leave out `tls`",
    );
  return await settle(
    link,
    { signal, left },
    (finish, fail) => {
      const session = tls.connect({
        socket: link.socket,
        ...nameOptions(hostname),
        minVersion,
        maxVersion,
        // Which certificate it must be is checked below, names aside; that the server has its key
        // is checked by the platform all the same.
        rejectUnauthorized: pins === undefined,
        ...caCerts !== undefined && { ca: [...caCerts] },
        ...cert !== undefined && { cert, key },
        ...alpnProtocols.length > 0 && { ALPNProtocols: [...alpnProtocols] },
        // Read from the DER bytes: the one-line form that node's own check reads can be forged in Deno.
        checkServerIdentity(_name, { raw }) {
          try {
            certificate = peerCertificate(raw);
            checkHost(certificate, hostname);
            return undefined;
          } catch (error) {
            return error instanceof Error ? error : new Error(String(error));
          }
        },
      });
      session.once(
        "secureConnect",
        () =>
          finish(session, () => {
            if (pins !== undefined) certificate = checkPin(certificateOf(session), pins);
            return establish(link, session, { alpnProtocols, certificate });
          }),
      );
      session.on("error", (cause: Error) => {
        if (cause instanceof TlsError) return fail(cause);
        fail(
          handshakeFault(isReset(cause) && link.socket.bytesRead === 0 ? left() : cause, hostname),
        );
      });
      link.watch();
    },
  );
}

/**
 * Runs a handshake to its end: returns the transport of `finish`, or throws the error of `fail` or
 * the reason of an abort.
 */
async function settle(
  link: NodeLink,
  { signal, left }: { signal: AbortSignal; left: () => Error },
  begin: (
    finish: (session: tls.TLSSocket, make: () => Transport) => void,
    fail: (error: TlsError) => void,
  ) => void,
): Promise<Transport> {
  const { promise, resolve, reject } = Promise.withResolvers<Transport>();
  let isRefused = false;
  const onClose = () => {
    // A refused peer leaves; the reason of the refusal is known.
    if (!isRefused) reject(handshakeFault(left()));
  };
  // The platform does not notice that the peer has left. Its error for the last bytes, such as an
  // alert, comes first.
  link.onEnd = () => setImmediate(onClose);
  link.socket.once("close", onClose);
  try {
    signal.throwIfAborted();
    // The transport is made at once, because bytes may be on their way.
    begin((session, make) => {
      try {
        resolve(make());
      } catch (error) {
        isRefused = true;
        void refuseByAlert(link, session, signal).then(() => reject(error));
      }
    }, (error) => {
      if (!isRefused) reject(error);
    });
    return await unlessAborted(promise, signal);
  } catch (error) {
    link.destroy();
    throw error;
  } finally {
    link.socket.removeListener("close", onClose);
    link.onEnd = nothing;
  }
}

/** Makes the error of a refused client certificate from the platform's reason. */
function untrusted(certificate: PeerCertificate, reason: unknown): TlsError {
  const cause = reason instanceof Error ? reason : new Error(String(reason ?? "no reason given"));
  return diagnoseCertificate(certificate, { cause });
}

function establish(
  link: NodeLink,
  session: tls.TLSSocket,
  { alpnProtocols, certificate }: {
    alpnProtocols: readonly string[];
    certificate: PeerCertificate | null;
  },
): Transport {
  const alpnProtocol = session.alpnProtocol || null;
  if (alpnProtocols.length > 0 && alpnProtocol === null) throw alpnMismatch(alpnProtocols);
  const info: TlsInfo = {
    backend: "node",
    protocol: session.getProtocol(),
    alpnProtocol,
    peerCertificate: certificate,
  };
  return new NodeTransport(link, { session, info });
}

/** What node says both when the client left and when it refused the client's certificate. */
function isReset(cause: Error): boolean {
  return "code" in cause && cause.code === "ECONNRESET";
}

function certificateOf(session: tls.TLSSocket): PeerCertificate | null {
  const raw: Buffer | undefined = session.getPeerCertificate()?.raw;
  return raw === undefined ? null : peerCertificate(raw);
}
