// The head of a call: round trips, every cut, and bytes of strangers.
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  type CallHead,
  type CallKind,
  encodeHead,
  encodeHeadStart,
  MAX_NAME_BYTES,
  readHead,
} from "../../../calls/protocol/head.ts";
import { ProtocolError } from "../../../errors.ts";
import { concat, hex, utf8 } from "../../support/bytes.ts";
import { effort, propertySeed } from "../../support/random.ts";
import { refusedOrRead } from "./refused.ts";

const RUNS = { numRuns: 500 * effort, seed: propertySeed };
const KINDS: readonly CallKind[] = ["call", "feed", "collect", "talk"];
/** The longest trace context of W3C: a traceparent, a line feed, and 512 characters, with room. */
const MAX_TRACE_BYTES = 769;

function encode(head: CallHead, input: Uint8Array, leadBytes = 0): Uint8Array {
  return encodeHead(encodeHeadStart(head), head, input, { leadBytes });
}

const anyHead: fc.Arbitrary<CallHead> = fc.record({
  kind: fc.constantFrom(...KINDS),
  name: fc.string({ unit: "grapheme", maxLength: 60 }),
  version: fc.string({ unit: "grapheme", maxLength: 20 }),
  timeoutMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  trace: fc.string({ unit: "grapheme-ascii", maxLength: MAX_TRACE_BYTES }),
}).filter(({ name, version }) =>
  utf8(name).length <= MAX_NAME_BYTES && utf8(version).length <= MAX_NAME_BYTES
);

Deno.test("a head and the input behind it come back as they were, wherever they begin", () => {
  fc.assert(
    fc.property(anyHead, fc.uint8Array({ maxLength: 50 }), fc.nat(40), (head, input, leadBytes) => {
      const bytes = encode(head, input, leadBytes);
      const read = readHead(bytes, leadBytes);
      assertEquals(read.head, head);
      assertEquals(bytes.slice(read.end), input);
      assertEquals(bytes.slice(0, leadBytes), new Uint8Array(leadBytes));
      // The array may be part of another.
      const inside = concat([new Uint8Array(3), bytes]).subarray(3);
      assertEquals(readHead(inside, leadBytes), read);
    }),
    RUNS,
  );
});

Deno.test("a head has the bytes that the protocol says", () => {
  const head = { kind: "feed", name: "a.b", version: "1", timeoutMs: 258, trace: "" } as const;
  assertEquals(encode(head, hex("ff")), hex("02 03 612e62 01 31 00000102 0000 ff"));
  const traced = { ...head, kind: "talk", version: "", trace: "t" } as const;
  assertEquals(encode(traced, hex("")), hex("04 03 612e62 00 00000102 0001 74"));
});

Deno.test("a head of the longest name, version, time and trace is read; a longer trace is refused", () => {
  const longest = "n".repeat(MAX_NAME_BYTES);
  const head: CallHead = {
    kind: "call",
    name: longest,
    version: longest,
    timeoutMs: 2 ** 32 - 1,
    trace: "t".repeat(MAX_TRACE_BYTES),
  };
  assertEquals(readHead(encode(head, hex("00"))).head, head);
  const over = encode({ ...head, trace: "t".repeat(MAX_TRACE_BYTES + 1) }, hex("00"));
  const error = assertThrows(() => readHead(over), ProtocolError);
  assertEquals(error.code, "ERR_CALL_FRAME");
});

Deno.test("a head that is cut anywhere is refused", () => {
  const head: CallHead = {
    kind: "call",
    name: "clock.add",
    version: "1.0",
    timeoutMs: 5000,
    trace: "00-trace",
  };
  const bytes = encode(head, new Uint8Array(0));
  for (let length = 0; length < bytes.length; length++) {
    const error = assertThrows(() => readHead(bytes.subarray(0, length)), ProtocolError);
    assertEquals(error.code, "ERR_CALL_FRAME", `${length} bytes`);
  }
  assertEquals(readHead(bytes).head, head);
});

Deno.test("an unknown kind, and text that is no UTF-8, are refused", () => {
  const good = encode(
    { kind: "call", name: "ab", version: "1", timeoutMs: 0, trace: "t" },
    hex(""),
  );
  for (let kind = 0; kind < 256; kind++) {
    const bytes = good.slice();
    bytes[0] = kind;
    if (kind >= 1 && kind <= 4) assertEquals(readHead(bytes).head.kind, KINDS[kind - 1]);
    else assertThrows(() => readHead(bytes), ProtocolError);
  }
  for (const at of [2, 5, good.length - 1]) {
    const bytes = good.slice();
    bytes[at] = 0xff;
    assertThrows(() => readHead(bytes), ProtocolError, "UTF-8");
  }
});

Deno.test("mutated heads and random bytes are read or refused, and nothing else", () => {
  const change = fc.tuple(fc.nat(2000), fc.nat(255));
  fc.assert(
    fc.property(anyHead, fc.array(change, { maxLength: 6 }), fc.nat(2000), (head, changes, cut) => {
      const bytes = encode(head, hex("0102"));
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      refusedOrRead(() => readHead(bytes.subarray(0, cut)));
    }),
    RUNS,
  );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => refusedOrRead(() => readHead(bytes))), RUNS);
});
