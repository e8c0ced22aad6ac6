// Tests of the wire's frames: whole, cut everywhere, and wrong.
import { assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "@parley/parley";
import {
  checkMeta,
  encodeFrame,
  FrameBuffer,
  MAX_FRAME_BYTES,
  readAnswer,
  readControl,
  readHello,
  readOpen,
  readReply,
} from "../../../wire/protocol/frames.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: object) => bytes(JSON.stringify(value));

function refuses(call: () => void): void {
  assertEquals(assertThrows(call, ProtocolError).code, "ERR_WIRE_FRAME");
}

Deno.test("FrameBuffer gives the same frame wherever the bytes are cut, and what is behind it", () => {
  const frame = encodeFrame({ name: "x" });
  assertEquals(frame, new Uint8Array([0, 0, 0, 12, ...bytes('{"name":"x"}')]));
  const input = new Uint8Array([...frame, ...frame, 7, 8]);
  for (let cut = 0; cut <= frame.length + 2; cut++) {
    const buffer = new FrameBuffer();
    const frames = [
      buffer.push(input.subarray(0, cut)),
      buffer.push(input.subarray(cut)),
      buffer.next(),
    ]
      .filter((found) => found !== undefined);
    assertEquals(frames, [bytes('{"name":"x"}'), bytes('{"name":"x"}')]);
    assertEquals(buffer.rest(), new Uint8Array([7, 8]));
    assertEquals(buffer.atBoundary, true);
  }
});

Deno.test("FrameBuffer refuses a length of 0 and one over 16 KiB from the header alone", () => {
  refuses(() => new FrameBuffer().push(new Uint8Array([0, 0, 0, 0])));
  refuses(() => new FrameBuffer().push(new Uint8Array([0, 0, 0x40, 1])));
  refuses(() => new FrameBuffer().push(new Uint8Array([255, 255, 255, 255])));
  assertEquals(new FrameBuffer().push(new Uint8Array([0, 0, 0x40, 0])), undefined);
});

Deno.test("encodeFrame refuses what does not fit", () => {
  encodeFrame({ a: "x".repeat(MAX_FRAME_BYTES - 8) });
  assertThrows(
    () => encodeFrame({ a: "x".repeat(MAX_FRAME_BYTES - 7) }),
    RangeError,
    "at most 16384",
  );
});

Deno.test("readHello takes what is right and refuses wrong types, names and tokens", () => {
  const good = { parley: 1, identity: "me", token: "t", streams: ["a"], other: [1] };
  assertEquals(readHello(text(good)), { parley: 1, identity: "me", token: "t", streams: ["a"] });
  const bad: object[] = [
    { ...good, parley: "1" },
    { ...good, identity: "" },
    { ...good, identity: "a b" },
    { ...good, identity: "ä" },
    { ...good, identity: "x".repeat(256) },
    { ...good, identity: 7 },
    { ...good, token: undefined },
    { ...good, token: "x".repeat(4097) },
    { ...good, streams: "a" },
    { ...good, streams: [""] },
    { ...good, streams: [1] },
    { ...good, streams: undefined },
  ];
  for (const frame of bad) refuses(() => readHello(text(frame)));
});

Deno.test("frames refuse what is no JSON object, broken UTF-8, and members named __proto__", () => {
  const bad = [
    "",
    "{",
    "1",
    "null",
    "[]",
    '"x"',
    "{} {}",
    '{"name":"a","meta":{"__proto__":{}}}',
    '{"name":"a","meta":{"\\u005f_proto__":{}}}',
    "[".repeat(9000),
  ];
  for (const frame of bad) refuses(() => readOpen(bytes(frame)));
  refuses(() => readOpen(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])));
});

Deno.test("readOpen takes a name, whom it is for and what is said about it", () => {
  assertEquals(readOpen(text({ name: "a" })), {
    name: "a",
    to: undefined,
    from: undefined,
    meta: {},
    waitMs: undefined,
  });
  assertEquals(readOpen(text({ name: "a", to: "b", from: "c", meta: { x: [1] }, waitMs: 5 })), {
    name: "a",
    to: "b",
    from: "c",
    meta: { x: [1] },
    waitMs: 5,
  });
  for (const waitMs of ["1", -1, null, NaN]) refuses(() => readOpen(text({ name: "a", waitMs })));
  for (
    const frame of [{}, { name: "a", to: 1 }, { name: "a", from: "" }, { name: "a", meta: [] }]
  ) {
    refuses(() => readOpen(text(frame)));
  }
});

