// Checks an identity before it is used: readable, in order, currently valid, for its purpose, with
// key and certificate that match.
import type { KeyObject, X509Certificate } from "node:crypto";
import { TlsError } from "../errors.ts";
import { parseCertificate, type ParsedCertificate } from "./certificate/certificate.ts";
import { equalBytes } from "./certificate/der.ts";
import type { CertificateEnd } from "./expiry.ts";
import type { Credentials } from "./handshake/options.ts";
import { formatPem, parsePem, type PemBlock } from "./certificate/pem.ts";

/** The smallest RSA key that every TLS backend takes. */
const minRsaBits = 2048;

const curves = ["prime256v1", "secp384r1", "secp521r1"];

const keyForms: Readonly<Record<string, "pkcs8" | "pkcs1" | "sec1">> = {
  "PRIVATE KEY": "pkcs8",
  "RSA PRIVATE KEY": "pkcs1",
  "EC PRIVATE KEY": "sec1",
};

/** PEM text of an identity, not yet checked. */
export interface IdentityText {
  /** Certificate chain, PEM. */
  readonly cert: string;
  /** Private key, PEM. */
  readonly key: string;
  /** Name of the chain in messages, such as `"certFile"` in quotes. */
  readonly certName: string;
  /** Name of the key in messages. */
  readonly keyName: string;
}

/** Where and when an identity will be used. */
export interface IdentityUse {
  /** The side of the connection that shows it, or `authority` for an identity that signs others. */
  readonly role: "server" | "client" | "authority";
  /** Current time, in milliseconds since 1970. */
  readonly now: number;
}

/** An identity that passed the checks. */
export interface CheckedIdentity extends Credentials {
  /** The first certificate. */
  readonly leaf: ParsedCertificate;
  /** The certificate that ends first of those whose time peers look at. */
  readonly end: CertificateEnd;
}

/**
 * Checks an identity and brings it into the form that every backend takes: certificates alone, key as PKCS
 * #8.
 *
 * @throws {TypeError} when a text is not what it must be
 * @throws {TlsError} `ERR_CERT_EXPIRED`, `ERR_CERT_KEY_MISMATCH` or `ERR_CERT_UNTRUSTED` (peers would not
 * trust the chain)
 */
export async function checkIdentity(
  text: IdentityText,
  use: IdentityUse,
): Promise<CheckedIdentity> {
  // Imported only here: programs without TLS start 15 ms sooner.
  const crypto = await import("node:crypto");
  const blocks = readCertificateBlocks(text.cert, text.certName);
  const chain = blocks.map(({ der }, i) => parseOne(der, i, blocks.length, text.certName));
  const leaf = chain[0];
  if (leaf === undefined) throw new TypeError(`Cannot use ${text.certName}: it is empty`);
  const key = readKey(crypto, text);
  const certificates = blocks.map(({ der }) =>
    new crypto.X509Certificate(formatPem("CERTIFICATE", der))
  );
  checkKeyPair(certificates, key, text);
  checkChain(chain, certificates, text.certName);
  checkValidity(chain, use.now, text.certName);
  if (use.role !== "authority") checkPurpose(leaf, use.role, text.certName);
  return {
    cert: blocks.map(({ der }) => formatPem("CERTIFICATE", der)).join(""),
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
    leaf,
    end: chain.filter((certificate, i) => i === 0 || !isRoot(certificate))
      .reduce((a, b) => b.notAfter < a.notAfter ? b : a),
  };
}

/**
 * Reads a private key that every backend takes.
 *
 * @throws {TypeError} when the text is not one such key without a passphrase
 */
export function readKey(
  { createPrivateKey }: Pick<typeof import("node:crypto"), "createPrivateKey">,
  text: Pick<IdentityText, "key" | "keyName">,
): KeyObject {
  const block = readKeyBlock(text);
  return importKey(() => createPrivateKey(keyInput(block)), text.keyName);
}

