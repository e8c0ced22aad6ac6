// Tests of MuxStream over a pair of sessions in memory.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ClosedError, TimeoutError } from "../../errors.ts";
import { INITIAL_WINDOW_BYTES } from "../../mux/mod.ts";
import { utf8 } from "../support/bytes.ts";
import { MuxPair, readAll, serveEcho, sessionWithRawPeer } from "../support/peers/mux_pair.ts";
import { frame } from "../support/peers/raw_mux.ts";
import { settle } from "../support/simulation/test_clock.ts";

async function rejectsWith(code: string, promise: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => promise, ClosedError);
  assertEquals(error.code, code);
}

Deno.test("MuxStream carries bytes both ways and ends each direction by itself", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.write(utf8("question"));
  await near.closeWrite();
  assertEquals(await readAll(far), utf8("question"));
  await far.write(utf8("ans"));
  await far.write(utf8("wer"));
  await far.closeWrite();
  assertEquals(await readAll(near), utf8("answer"));
  assertEquals([await near.closed, await far.closed], [undefined, undefined]);
  assertEquals([near.stats().state, far.stats().state], ["closed", "closed"]);
  assertEquals([pair.client.stats().streams, pair.server.stats().streams], [0, 0]);
});

Deno.test("MuxStream carries 1 MiB in writes of all sizes, unharmed", async () => {
  await using pair = new MuxPair();
  const serving = serveEcho(pair.server);
  const stream = await pair.client.openStream();
  const all = new Uint8Array(1 << 20).map((_, index) => (index * 31) ^ (index >> 8));
  const writing = (async () => {
    for (
      let offset = 0, size = 1;
      offset < all.length;
      offset += size, size = size * 3 % 70_001 + 1
    ) {
      await stream.write(all.subarray(offset, offset + size));
    }
    await stream.closeWrite();
  })();
  assertEquals(await readAll(stream), all);
  await writing;
  pair.client.abort();
  await serving;
});

Deno.test("MuxStream can be written to before the peer has answered", async () => {
  await using pair = new MuxPair();
  const near = await pair.client.openStream();
  await near.write(utf8("early"));
  await near.closeWrite();
  const far = await pair.server.acceptStream();
  assert(far !== null);
  assertEquals(await readAll(far), utf8("early"));
});

Deno.test("MuxStream.read gives null again and again after the end", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.closeWrite();
  assertEquals([await far.read(), await far.read()], [null, null]);
});

Deno.test("MuxStream.read refuses a second reader at the same time", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const first = far.read();
  await assertRejects(() => far.read(), TypeError, "another read is under way");
  await near.write(utf8("x"));
  assertEquals(await first, utf8("x"));
});

Deno.test("MuxStream.read that ends early loses nothing", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const reason = new Error("changed my mind");
  await assertRejects(
    () => far.read({ signal: AbortSignal.abort(reason) }),
    Error,
    "changed my mind",
  );
  const controller = new AbortController();
  const waiting = far.read({ signal: controller.signal });
  controller.abort(reason);
  assertStrictEquals(await waiting.catch((error) => error), reason);
  const late = await assertRejects(() => far.read({ timeoutMs: 1 }), TimeoutError);
  assertEquals(late.code, "ERR_READ_TIMEOUT");
  await near.write(utf8("kept"));
  assertEquals(await far.read(), utf8("kept"));
});

Deno.test("MuxStream refuses a time limit that is none, before any I/O", async () => {
  await using pair = new MuxPair();
  const [near] = await pair.open();
  for (const timeoutMs of [-1, NaN, 2 ** 31]) {
    await assertRejects(
      async () => await near.read({ timeoutMs }),
      RangeError,
      '"timeoutMs" must be',
    );
    await assertRejects(
      async () => await near.write(utf8("x"), { timeoutMs }),
      RangeError,
      '"timeoutMs" must be',
    );
  }
});