Deno.test("readReply, readAnswer and readControl know their codes and refuse others", () => {
  assertEquals(readReply(text({ code: "ERR_BUSY" })), { code: "ERR_BUSY" });
  refuses(() => readReply(text({ code: "ERR_OTHER" })));
  refuses(() => readReply(text({ session: "x" })));
  assertEquals(readAnswer(text({})), { code: undefined });
  assertEquals(readAnswer(text({ code: "ERR_NO_PEER" })), { code: "ERR_NO_PEER" });
  refuses(() => readAnswer(text({ code: 1 })));
  assertEquals(readAnswer(text({ code: "ERR_TARGET_REFUSED" })), { code: "ERR_TARGET_REFUSED" });
  // What only newer peers know is no broken frame.
  for (const code of ["ERR_OF_TOMORROW", "toString"]) {
    assertEquals(readAnswer(text({ code })), { code: "ERR_HANDLER" });
  }
  const nothing = { streams: undefined, peers: [], gone: [], limits: undefined, ended: undefined };
  assertEquals(readControl(text({ gone: ["a"] })), { ...nothing, gone: ["a"] });
  assertEquals(readControl(text({ ended: "ERR_NAME_TAKEN" })), {
    ...nothing,
    ended: "ERR_NAME_TAKEN",
  });
  refuses(() => readControl(text({ ended: "ERR_OTHER" })));
  refuses(() => readControl(text({ ended: true })));
  refuses(() => readControl(text({ peers: [{ identity: "a" }] })));
  refuses(() => readControl(text({ peers: {} })));
});

Deno.test("readHello, readReply and readControl take limits, whole numbers only, and leave out what is not said", () => {
  const hello = { parley: 1, identity: "me", token: "", streams: [] };
  const welcome = { session: "s", identity: "me", streams: [] };
  assertEquals(
    readHello(text({ ...hello, limits: { maxStreams: 5, windowBytes: 9e9, other: 1 } })).limits,
    {
      maxStreams: 5,
      windowBytes: 256 * 1024,
    },
  );
  assertEquals(readReply(text({ ...welcome, limits: {} })), { ...welcome, limits: {} });
  assertEquals(readReply(text({ ...welcome, limits: { maxStreamsPerPair: 2 ** 40 } })), {
    ...welcome,
    limits: { maxStreamsPerPair: 2 ** 20 },
  });
  assertEquals(readControl(text({ limits: { maxStreams: 1 } })).limits, { maxStreams: 1 });
  assertEquals(readHello(text({ ...hello, limits: { maxStreams: 0 } })).limits, { maxStreams: 0 });
  for (
    const limits of [[], 1, null, { maxStreams: -1 }, { windowBytes: 0 }, { maxStreams: "1" }, {
      windowBytes: 1.5,
    }]
  ) {
    refuses(() => readHello(text({ ...hello, limits })));
    refuses(() => readReply(text({ ...welcome, limits })));
    refuses(() => readControl(text({ limits })));
  }
});

Deno.test("checkMeta takes objects that JSON can say and a frame can hold, and refuses all else", () => {
  const check = (meta: unknown, name = "n", to?: string) =>
    checkMeta("Cannot open", meta, { name, to });
  const meta = { a: [1, { b: null }] };
  const checked = check(meta);
  assertEquals(checked, meta);
  // What was checked is what goes, however often the caller's object says something else.
  meta.a.push({ b: null });
  assertEquals(checked, { a: [1, { b: null }] });
  let asked = 0;
  const fickle = check({ toJSON: () => asked++ === 0 ? { day: new Date(0) } : [] });
  assertEquals(JSON.stringify(fickle), '{"day":"1970-01-01T00:00:00.000Z"}');
  const circle: Record<string, unknown> = {};
  circle["itself"] = circle;
  const wrong = [
    [1],
    null,
    1,
    "x",
    { n: 1n },
    circle,
    new Date(),
    JSON.parse('{"a":{"__proto__":{}}}'),
  ];
  for (const value of wrong) assertThrows(() => check(value), TypeError, '"meta"');
  const fits = (bytes: number, name?: string, to?: string) => {
    try {
      check({ x: "-".repeat(bytes) }, name, to);
      return true;
    } catch (error) {
      assertEquals(error instanceof RangeError, true);
      return false;
    }
  };
  let most = MAX_FRAME_BYTES;
  while (!fits(most)) most--;
  encodeFrame({ name: "n", waitMs: 2 ** 32 - 1, meta: { x: "-".repeat(most) } });
  // Through a hub the longest `from` must fit as well.
  const name = "n".repeat(255), identity = "i".repeat(255);
  let less = MAX_FRAME_BYTES;
  while (!fits(less, name, identity)) less--;
  encodeFrame({ name, from: identity, meta: { x: "-".repeat(less) } });
  assertEquals(most - less >= 3 * 254, true);
});
