// typed(): over every kind of link, values come as they were sent, and a bad message costs itself alone.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Codec, json, typed } from "@parley/parley/codec";
import { Connection, memoryPair, SchemaError, TimeoutError } from "@parley/parley";
import { z } from "zod";
import { settles } from "../support/wait.ts";
import { settle } from "../support/simulation/memory_connections.ts";
import { RIGS } from "./rigs.ts";

const Order = z.object({ id: z.number(), note: z.string().default("none") });
const order = json(Order);

/** JSON whose numbers take so many turns of the event loop to validate. */
const slow: Codec<number> = {
  ...json<number>(),
  async decodeAsync(received) {
    const turns = json<number>().decode(received);
    await settle(Math.abs(turns));
    if (turns < 0) {
      throw new SchemaError("ERR_MESSAGE_INVALID", "Cannot read the message: negative");
    }
    return turns;
  },
};

for (const [kind, make] of Object.entries(RIGS)) {
  Deno.test(`typed ${kind} sends and receives values`, async () => {
    await using stack = new AsyncDisposableStack();
    const { near, sendRaw, receiveRaw } = await make(stack, order);
    await sendRaw(`{"id":1}`);
    assertEquals(await near.receive(), { id: 1, note: "none" });
    await near.send({ id: 2 } as never);
    assertEquals(new TextDecoder().decode((await receiveRaw())!), `{"id":2}`);
    await assertRejects(() => near.send(undefined as never), TypeError, "Cannot send");
    await near.send({ id: 3 } as never);
    assertEquals(new TextDecoder().decode((await receiveRaw())!), `{"id":3}`);
  });

  Deno.test(`typed ${kind}: a bad message costs itself alone`, async () => {
    await using stack = new AsyncDisposableStack();
    const { near, sendRaw } = await make(stack, order);
    const bad = [`{"id":"seven"}`, "no JSON", "", new Uint8Array([0xff]), "null"];
    for (const [at, message] of bad.entries()) {
      await sendRaw(message);
      await sendRaw(`{"id":${at}}`);
    }
    for (const at of bad.keys()) {
      await assertRejects(() => near.receive(), SchemaError, "Cannot read the message");
      assertEquals(await near.receive(), { id: at, note: "none" });
    }
  });

  Deno.test(`typed ${kind}: a loop throws at a bad message, and the next one goes on`, async () => {
    await using stack = new AsyncDisposableStack();
    const { near, sendRaw } = await make(stack, order);
    for (const message of [`{"id":1}`, "bad", `{"id":2}`, `{"id":3}`]) await sendRaw(message);
    const seen: number[] = [];
    await assertRejects(async () => {
      for await (const { id } of near.values()) seen.push(id);
    }, SchemaError);
    for await (const { id } of near.values()) {
      seen.push(id);
      break;
    }
    assertEquals(seen, [1, 2]);
    assertEquals((await near.receive())?.id, 3);
  });

  Deno.test(`typed ${kind}: onInvalid takes bad messages, and reading goes on`, async () => {
    await using stack = new AsyncDisposableStack();
    const codes: string[] = [];
    const onInvalid = async (error: SchemaError) => {
      await Promise.resolve();
      codes.push(error.code);
    };
    const { near, sendRaw } = await make(stack, order, { onInvalid });
    for (const message of ["bad", `{"id":1}`, `{"id":true}`, `{"id":2}`, "bad", `{"id":3}`]) {
      await sendRaw(message);
    }
    assertEquals((await near.receive())?.id, 1);
    for await (const { id } of near.values()) {
      assertEquals(id, 2);
      break;
    }
    const reader = near.stream().getReader();
    assertEquals((await reader.read()).value?.id, 3);
    assertEquals(codes, ["ERR_MESSAGE_MALFORMED", "ERR_MESSAGE_INVALID", "ERR_MESSAGE_MALFORMED"]);
  });

  Deno.test(`typed ${kind}: a read rejects with what onInvalid throws`, async () => {
    await using stack = new AsyncDisposableStack();
    const mistake = new Error("enough");
    const { near, sendRaw } = await make(stack, order, {
      onInvalid: () => Promise.reject(mistake),
    });
    await sendRaw("bad");
    await sendRaw(`{"id":1}`);
    assertEquals(await assertRejects(() => near.receive()), mistake);
    assertEquals((await near.receive())?.id, 1);
  });

  Deno.test(`typed ${kind}: readable fails with a bad message, and receive goes on`, async () => {
    await using stack = new AsyncDisposableStack();
    const { near, sendRaw } = await make(stack, order);
    for (const message of [`{"id":1}`, "bad", `{"id":2}`]) await sendRaw(message);
    const reader = near.stream().getReader();
    assertEquals((await reader.read()).value?.id, 1);
    await assertRejects(() => reader.read(), SchemaError);
    assertEquals((await near.receive())?.id, 2);
  });

  Deno.test(`typed ${kind}: a slow schema keeps the order, and one reader reads at a time`, async () => {
    await using stack = new AsyncDisposableStack();
    const { near, sendRaw } = await make(stack, slow);
    for (const turns of [9, 0, 5, -3, 1, 0]) await sendRaw(String(turns));
    const first = near.receive();
    await assertRejects(() => near.receive(), TypeError, "one reader at a time");
    assertEquals(await first, 9);
    assertEquals(await near.receive(), 0);
    assertEquals(await near.receive(), 5);
    await assertRejects(() => near.receive(), SchemaError, "negative");
    assertEquals(await near.receive(), 1);
    assertEquals(await near.receive(), 0);
  });

  Deno.test(`typed ${kind}: a wait that ends early loses nothing, in mid-validation either`, async () => {
    await using stack = new AsyncDisposableStack();
    const validating = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const gated: Codec<number> = {
      ...json<number>(),
      async decodeAsync(received) {
        validating.resolve();
        await go.promise;
        return json<number>().decode(received);
      },
    };
    const { near, sendRaw } = await make(stack, gated);
    const reason = new Error("no time");
    await assertRejects(() => near.receive({ timeoutMs: 0 }), TimeoutError, "0 ms");
    await assertRejects(() => near.receive({ timeoutMs: 1 }), TimeoutError, "1 ms");
    const aborted = AbortSignal.abort(reason);
    assertEquals(await assertRejects(() => near.receive({ signal: aborted })), reason);
    const controller = new AbortController();
    const waiting = near.receive({ signal: controller.signal });
    await sendRaw("1");
    await sendRaw("2");
    await validating.promise;
    controller.abort(reason);
    assertEquals(await assertRejects(() => settles("the wait", waiting)), reason);
    go.resolve();
    assertEquals([await near.receive(), await near.receive()], [1, 2]);
  });
}

