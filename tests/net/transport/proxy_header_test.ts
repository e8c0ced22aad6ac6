// Tests of PROXY headers: tables of what is one and what is none, every split, and bytes from anywhere.
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ProtocolError } from "../../../errors.ts";
import { type ProxyHeader, ProxyHeaderDecoder } from "../../../net/transport/proxy_header.ts";
import { binaryHeader, binaryTcp4, latin1, lineTcp4 } from "../../support/peers/proxy_headers.ts";
import { effort, forSeeds } from "../../support/random.ts";

/** Addresses in one line, or `own` where the socket's hold. */
function shown({ addresses }: ProxyHeader): string {
  if (addresses === null) return "own";
  const { remoteAddr, localAddr } = addresses;
  assert(remoteAddr.transport === "tcp" && localAddr.transport === "tcp");
  return `${remoteAddr.hostname} ${remoteAddr.port} ${localAddr.hostname} ${localAddr.port}`;
}

function decode(...pieces: Uint8Array[]): ProxyHeader | null {
  const decoder = new ProxyHeaderDecoder();
  let header: ProxyHeader | null = null;
  for (const piece of pieces) {
    assert(header === null, "went on after the header");
    header = decoder.push(piece);
  }
  return header;
}

/** The longest line there may be: 107 bytes with its CRLF. */
const LONGEST = `PROXY UNKNOWN ${"f".repeat(91)}\r\n`;

const V4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];
const V6 = [
  0x20,
  1,
  0x0d,
  0xb8,
  ...new Array(11).fill(0),
  7,
  ...new Array(15).fill(0),
  1,
  0,
  1,
  0xff,
  0xff,
];
const MAPPED = [...new Array(10).fill(0), 255, 255, 192, 0, 2, 7, ...V6.slice(16)];
const UNIX = new Array(216).fill(0x61);

