/**
 * Certificates for TLS: loads and checks them before anything listens, reloads them while servers
 * run, makes them for tests and private networks, and describes them. For most uses call
 * {@linkcode createCa} and {@linkcode createCertificate} once, and pass the results, or the paths
 * of their files, in the option `tls` of `serve` and `connect`. Call {@linkcode loadTls} for
 * credentials that several servers share.
 *
 * @example An authority, a server's certificate, and both ends' options
 * ```ts
 * import { createCa, createCertificate, loadTls } from "@parley/parley/tls";
 *
 * const ca = await createCa({ name: "Example CA" });
 * const forServer = await createCertificate({ ca, hosts: ["localhost"] });
 * const forClient = await createCertificate({ ca, client: true, name: "agent-7" });
 *
 * using serverTls = await loadTls({ ...forServer, clientCa: ca.cert }); // serve({ tls: serverTls }, handler)
 * const clientTls = { caCerts: [ca.cert], ...forClient }; // connect({ tls: clientTls })
 * ```
 *
 * @module
 */
export { type CertificateAuthority, createCa, type CreateCaOptions } from "./create.ts";
export { createCertificate, type CreateCertificateOptions } from "./create.ts";
export {
  type CertificateSummary,
  daysLeft,
  describeCertificate,
  type DescribeCertificateOptions,
  peerCertificate,
  readCertificates,
} from "./handshake/describe.ts";
export {
  fetchCertificates,
  type FetchCertificatesOptions,
  type FetchedCertificates,
} from "./fetch.ts";
export { checkHost } from "./handshake/host.ts";
export {
  type CertificateReport,
  type CertificateVerdict,
  inspectCertificate,
  type InspectCertificateOptions,
} from "./inspect.ts";
export { LoadedTls, loadTls, type LoadTlsOptions, type ReloadOptions } from "./load.ts";
export type {
  ClientTlsOptions,
  Credentials,
  CredentialSource,
  ServerCredentials,
  ServerTlsOptions,
  TlsBackend,
  TlsCommonOptions,
  TlsIdentity,
  TlsVersion,
} from "./handshake/options.ts";
export type { WatchClock } from "./watch.ts";
export { writeIdentity, type WriteIdentityOptions } from "./write.ts";
export type { PeerCertificate } from "../net/transport/transport.ts";
