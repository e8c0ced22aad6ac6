// ProxyHeaderDecoder: reads the PROXY protocol header, v1 and v2, that a balancer sends before a
// client's own bytes.
import { ProtocolError } from "../../errors.ts";
import { parseIpAddress } from "../address/ip_address.ts";
import { describeFirstBytes } from "./first_bytes.ts";
import type { Address } from "./transport.ts";

// All sections are those of "The PROXY protocol, Versions 1 & 2" by Willy Tarreau,
// doc/proxy-protocol.txt of HAProxy.

/**
 * Longest header of version 1 with its CRLF, in bytes (section 2.1); the addresses of version 2 end
 * before that, too.
 */
const MAX_LINE_BYTES = 107;

/** First characters of version 1 (section 2.1). */
const LINE_START = bytesOf("PROXY ");

/** Signature of version 2 (section 2.2). */
const SIGNATURE = bytesOf("\r\n\r\n\0\r\nQUIT\n");

/**
 * Bytes of version 2 before its addresses: signature, version and command, family and protocol,
 * length (section 2.2).
 */
const FIXED_BYTES = 16;

/** Families with transport protocol, and bytes of one address, of those that are TCP (section 2.2). */
const TCP4 = { code: 0x11, addressBytes: 4 } as const;
const TCP6 = { code: 0x21, addressBytes: 16 } as const;

/** A line of version 1 without its CRLF (section 2.1); no leading zeros, exactly one space between fields. */
const LINE =
  /^PROXY (?:UNKNOWN(?: .*)?|TCP([46]) (\S+) (\S+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))$/s;

const MAX_PORT = 65_535;
const CR = 0x0d;
const LF = 0x0a;

/** The addresses of the connection that a balancer passes on. */
export interface ProxiedAddresses {
  /** Address of the client. */
  readonly remoteAddr: Address;
  /** Address at the balancer that the client dialled. */
  readonly localAddr: Address;
}

/** A complete header. */
export interface ProxyHeader {
  /**
   * What the header says; `null` where the addresses of the socket itself hold: the balancer's own
   * connections (LOCAL, such as its health checks) and clients whose addresses it does not know or
   * that came by no TCP (UNKNOWN, UNSPEC).
   */
  readonly addresses: ProxiedAddresses | null;
  /** What came after the header: the first bytes of the client. */
  readonly rest: Uint8Array;
}

/**
 * Reads one header, however it is cut into pieces. It holds at most 107 bytes: of version 2, whose
 * header is up to 65 551 bytes long, it counts and drops what follows the addresses (TLVs, section
 * 2.2).
 *
 * Call `push` with the bytes that come until it returns a header; after that the decoder is of no more use.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const decoder = new ProxyHeaderDecoder();
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * assertEquals(decoder.push(bytes("PROXY TCP4 192.0.2.7 198.51.100.1 56")), null);
 * assertEquals(decoder.push(bytes("324 443\r\nhello")), {
 *   addresses: {
 *     remoteAddr: { transport: "tcp", hostname: "192.0.2.7", port: 56324 },
 *     localAddr: { transport: "tcp", hostname: "198.51.100.1", port: 443 },
 *   },
 *   rest: bytes("hello"),
 * });
 * ```
 */
export class ProxyHeaderDecoder {
  readonly #kept = new Uint8Array(MAX_LINE_BYTES);
  #receivedBytes = 0;

  /** Whether nothing has come yet: a peer that leaves now has broken no rule. */
  get isEmpty(): boolean {
    return this.#receivedBytes === 0;
  }

