// Tests of first bytes that go with the OPEN of a stream: accepted, refused, longer than the window,
// through a hub, and cut in the middle.
import { assert, assertEquals } from "@std/assert";
import { AuthError, ClosedError, RemoteError } from "@parley/parley";
import type { WireStream } from "@parley/parley/wire";
import { FrameChannel } from "../../wire/protocol/frame_stream.ts";
import { encodeFrame } from "../../wire/protocol/frames.ts";
import { openStream, routeOf } from "../../wire/session/open_stream.ts";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { authorize, hubbed, mounted, RawWire, readText, TOKEN } from "../support/peers/wires.ts";
import { atRest, settles, until } from "../support/wait.ts";

/** More than the window with which any stream begins. */
const LONG = new Uint8Array(1 << 20).map((_, index) => index % 251);

interface Early {
  readonly bytes?: Uint8Array | undefined;
  readonly isAll?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const text = (value: string) => new TextEncoder().encode(value);

/** Opens a stream with first bytes. */
function openEarly(via: object, name: string, early: Early = {}): Promise<WireStream> {
  const { bytes = text("hello"), isAll = true, signal } = early;
  return openStream(routeOf(via)!, {
    name,
    meta: {},
    timeoutMs: 10_000,
    options: { signal },
    early: { bytes, isAll },
  });
}

async function count(stream: WireStream): Promise<void> {
  let sum = 0;
  let bytes = 0;
  for await (const chunk of stream) {
    for (const byte of chunk) sum = (sum * 31 + byte) % 1_000_003;
    bytes += chunk.length;
  }
  await stream.write(`${bytes} ${sum}`);
}

function expected(bytes: Uint8Array): string {
  let sum = 0;
  for (const byte of bytes) sum = (sum * 31 + byte) % 1_000_003;
  return `${bytes.length} ${sum}`;
}

Deno.test("early bytes and the end behind them come with OPEN, before any answer", async () => {
  await using test = await mounted();
  const port = (test.server.addr as Deno.NetAddr).port;
  await using raw = await RawWire.dial(port);
  await raw.hello("raw");
  await until("it has joined", () => test.server.session("raw") !== undefined);
  const opening = openEarly(test.server.session("raw")!, "echo");
  const mux = await settles("the stream", raw.mux.acceptStream());
  const channel = new FrameChannel(mux!);
  assertEquals(
    JSON.parse(new TextDecoder().decode((await settles("OPEN", channel.read()))!)),
    { name: "echo", meta: {} },
  );
  assertEquals(await settles("the bytes", mux!.read()), text("hello"));
  assertEquals(await settles("the end", mux!.read()), null);
  await channel.write({});
  await mux!.write(text("answer"));
  await mux!.closeWrite();
  assertEquals(await settles("the answer", readText(await opening)), "answer");
});

Deno.test("early bytes are the first that a handler reads, and what is written later comes behind", async () => {
  await using test = await mounted({ handlers: { count } });
  const wire = await test.join("ann");
  const stream = await openEarly(wire, "count", { bytes: text("one "), isAll: false });
  await stream.write("two");
  await stream.closeWrite();
  assertEquals(await readText(stream), expected(text("one two")));
});

Deno.test("early bytes beyond the first window follow in order, also through a hub", async () => {
  await using test = await hubbed({ handlers: { count } });
  const ann = await test.join("ann");
  await test.join("bob", { handlers: { count } });
  for (const via of [ann, ann.session!, ann.peer("bob")]) {
    const stream = await settles("it is accepted", openEarly(via, "count", { bytes: LONG }));
    assertEquals(await settles("the answer", readText(stream)), expected(LONG));
  }
});

Deno.test("a refusal reaches the opener as its error though bytes went before, and leaves nothing", async () => {
  await using test = await hubbed({ handlers: { count } });
  const ann = await test.join("ann");
  const bob = await test.join("bob");
  for (const bytes of [text("hello"), LONG]) {
    const refused = async (via: object, name: string) =>
      await settles(name, errorOf(openEarly(via, name, { bytes })));
    const none = await refused(ann, "nothing");
    assert(none instanceof RemoteError && none.code === "ERR_NO_HANDLER", `${none}`);
    assert(await refused(ann, "forbidden") instanceof AuthError);
    assert(await refused(ann.peer("bob"), "forbidden") instanceof AuthError);
    assertEquals(codeOf(await refused(ann.peer("bob"), "nothing")), "ERR_NO_HANDLER");
    assertEquals(codeOf(await refused(ann.peer("cid"), "nothing")), "ERR_NO_PEER");
  }
  const sessions = [ann.session!, bob.session!, ...test.server.sessions];
  await until(
    "no stream is left",
    () => sessions.every((session) => session.stats().streams === 1),
  );
  const stream = await openEarly(ann, "count");
  assertEquals(await readText(stream), expected(text("hello")));
});

Deno.test("a hub passes early bytes on with OPEN, before its target has answered", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  await using raw = await RawWire.dial((test.server.addr as Deno.NetAddr).port);
  await raw.hello("raw");
  await until("it has joined", () => test.server.session("raw") !== undefined);
  const opening = openEarly(ann.peer("raw"), "ask");
  const mux = await settles("the stream", raw.mux.acceptStream());
  const channel = new FrameChannel(mux!);
  await settles("OPEN", channel.read());
  assertEquals(await settles("the bytes", mux!.read()), text("hello"));
  assertEquals(await settles("the end", mux!.read()), null);
  await channel.write({});
  await mux!.closeWrite();
  assertEquals(await settles("the end", readText(await opening)), "");
});