for (
  const kind of ["connection over memory", "accepted connection", "opened stream", "handled stream"]
) {
  Deno.test(`typed ${kind}: the end in order is null, after all messages`, async () => {
    await using stack = new AsyncDisposableStack();
    const { near, sendRaw, end } = await RIGS[kind]!(stack, order);
    await sendRaw(`{"id":1}`);
    await end();
    const seen: number[] = [];
    for await (const { id } of near.values()) seen.push(id);
    assertEquals([seen, await near.receive()], [[1], null]);
  });
}

Deno.test("typed: where null is a value, a loop yields it, and receive refuses it", async () => {
  await using stack = new AsyncDisposableStack();
  const { near, sendRaw, end } = await RIGS["accepted connection"]!(stack, json());
  for (let sent = 0; sent < 2; sent++) await sendRaw("null");
  await end();
  await assertRejects(() => near.receive(), SchemaError, "iterate instead");
  assertEquals(await Array.fromAsync(near.values()), [null]);
  assertEquals(await near.receive(), null);
});

Deno.test("typed: a codec that fails in its own way is a SchemaError with that as its cause", async () => {
  await using stack = new AsyncDisposableStack();
  const mistake = new Error("a mistake");
  const broken: Codec<number> = {
    ...json<number>(),
    decode() {
      throw mistake;
    },
  };
  const { near, sendRaw } = await RIGS["accepted connection"]!(stack, broken);
  await sendRaw("1");
  const error = await assertRejects(() => near.receive(), SchemaError, "its codec failed");
  assertEquals([error.code, error.cause], ["ERR_MESSAGE_MALFORMED", mistake]);
});

Deno.test("typed has the vocabulary of its link", async () => {
  const [a, b] = memoryPair();
  const far = new Connection(b);
  const near = typed(new Connection(a), json<string>());
  assertEquals([near.status, near.closed === near.link.closed], ["open", true]);
  const writer = near.writable.getWriter();
  await writer.write("Hi!");
  await near.flush();
  await writer.close();
  assertEquals(new TextDecoder().decode((await far.receive())!), `"Hi!"`);
  assertEquals(await far.receive(), null);
  await Promise.all([near.close(), far.close()]);
  assertEquals([near.status, await near.closed], ["closed", { error: null, unsentBytes: 0 }]);
  near.abort();
  await near[Symbol.asyncDispose]();
});

Deno.test("typed refuses what is no link, no codec, or no option, before anything is read", () => {
  const link = { receive() {}, send() {}, closeWrite() {} } as never;
  const ipc = { receive() {}, send() {}, query() {} } as never;
  for (const none of [undefined, null, {}, 1, "link"]) {
    assertThrows(() => typed(none as never, order), TypeError, `"link" must be`);
  }
  for (const none of [undefined, null, {}, Order, { encode() {} }]) {
    assertThrows(() => typed(link, none as never), TypeError, `"codec" must be`);
  }
  assertThrows(() => typed(ipc, order as never), TypeError, `"codecs" must have`);
  assertThrows(() => typed(ipc, { 1: 5 } as never), TypeError, "type 1 must have a codec");
  assertThrows(() => typed(ipc, { 0: order } as never), RangeError, `"type" must be 1`);
  assertThrows(() => typed(ipc, { [2 ** 32]: order } as never), RangeError, `"type" must be 1`);
  assertThrows(() => typed(link, order, { onInvalid: 5 as never }), TypeError, `"onInvalid"`);
  assertThrows(
    () => typed(link, order, { oninvalid: () => {} } as never),
    TypeError,
    "did you mean",
  );
});
