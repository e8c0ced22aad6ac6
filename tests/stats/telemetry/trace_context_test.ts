// Trace contexts: what is sent is what the standard says, and what comes is judged before it is believed.
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  decodeTraceContext,
  encodeTraceContext,
  formatTraceContext,
  MAX_TRACE_CONTEXT_BYTES,
  readTraceContext,
} from "../../../stats/telemetry/trace_context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const GOOD = `00-${TRACE}-${SPAN}-01`;

Deno.test("formatTraceContext() writes version 00, and nothing for a span that nobody records", () => {
  const parts = { traceId: TRACE, spanId: SPAN };
  assertEquals(formatTraceContext({ ...parts, traceFlags: 1 }), { traceparent: GOOD });
  assertEquals(
    formatTraceContext({ ...parts, traceFlags: 0xfe })?.traceparent,
    `00-${TRACE}-${SPAN}-00`,
  );
  assertEquals(
    formatTraceContext({ ...parts, traceFlags: 1, tracestate: "a=1" })?.tracestate,
    "a=1",
  );
  for (const tracestate of ["", "a=\n", "x".repeat(513)]) {
    assertEquals(formatTraceContext({ ...parts, traceFlags: 1, tracestate }), {
      traceparent: GOOD,
    });
  }
  assertEquals(
    formatTraceContext({ traceId: "0".repeat(32), spanId: SPAN, traceFlags: 1 }),
    undefined,
  );
  assertEquals(
    formatTraceContext({ traceId: TRACE, spanId: "0".repeat(16), traceFlags: 1 }),
    undefined,
  );
});

Deno.test("readTraceContext() takes what the standard lets it take", () => {
  const parts = { traceId: TRACE, spanId: SPAN };
  const cases: [string, number][] = [
    [GOOD, 1],
    [`00-${TRACE}-${SPAN}-00`, 0],
    [`00-${TRACE}-${SPAN}-ff`, 1],
    [`01-${TRACE}-${SPAN}-01`, 1],
    [`cc-${TRACE}-${SPAN}-03-what-the-future-will-be-like`, 1],
  ];
  for (const [traceparent, traceFlags] of cases) {
    assertEquals(readTraceContext({ traceparent }), { ...parts, traceFlags }, traceparent);
  }
  const tracestate = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
  assertEquals(readTraceContext({ traceparent: GOOD, tracestate })?.tracestate, tracestate);
});

Deno.test("readTraceContext() ignores what is malformed, and is no error", () => {
  const bad: unknown[] = [
    ...[
      undefined,
      null,
      5,
      {},
      [GOOD],
      "",
      "00",
      GOOD.toUpperCase(),
      ` ${GOOD}`,
      `${GOOD} `,
      `${GOOD}\n`,
    ],
    ...[`ff-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-01-more`, `cc-${TRACE}-${SPAN}-01.more`],
    ...[
      `00-${"0".repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${"0".repeat(16)}-01`,
      `00-${TRACE}-${SPAN}-0`,
    ],
    ...[`00-${TRACE}x-${SPAN}-01`, `cc-${TRACE}-${SPAN}-01-${"x".repeat(300)}`],
  ];
  for (const traceparent of bad) {
    assertEquals(readTraceContext({ traceparent }), undefined, `${traceparent}`);
  }
  for (const tracestate of [5, "", "a=\u{1f600}", "a=1\r\nb: c", "x".repeat(513), ["a=1"]]) {
    assertEquals(readTraceContext({ traceparent: GOOD, tracestate })?.tracestate, undefined);
  }
});

Deno.test("decodeTraceContext() reads what encodeTraceContext() wrote", () => {
  for (const tracestate of [undefined, "a=1", "x=".padEnd(512, "y")]) {
    const bytes = encodeTraceContext({ traceparent: GOOD, tracestate });
    assert(bytes.length <= MAX_TRACE_CONTEXT_BYTES);
    const parts = { traceId: TRACE, spanId: SPAN, traceFlags: 1 };
    assertEquals(
      decodeTraceContext(bytes),
      tracestate === undefined ? parts : { ...parts, tracestate },
    );
  }
});

Deno.test("decodeTraceContext() throws for no bytes at all, and believes none of them", () => {
  const mutated = fc.tuple(fc.nat(54), fc.nat(255)).map(([at, byte]) => {
    const bytes = encodeTraceContext({ traceparent: GOOD });
    bytes[at] = byte;
    return bytes;
  });
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 900 }), mutated), (bytes) => {
    const parts = decodeTraceContext(bytes);
    if (parts === undefined) return;
    assert(/^[0-9a-f]{32}$/.test(parts.traceId) && /^[0-9a-f]{16}$/.test(parts.spanId));
  }));
  const long = encodeTraceContext({ traceparent: GOOD, tracestate: "x".repeat(2000) });
  assertEquals(decodeTraceContext(long), undefined);
});
