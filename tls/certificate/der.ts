// Reads DER, the encoding of certificates: strictly, and only what certificates need.

/** Tags of the elements of a certificate (X.690, section 8). */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element. Both arrays are views of the bytes that were read. */
export interface DerNode {
  /** Identifier octet. */
  readonly tag: number;
  /** The content alone. */
  readonly content: Uint8Array;
  /** Identifier, length and content. */
  readonly whole: Uint8Array;
}

/**
 * Reads the element at `offset`.
 *
 * @throws {TypeError} when the bytes are not DER
 */
export function readNode(bytes: Uint8Array, offset = 0): DerNode {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw notDer("ends early");
  if ((tag & 0x1f) === 0x1f) throw notDer("has a tag of more than one byte");
  let start = offset + 2;
  let length = first;
  if (first >= 0x80) {
    // 0x80 is the indefinite form, which DER forbids; more than four bytes of length is no certificate.
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw notDer("has a length that DER does not allow");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) throw notDer("ends early");
  return { tag, content: bytes.subarray(start, end), whole: bytes.subarray(offset, end) };
}

/**
 * Reads all elements inside a constructed one.
 *
 * @throws {TypeError} when the content is not DER
 */
export function children(node: DerNode): DerNode[] {
  const found: DerNode[] = [];
  for (let offset = 0; offset < node.content.length;) {
    const child = readNode(node.content, offset);
    found.push(child);
    offset += child.whole.length;
  }
  return found;
}

/**
 * Returns `node` if it has the tag that is wanted.
 *
 * @throws {TypeError} when it is absent or another
 */
export function expectTag(node: DerNode | undefined, tag: number): DerNode {
  if (node?.tag !== tag) throw notDer(`lacks an element of tag ${tag}`);
  return node;
}

/** Reads an object identifier as dotted numbers. */
export function readOid(node: DerNode): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const byte of expectTag(node, tags.oid).content) {
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    if (byte >= 0x80) continue;
    if (arcs.length === 0) {
      const top = arc < 40n ? 0n : arc < 80n ? 1n : 2n;
      arcs.push(top, arc - top * 40n);
    } else {
      arcs.push(arc);
    }
    arc = 0n;
  }
  return arcs.join(".");
}

/**
 * Reads a moment of validity (RFC 5280, section 4.1.2.5).
 *
 * @throws {TypeError} when it is not in the form that certificates must use
 */
export function readTime(node: DerNode | undefined): Date {
  const text = String.fromCharCode(...node?.content.subarray(0, 15) ?? []);
  const short = node?.tag === tags.utcTime && /^\d{12}Z$/.test(text);
  const long = node?.tag === tags.generalizedTime && /^\d{14}Z$/.test(text);
  if (!short && !long) throw notDer("has a time that certificates may not use");
  // Two digits below 50 are of this century.
  const full = long ? text : (text < "50" ? "20" : "19") + text;
  const iso = full.replace(/^(....)(..)(..)(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) throw notDer("has a time that does not exist");
  return date;
}

/**
 * Reads a text of any of the string types of X.520; `undefined` when the element is none of them.
 * Characters outside the alphabet of the type become U+FFFD.
 */
export function readText(node: DerNode): string | undefined {
  const { content } = node;
  switch (node.tag) {
    case 0x0c: // UTF8String
    case 0x12: // NumericString
    case 0x13: // PrintableString
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return new TextDecoder().decode(content);
    case 0x14: // TeletexString, in practice Latin-1
      return new TextDecoder("latin1").decode(content);
    case 0x1e: // BMPString
      return new TextDecoder("utf-16be").decode(content);
    default:
      return undefined;
  }
}

/** Returns bytes as hex digits, without separators. */
export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

/** Returns whether two byte strings are the same. Not for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function notDer(what: string): TypeError {
  return new TypeError(`Cannot read a certificate: its DER encoding ${what}`);
}
