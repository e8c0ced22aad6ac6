// Interop: our session against libp2p's yamux over TCP, as client and as server.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { INITIAL_WINDOW_BYTES, type MuxStream } from "@parley/parley/mux";
import { text, utf8 } from "../support/bytes.ts";
import { Interop } from "../support/peers/interop.ts";
import { type Libp2pStream, sendLibp2p } from "../support/peers/libp2p_mux.ts";
import { codeOf, readAll, serveEcho } from "../support/peers/mux_pair.ts";
import { effort, Random } from "../support/random.ts";
import { settles, until } from "../support/wait.ts";

const STREAMS = 64;
const CHUNK_BYTES = 65_536;

/** Bytes of each stream, each way: 32 MiB each way in all; PARLEY_FUZZ_RUNS=8 and above sends 256 MiB. */
const STREAM_BYTES = Math.min(8, effort) << 19;

/** The chunks of one stream, unlike those of any other, and their hash. */
class Content {
  readonly hash = createHash("sha256");
  readonly #base: Uint8Array;

  constructor(seed: number) {
    this.#base = new Random(seed).bytes(CHUNK_BYTES);
  }

  *chunks(): Generator<Uint8Array> {
    for (let sent = 0; sent < STREAM_BYTES; sent += CHUNK_BYTES) {
      const chunk = this.#base.slice();
      new DataView(chunk.buffer).setUint32(0, sent);
      this.hash.update(chunk);
      yield chunk;
    }
  }
}

/** Hash and length of what comes. */
async function digest(
  chunks: AsyncIterable<Uint8Array | { subarray(): Uint8Array }>,
): Promise<string> {
  const hash = createHash("sha256");
  let count = 0;
  for await (const chunk of chunks) {
    const bytes = chunk.subarray();
    hash.update(bytes);
    count += bytes.length;
  }
  return `${count} ${hash.digest("hex")}`;
}

const digestOf = ({ hash }: Content) => `${STREAM_BYTES} ${hash.digest("hex")}`;

async function echoedByThem(stream: MuxStream, content: Content): Promise<void> {
  const reading = digest(stream);
  for (const chunk of content.chunks()) await stream.write(chunk);
  await stream.closeWrite();
  assertEquals(await reading, digestOf(content));
  assertEquals(await stream.closed, undefined);
}

async function echoedByUs(stream: Libp2pStream, content: Content): Promise<void> {
  const reading = digest(stream);
  for (const chunk of content.chunks()) await sendLibp2p(stream, chunk);
  await stream.close();
  assertEquals(await reading, digestOf(content));
}

/** Their end of the stream with this id. */
async function theirEnd(pair: Interop, { id }: MuxStream): Promise<Libp2pStream> {
  const find = () => pair.theirs.streams.find((stream) => stream.id === `${id}`);
  await until("they have the stream", () => find() !== undefined);
  return find()!;
}

async function accepted(pair: Interop): Promise<MuxStream> {
  const stream = await settles("their stream", pair.ours.acceptStream());
  assert(stream !== null);
  return stream;
}

const enc = utf8("hello");