Deno.test("a hub passes on no more than 16 KiB before its target has answered", async () => {
  await using test = await hubbed({ handlers: { count } });
  const { port } = test.server.addr as Deno.NetAddr;
  await using ann = await RawWire.dial(port);
  await using bob = await RawWire.dial(port);
  await ann.hello("ann");
  await bob.hello("bob");
  await until("both have joined", () => test.server.sessions.length === 2);
  // A session that has found its link to be fast sends frames of 64 KiB.
  const warm = await ann.send({ name: "count" });
  for (let round = 0; round < 4; round++) await warm.mux.write(LONG);
  await warm.mux.closeWrite();
  await settles("the answer", new Response(warm.mux.readable).text());
  const frame = encodeFrame({ name: "ask", to: "bob" });
  const bytes = new Uint8Array(frame.length + 120_000);
  bytes.set(frame);
  const again = await ann.send(bytes);
  const far = await settles("the stream", bob.mux.acceptStream());
  const cameSoFar = () => far!.stats().bytesIn;
  const came = await atRest(cameSoFar);
  assert(came > 10_000 && came <= 16 * 1024 + 100, `${came}`);
  const channel = new FrameChannel(far!);
  await settles("OPEN", channel.read());
  await channel.write({});
  await until("the rest", () => cameSoFar() > 120_000);
  again.mux.reset();
});

Deno.test("an opener whose stream is refused ends it in order, and does not reset it", async () => {
  await using test = await mounted();
  await using raw = await RawWire.dial((test.server.addr as Deno.NetAddr).port);
  await raw.hello("raw");
  await until("it has joined", () => test.server.session("raw") !== undefined);
  const opening = errorOf(openEarly(test.server.session("raw")!, "ask", { isAll: false }));
  const channel = new FrameChannel((await settles("the stream", raw.mux.acceptStream()))!);
  await settles("OPEN", channel.read());
  await channel.write({ code: "ERR_NO_HANDLER" });
  assertEquals(codeOf(await settles("the opening", opening)), "ERR_NO_HANDLER");
  assertEquals(await settles("the bytes", channel.mux.read()), text("hello"));
  assertEquals(await settles("the end", channel.mux.read()), null);
  assert(!channel.mux.signal.aborted);
  await channel.mux.close();
});

Deno.test("an opener that gives up while early bytes wait rejects with its reason, and resets the stream", async () => {
  const pending = Promise.withResolvers<boolean>();
  await using test = await mounted({
    authorize: (request) => request.name === "held" ? pending.promise : authorize(request),
  });
  const wire = await test.join("ann");
  const controller = new AbortController();
  const opening = errorOf(openEarly(wire, "held", { bytes: LONG, signal: controller.signal }));
  await until("it has come", () => test.server.session("ann")!.stats().streams > 1);
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await settles("the opening", opening), reason);
  await until("it is gone", () => test.server.session("ann")!.stats().streams === 1);
  assertEquals(wire.session!.stats().streams, 1);
  pending.resolve(true);
});

Deno.test("a peer that resets in the middle of early bytes ends the stream with ERR_RESET", async () => {
  await using test = await hubbed({
    handlers: {
      leave: async (stream) => {
        await stream.read();
        stream.abort();
      },
    },
  });
  const ann = await test.join("ann");
  await test.join("bob", {
    token: "bob" + TOKEN,
    handlers: {
      leave: async (stream) => {
        await stream.read();
        stream.abort();
      },
    },
  });
  for (const via of [ann, ann.peer("bob")]) {
    const stream = await openEarly(via, "leave", { bytes: LONG });
    const error = await settles("the end", errorOf(readText(stream)));
    assert(error instanceof ClosedError && error.code === "ERR_RESET", `${error}`);
  }
  await until("no stream is left", () => ann.session!.stats().streams === 1);
});