Deno.test("MuxStream.write stalls at the window of a peer that does not read, and goes on when it does", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  let done = false;
  const writing = near.write(new Uint8Array(INITIAL_WINDOW_BYTES + 1)).then(() => done = true);
  await settle(3000);
  assertEquals([done, near.stats().bytesOut, near.stats().pendingBytes], [
    false,
    INITIAL_WINDOW_BYTES,
    1,
  ]);
  assertEquals(far.stats().bufferedBytes, INITIAL_WINDOW_BYTES);
  for (let left = INITIAL_WINDOW_BYTES + 1; left > 0;) left -= (await far.read())?.length ?? 0;
  await writing;
  assertEquals(pair.server.stats().bufferedBytes, 0);
});

Deno.test("MuxStream.write that ends before any byte went leaves the stream whole", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.write(new Uint8Array(INITIAL_WINDOW_BYTES));
  const late = await assertRejects(() => near.write(utf8("late"), { timeoutMs: 1 }), TimeoutError);
  assertEquals(late.code, "ERR_WRITE_TIMEOUT");
  const finished = near.closeWrite();
  assertEquals((await readAll(far)).length, INITIAL_WINDOW_BYTES);
  await finished;
});

Deno.test("MuxStream.write that ends after a part of it went resets the stream", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const controller = new AbortController();
  const writing = near.write(new Uint8Array(INITIAL_WINDOW_BYTES + 1), {
    signal: controller.signal,
  });
  await settle(3000);
  controller.abort(new Error("enough"));
  await assertRejects(() => writing, Error, "enough");
  assertEquals((await near.closed)?.code, "ERR_RESET");
  assertEquals((await far.closed)?.code, "ERR_RESET");
});

Deno.test("MuxStream.write after closeWrite rejects with ERR_CLOSED", async () => {
  await using pair = new MuxPair();
  const [near] = await pair.open();
  await near.closeWrite();
  await near.closeWrite();
  await rejectsWith("ERR_CLOSED", near.write(utf8("x")));
});

Deno.test("MuxStream.write of nothing sends nothing", async () => {
  const [session, peer] = sessionWithRawPeer();
  const stream = await session.openStream();
  await stream.write(new Uint8Array(0));
  await stream.write(utf8("x"));
  assertEquals((await peer.next())?.flags, 1);
  assertEquals((await peer.next())?.body, utf8("x"));
  session.abort();
  await session.closed;
});

Deno.test("MuxStream.reset settles everything that waits on both sides with ERR_RESET", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const [silent] = await pair.open();
  const silentRead = silent.read();
  const waits = [
    near.write(new Uint8Array(INITIAL_WINDOW_BYTES * 2)),
    near.closeWrite(),
  ];
  const farWrite = far.write(new Uint8Array(INITIAL_WINDOW_BYTES * 2));
  await settle(2000);
  const why = new Error("why");
  near.reset(why);
  silent.reset();
  const results = await Promise.allSettled([...waits, farWrite, silentRead]);
  const codes = results.map((result) => result.status === "rejected" && result.reason.code);
  assertEquals(codes, ["ERR_RESET", "ERR_RESET", "ERR_RESET", "ERR_RESET"]);
  await rejectsWith("ERR_RESET", far.read());
  await rejectsWith("ERR_RESET", near.write(utf8("x")));
  assertStrictEquals((await near.closed)?.cause, why);
  assertEquals((await far.closed)?.code, "ERR_RESET");
  assertEquals([pair.client.stats().bufferedBytes, pair.server.stats().bufferedBytes], [0, 0]);
});

Deno.test("MuxStream that was reset before anybody took it is not offered", async () => {
  const [session, peer] = sessionWithRawPeer();
  await peer.send(
    frame(1, 1, 1, 0),
    frame(0, 0, 1, 3, utf8("abc")),
    frame(1, 4, 1, 0),
    frame(1, 8, 1, 0),
  );
  await peer.send(frame(1, 1, 3, 0), frame(1, 8, 3, 0), frame(1, 1, 5, 0));
  assertEquals((await session.acceptStream())?.id, 5);
  assertEquals(session.stats().bufferedBytes, 0);
  session.abort();
  await session.closed;
});

