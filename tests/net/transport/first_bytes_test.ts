// Tests of the protocol names for a peer's first bytes: tables of bytes sent to a wrong port, and
// of bytes that show nothing.
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  describeFirstBytes,
  explainFirstBytes,
  FIRST_BYTES,
} from "../../../net/transport/first_bytes.ts";

/** Bytes of Latin-1 text. */
function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

const KNOWN: readonly (readonly [start: string, name: string])[] = [
  ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x55", "a TLS handshake"],
  ["\x16\x03\x03\x00\x7a\x02", "a TLS handshake"],
  ["\x15\x03\x03\x00\x02\x02\x28", "a TLS alert"],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP/2 preface"],
  ["PRI * HTTP/2", "an HTTP/2 preface"],
  ["GET / HTTP/1.1\r\nHost: a\r\n", "an HTTP request"],
  ["GET /socket?v", "an HTTP request"],
  ["OPTIONS * HTTP/1.1\r\n", "an HTTP request"],
  ["CONNECT [::1]:443 HTTP/1.1", "an HTTP request"],
  ["CONNECT example.net:443 HTTP/1.1", "an HTTP request"],
  ["POST http://example.net/ HTTP/1.1", "an HTTP request"],
  ["HTTP/1.1 400 Bad Request\r\n", "an HTTP answer"],
  ["SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "an SSH banner"],
  ["SSH-1.99-x", "an SSH banner"],
  ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "a PROXY protocol header, version 1"],
  ["PROXY TCP6 2001:db8::1 ", "a PROXY protocol header, version 1"],
  ["PROXY UNKNOWN\r\n", "a PROXY protocol header, version 1"],
  ["\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", "a PROXY protocol header, version 2"],
  ["\r\n\r\n\x00\r\nQUIT\n", "a PROXY protocol header, version 2"],
  ["\x00EIPC\r\n\x01\x01\x01", "a hello of Parley's encrypted IPC"],
  ["\x00\x01\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00", "a yamux frame"],
  ["\x00\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07", "a yamux frame"],
  ["\x05\x01\x00", "a SOCKS greeting"],
];

const TEXTS: readonly (readonly [start: string, name: string])[] = [
  ["EHLO mail.example.net\r\n", 'text: "EHLO mail.examp…"'],
  ["HELP\n", 'text: "HELP"'],
  ["get / http/1.1", 'text: "get / http/1.1"'],
  ["GETTING on", 'text: "GETTING on"'],
  ["*1\r\n$4\r\nPING\r\n", 'text: "*1\\r\\n$4\\r\\nPING"'],
  ["PROXY please", 'text: "PROXY please"'],
  ["back\\slash", 'text: "back\\\\slash"'],
];

const UNKNOWN: readonly string[] = [
  "",
  "\x00",
  "\x16",
  "\x16\x03",
  "\x16\x03\x05\x00",
  "\x00\x04\x00\x00",
  "\x00\x00\x00\x10",
  // A message of two bytes behind its length.
  "\x00\x00\x00\x02q0",
  "\x01\x00\x00\x01",
  "\r\n\r\n",
  "abc",
  "    \r\n",
  "\x1b[2Jhello",
  "hell\xf6 there",
  "\xff\xfe\xfd",
  "GET\x00/",
];

Deno.test("describeFirstBytes() names the protocols that come to wrong ports", () => {
  for (const [start, name] of KNOWN) {
    assertEquals(describeFirstBytes(latin1(start)), name, JSON.stringify(start));
  }
});

Deno.test("describeFirstBytes() quotes the start of text on one line", () => {
  for (const [start, name] of TEXTS) {
    assertEquals(describeFirstBytes(latin1(start)), name, JSON.stringify(start));
  }
});

Deno.test("describeFirstBytes() says nothing of bytes that tell nothing", () => {
  for (const start of UNKNOWN) {
    assertEquals(describeFirstBytes(latin1(start)), undefined, JSON.stringify(start));
  }
});

Deno.test("describeFirstBytes() looks at no more than the first bytes and leaves them alone", () => {
  const long = latin1("x".repeat(1 << 20));
  assertMatch(describeFirstBytes(long) ?? "", /^text: "x{15}…"$/);
  const withTail = latin1("a".repeat(FIRST_BYTES) + "\x00\xff");
  const copy = withTail.slice();
  assertMatch(describeFirstBytes(withTail) ?? "", /^text: /);
  assertEquals(withTail, copy);
});

Deno.test("explainFirstBytes() adds what the peer speaks and what to do, to message and stack, where the bytes tell", () => {
  const explained = (bytes: Uint8Array) => {
    const error = new Error("No message");
    explainFirstBytes(error, bytes);
    assert(error.stack!.includes(error.message));
    return error.message;
  };
  const text = (characters: string) => new TextEncoder().encode(characters);
  const alert = new Uint8Array([0x15, 3, 3, 0, 2, 2, 50]);
  assertEquals(
    explained(alert),
    "No message. The peer sent a TLS alert, so that port speaks TLS: give `tls`",
  );
  const http = explained(text("GET / HTTP/1.1\r\n"));
  assertEquals(
    http,
    "No message. The peer sent an HTTP request, so it is an HTTP client, and this port does not speak HTTP",
  );
  assertEquals(explained(text("SSH-2.0-OpenSSH")), "No message. The peer sent an SSH banner");
  assertEquals(explained(new Uint8Array([0, 0, 0, 200])), "No message");
});
