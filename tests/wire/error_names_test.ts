// Tests of errors of named streams: each names the stream, and to or from whom.
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { WireStream } from "@parley/parley/wire";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { mounted } from "../support/peers/wires.ts";

const CHUNK = new Uint8Array(1 << 20);
const hang = () => new Promise<void>(() => {});
const textOf = (error: unknown) => `${codeOf(error)}: ${(error as Error).message}`;

/** Every call of a stream that can report why it is over, each on a stream of its own. */
const CALLS: Readonly<Record<string, (stream: WireStream) => Promise<unknown>>> = {
  "read()": (stream) => stream.read(),
  "write()": (stream) => stream.write(CHUNK),
  "closeWrite()": (stream) => stream.closeWrite(),
  "readFrom()": (stream) => stream.readFrom([CHUNK]),
  "writeTo()": (stream) => stream.writeTo(() => {}),
  readable: (stream) => stream.readable.getReader().read(),
  writable: (stream) => stream.writable.getWriter().write(CHUNK),
  signal: (stream) => Promise.reject(stream.signal.reason),
  closed: async (stream) => Promise.reject(await stream.closed),
};

for (const [name, call] of Object.entries(CALLS)) {
  Deno.test(`WireStream ${name} tells which stream was reset, and which was lost with its session`, async () => {
    await using test = await mounted({ handlers: { hang } });
    const wire = await test.join("ann");
    const stream = await wire.open("hang");
    stream.abort();
    const text = 'ERR_RESET: Cannot go on with the stream "hang" to the server';
    assertEquals(textOf(await errorOf(call(stream))), `${text}: it was reset on this side`);
    const lost = await wire.open("hang");
    test.server.session("ann")?.abort();
    await lost.closed;
    const error = await errorOf(call(lost)) as Error;
    assertEquals(textOf(error), `${text}: the session with the peer is over`);
    assertEquals(
      (error.cause as Error).message,
      "Cannot go on with the session: the connection was lost",
    );
  });
}

Deno.test("WireStream tells which stream did not take a write in time, or was closed for writing", async () => {
  await using test = await mounted({ handlers: { hang } });
  const wire = await test.join("ann");
  const stalled = await wire.open("hang");
  const late = await errorOf(stalled.write(CHUNK, { timeoutMs: 20 }));
  assertEquals(
    textOf(late),
    'ERR_WRITE_TIMEOUT: Cannot write to the stream "hang" to the server within 20 ms',
  );
  const ended = await wire.open("hang");
  await ended.closeWrite();
  const over = textOf(await errorOf(ended.write("more")));
  assertEquals(
    over,
    'ERR_CLOSED: Cannot write to the stream "hang" to the server: its writing side was closed',
  );
});

Deno.test("WireStream rejects with the reason of a signal itself, whatever it says", async () => {
  await using test = await mounted({ handlers: { hang } });
  const wire = await test.join("ann");
  const elsewhere = await wire.open("hang");
  elsewhere.abort();
  const reason = await errorOf(elsewhere.read());
  const stream = await wire.open("hang");
  const controller = new AbortController();
  const reading = errorOf(stream.read({ signal: controller.signal }));
  controller.abort(reason);
  assertStrictEquals(await reading, reason);
  assert(!stream.signal.aborted);
});