for (const role of ["client", "server"] as const) {
  const both = `MuxSession as ${role} and libp2p's yamux`;

  Deno.test(`${both} carry 64 streams both ways, opened by either side, every byte in its place`, async () => {
    await using pair = await Interop.start(role);
    const serving = serveEcho(pair.ours);
    await Promise.all(Array.from({ length: STREAMS }, async (_, index) => {
      const content = new Content(index + 1);
      if (index % 2 === 0) await echoedByThem(await pair.ours.openStream(), content);
      else await echoedByUs(await pair.theirs.createStream(), content);
    }));
    assertEquals([pair.ours.status, pair.ours.stats().resetsIn], ["open", 0]);
    pair.ours.abort();
    await serving;
  });

  Deno.test(`${both} let the windows of both sides grow beyond 256 KiB on a long link`, async () => {
    await using pair = await Interop.start(role, { delayMs: 20 });
    // Neither side grows a window before it knows the round trip.
    await Promise.all([pair.ours.ping(), pair.theirs.ping()]);
    const stream = await pair.ours.openStream();
    const reading = readAll(stream);
    for (let sent = 0; sent < 4 << 20; sent += CHUNK_BYTES) {
      await stream.write(new Uint8Array(CHUNK_BYTES));
    }
    await stream.closeWrite();
    assertEquals((await reading).length, 4 << 20);
    const ours = stream.stats().windowBytes;
    assert(ours > INITIAL_WINDOW_BYTES, `our window stayed at ${ours}`);
    assert(largestCredit(pair, stream.id) > INITIAL_WINDOW_BYTES, "their window stayed at 256 KiB");
  });

  Deno.test(`${both} end each direction of a stream by itself, whoever ends first`, async () => {
    await using pair = await Interop.start(role, { theirs: "leave" });
    const near = await pair.ours.openStream();
    await near.write(enc);
    await near.closeWrite();
    const far = await theirEnd(pair, near);
    assertEquals(text(await firstOf(far)), "hello");
    await until("our FIN is there", () => far.remoteWriteStatus === "closed");
    assertEquals([near.stats().state, far.writeStatus], ["writeClosed", "writable"]);
    far.send(utf8("late"));
    assertEquals(text(await near.read() ?? enc), "late");
    await far.close();
    assertEquals([await near.read(), await settles("the end", near.closed)], [null, undefined]);

    const theirs = await pair.theirs.createStream();
    theirs.send(enc);
    await theirs.close();
    const ours = await accepted(pair);
    assertEquals(text(await readAll(ours)), "hello");
    assertEquals([ours.stats().state, theirs.readStatus], ["readClosed", "readable"]);
    const answer = firstOf(theirs);
    await ours.write(utf8("late too"));
    assertEquals(text(await answer), "late too");
    await ours.closeWrite();
    await until("their stream is over in order", () => theirs.status === "closed");
    assertEquals(await ours.closed, undefined);
  });

  Deno.test(`${both} reset streams, and each sees the other's`, async () => {
    await using pair = await Interop.start(role, { theirs: "leave" });
    const own = await pair.ours.openStream();
    await own.write(enc);
    const far = await theirEnd(pair, own);
    own.reset();
    await until("they see our reset", () => far.status === "reset");

    const reset = await pair.theirs.createStream();
    reset.send(enc);
    const wasReset = await accepted(pair);
    reset.abort(new Error("enough"));
    assertEquals(await codeOf(readAll(wasReset)), "ERR_RESET");
    assertEquals((await wasReset.closed)?.code, "ERR_RESET");
    // Neither harms the session.
    assert(await pair.ours.ping() >= 0);
    assertEquals([pair.ours.status, pair.theirs.status, pair.ours.stats().streams], [
      "open",
      "open",
      0,
    ]);
  });

  Deno.test(`${both} answer each other's pings`, async () => {
    await using pair = await Interop.start(role);
    for (let count = 0; count < 3; count++) {
      assert(await pair.ours.ping({ timeoutMs: 5000 }) >= 0);
      assert(await settles("their ping", pair.theirs.ping()) >= 0);
    }
    const pings = pair.log.frames.filter(({ type }) => type === "ping").map(({ from, flags }) =>
      from + flags
    );
    assertEquals(pings.length, 12);
    for (const kind of ["oursSYN", "oursACK", "theirsSYN", "theirsACK"]) {
      assertEquals(pings.filter((ping) => ping === kind).length, 3, kind);
    }
  });

  Deno.test(`${both}: our go-away ends them in order`, async () => {
    await using pair = await Interop.start(role);
    const stream = await pair.ours.openStream();
    await stream.write(enc);
    await stream.closeWrite();
    assertEquals(text(await readAll(stream)), "hello");
    await settles("close()", pair.ours.close());
    await until("they have closed", () => pair.theirs.status === "closed");
    await assertRejects(() => pair.theirs.createStream(), Error);
    assertEquals(goAways(pair, "ours"), [0]);
    assertEquals(await pair.ours.closed, undefined);
  });

  Deno.test(`${both}: their go-away 0 lets nobody open streams any more`, async () => {
    await using pair = await Interop.start(role);
    await pair.theirs.close();
    await until("go-away has come", () => pair.ours.status !== "open");
    assertEquals(goAways(pair, "theirs"), [0]);
    assertMatch(await codeOf(pair.ours.openStream()), /^ERR_(GOING_AWAY|CLOSED)$/);
    await settles("close()", pair.ours.close());
    assertEquals(await pair.ours.closed, undefined);
  });

  Deno.test(`${both}: their go-away 1, as we broke the protocol, ends everything that waits`, async () => {
    await using pair = await Interop.start(role, { theirs: "leave" });
    const stream = await pair.ours.openStream();
    const reading = codeOf(stream.read());
    await theirEnd(pair, stream);
    await pair.inject(new Uint8Array([9, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
    const error = await settles("the end", pair.ours.closed);
    assertEquals(goAways(pair, "theirs"), [1]);
    assertEquals([error?.code, await reading], ["ERR_MUX_PEER_ERROR", "ERR_RESET"]);
    assert(error?.message.includes("code 1"), error?.message);
  });

  Deno.test(`${both}: their go-away 2, as they failed, ends everything that waits`, async () => {
    await using pair = await Interop.start(role, { theirs: "leave" });
    const stream = await pair.ours.openStream();
    const waiting = codeOf(stream.read());
    await theirEnd(pair, stream);
    // An error without a reason of its own would go out as 0.
    pair.theirs.abort(Object.assign(new Error("broken"), { reason: 2 }));
    const error = await settles("the end", pair.ours.closed);
    assertEquals(goAways(pair, "theirs"), [2]);
    assert(error?.message.includes("code 2"), error?.message);
    // Their resets of the streams went first.
    assertEquals([error?.code, await waiting], ["ERR_MUX_PEER_ERROR", "ERR_RESET"]);
    assertEquals(await codeOf(pair.ours.openStream()), "ERR_MUX_PEER_ERROR");
  });
}

/** The codes of the go-aways that one side sent. */
function goAways(pair: Interop, from: "ours" | "theirs"): number[] {
  return pair.log.of(from).filter(({ type }) => type === "goaway").map(({ length }) => length);
}

/** The most that they ever let us have under way on a stream. */
function largestCredit(pair: Interop, id: number): number {
  let credit = INITIAL_WINDOW_BYTES;
  let largest = credit;
  for (const { from, type, stream, length } of pair.log.frames) {
    if (stream !== id) continue;
    if (from === "ours" && type === "data") credit -= length;
    if (from === "theirs" && type === "window") credit += length;
    largest = Math.max(largest, credit);
  }
  return largest;
}

/** The first message of a stream of theirs. */
function firstOf(stream: Libp2pStream): Promise<Uint8Array> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  stream.addEventListener("message", ({ data }) => resolve(data.subarray()), { once: true });
  return settles("their message", promise);
}
