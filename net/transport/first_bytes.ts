// describeFirstBytes(): names the protocol that a peer speaks in place of the expected one, by its
// first bytes.
import { escapeForLog } from "../../log/text.ts";

/** How many bytes from the start are looked at; more bytes decide nothing further. */
export const FIRST_BYTES = 32;

/**
 * Most characters of a peer's text that are quoted: enough to know a protocol by, too few to hold a
 * secret.
 */
const MAX_QUOTED_CHARACTERS = 16;

/**
 * Fewest printable characters that count as text: any binary protocol begins with three of them now
 * and then.
 */
const MIN_TEXT_BYTES = 4;

/** Protocols that these first bytes identify, as characters of Latin-1. */
const SIGNATURES: readonly (readonly [start: RegExp, name: string])[] = [
  // RFC 8446, section 5.1: content type, then the record's version, which is 3.1 to 3.4 for TLS 1.0 to 1.3.
  // deno-lint-ignore no-control-regex -- a binary protocol
  [/^\x16\x03[\x00-\x04]/, "a TLS handshake"],
  // deno-lint-ignore no-control-regex -- a binary protocol
  [/^\x15\x03[\x00-\x04]/, "a TLS alert"],
  // RFC 9113, section 3.4.
  [/^PRI \* HTTP\/2/, "an HTTP/2 preface"],
  // RFC 9112, section 3. Methods that are registered, and no others: "HELP me" is no request.
  [/^(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) [/*a-zA-Z0-9[]/, "an HTTP request"],
  [/^HTTP\/[0-9]/, "an HTTP answer"],
  // RFC 4253, section 4.2.
  [/^SSH-[12]\./, "an SSH banner"],
  // The PROXY protocol of HAProxy, sections 2.1 and 2.2.
  [/^PROXY (?:TCP[46]|UNKNOWN)/, "a PROXY protocol header, version 1"],
  // deno-lint-ignore no-control-regex -- a binary protocol
  [/^\r\n\r\n\x00\r\nQUIT\n/, "a PROXY protocol header, version 2"],
  // The hello of our encrypted IPC: 8 bytes of magic.
  // deno-lint-ignore no-control-regex -- a binary protocol
  [/^\x00EIPC\r\n/, "a hello of Parley's encrypted IPC"],
  // yamux, "Framing": version 0, type 0 to 3, flags up to 15, and the number of one of the first
  // streams, or 0 of the session. Four bytes alone could be the length of a short message.
  // deno-lint-ignore no-control-regex -- a binary protocol
  [/^\x00[\x00-\x03]\x00[\x00-\x0f]\x00\x00/, "a yamux frame"],
  // RFC 1928, section 3: version, number of methods, the first of them.
  // deno-lint-ignore no-control-regex -- a binary protocol
  [/^\x05[\x01-\x03][\x00-\x02]/, "a SOCKS greeting"],
];

/** Printable ASCII, and line ends. */
const TEXT = /^[\t\r\n\x20-\x7e]+$/;

/**
 * Names what a peer speaks by the first bytes that it sent: TLS, HTTP, SSH, the PROXY protocol, and
 * the like, or text, of which the start is quoted. A noun phrase, such as `a TLS handshake`, for
 * messages that go on "… as the peer sent a TLS handshake".
 *
 * @param bytes The start of what came; at most {@linkcode FIRST_BYTES} are looked at, and some
 * protocols need 12 of them
 * @returns `undefined` when the bytes show no protocol
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const name = (text: string) => describeFirstBytes(new TextEncoder().encode(text));
 * assertEquals(name("GET / HTTP/1.1\r\n"), "an HTTP request");
 * assertEquals(name("EHLO mail.example.net\r\n"), 'text: "EHLO mail.examp…"');
 * assertEquals(name("\x00"), undefined);
 * ```
 */
export function describeFirstBytes(bytes: Uint8Array): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, FIRST_BYTES));
  const known = SIGNATURES.find(([pattern]) => pattern.test(start));
  if (known !== undefined) return known[1];
  if (!TEXT.test(start)) return undefined;
  const text = start.trim();
  if (text.length < MIN_TEXT_BYTES) return undefined;
  return `text: "${escapeForLog(text, MAX_QUOTED_CHARACTERS)}"`;
}

/** Hints for each protocol, by the noun phrase of {@linkcode describeFirstBytes}. */
const ADVICE: Readonly<Record<string, string>> = {
  "a TLS alert": "that port speaks TLS: give `tls`",
  "a TLS handshake":
    "it is a TLS client, and this port does not speak TLS: leave out `tls` there, or give it here",
  "an HTTP answer": "an HTTP server listens there",
  "an HTTP request": "it is an HTTP client, and this port does not speak HTTP",
};

/**
 * Adds to the error of a peer's first message which protocol the peer speaks, where its first bytes
 * show that, and what to do about it. Only errors are explained: bytes that are a valid message are
 * one, whatever they look like.
 *
 * @param error The error, whose message and stack are changed
 * @param bytes The start of all that the peer sent
 */
export function explainFirstBytes(error: Error, bytes: Uint8Array): void {
  const what = describeFirstBytes(bytes);
  if (what === undefined) return;
  const advice = ADVICE[what];
  const { message } = error;
  error.message = `${message}. The peer sent ${what}${
    advice === undefined ? "" : `, so ${advice}`
  }`;
  if (error.stack !== undefined) error.stack = error.stack.replace(message, () => error.message);
}
