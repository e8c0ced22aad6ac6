// Makes certificates: an authority, and certificates of servers and clients that it signs.
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { Extension, JsonGeneralName, Name } from "@peculiar/x509";
import { TlsError } from "../errors.ts";
import type { ParsedCertificate } from "./certificate/certificate.ts";
import { checkIdentity } from "./check.ts";
import { equalBytes, toHex } from "./certificate/der.ts";
import { normalizeHost } from "./handshake/host.ts";
import type { Credentials } from "./handshake/options.ts";
import { formatPem, parsePem } from "./certificate/pem.ts";

const dayMs = 86_400_000;

/** Time in ms by which clocks of peers may be behind ours. */
const skewMs = 5 * 60_000;

const maxDays = 3650;

/** Kind of every key made here: fast, small, and supported by every TLS implementation. */
const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;

/** The longest common name (RFC 5280, appendix A.1: ub-common-name). */
const maxNameLength = 64;

/**
 * A certificate authority: what {@linkcode createCa} makes. An attacker with its key can pass for
 * any host among those that trust it.
 */
export interface CertificateAuthority {
  /** CA certificate, PEM: for all that should trust it. */
  readonly cert: string;
  /** Private key, PEM (PKCS #8): kept secret. */
  readonly key: string;
}

/** Options of {@linkcode createCa}. */
export interface CreateCaOptions {
  /** Common name, 1 to 64 characters. @default {"Parley CA"} */
  name?: string | undefined;
  /**
   * Days of validity, more than 0, at most 3650.
   *
   * @default {365} a year: it cannot be revoked, and a yearly change is one that people still know how to do
   */
  days?: number | undefined;
  /**
   * The moment from which days are counted; validity begins 5 minutes before it, for clocks that are slow.
   * @default {the current time}
   */
  now?: Date | undefined;
}

const CA_NAMES: OptionNames<CreateCaOptions> = {
  name: true,
  days: true,
  now: true,
};

/** Options of {@linkcode createCertificate}. */
export interface CreateCertificateOptions {
  /** The authority that signs: one of {@linkcode createCa}, or any with an EC or RSA key. */
  ca: CertificateAuthority;
  /**
   * DNS names (`*.example.com` for one label) and IP addresses of a server. Given, the certificate is for
   * servers.
   */
  hosts?: readonly string[] | undefined;
  /**
   * The certificate is for clients (as well, when there are hosts). @default {true without hosts, else
   * false}
   */
  client?: boolean | undefined;
  /**
   * Common name, 1 to 64 characters: what a server reads as a client's name. @default {the first host, or
   * "client"}
   */
  name?: string | undefined;
  /**
   * Days of validity, more than 0, at most 3650, and not beyond the authority's.
   *
   * @default {90} or what the authority has left: nothing here revokes, so time must
   */
  days?: number | undefined;
  /**
   * The moment from which days are counted; validity begins 5 minutes before it, for clocks that are slow.
   * @default {the present}
   */
  now?: Date | undefined;
}

const CERTIFICATE_NAMES: OptionNames<CreateCertificateOptions> = {
  ca: true,
  hosts: true,
  client: true,
  name: true,
  days: true,
  now: true,
};

/**
 * Makes a certificate authority with a new ECDSA P-256 key. It can sign certificates of servers and
 * clients, no other authorities.
 *
 * @throws {TypeError} or `RangeError` for a name or a number of days that cannot be
 *
 * @example
 * ```ts
 * import { createCa, createCertificate, describeCertificate } from "@parley/parley/tls";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const ca = await createCa({ name: "Example CA", days: 30 });
 * const server = await createCertificate({ ca, hosts: ["localhost", "127.0.0.1", "::1"] });
 * const client = await createCertificate({ ca, client: true, name: "agent-7" });
 * assertStringIncludes(describeCertificate(server.cert), "Issuer:     CN=Example CA");
 * assertStringIncludes(describeCertificate(client.cert), "Subject:    CN=agent-7");
 * ```
 */