  /**
   * Takes the next bytes. Returns the header once it is whole, and `null` before that.
   *
   * @throws {ProtocolError} `ERR_PROXY_HEADER` as soon as the bytes cannot become a header
   */
  push(bytes: Uint8Array): ProxyHeader | null {
    const room = MAX_LINE_BYTES - Math.min(this.#receivedBytes, MAX_LINE_BYTES);
    this.#kept.set(bytes.subarray(0, room), MAX_LINE_BYTES - room);
    this.#receivedBytes += bytes.length;
    const head = this.#kept.subarray(0, Math.min(this.#receivedBytes, MAX_LINE_BYTES));
    const isBinary = head[0] === SIGNATURE[0];
    checkStart(head, isBinary ? SIGNATURE : LINE_START);
    const lengthBytes = isBinary ? binaryLength(head) : lineLength(head);
    if (lengthBytes === undefined || this.#receivedBytes < lengthBytes) return null;
    const addresses = isBinary
      ? binaryAddresses(head)
      : lineAddresses(head.subarray(0, lengthBytes - 2));
    return { addresses, rest: bytes.subarray(bytes.length - (this.#receivedBytes - lengthBytes)) };
  }
}

/** Makes the error of a connection whose header is missing or wrong. */
function broken(why: string): ProtocolError {
  return new ProtocolError(
    "ERR_PROXY_HEADER",
    `Cannot take the connection: its source is listed in "proxyProtocol.sources" and must send a PROXY header first: ${why}`,
  );
}

/**
 * Makes the error of a connection that ended before its header was complete (section 2.2: partial
 * headers must be rejected).
 */
export function truncatedHeader(): ProtocolError {
  return broken("the connection ended within the header");
}

/** Refuses other protocols at their first wrong byte. */
function checkStart(head: Uint8Array, start: Uint8Array): void {
  for (let at = 0; at < head.length && at < start.length; at++) {
    if (head[at] === start[at]) continue;
    const what = describeFirstBytes(head);
    throw broken(what === undefined ? "the source sent something else" : `the source sent ${what}`);
  }
}

/** Returns the length of a line with its CRLF; `undefined` before its end has come (section 2.1). */
function lineLength(head: Uint8Array): number | undefined {
  const cr = head.indexOf(CR);
  const lf = head.indexOf(LF);
  // "The receiver must not tolerate a single CR or LF character to end the line."
  const hasLoneLf = lf >= 0 && lf !== cr + 1;
  const hasLoneCr = cr >= 0 && cr + 1 < head.length && lf !== cr + 1;
  if (hasLoneLf || hasLoneCr) throw broken("its line does not end with CR and LF");
  if (lf >= 0) return lf + 1;
  if (head.length === MAX_LINE_BYTES) {
    throw broken(`its line is longer than ${MAX_LINE_BYTES} bytes`);
  }
  return undefined;
}

function lineAddresses(line: Uint8Array): ProxiedAddresses | null {
  const fields = LINE.exec(String.fromCharCode(...line));
  if (fields === null) throw broken("its line is malformed");
  const [, family, source = "", destination = "", sourcePort, destinationPort] = fields;
  if (family === undefined) return null; // UNKNOWN: "use the real connection's parameters"
  return {
    remoteAddr: textAddress(family, source, Number(sourcePort)),
    localAddr: textAddress(family, destination, Number(destinationPort)),
  };
}

function textAddress(family: string, text: string, port: number): Address {
  const isFit = family === "4" ? !text.includes(":") : /^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text);
  if (!isFit || parseIpAddress(text) === null) {
    throw broken(`its address is no IPv${family} address`);
  }
  if (port > MAX_PORT) throw broken("its port is beyond 65535");
  return { transport: "tcp", hostname: family === "4" ? text : canonicalIpv6(text), port };
}

/**
 * Returns the length of a binary header; `undefined` before its fixed part is complete. Checks that
 * part (section 2.2).
 */
function binaryLength(head: Uint8Array): number | undefined {
  const [versionAndCommand, familyAndProtocol = 0] = head.subarray(SIGNATURE.length);
  if (versionAndCommand === undefined) return undefined;
  const command = versionAndCommand & 0xf;
  if (versionAndCommand >> 4 !== 2) {
    throw broken(`its version is ${versionAndCommand >> 4} and not 2`);
  }
  if (command > 1) throw broken(`its command is ${command} and neither LOCAL nor PROXY`);
  if (head.length < FIXED_BYTES) return undefined;
  const lengthBytes = FIXED_BYTES + uint16(head, 14);
  if (command === 0) return lengthBytes; // LOCAL: the family is ignored, the length is not
  if (familyAndProtocol >> 4 > 3 || (familyAndProtocol & 0xf) > 2) {
    throw broken(
      `its family and protocol are 0x${familyAndProtocol.toString(16).padStart(2, "0")}`,
    );
  }
  for (const { code, addressBytes } of [TCP4, TCP6]) {
    if (familyAndProtocol === code && lengthBytes < FIXED_BYTES + 2 * addressBytes + 4) {
      throw broken("it is too short for its addresses");
    }
  }
  return lengthBytes;
}

/**
 * Reads the addresses of a complete header. All but TCP over IPv4 and IPv6 counts as UNSPEC, which
 * section 2.2 allows.
 */
function binaryAddresses(head: Uint8Array): ProxiedAddresses | null {
  const isLocal = (head[12]! & 0xf) === 0;
  const kind = [TCP4, TCP6].find(({ code }) => code === head[13]);
  if (isLocal || kind === undefined) return null;
  const { addressBytes } = kind;
  const portsAt = FIXED_BYTES + 2 * addressBytes;
  const addressAt = (index: number): Address => {
    const from = FIXED_BYTES + index * addressBytes;
    const bytes = head.subarray(from, from + addressBytes);
    const hostname = kind === TCP4 ? bytes.join(".") : canonicalIpv6(groupsOf(bytes).join(":"));
    return { transport: "tcp", hostname, port: uint16(head, portsAt + 2 * index) };
  };
  return { remoteAddr: addressAt(0), localAddr: addressAt(1) };
}

function groupsOf(bytes: Uint8Array): string[] {
  return Array.from(
    { length: bytes.length / 2 },
    (_, index) => uint16(bytes, 2 * index).toString(16),
  );
}

/**
 * Returns an IPv6 address in the form of RFC 5952; an IPv4-mapped address as the IPv4 address that
 * it carries.
 */
function canonicalIpv6(text: string): string {
  const short = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (mapped === null) return short;
  const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
