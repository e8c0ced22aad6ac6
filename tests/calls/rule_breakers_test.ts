// Rule breakers over every kind of port: what a peer sends that is no call, no reply or no item costs
// it that call, or its own connection, and no other peer anything.
import { caller } from "@parley/parley/calls";
import { ParleyError } from "@parley/parley";
import { assertEquals, assertInstanceOf } from "@std/assert";
import { hostFor, portFor } from "../../calls/ports/find.ts";
import type { CallAnswerer, CallStream, OutgoingCall } from "../../calls/ports/port.ts";
import { type CallKind, encodeHead, encodeHeadStart } from "../../calls/protocol/head.ts";
import { encodeFailure, encodeValue } from "../../calls/protocol/reply.ts";
import { concat, hex, utf8 } from "../support/bytes.ts";
import { errorOf } from "../support/peers/servers.ts";
import { Random } from "../support/random.ts";
import { settles } from "../support/wait.ts";
import { table } from "./programs/contract.ts";
import { carrierOf, MEMORY, PORTS, STREAM_PORTS, Together } from "./together.ts";

/** What is no reply, or the reply of a value that is none. */
const BAD_REPLIES: Readonly<Record<string, Uint8Array>> = {
  "an unknown kind": hex("09 01 02"),
  "a failure that is no JSON": hex("01 ff"),
  "a failure without a code": concat([hex("01"), utf8("{}")]),
  "a value that is no JSON": concat([hex("00"), utf8("{")]),
  "a value that does not fit": encodeValue(utf8('"three"')),
  "a code that is reserved": encodeFailure({ by: "handler", code: "odd code", message: "odd" }),
};

/** What is no request. */
function badRequests(): Uint8Array[] {
  const head = encodeHead(
    encodeHeadStart({ kind: "call", name: "table.add", version: "1.2" }),
    { timeoutMs: 1000, trace: "" },
    new Uint8Array(0),
  );
  const random = new Random(3);
  const cuts = [0, 1, 5, head.length - 1].map((length) => head.slice(0, length));
  return [...cuts, hex("ff"), random.bytes(30), random.bytes(3000)];
}

/** A call whose request is `bytes`. */
function rogueCall(bytes: Uint8Array, kind: CallKind, name: string): OutgoingCall {
  return {
    kind,
    name,
    request: (leadBytes) => concat([new Uint8Array(leadBytes), bytes]),
    signal: undefined,
    timeoutMs: 5000,
    isIdempotent: false,
    read: (reply) => reply,
    explain: (error) => error,
  };
}

/** Answers as it likes. */
function rogueAnswerer(
  reply: Uint8Array,
  serve: (stream: CallStream) => Promise<void> = (stream) => stream.close(),
): CallAnswerer {
  return {
    ask: () => reply.slice(),
    stream: async (_, stream) => await serve(stream).catch(() => {}),
  };
}

for (const name of PORTS) {
  Deno.test(`replies that are none fail their call with a typed error, and no other: ${name}`, async () => {
    await using pair = await Together.start(name);
    pair.stop();
    const host = hostFor(await pair.answering.end());
    host.add("table.nothing", rogueAnswerer(encodeValue(new Uint8Array(0))));
    for (const [what, reply] of Object.entries(BAD_REPLIES)) {
      host.add("table.add", rogueAnswerer(reply));
      const beside = Array.from({ length: 5 }, () => pair.remote.nothing());
      const error = await settles(what, errorOf(pair.remote.add({ a: 1, b: 2 })));
      assertInstanceOf(error, ParleyError, what);
      await settles("the calls beside it", Promise.all(beside));
      host.remove("table.add");
    }
    // No bytes at all are no message of a connection, which ends by that; a client tries again.
    host.add("table.add", rogueAnswerer(hex("")));
    const call = pair.remote.add({ a: 1, b: 2 }, { timeoutMs: 1000 });
    assertInstanceOf(await settles("no bytes", errorOf(call)), ParleyError);
  });
}