Deno.test("MuxStream keeps what came before a reset only when FIN came as well", async () => {
  const [session, peer] = sessionWithRawPeer();
  await peer.send(frame(1, 1, 1, 0), frame(1, 1, 3, 0));
  const [first, second] = [await session.acceptStream(), await session.acceptStream()];
  assert(first !== null && second !== null);
  await peer.send(frame(0, 0, 1, 3, utf8("abc")), frame(1, 4, 1, 0), frame(1, 8, 1, 0));
  await peer.send(frame(0, 0, 3, 3, utf8("abc")), frame(1, 8, 3, 0));
  await first.closed;
  await second.closed;
  assertEquals([await first.read(), await first.read()], [utf8("abc"), null]);
  await rejectsWith("ERR_RESET", second.read());
  await rejectsWith("ERR_RESET", first.write(utf8("x")));
  session.abort();
  await session.closed;
});

Deno.test("MuxStream takes data and FIN in one frame, in this order", async () => {
  const [session, peer] = sessionWithRawPeer();
  await peer.send(frame(0, 5, 1, 3, utf8("abc")));
  const stream = await session.acceptStream();
  assert(stream !== null);
  assertEquals([await stream.read(), await stream.read()], [utf8("abc"), null]);
  session.abort();
  await session.closed;
});

Deno.test("MuxStream.close ends in order when the peer ends as well", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.write(utf8("bye"));
  const closing = near.close();
  assertEquals(await readAll(far), utf8("bye"));
  await far.close();
  await closing;
  assertEquals([await near.closed, await far.closed], [undefined, undefined]);
});

Deno.test("MuxStream.readable and writable carry whole flows and half-close", async () => {
  await using pair = new MuxPair();
  const serving = serveEcho(pair.server);
  const stream = await pair.client.openStream();
  const source = new Blob([new Uint8Array(300_000).fill(7)]).stream();
  const [, echoed] = await Promise.all([
    source.pipeTo(stream.writable),
    new Response(stream.readable).arrayBuffer(),
  ]);
  assertEquals(new Uint8Array(echoed), new Uint8Array(300_000).fill(7));
  assertEquals(await stream.closed, undefined);
  pair.client.abort();
  await serving;
});

Deno.test("MuxStream.readable takes nothing on its own account", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const { readable } = far;
  await near.write(new Uint8Array(INITIAL_WINDOW_BYTES));
  await settle(2000);
  assertEquals(far.stats().bufferedBytes, INITIAL_WINDOW_BYTES);
  await readable.cancel();
  assertEquals(far.stats().bufferedBytes, 0);
});

Deno.test("MuxStream.writable errors when the peer resets, and aborting it resets", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const writer = near.writable.getWriter();
  far.reset();
  await near.closed;
  assertEquals((await assertRejects(() => writer.write(utf8("x")), ClosedError)).code, "ERR_RESET");
  await writer.closed.catch(() => {});
  await writer.ready.catch(() => {});
  const [near2, far2] = await pair.open();
  await near2.writable.abort(new Error("why"));
  assertEquals((await far2.closed)?.code, "ERR_RESET");
});

Deno.test("MuxStream can be iterated; leaving the loop stops reading", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.write(utf8("one"));
  for await (const chunk of far) {
    assertEquals(chunk, utf8("one"));
    break;
  }
  await far.closeWrite();
  await near.write(utf8("two"));
  assertEquals((await near.closed)?.code, "ERR_RESET");
});

Deno.test("MuxStream keeps the order of writes that wait together", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  const writes = Array.from(
    { length: 50 },
    (_, index) => near.write(new Uint8Array(7000).fill(index)),
  );
  const finished = near.closeWrite();
  const all = await readAll(far);
  await Promise.all([...writes, finished]);
  assertEquals(all.length, 350_000);
  assertEquals(all.every((byte, index) => byte === Math.floor(index / 7000)), true);
});
