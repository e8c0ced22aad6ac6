// Certificates for tests, made once per process: nothing is on disk, nothing outlives the run.
import {
  type CertificateAuthority,
  createCa,
  createCertificate,
  type Credentials,
  type CredentialSource,
} from "../../../tls/mod.ts";
import type { ResolvedClientTls, ServerCredentials } from "../../../tls/handshake/options.ts";

/** An authority with certificates for all that tests of transports do. */
export interface TestCerts {
  readonly ca: CertificateAuthority;
  /** For localhost, 127.0.0.1 and ::1. */
  readonly server: Credentials;
  readonly client: Credentials;
}

let made: Promise<TestCerts> | undefined;

/** The certificates of this process. */
export function testCerts(): Promise<TestCerts> {
  return made ??= (async () => {
    const ca = await createCa({ name: "Test CA" });
    return {
      ca,
      server: await createCertificate({ ca, hosts: ["localhost", "127.0.0.1", "::1"] }),
      client: await createCertificate({ ca, client: true, name: "agent-7" }),
    };
  })();
}

/** Credentials that tests can change, as a watcher of files would. */
export interface ChangeableSource extends CredentialSource {
  change(next: Partial<ServerCredentials>): void;
}

/** A source without files. */
export function sourceOf(
  credentials: Credentials,
  more: Partial<Pick<ServerCredentials, "clientCa" | "sni">> = {},
): ChangeableSource {
  const listeners = new Set<(next: ServerCredentials) => void>();
  let current: ServerCredentials = { ...credentials, clientCa: [], sni: new Map(), ...more };
  return {
    get current() {
      return current;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => listeners.clear(),
    change(next) {
      current = { ...current, ...next };
      for (const listener of listeners) listener(current);
    },
  };
}

/** Options of a client that trusts the test authority. */
export function clientTls(
  certs: TestCerts,
  more: Partial<ResolvedClientTls> = {},
): ResolvedClientTls {
  return {
    caCerts: [certs.ca.cert],
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    alpnProtocols: [],
    backend: "auto",
    ...more,
  };
}