for (const name of STREAM_PORTS) {
  Deno.test(`items that are none end their feed with a typed error, and no other: ${name}`, async () => {
    await using pair = await Together.start(name);
    pair.stop();
    const host = hostFor(await pair.answering.end());
    const failure = encodeFailure({ by: "handler", code: "ERR_DRY", message: "no more" });
    const one = encodeValue(utf8('{"n":0}'));
    const two = async (stream: CallStream) => {
      await stream.writeItem(one);
      await stream.writeItem(one);
      await stream.closeWrite();
    };
    const feeds: Record<string, { items: Uint8Array[]; got: number }> = {
      "an unknown kind": { items: [one, hex("07")], got: 1 },
      "no bytes": { items: [one, hex("")], got: 1 },
      "a value that is no JSON": { items: [hex("00 ff")], got: 0 },
      "values after a failure": { items: [one, failure, one, one], got: 1 },
    };
    host.add("table.lying", rogueAnswerer(hex(""), two));
    for (const [what, { items, got }] of Object.entries(feeds)) {
      host.add(
        "table.count",
        rogueAnswerer(hex(""), async (stream) => {
          for (const item of items) await stream.writeItem(item);
          await stream.closeWrite();
        }),
      );
      const seen: unknown[] = [];
      const reading = async () => {
        for await (const item of pair.remote.count({ id: "", to: 3 })) seen.push(item);
      };
      const error = await settles(what, errorOf(reading()));
      assertInstanceOf(error, ParleyError, what);
      assertEquals(seen.length, got, what);
      host.remove("table.count");
    }
    // A collect that ends without an answer, and one with two.
    host.add("table.sum", rogueAnswerer(hex("")));
    const none = await settles("no answer", errorOf(pair.remote.sum([1])));
    assertInstanceOf(none, ParleyError);
    host.remove("table.sum");
    host.add("table.firstOf", rogueAnswerer(hex(""), two));
    assertEquals(await settles("two answers", pair.remote.firstOf([1])), { n: 0 } as never);
  });

  Deno.test(`inputs that are none end their call alone: ${name}`, async () => {
    await using pair = await Together.start(name);
    const port = portFor(pair.via);
    const start = encodeHeadStart({ kind: "talk", name: "table.shout", version: "1.2" });
    const request = encodeHead(start, { timeoutMs: 0, trace: "" }, new Uint8Array(0));
    for (const item of [hex(""), hex("08"), hex("00 ff"), hex("01 7b7d")]) {
      const stream = await port.stream(rogueCall(request, "talk", "table.shout"));
      await stream.writeItem(item);
      const ends = async () => {
        while (await stream.readItem() !== null);
      };
      await settles("its end", ends().catch((error) => assertInstanceOf(error, ParleyError)));
      stream.abort();
      assertEquals(await settles("the next", pair.remote.add({ a: 1, b: 2 })), 3);
    }
    assertEquals(pair.reported, [], "a caller's fault is no failure of a handler");
  });
}

/** Carriers whose answerer has several peers. */
const SHARED = PORTS.filter((name) => name !== MEMORY && carrierOf(name).first === "answerer");

for (const name of SHARED) {
  Deno.test(`requests that are none cost no other peer anything: ${name}`, async () => {
    await using pair = await Together.start(name);
    const good = pair.remote.waits({ id: "", ms: 300 });
    const carrier = carrierOf(name);
    // A peer that joins a wire again replaces its older session.
    const isWire = carrier.peer !== null;
    for (const bytes of badRequests()) {
      const half = isWire ? pair.calling : await carrier.calls(pair.answering.place);
      try {
        const port = portFor(await half.end());
        const call = port.ask(rogueCall(bytes, "call", "table.add"));
        assertInstanceOf(await settles("its end", errorOf(call)), ParleyError);
        if (!carrier.hasStreams) continue;
        const opened = port.stream(rogueCall(bytes, "feed", "table.count"));
        const reading = opened.then((stream) => stream.readItem());
        await settles("its end", reading.catch((error) => assertInstanceOf(error, ParleyError)));
      } finally {
        if (!isWire) {
          half.abort();
          await half.ended();
        }
      }
    }
    await settles("the call that ran", good);
    const remote = caller(pair.via, table);
    assertEquals(await settles("the next", remote.add({ a: 1, b: 2 })), 3);
    assertEquals(pair.reported, []);
  });
}