export async function createCa(options: CreateCaOptions = {}): Promise<CertificateAuthority> {
  checkOptionNames("Cannot create an authority", options, CA_NAMES);
  const name = checkName(options.name ?? "Parley CA");
  const validity = makeValidity(options.days ?? 365, options.now ?? new Date());
  const x509 = await loadLibrary();
  const keys = await generateKeys();
  // It may sign no other authority.
  const pathLength = 0;
  const usage = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity,
    serialNumber: randomSerial(),
    subject: commonName(x509, name),
    issuer: commonName(x509, name),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [
      new x509.BasicConstraintsExtension(true, pathLength, true),
      new x509.KeyUsagesExtension(usage, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    cert: formatPem("CERTIFICATE", new Uint8Array(certificate.rawData)),
    key: await exportKey(keys.privateKey),
  };
}

/**
 * Makes a certificate with a new ECDSA P-256 key, signed by an authority. With `hosts` it is for servers,
 * with `client` for clients. The chain has the authority's certificate in it only when that was issued by
 * another.
 *
 * @throws {TypeError} or `RangeError` for options that cannot be, such as days beyond the authority's
 * @throws {TlsError} `ERR_CERT_EXPIRED` when the authority's time is over, `ERR_CERT_KEY_MISMATCH` when its
 * key is another's, `ERR_CERT_UNTRUSTED` when it is no authority
 *
 * @example
 * ```ts
 * import { checkHost, createCa, createCertificate, readCertificates } from "@parley/parley/tls";
 * import { assertEquals } from "@std/assert";
 *
 * const ca = await createCa();
 * const { cert } = await createCertificate({ ca, hosts: ["localhost", "::1"] });
 * const [certificate] = readCertificates(cert);
 * assertEquals(certificate?.subjectAltNames, ["DNS:localhost", "IP Address:::1"]);
 * assertEquals(certificate?.extendedKeyUsage, ["server"]);
 * ```
 */
export async function createCertificate(options: CreateCertificateOptions): Promise<Credentials> {
  checkOptionNames("Cannot create a certificate", options, CERTIFICATE_NAMES);
  const { ca, hosts = [], now = new Date() } = options;
  const client = options.client ?? hosts.length === 0;
  if (hosts.length === 0 && !client) {
    throw new TypeError(
      `Cannot create a certificate: it must be for "hosts", for a "client", or both, it is for neither`,
    );
  }
  const names = hosts.map(toGeneralName);
  const name = checkName(options.name ?? defaultName(hosts));
  const issuer = await openAuthority(ca, now);
  const validity = fitValidity(options.days, now, issuer.certificate);
  const x509 = await loadLibrary();
  const keys = await generateKeys();
  const purposes = [
    ...(hosts.length > 0 ? [x509.ExtendedKeyUsage.serverAuth] : []),
    ...(client ? [x509.ExtendedKeyUsage.clientAuth] : []),
  ];
  const extensions: Extension[] = [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(purposes),
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    await identifyIssuer(x509, issuer.certificate),
  ];
  if (names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(names));
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity,
    serialNumber: randomSerial(),
    subject: commonName(x509, name),
    // The same bytes, because some verifiers compare them, whatever the types of the strings inside.
    issuer: new x509.Name(issuer.certificate.subjectDer.slice()),
    publicKey: keys.publicKey,
    signingKey: issuer.key,
    signingAlgorithm: issuer.algorithm,
    extensions,
  });
  const leaf = formatPem("CERTIFICATE", new Uint8Array(certificate.rawData));
  return { cert: leaf + issuer.chain, key: await exportKey(keys.privateKey) };
}

type Library = typeof import("@peculiar/x509");

/** Loads the library at first use only: that takes 70 ms, and most programs never make a certificate. */
async function loadLibrary(): Promise<Library> {
  await import("reflect-metadata");
  return await import("@peculiar/x509");
}

/** An authority that can sign. */
interface OpenAuthority {
  readonly certificate: ParsedCertificate;
  readonly key: CryptoKey;
  readonly algorithm: { readonly name: string; readonly hash: string };
  /** Certificates that follow those that it signs, PEM; empty for a root. */
  readonly chain: string;
}

const signingAlgorithms: Readonly<
  Record<string, { name: string; hash: string; namedCurve?: string | undefined }>
> = {
  "EC P-256": { name: "ECDSA", hash: "SHA-256", namedCurve: "P-256" },
  "EC P-384": { name: "ECDSA", hash: "SHA-384", namedCurve: "P-384" },
  "RSA": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
};

