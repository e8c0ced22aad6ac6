// Typed batches: over every link, values come as they were sent; a bad message costs itself alone.
import { assertEquals, assertRejects } from "@std/assert";
import {
  bytes,
  type Codec,
  json,
  typed,
  type TypedLink,
  type TypedOptions,
} from "@parley/parley/codec";
import { Client, Connection, memoryPair, SchemaError, serve, TimeoutError } from "@parley/parley";
import { settle } from "../support/simulation/memory_connections.ts";
import { streamPair } from "./rigs.ts";

/** Numbers in JSON that are odd are taken as wrong, and those above 100 take turns to validate. */
const even: Codec<number> = {
  ...json<number>(),
  decode(received) {
    const value = json<number>().decode(received);
    if (value % 2 === 0) return value;
    throw new SchemaError("ERR_MESSAGE_INVALID", `Cannot read the message: ${value} is odd`);
  },
};

const slow: Codec<number> = {
  ...json<number>(),
  async decodeAsync(received) {
    const value = json<number>().decode(received);
    if (value > 100) await settle(5);
    return even.decode(received);
  },
};

/** The typed link, and what sends it messages. */
interface Rig {
  // deno-lint-ignore no-explicit-any -- any link
  readonly near: TypedLink<number, number, any>;
  send(...messages: string[]): Promise<void>;
  received(): Promise<Uint8Array[] | null>;
  end(): Promise<void>;
}

type Make = (
  stack: AsyncDisposableStack,
  codec: Codec<number>,
  options?: TypedOptions,
) => Promise<Rig>;

const encode = (messages: string[]) => messages.map((text) => new TextEncoder().encode(text));

const KINDS: Readonly<Record<string, Make>> = {
  async connection(stack, codec, options) {
    const [near, far] = memoryPair().map((transport) => new Connection(transport));
    stack.defer(() => (near!.abort(), far!.abort()));
    return await {
      near: typed(near!, codec, options),
      send: async (...messages) => (await far!.sendBatch(messages), await settle()),
      received: () => far!.receiveBatch(),
      end: () => far!.closeWrite(),
    };
  },
  async client(stack, codec, options) {
    const accepted = Promise.withResolvers<Connection>();
    const server = serve(
      { onError: () => {} },
      (conn) => (accepted.resolve(conn), conn.closed.then(() => {})),
    );
    await server.ready;
    const { hostname, port } = server.addr as { hostname: string; port: number };
    const client = new Client({ hostname, port, trialMs: 0 });
    const far = await accepted.promise;
    stack.defer(async () => (client.abort(), server.abort(), await client.closed));
    return {
      near: typed(client, codec, options),
      send: (...messages) => far.sendBatch(messages),
      received: () => far.receiveBatch(),
      end: () => client.close(),
    };
  },
  async stream(stack, codec, options) {
    const [a, b] = await streamPair(stack);
    const far = typed(b, bytes());
    return {
      near: typed(a, codec, options),
      send: (...messages) => far.sendBatch(encode(messages)),
      received: () => far.receiveBatch(),
      end: () => far.closeWrite(),
    };
  },
};

for (const [kind, make] of Object.entries(KINDS)) {
  Deno.test(`typed ${kind}: batches hold the values of what is here, to the end`, async () => {
    await using stack = new AsyncDisposableStack();
    const { near, send, received, end } = await make(stack, json<number>());
    await send("1", "2", "null", "4");
    assertEquals(await near.receiveBatch(), [1, 2, null, 4]);
    await near.sendBatch([5, 6]);
    assertEquals((await received())!.map((message) => new TextDecoder().decode(message)), [
      "5",
      "6",
    ]);
    await assertRejects(() => near.sendBatch([7, undefined as never]), TypeError);
    for (const wrong of ["78", 7, null]) {
      await assertRejects(() => near.sendBatch(wrong as never), TypeError, `"values" must be`);
    }
    await near.sendBatch([8]);
    assertEquals((await received())!.length, 1);
    await send("1", "2", "3");
    if (kind === "client") assertEquals((await near.receiveBatch({ maxMessages: 2 }))!.length, 2);
    await end();
    const seen: number[] = [];
    for await (const batch of near.batches()) seen.push(...batch);
    assertEquals(seen, kind === "client" ? [3] : [1, 2, 3]);
    assertEquals(await near.receiveBatch(), null);
  });

  Deno.test(`typed ${kind}: a bad message in a batch costs itself alone`, async () => {
    for (const codec of [even, slow]) {
      await using stack = new AsyncDisposableStack();
      const { near, send } = await make(stack, codec);
      await send("2", "4", "5", "7", "6", "8");
      assertEquals(await near.receiveBatch(), [2, 4]);
      await assertRejects(() => near.receiveBatch(), SchemaError, "5 is odd");
      await assertRejects(() => near.receive(), SchemaError, "7 is odd");
      assertEquals(await near.receive(), 6);
      assertEquals(await near.receiveBatch(), [8]);
      await send("10", "11", "12");
      const seen: number[][] = [];
      const error = await assertRejects(async () => {
        for await (const batch of near.batches()) seen.push(batch);
      }, SchemaError);
      assertEquals([error.message.includes("11"), seen], [true, [[10]]]);
      for await (const value of near) {
        assertEquals(value, 12);
        break;
      }
    }
  });

  Deno.test(`typed ${kind}: onInvalid takes bad messages out of batches, in order`, async () => {
    await using stack = new AsyncDisposableStack();
    const order: unknown[] = [];
    const onInvalid = (error: SchemaError) => void order.push(error.message.slice(-8));
    const { near, send } = await make(stack, even, { onInvalid });
    await send("1", "2", "3", "5", "4");
    for (let left = 2; left > 0;) {
      const batch = (await near.receiveBatch())!;
      left -= batch.length;
      order.push(...batch);
    }
    assertEquals(order, ["1 is odd", 2, "3 is odd", "5 is odd", 4]);
  });
}

Deno.test("typed: a batch that ends early while a message is validated loses nothing", async () => {
  await using stack = new AsyncDisposableStack();
  const { near, send } = await KINDS["connection"]!(stack, slow);
  await send("102", "104", "6");
  const controller = new AbortController();
  const waiting = near.receiveBatch({ signal: controller.signal });
  await settle(1);
  await assertRejects(() => near.receive(), TypeError, "one reader at a time");
  controller.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  assertEquals(await near.receiveBatch({ maxMessages: 2 }), [102, 104]);
  assertEquals(await near.receiveBatch(), [6]);
  await assertRejects(() => near.receiveBatch({ timeoutMs: 0 }), TimeoutError);
  await assertRejects(() => near.receiveBatch({ timeoutMs: 1 }), TimeoutError);
  await assertRejects(() => near.receiveBatch({ maxMessages: 0 }), RangeError);
});

Deno.test("typed: what onInvalid throws rejects the batch, and the messages behind are there", async () => {
  await using stack = new AsyncDisposableStack();
  const mistake = new Error("mine");
  const onInvalid = () => Promise.reject(mistake);
  const { near, send } = await KINDS["connection"]!(stack, even, { onInvalid });
  await send("2", "3", "4");
  assertEquals(await near.receiveBatch(), [2]);
  assertEquals(await near.receiveBatch().catch((error) => error), mistake);
  assertEquals(await near.receiveBatch(), [4]);
});
