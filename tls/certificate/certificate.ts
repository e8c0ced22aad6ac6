// X.509 certificates: the fields that Parley looks at, read from DER without guessing.
//
// The one-line forms of node:crypto cannot be used for this: in Deno they neither quote nor escape, so that
// a name
// `a, DNS:victim.example` inside one entry reads as two entries (the fault that Node fixed as
// CVE-2021-44532).
import {
  children,
  type DerNode,
  expectTag,
  readNode,
  readOid,
  readText,
  readTime,
  tags,
  toHex,
} from "./der.ts";

/** What a certificate may be used for (RFC 5280, section 4.2.1.12); others are kept as dotted numbers. */
export type ExtendedKeyUsage = "server" | "client" | "any" | (string & Record<never, never>);

/** The fields of a certificate. Byte arrays are views of the DER that was read. */
export interface ParsedCertificate {
  /** Subject as one line, as in {@linkcode PeerCertificate}. */
  readonly subject: string;
  /** Subject, DER. */
  readonly subjectDer: Uint8Array;
  /** Issuer as one line. */
  readonly issuer: string;
  /** Issuer, DER. */
  readonly issuerDer: Uint8Array;
  /** Subject alternative names, such as `DNS:localhost` or `IP Address:127.0.0.1`. */
  readonly subjectAltNames: readonly string[];
  /** Serial number in upper-case hex. */
  readonly serialNumber: string;
  /** First moment of validity. */
  readonly notBefore: Date;
  /** Last moment of validity. */
  readonly notAfter: Date;
  /** True when it may issue others. */
  readonly isCa: boolean;
  /** Allowed uses; `undefined` when it does not restrict them. */
  readonly extendedKeyUsage: readonly ExtendedKeyUsage[] | undefined;
  /** Kind of key in words, such as `EC P-256` or `RSA 2048`. */
  readonly keyType: string;
  /** The whole certificate, DER. */
  readonly der: Uint8Array;
}

const attributeNames: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "STREET",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};

const usages: Readonly<Record<string, ExtendedKeyUsage>> = {
  "1.3.6.1.5.5.7.3.1": "server",
  "1.3.6.1.5.5.7.3.2": "client",
  "2.5.29.37.0": "any",
};

const curves: Readonly<Record<string, string>> = {
  "1.2.840.10045.3.1.7": "P-256",
  "1.3.132.0.34": "P-384",
  "1.3.132.0.35": "P-521",
};

/**
 * Reads a certificate. No signature is checked: that is the TLS handshake's work.
 *
 * @throws {TypeError} when the bytes are no X.509 certificate
 */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  const outer = expectTag(readNode(der), tags.sequence);
  const fields = children(expectTag(children(outer)[0], tags.sequence));
  // Version, [0], is absent in version 1.
  const at = fields[0]?.tag === 0xa0 ? 1 : 0;
  const [serial, , issuer, validity, subject, spki] = fields.slice(at);
  const [notBefore, notAfter] = children(expectTag(validity, tags.sequence));
  const extensions = readExtensions(fields.find((field) => field.tag === 0xa3));
  const issuerNode = expectTag(issuer, tags.sequence);
  const subjectNode = expectTag(subject, tags.sequence);
  return {
    subject: readName(subjectNode),
    subjectDer: subjectNode.whole,
    issuer: readName(issuerNode),
    issuerDer: issuerNode.whole,
    subjectAltNames: readAltNames(extensions.get("2.5.29.17")),
    serialNumber: readSerial(expectTag(serial, tags.integer)),
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    isCa: readIsCa(extensions.get("2.5.29.19")),
    extendedKeyUsage: readUsages(extensions.get("2.5.29.37")),
    keyType: readKeyType(expectTag(spki, tags.sequence)),
    der: outer.whole,
  };
}