/**
 * Checks CA certificates and returns each as a PEM text of its own.
 *
 * @param name Name of `text` in messages, such as `"caFile"` in quotes.
 * @throws {TypeError} when there is none, or one cannot be read
 * @throws {TlsError} `ERR_CERT_EXPIRED` when none of them is valid any more; bundles often hold some that
 * are not
 */
export function checkAuthorities(text: string, name: string, now: number): string[] {
  const blocks = readCertificateBlocks(text, name);
  const authorities = blocks.map(({ der }, i) => parseOne(der, i, blocks.length, name));
  const last = authorities.reduce((a, b) => a.notAfter > b.notAfter ? a : b);
  if (last.notAfter.getTime() < now) {
    throw new TlsError(
      "ERR_CERT_EXPIRED",
      `${expired(last, name, "the last CA certificate")} (${at(now)})`,
    );
  }
  return blocks.map(({ der }) => formatPem("CERTIFICATE", der));
}

function readCertificateBlocks(text: string, name: string): PemBlock[] {
  const blocks = parsePem(text, name);
  const certificates = blocks.filter(({ label }) => label === "CERTIFICATE");
  if (certificates.length > 0) return certificates;
  const held = blocks[0] === undefined ? "no PEM block" : `a "${blocks[0].label}" block`;
  throw new TypeError(
    `Cannot use ${name}: it must hold a "CERTIFICATE" block in PEM, it holds ${held}`,
  );
}

function parseOne(der: Uint8Array, index: number, count: number, name: string): ParsedCertificate {
  try {
    return parseCertificate(der);
  } catch (cause) {
    const which = count === 1 ? "its certificate" : `certificate ${index + 1} of ${count}`;
    throw new TypeError(`Cannot use ${name}: ${which} is broken`, { cause });
  }
}

function readKeyBlock(text: Pick<IdentityText, "key" | "keyName">): PemBlock {
  const name = text.keyName;
  const blocks = parsePem(text.key, name);
  const keys = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const [key, second] = keys;
  if (key === undefined) {
    const held = blocks[0] === undefined ? "no PEM block" : `a "${blocks[0].label}" block`;
    throw new TypeError(`Cannot use ${name}: it must hold a private key in PEM, it holds ${held}`);
  }
  if (second !== undefined) {
    throw new TypeError(
      `Cannot use ${name}: it must hold one private key, it holds ${keys.length}`,
    );
  }
  if (key.encrypted) {
    throw new TypeError(
      `Cannot use ${name} as it is locked with a passphrase: unlock it with "openssl pkey" first`,
    );
  }
  if (keyForms[key.label] === undefined) {
    throw new TypeError(
      `Cannot use ${name}: keys must be PKCS #8, PKCS #1 or SEC 1, it is a "${key.label}"`,
    );
  }
  return key;
}

function keyInput(block: PemBlock) {
  return {
    key: block.der as unknown as Buffer,
    format: "der" as const,
    type: keyForms[block.label],
  };
}

/** Makes the key, and refuses kinds that some backend does not know. */
function importKey(make: () => KeyObject, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = make();
  } catch (cause) {
    throw new TypeError(`Cannot use ${name}: its private key is broken`, { cause });
  }
  const { namedCurve = "", modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const type = key.asymmetricKeyType;
  if (type === "ed25519") return key;
  if (type === "ec" && curves.includes(namedCurve)) return key;
  if (type === "rsa" && modulusLength >= minRsaBits) return key;
  const detail = type === "rsa"
    ? ` of ${modulusLength} bits`
    : type === "ec"
    ? ` on "${namedCurve}"`
    : "";
  throw new TypeError(
    `Cannot use ${name}: it must be EC (P-256, P-384, P-521), Ed25519 or RSA of ${minRsaBits} bits or more: ` +
      `it is "${type}"${detail}`,
  );
}

