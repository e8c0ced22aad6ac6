// Tests of how a MuxStream ends: closed, cancelled, given up, retired, and what each side then knows.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type RemoteError, TimeoutError } from "../../errors.ts";
import { INITIAL_WINDOW_BYTES, type MuxStream } from "../../mux/mod.ts";
import { utf8 } from "../support/bytes.ts";
import { agreedPair, codeOf, MuxPair, timedPair } from "../support/peers/mux_pair.ts";
import { settle } from "../support/simulation/test_clock.ts";

Deno.test("MuxStream.close hears what a peer still sends, and resets it a second after its window is used up", async () => {
  const { client, server, clock, end } = timedPair();
  const near = await client.openStream();
  await near.write(utf8("last"));
  await clock.advance(20);
  const far = await server.acceptStream() as MuxStream;
  const closing = near.close();
  await clock.advance(20);
  assertEquals([await far.read(), await far.read()], [utf8("last"), null]);
  await far.write(utf8("unwanted"));
  await clock.advance(20_000);
  assertEquals(far.stats().state, "readClosed", "it may still be reading");
  const stalled = codeOf(far.write(new Uint8Array(INITIAL_WINDOW_BYTES)));
  await clock.advance(900);
  assertEquals(far.stats().state, "readClosed");
  await clock.advance(200);
  assertEquals(await stalled, "ERR_RESET");
  await closing;
  assertEquals([await near.closed, (await far.closed)?.code], [undefined, "ERR_RESET"]);
  await end();
});

Deno.test("MuxStream.close between sides that agreed on terms resets a peer that goes on at once", async () => {
  await using pair = agreedPair();
  const [near, far] = await pair.open();
  await near.write(utf8("last"));
  const closing = near.close();
  assertEquals([await far.read(), await far.read()], [utf8("last"), null]);
  await far.write(utf8("unwanted"));
  await closing;
  assertEquals([await near.closed, (await far.closed)?.code], [undefined, "ERR_RESET"]);
});

Deno.test("MuxStream.close drops unread bytes and gives their memory back", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await near.write(new Uint8Array(100_000));
  await settle(500);
  assertEquals(pair.server.stats().bufferedBytes, 100_000);
  const closing = far.close();
  assertEquals(pair.server.stats().bufferedBytes, 0);
  await near.closeWrite();
  await closing;
  assertEquals(await near.closed, undefined);
});

Deno.test("MuxStream.close ends within its time, and counts what was not taken", async () => {
  const { client, clock, end } = timedPair();
  const stream = await client.openStream();
  const writing = stream.write(new Uint8Array(300_000)).catch((error) => error);
  await clock.advance(20);
  const closing = assertRejects(() => stream.close({ timeoutMs: 100 }), TimeoutError);
  await clock.advance(150);
  const error = await closing;
  assertEquals([error.code, error.cutBytes], ["ERR_WRITE_TIMEOUT", 300_000 - INITIAL_WINDOW_BYTES]);
  assertStrictEquals(await writing, error);
  await end();
});

Deno.test("MuxStream.close of a stream whose peer takes nothing ends after halfCloseTimeoutMs, and counts what is left", async () => {
  const { client, server, clock, end } = timedPair({ halfCloseTimeoutMs: 1000 });
  const stream = await client.openStream();
  const writing = stream.write(new Uint8Array(300_000)).catch((error) => error);
  await clock.advance(20);
  await server.acceptStream();
  const closing = assertRejects(() => stream.close(), TimeoutError);
  await clock.advance(1500);
  assertEquals((await closing).cutBytes, 300_000 - INITIAL_WINDOW_BYTES);
  await writing;
  await end();
});

Deno.test("MuxStream.cancel after closeWrite resets at once, so that a write of the peer does not wait", async () => {
  await using pair = new MuxPair();
  for (
    const stop of [(near: MuxStream) => near.cancel(), (near: MuxStream) => near.readable.cancel()]
  ) {
    const [near, far] = await pair.open();
    await near.closeWrite();
    const waiting = codeOf(far.write(new Uint8Array(2 * INITIAL_WINDOW_BYTES)));
    await settle(500);
    await stop(near);
    assertEquals(await waiting, "ERR_RESET");
  }
});