async function openAuthority(ca: CertificateAuthority, now: Date): Promise<OpenAuthority> {
  if (typeof ca?.cert !== "string" || typeof ca.key !== "string") {
    throw new TypeError(`Cannot create a certificate: "ca" must have "cert" and "key" as PEM text`);
  }
  const text = { cert: ca.cert, key: ca.key, certName: `"ca.cert"`, keyName: `"ca.key"` };
  const { leaf, cert, key } = await checkIdentity(text, { role: "authority", now: now.getTime() });
  if (!leaf.isCa) {
    throw new TlsError(
      "ERR_CERT_UNTRUSTED",
      `Cannot create a certificate: "ca" must be an authority: "${leaf.subject}" may not issue certificates`,
    );
  }
  const algorithm = signingAlgorithms[leaf.keyType.replace(/^RSA \d+$/, "RSA")];
  if (algorithm === undefined) {
    throw new TypeError(
      `Cannot create a certificate: the key of "ca" must be EC P-256, EC P-384 or RSA, it is ${leaf.keyType}`,
    );
  }
  const [der] = parsePem(key, `"ca.key"`).map((block) => block.der.slice());
  const root = equalBytes(leaf.subjectDer, leaf.issuerDer);
  return {
    certificate: leaf,
    key: await crypto.subtle.importKey("pkcs8", der ?? new Uint8Array(), algorithm, false, [
      "sign",
    ]),
    algorithm,
    chain: root ? "" : cert,
  };
}

/** The authority's key as it calls it itself, else as other programs would. */
async function identifyIssuer(x509: Library, issuer: ParsedCertificate): Promise<Extension> {
  const certificate = new x509.X509Certificate(issuer.der.slice());
  const own = certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  return own === undefined
    ? await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey)
    : new x509.AuthorityKeyIdentifierExtension(own);
}

function checkName(name: string): string {
  // deno-lint-ignore no-control-regex -- finding them is the purpose
  const controls = /[\u0000-\u001f\u007f]/;
  if (
    typeof name === "string" && name !== "" && name.length <= maxNameLength && !controls.test(name)
  ) {
    return name;
  }
  throw new TypeError(
    `Cannot create a certificate: "name" must be 1 to ${maxNameLength} characters, none of them a control character: ` +
      `current value is ${JSON.stringify(name)}`,
  );
}

function commonName(x509: Library, name: string): Name {
  // As an object: a plain string may begin with "#" only when hex follows.
  return new x509.Name([{ CN: [{ utf8String: name }] }]);
}

function defaultName([first]: readonly string[]): string {
  if (first === undefined) return "client";
  return first.length <= maxNameLength ? first : "server";
}

function toGeneralName(host: string): JsonGeneralName {
  const wildcard = typeof host === "string" && host.startsWith("*.");
  const found = typeof host === "string"
    ? normalizeHost(wildcard ? host.slice(2) : host)
    : undefined;
  if (found === undefined || (wildcard && found.isIp)) {
    throw new TypeError(
      `Cannot create a certificate: each of "hosts" must be a DNS name or an IP address, current value is ${
        JSON.stringify(host)
      }`,
    );
  }
  if (found.isIp) return { type: "ip", value: found.host };
  return { type: "dns", value: wildcard ? `*.${found.host}` : found.host };
}

interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

function makeValidity(days: number, now: Date): Validity {
  if (!(days > 0 && days <= maxDays)) {
    throw new RangeError(
      `Cannot create a certificate: "days" must be more than 0 and at most ${maxDays}, current value is ${days}`,
    );
  }
  const start = now.getTime();
  if (Number.isNaN(start)) {
    throw new RangeError(`Cannot create a certificate: "now" is no moment in time`);
  }
  return { notBefore: wholeSeconds(start - skewMs), notAfter: wholeSeconds(start + days * dayMs) };
}

/**
 * Returns the validity of a certificate. A certificate that outlives its authority would fail
 * before its own end, so a default is cut to that of the authority, and so is a given time that
 * exceeds it by less than a day.
 */
function fitValidity(days: number | undefined, now: Date, issuer: ParsedCertificate): Validity {
  const { notBefore, notAfter } = makeValidity(days ?? 90, now);
  const beyondMs = notAfter.getTime() - issuer.notAfter.getTime();
  if (beyondMs <= 0) return { notBefore, notAfter };
  if (days === undefined || beyondMs < dayMs) return { notBefore, notAfter: issuer.notAfter };
  const left = Math.floor((issuer.notAfter.getTime() - now.getTime()) / dayMs);
  throw new RangeError(
    `Cannot create a certificate for ${days} days: its authority has ${left} days left`,
  );
}

/** Rounds to seconds, the unit of certificates. */
function wholeSeconds(time: number): Date {
  return new Date(Math.floor(time / 1000) * 1000);
}

/**
 * Makes a serial number: 126 random bits in 16 bytes, positive by RFC 5280 (section 4.1.2.2), and
 * never shorter.
 */
function randomSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return toHex(bytes);
}

function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
}

async function exportKey(key: CryptoKey): Promise<string> {
  return formatPem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", key)));
}