const HEADERS: readonly (readonly [name: string, bytes: Uint8Array, wanted: string])[] = [
  [
    "TCP4",
    latin1("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
    "192.168.0.1 56324 192.168.0.11 443",
  ],
  [
    "TCP4, longest",
    latin1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
    "255.255.255.255 65535 255.255.255.255 65535",
  ],
  ["TCP6", latin1("PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::1 0 1\r\n"), "2001:db8::7 0 ::1 1"],
  [
    "TCP6, mapped",
    latin1("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c000:201 5 6\r\n"),
    "192.0.2.7 5 192.0.2.1 6",
  ],
  ["UNKNOWN", latin1("PROXY UNKNOWN\r\n"), "own"],
  ["UNKNOWN with a rest", latin1("PROXY UNKNOWN 1.2.3.4 \xff\0 anything\r\n"), "own"],
  ["UNKNOWN, longest", latin1(LONGEST), "own"],
  ["binary TCP4", binaryHeader({ family: 0x11, body: V4 }), "192.0.2.7 56324 198.51.100.1 443"],
  ["binary TCP6", binaryHeader({ family: 0x21, body: V6 }), "2001:db8::7 1 ::1 65535"],
  ["binary TCP6, mapped", binaryHeader({ family: 0x21, body: MAPPED }), "192.0.2.7 1 ::1 65535"],
  [
    "binary TCP4 with TLVs",
    binaryTcp4("192.0.2.7", 40000, [4, 0, 3, 1, 2, 3]),
    "192.0.2.7 40000 198.51.100.1 5555",
  ],
  [
    "binary TCP4 with many TLVs",
    binaryTcp4("192.0.2.7", 40000, new Array(65523).fill(0x0a)),
    "192.0.2.7 40000 198.51.100.1 5555",
  ],
  ["LOCAL", binaryHeader({ versionAndCommand: 0x20, family: 0, body: [] }), "own"],
  [
    "LOCAL, any family, with a body",
    binaryHeader({ versionAndCommand: 0x20, family: 0xff, body: V4 }),
    "own",
  ],
  ["UNSPEC", binaryHeader({ family: 0, body: [] }), "own"],
  ["UDP", binaryHeader({ family: 0x12, body: V4 }), "own"],
  ["unix stream", binaryHeader({ family: 0x31, body: UNIX }), "own"],
];

const CR = "\r";
const FAULTS: readonly (readonly [bytes: Uint8Array, wanted: string])[] = [
  [latin1("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"), "the source sent a TLS handshake"],
  [latin1("GET / HTTP/1.1\r\n"), "the source sent an HTTP request"],
  [latin1("\0"), "the source sent something else"],
  [latin1("PROXX"), "the source sent"],
  [latin1("PROXY\t"), "the source sent"],
  [latin1("proxy TCP4"), "the source sent"],
  [latin1("\r\n\r\n\0\r\nQUIT\r"), "the source sent"],
  [latin1("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n"), "does not end with CR and LF"],
  [latin1(`PROXY TCP4 1.2.3.4${CR} 1.2.3.4 1 1\r\n`), "does not end with CR and LF"],
  [latin1("PROXY UNKNOWN a\nb\r\n"), "does not end with CR and LF"],
  [latin1("x".repeat(0) + `PROXY UNKNOWN ${"f".repeat(93)}`), "longer than 107 bytes"],
  [latin1(LONGEST.replace("\r\n", "f\r\n")), "longer than 107 bytes"],
  [latin1("PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n"), "malformed"],
  [latin1("PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n"), "malformed"],
  [latin1("PROXY UNKNOWNS\r\n"), "malformed"],
  [latin1("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), "malformed"],
  [latin1("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n"), "malformed"],
  [latin1("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"), "malformed"],
  [latin1("PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n"), "malformed"],
  [latin1("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"), "beyond 65535"],
  [latin1("PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n"), "no IPv4 address"],
  [latin1("PROXY TCP4 ::1 ::1 1 1\r\n"), "no IPv4 address"],
  [latin1("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"), "no IPv6 address"],
  [latin1("PROXY TCP6 [::1] ::1 1 1\r\n"), "no IPv6 address"],
  [latin1("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n"), "no IPv6 address"],
  [binaryHeader({ versionAndCommand: 0x11, family: 0x11, body: V4 }), "version is 1"],
  [binaryHeader({ versionAndCommand: 0x22, family: 0x11, body: V4 }), "command is 2"],
  [binaryHeader({ family: 0x41, body: V4 }), "family and protocol are 0x41"],
  [binaryHeader({ family: 0x13, body: V4 }), "family and protocol are 0x13"],
  [binaryHeader({ family: 0x11, body: V4.slice(0, 11) }), "too short"],
  [binaryHeader({ family: 0x21, body: V6.slice(0, 35) }), "too short"],
];

Deno.test("ProxyHeaderDecoder reads both versions, and finds what comes after them", () => {
  for (const [name, bytes, wanted] of HEADERS) {
    const header = decode(new Uint8Array([...bytes, 1, 2, 3]));
    assert(header !== null, name);
    assertEquals(shown(header), wanted, name);
    assertEquals(header.rest, new Uint8Array([1, 2, 3]), name);
  }
});

Deno.test("ProxyHeaderDecoder reads a header that is cut anywhere", () => {
  for (const [name, bytes, wanted] of HEADERS) {
    for (let at = 0; at <= Math.min(bytes.length, 400); at++) {
      const [first, second] = [bytes.slice(0, at), new Uint8Array([...bytes.slice(at), 9])];
      const decoder = new ProxyHeaderDecoder();
      const early = decoder.push(first);
      if (at < bytes.length) assertEquals(early, null, `${name} at ${at}`);
      const header = early ?? decoder.push(second);
      assert(header !== null, `${name} at ${at}`);
      assertEquals(shown(header), wanted, `${name} at ${at}`);
      assertEquals(header.rest, at < bytes.length ? new Uint8Array([9]) : new Uint8Array(0));
    }
    const single = decode(...[...bytes].map((byte) => new Uint8Array([byte])));
    assert(single !== null && shown(single) === wanted && single.rest.length === 0, name);
  }
});

Deno.test("ProxyHeaderDecoder refuses what is no header, whole or byte by byte, each with its reason", () => {
  for (const [bytes, wanted] of FAULTS) {
    for (const pieces of [[bytes], [...bytes].map((byte) => new Uint8Array([byte]))]) {
      const error = assertThrows(() => decode(...pieces), ProtocolError);
      assertEquals(error.code, "ERR_PROXY_HEADER");
      // Of a first byte alone less can be said.
      const isStart = wanted.startsWith("the source sent");
      assertStringIncludes(
        error.message,
        isStart && pieces.length > 1 ? "the source sent" : wanted,
      );
    }
  }
});

Deno.test("ProxyHeaderDecoder refuses other protocols at their first byte, before they wait for an answer", () => {
  for (let byte = 0; byte < 256; byte++) {
    const decoder = new ProxyHeaderDecoder();
    if (byte === 0x50 || byte === 0x0d) assertEquals(decoder.push(new Uint8Array([byte])), null);
    else assertThrows(() => decoder.push(new Uint8Array([byte])), ProtocolError);
  }
});

Deno.test("ProxyHeaderDecoder is empty until a byte has come", () => {
  const decoder = new ProxyHeaderDecoder();
  assertEquals([decoder.isEmpty, decoder.push(new Uint8Array(0)), decoder.isEmpty], [
    true,
    null,
    true,
  ]);
  decoder.push(latin1("P"));
  assertEquals(decoder.isEmpty, false);
});

Deno.test("ProxyHeaderDecoder gives the same for any cut of damaged headers, and only errors of its own", () => {
  forSeeds(400 * effort, (random) => {
    const [, clean] = random.pick(HEADERS);
    const bytes = new Uint8Array([...clean.slice(0, 400), ...random.bytes(random.int(0, 9))]);
    for (let faults = random.int(0, 3); faults > 0; faults--) {
      bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
    }
    const outcome = (pieces: Uint8Array[]): string => {
      const decoder = new ProxyHeaderDecoder();
      try {
        for (const [index, piece] of pieces.entries()) {
          const header = decoder.push(piece);
          if (header === null) continue;
          const left = pieces.slice(index + 1).reduce(
            (sum, { length }) => sum + length,
            header.rest.length,
          );
          return `${shown(header)} then ${left}`;
        }
        return "more";
      } catch (error) {
        assert(error instanceof ProtocolError, String(error));
        return "refused";
      }
    };
    assertEquals(outcome(random.cut(bytes, 20)), outcome([bytes]));
  });
});

Deno.test("ProxyHeaderDecoder reads what nginx and HAProxy send", () => {
  assertEquals(shown(decode(lineTcp4("192.0.2.7", 40000))!), "192.0.2.7 40000 198.51.100.1 5555");
  assertEquals(shown(decode(binaryTcp4("192.0.2.7", 40000))!), "192.0.2.7 40000 198.51.100.1 5555");
});