Deno.test("MuxStream that is left by await using after a wait was given up is reset", async () => {
  await using pair = new MuxPair();
  let far: MuxStream;
  {
    const [near, accepted] = await pair.open();
    far = accepted;
    await using _left = near;
    assertEquals(await codeOf(near.read({ timeoutMs: 1 })), "ERR_READ_TIMEOUT");
  }
  assertEquals((await far.closed)?.code, "ERR_RESET");
  assertEquals(far.signal.reason.code, "ERR_RESET");
});

Deno.test("MuxStream that is left by await using waits half a second for its peer, and ends by itself then", async () => {
  const { client, server, clock, end } = timedPair();
  let isLeft = false;
  let near: MuxStream | undefined;
  const leaving = (async () => {
    await using stream = near = await client.openStream();
    await stream.write(utf8("question"));
    throw new Error("a fault of its own");
  })().catch((error) => (isLeft = true, error.message));
  await clock.advance(400);
  const far = await server.acceptStream() as MuxStream;
  assertEquals([isLeft, await far.read(), await far.read()], [false, utf8("question"), null]);
  await clock.advance(200);
  assertEquals([isLeft, await leaving], [true, "a fault of its own"]);
  await far.closeWrite();
  await clock.advance(20);
  assertEquals([await near?.closed, await far.closed], [undefined, undefined]);
  await end();
});

Deno.test("MuxStream.retire ends the stream for its opener, in order if all of its bytes were used", async () => {
  await using pair = agreedPair();
  for (const [takes, code] of [[true, undefined], [false, "ERR_RESET"]] as const) {
    for (const endsFirst of [false, true]) {
      const [near, far] = await pair.open();
      await near.write(utf8("question"));
      if (takes) assertEquals(await far.read(), utf8("question"));
      await far.write(utf8("answer"));
      if (endsFirst) await far.closeWrite();
      await far.retire();
      assertEquals(
        [await near.read(), await near.read()],
        [utf8("answer"), null],
        "what was said can be read",
      );
      assertEquals([(await near.closed)?.code, await far.closed], [code, undefined]);
      assertEquals([pair.client.stats().streams, pair.server.stats().streams], [0, 0]);
      assertEquals(near.signal.aborted, !takes);
    }
  }
});

Deno.test("MuxStream.breakOff lets the opener read what was written, and then tells it of the break, whatever it had sent", async () => {
  await using pair = agreedPair();
  for (const endsFirst of [false, true]) {
    const [near, far] = await pair.open();
    await near.write(utf8("question"));
    assertEquals(await far.read(), utf8("question"));
    // Over in order is what has ended both ways.
    if (!endsFirst) await near.closeWrite();
    await far.write(utf8("half of the ans"));
    if (endsFirst) await far.closeWrite();
    assertEquals(far.breakOff(), true);
    // As the return of the handler does: it takes nothing back.
    await far.retire();
    assertEquals([await near.read(), await near.read()], [utf8("half of the ans"), null]);
    assertEquals([(await near.closed)?.code, near.signal.aborted], ["ERR_RESET", true]);
    assertEquals([pair.client.stats().streams, pair.server.stats().streams], [0, 0]);
  }
});

Deno.test("MuxStream.breakOff does nothing to a plain peer, which could not be told", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  assertEquals(far.breakOff(), false);
  await far.write(utf8("more"));
  assertEquals(await near.read(), utf8("more"));
  near.reset();
});

Deno.test("MuxStream.retire leaves a plain peer its direction until that ends too", async () => {
  await using pair = new MuxPair();
  const [near, far] = await pair.open();
  await far.write(utf8("answer"));
  const retiring = far.retire();
  assertEquals([await near.read(), await near.read()], [utf8("answer"), null]);
  await near.write(utf8("late"));
  await near.closeWrite();
  await retiring;
  assertEquals([await near.closed, await far.closed], [undefined, undefined]);
});

Deno.test("MuxStream.reset by a handler that failed says so to a peer that agreed on terms", async () => {
  await using pair = agreedPair();
  const [near, far] = await pair.open();
  far.reset(new Error("a secret"), { failed: true });
  const error = await near.closed;
  assertEquals([error?.code, (error?.cause as RemoteError).code], ["ERR_RESET", "ERR_HANDLER"]);
  const [other, otherFar] = await pair.open();
  otherFar.reset();
  assertEquals([(await other.closed)?.code, (await other.closed)?.cause], ["ERR_RESET", undefined]);
});