function checkKeyPair(
  certificates: readonly X509Certificate[],
  key: KeyObject,
  text: IdentityText,
): void {
  const owner = certificates.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (owner === 0) return;
  const hint = owner < 0
    ? "none of its certificates is for that key"
    : `the key is for certificate ${owner + 1}, and the server's or client's own must come first`;
  throw new TlsError(
    "ERR_CERT_KEY_MISMATCH",
    `Cannot use ${text.certName} with ${text.keyName}: ${hint}`,
  );
}

/** Checks that each certificate was issued by the next one: else peers have to guess the path. */
function checkChain(
  chain: readonly ParsedCertificate[],
  certificates: readonly X509Certificate[],
  name: string,
): void {
  for (let i = 0; i + 1 < chain.length; i++) {
    const [child, parent, signed, signer] = [
      chain[i],
      chain[i + 1],
      certificates[i],
      certificates[i + 1],
    ];
    if (
      child === undefined || parent === undefined || signed === undefined || signer === undefined
    ) return;
    if (equalBytes(child.issuerDer, parent.subjectDer) && verifies(signed, signer)) continue;
    throw new TlsError(
      "ERR_CERT_UNTRUSTED",
      `Cannot use ${name}: its certificates must be in order, each issued by the next: ` +
        `certificate ${i + 1} ("${child.subject}") was issued by "${child.issuer}", ` +
        `certificate ${i + 2} is "${parent.subject}"`,
    );
  }
}

function verifies(signed: X509Certificate, signer: X509Certificate): boolean {
  try {
    return signed.verify(signer.publicKey);
  } catch {
    // The platform cannot check this kind of signature (P-521). The names agree, and peers check
    // for themselves.
    return true;
  }
}

function checkValidity(chain: readonly ParsedCertificate[], now: number, name: string): void {
  for (const [i, certificate] of chain.entries()) {
    // A root at the end is trusted, or not, whatever it says of its time.
    if (i > 0 && isRoot(certificate)) continue;
    const which = i === 0 ? "the certificate" : `certificate ${i + 1}`;
    if (certificate.notAfter.getTime() < now) {
      throw new TlsError("ERR_CERT_EXPIRED", `${expired(certificate, name, which)} (${at(now)})`);
    }
    if (certificate.notBefore.getTime() > now) {
      throw new TlsError(
        "ERR_CERT_EXPIRED",
        `Cannot use ${name}: ${which} "${certificate.subject}" is not yet valid: ` +
          `its time is ${formatSpan(certificate)} (${at(now)})`,
      );
    }
  }
}

function isRoot({ subjectDer, issuerDer }: ParsedCertificate): boolean {
  return equalBytes(subjectDer, issuerDer);
}

/** Returns the authority that expires last: after that none is trusted. */
export function lastEnd(authorities: readonly string[]): CertificateEnd {
  const parsed = authorities.flatMap((text) => readCertificateBlocks(text, "the authorities"))
    .map(({ der }) => parseCertificate(der));
  return parsed.reduce((a, b) => a.notAfter > b.notAfter ? a : b);
}

function expired(certificate: ParsedCertificate, name: string, which: string): string {
  return `Cannot use ${name}: ${which} "${certificate.subject}" has expired: its time was ${
    formatSpan(certificate)
  }`;
}

function checkPurpose(leaf: ParsedCertificate, role: "server" | "client", name: string): void {
  const uses = leaf.extendedKeyUsage;
  if (uses === undefined || uses.includes("any") || uses.includes(role)) return;
  throw new TlsError(
    "ERR_CERT_UNTRUSTED",
    `Cannot use ${name} for a ${role}: the certificate "${leaf.subject}" is for another purpose: ` +
      `its extended key usage is "${uses.join(", ")}"`,
  );
}

function formatSpan(certificate: ParsedCertificate): string {
  return `${formatTime(certificate.notBefore)} to ${formatTime(certificate.notAfter)}`;
}

function at(now: number): string {
  return `now it is ${formatTime(new Date(now))}`;
}

function formatTime(date: Date): string {
  return date.toISOString().replace(".000Z", "Z");
}