/** Extensions by object identifier, each as the element inside its octet string. */
function readExtensions(wrapper: DerNode | undefined): Map<string, DerNode> {
  const found = new Map<string, DerNode>();
  if (wrapper === undefined) return found;
  for (const extension of children(expectTag(children(wrapper)[0], tags.sequence))) {
    const parts = children(extension);
    const value = expectTag(parts.at(-1), tags.octetString);
    found.set(readOid(expectTag(parts[0], tags.oid)), readNode(value.content));
  }
  return found;
}

/** A distinguished name in the order in which it is encoded, escaped as in RFC 4514. */
function readName(name: DerNode): string {
  return children(name).map((set) =>
    children(set).map((attribute) => {
      const [type, value] = children(attribute);
      const oid = readOid(expectTag(type, tags.oid));
      const text = value === undefined ? "" : readText(value);
      const shown = text === undefined
        ? `#${toHex(value?.whole ?? new Uint8Array())}`
        : escapeValue(text);
      return `${attributeNames[oid] ?? oid}=${shown}`;
    }).join("+")
  ).join(",");
}

function escapeValue(text: string): string {
  return escapeControls(text.replace(/[\\,+"<>;]/g, "\\$&").replace(/^[ #]|(?<!\\) $/g, "\\$&"));
}

/**
 * Control characters, line and paragraph separators and marks of direction, as RFC 4514's `\XX` of each
 * byte.
 */
function escapeControls(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => {
      const hex = toHex(new TextEncoder().encode(char)).toUpperCase();
      return hex.replace(/../g, "\\$&");
    },
  );
}

/** General names (RFC 5280, section 4.2.1.6). */
function readAltNames(extension: DerNode | undefined): string[] {
  if (extension === undefined) return [];
  return children(extension).map((name) => {
    const text = escapeControls(new TextDecoder().decode(name.content));
    switch (name.tag & 0x1f) {
      case 1:
        return `email:${text}`;
      case 2:
        return `DNS:${text}`;
      case 4:
        return `DirName:${readName(readNode(name.content))}`;
      case 6:
        return `URI:${text}`;
      case 7:
        return `IP Address:${formatIp(name.content)}`;
      default:
        return `Other:${toHex(name.content)}`;
    }
  });
}

function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return toHex(bytes);
  const groups = toHex(bytes).replace(/....(?!$)/g, "$&:");
  // The URL parser knows the short form of RFC 5952.
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}

function readSerial(serial: DerNode): string {
  const hex = toHex(serial.content).toUpperCase();
  return hex.length > 2 && hex.startsWith("00") ? hex.slice(2) : hex;
}

function readIsCa(extension: DerNode | undefined): boolean {
  if (extension === undefined) return false;
  const first = children(extension)[0];
  return first?.tag === tags.boolean && first.content[0] !== 0;
}

function readUsages(extension: DerNode | undefined): ExtendedKeyUsage[] | undefined {
  if (extension === undefined) return undefined;
  return children(extension).map((node) => {
    const oid = readOid(node);
    return usages[oid] ?? oid;
  });
}

function readKeyType(spki: DerNode): string {
  const [algorithm, bits] = children(spki);
  const [type, parameters] = children(expectTag(algorithm, tags.sequence));
  const oid = readOid(expectTag(type, tags.oid));
  switch (oid) {
    case "1.2.840.10045.2.1": {
      const curve = parameters?.tag === tags.oid ? readOid(parameters) : "unnamed";
      return `EC ${curves[curve] ?? curve}`;
    }
    case "1.2.840.113549.1.1.1": {
      // The bit string begins with the number of unused bits, which is 0.
      const key = readNode(expectTag(bits, tags.bitString).content, 1);
      const modulus = expectTag(children(key)[0], tags.integer).content;
      const padding = modulus[0] === 0 ? 1 : 0;
      return `RSA ${(modulus.length - padding) * 8}`;
    }
    case "1.2.840.113549.1.1.10":
      return "RSA-PSS";
    case "1.3.101.112":
      return "Ed25519";
    default:
      return oid;
  }
}
