// TLS options as users write them, and credentials as the backends take them.

/**
 * Which implementation carries TLS: `"deno"` is `Deno.listenTls`/`Deno.connectTls`, `"node"` is `node:tls`
 * inside Deno, `"auto"` the one that has no 40 ms stalls, frees silent peers and does mutual TLS.
 */
export type TlsBackend = "auto" | "deno" | "node";

/** A TLS protocol version. Older ones are never spoken. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** A certificate chain and its private key, as PEM text or as files. */
export type TlsIdentity =
  | {
    /** Certificate chain, PEM, leaf first. */
    readonly cert: string;
    /** Private key, PEM (PKCS #8, PKCS #1 or SEC 1). */
    readonly key: string;
  }
  | {
    /** File of the certificate chain, PEM. */
    readonly certFile: string;
    /** File of the private key, PEM. */
    readonly keyFile: string;
    /** Loads the files again when they change, without a restart. @default {false} */
    readonly watch?: boolean | undefined;
  };

/** Options that both sides of a TLS connection can set. */
export interface TlsCommonOptions {
  /** Lowest version spoken. @default {"TLSv1.2"} */
  readonly minVersion?: TlsVersion | undefined;
  /** Highest version spoken. @default {"TLSv1.3"} */
  readonly maxVersion?: TlsVersion | undefined;
  /** Application protocols (ALPN), in order of preference. If set, a peer that shares none is refused. */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** Which implementation carries the sessions. @default {"auto"} */
  readonly backend?: TlsBackend | undefined;
}

/** TLS for a server: who we are, and whom we let in. */
export type ServerTlsOptions = TlsCommonOptions & TlsIdentity & {
  /** CA certificates, PEM: clients must show a certificate of one of them (mutual TLS). */
  readonly clientCa?: string | readonly string[] | undefined;
  /**
   * File of such CA certificates, PEM; watched as the identity is. Added to {@linkcode clientCa} when both
   * are given.
   */
  readonly clientCaFile?: string | undefined;
  /**
   * Accepts exactly these clients: the certificate itself, PEM, or its SHA-256 fingerprint, hex
   * with or without colons; several as an array. Its issuer and names do not matter, its dates do.
   * Excludes {@linkcode clientCa} and `clientCaFile`. The `"deno"` backend cannot ask for client
   * certificates.
   */
  readonly pin?: string | readonly string[] | undefined;
  /** Other identities by the server name that a client asks for (SNI); `*.example.com` matches one label. */
  readonly sni?: Readonly<Record<string, TlsIdentity>> | undefined;
};

/** TLS for a client: whom we trust, and who we are when asked. */
export type ClientTlsOptions = TlsCommonOptions & Partial<TlsIdentity> & {
  /**
   * CA certificates to trust, PEM; the system's when absent. With `backend: "deno"` they are trusted beside
   * the system's, which that platform cannot leave out; the other backends trust them alone.
   */
  readonly caCerts?: readonly string[] | undefined;
  /** File of CA certificates to trust, PEM. Added to {@linkcode caCerts} when both are given. */
  readonly caFile?: string | undefined;
  /** Name that the server's certificate must be for. @default {the hostname that is dialled} */
  readonly serverName?: string | undefined;
  /**
   * Trusts exactly this certificate: itself, PEM, or its SHA-256 fingerprint, hex with or without
   * colons; several as an array, for the time of a change. Its issuer and names do not matter, its
   * dates do: so a self-signed certificate without names will do. Excludes {@linkcode caCerts} and
   * `caFile`; `serverName` is then only the name that the server is asked for. The `"deno"` backend
   * refuses this option, because it does not report which certificate the server showed.
   */
  readonly pin?: string | readonly string[] | undefined;
};

/** Everything that a backend of a client needs, checked and with defaults. */
export interface ResolvedClientTls {
  /** CA certificates to trust, PEM; `undefined` for the system's. */
  readonly caCerts: readonly string[] | undefined;
  /**
   * SHA-256 fingerprints of the only certificates to trust, lower-case hex; absent where
   * authorities decide.
   */
  readonly pins?: ReadonlySet<string> | undefined;
  /** Our certificate chain, PEM, leaf first; absent when we show none. */
  readonly cert?: string | undefined;
  /** Private key of {@linkcode cert}, PEM (PKCS #8); present exactly when `cert` is. */
  readonly key?: string | undefined;
  /** Name that the server's certificate must be for; absent for the hostname that is dialled. */
  readonly serverName?: string | undefined;
  /** Lowest version spoken. */
  readonly minVersion: TlsVersion;
  /** Highest version spoken. */
  readonly maxVersion: TlsVersion;
  /** Application protocols (ALPN), in order of preference; empty for none. */
  readonly alpnProtocols: readonly string[];
  /** Which implementation carries the session. */
  readonly backend: TlsBackend;
}

/** PEM text of one identity, checked. */
export interface Credentials {
  /** Certificate chain, PEM, leaf first. */
  readonly cert: string;
  /** Private key, PEM. */
  readonly key: string;
}

/** Everything that a backend of a server needs, checked. */
export interface ServerCredentials extends Credentials {
  /** CA certificates of clients, PEM; empty when no client certificate is asked for. */
  readonly clientCa: readonly string[];
  /**
   * SHA-256 fingerprints of the only client certificates that are accepted, lower-case hex; absent
   * where authorities decide.
   */
  readonly pins?: ReadonlySet<string> | undefined;
  /** Other identities by server name. */
  readonly sni: ReadonlyMap<string, Credentials>;
}

/** Credentials that may change while a server runs. */
export interface CredentialSource {
  /** The current credentials. */
  readonly current: ServerCredentials;
  /** When the first of the current certificates expires; absent where that is not known. */
  readonly notAfter?: Date | undefined;
  /** Calls `listener` with each new set. Returns the function that ends that. */
  subscribe(listener: (next: ServerCredentials) => void): () => void;
  /** Stops watching files. Idempotent. */
  close(): void;
}
