// Types of calls: right programs compile and have the types that hovering shows; wrong programs do
// not compile.
//
// `deno check` is what tests here: a line below `@ts-expect-error` that compiles is an error. What
// is passed to Deno.test runs, so that the values are those of the types.
import { assertEquals } from "@std/assert";
import { z } from "zod";
import * as v from "valibot";
import { type } from "arktype";
import {
  answer,
  type AnswerTarget,
  call,
  type CallContext,
  caller,
  CallError,
  type CallVia,
  collect,
  contract,
  feed,
  isCallError,
  talk,
} from "@parley/parley/calls";
import { bytes, text } from "@parley/parley/codec";
import type { IpcClient, IpcPeer, IpcServer, IpcServerClient } from "@parley/parley/ipc";
import type { Pool } from "@parley/parley/pool";
import type { Client } from "@parley/parley/client";
import type { Server } from "@parley/parley/server";
import type { JoinedWire, MountedWire, WirePeer } from "@parley/parley/wire";
import { assertType, type Same } from "./same.ts";
import { clock, remoteClock } from "./written_out.ts";

const shop = contract({
  now: call<void, string>(),
  add: call({ input: z.object({ a: z.number(), b: z.number() }), output: z.number() }),
  ticks: feed({ input: z.object({ everyMs: z.number() }), output: z.string() }),
  sum: collect({ input: z.number(), output: z.number() }),
  chat: talk({ input: z.string(), output: z.object({ text: z.string() }) }),
  buy: call({
    input: v.object({ item: v.string() }),
    output: type({ price: "number" }),
    errors: {
      ERR_NO_STOCK: z.object({ left: z.number() }),
      ERR_CLOSED_TODAY: v.object({ until: v.string() }),
    },
  }),
});

declare const wire: AnswerTarget;
declare const session: CallVia;

/** Handlers that fit, for tests that replace one of them. */
const handlers = {
  now: () => "now",
  add: ({ a, b }: { a: number; b: number }) => a + b,
  async *ticks({ everyMs }: { everyMs: number }) {
    yield `${everyMs}`;
  },
  sum: async (numbers: AsyncIterable<number>) => (await Array.fromAsync(numbers)).length,
  async *chat(lines: AsyncIterable<string>) {
    for await (const text of lines) yield { text };
  },
  buy: (_: { item: string }) => ({ price: 1 }),
};

async function rightCallers() {
  const remote = caller(session, shop);
  const now = await remote.now();
  assertType<Same<typeof now, string>>(true);
  await remote.now(undefined, { timeoutMs: 5, signal: AbortSignal.abort() });
  const sum: number = await remote.add({ a: 1, b: 2 }, { timeoutMs: undefined });
  for await (const tick of remote.ticks({ everyMs: 5 }, { idleTimeoutMs: 5 })) {
    assertType<Same<typeof tick, string>>(true);
  }
  await using ticks = remote.ticks({ everyMs: 5 });
  const next = await ticks.next();
  if (next.done !== true) assertType<Same<typeof next.value, string>>(true);
  const total = await remote.sum([1, 2, 3]);
  assertType<Same<typeof total, number>>(true);
  await remote.sum(new Set([1]));
  await remote.sum(new ReadableStream<number>());
  for await (const said of remote.chat(remote.ticks({ everyMs: 1 }), { openTimeoutMs: 5 })) {
    assertType<Same<typeof said, { text: string }>>(true);
  }
  const bought = await remote.buy({ item: "tea" });
  assertType<Same<typeof bought, { price: number }>>(true);
  return sum;
}

async function wrongCallers() {
  const remote = caller(session, shop);
  // @ts-expect-error there is no such call
  await remote.noww();
  // @ts-expect-error "b" is missing
  await remote.add({ a: 1 });
  // @ts-expect-error "b" is text
  await remote.add({ a: 1, b: "2" });
  // @ts-expect-error "c" is not known
  await remote.add({ a: 1, b: 2, c: 3 });
  // @ts-expect-error the input is missing
  await remote.add();
  // @ts-expect-error there is no input
  await remote.now(5);
  // @ts-expect-error the output is a number
  const _text: string = await remote.add({ a: 1, b: 2 });
  // @ts-expect-error "timeout" is no option
  await remote.add({ a: 1, b: 2 }, { timeout: 5 });
  // @ts-expect-error a call with one answer has no wait between answers
  await remote.add({ a: 1, b: 2 }, { idleTimeoutMs: 5 });
  // @ts-expect-error one input, and not many
  remote.ticks([{ everyMs: 5 }]);
  // @ts-expect-error a feed is no promise of a value
  const _tick: string = await remote.ticks({ everyMs: 5 });
  // @ts-expect-error many numbers, and not one
  await remote.sum(1);
  // @ts-expect-error numbers, and not texts
  await remote.sum(["1"]);
  // @ts-expect-error texts, and not numbers
  remote.chat([1]);
  // @ts-expect-error items are objects
  for await (const _said of remote.chat(["hi"])) _said satisfies string;
  // @ts-expect-error methods cannot be replaced
  remote.now = () => Promise.resolve("never");
}

function rightAnswerers() {
  const stop = answer(wire, shop, handlers);
  assertType<Same<ReturnType<typeof stop>, void>>(true);
  // The types of inputs, and of the context, follow from the contract.
  answer(wire, shop, {
    now: (input, context) => {
      assertType<Same<typeof input, void>>(true);
      assertType<Same<typeof context, CallContext>>(true);
      return "now";
    },
    add: async ({ a, b }, { signal, peer, deadlineMs }) => {
      assertType<Same<typeof a, number>>(true);
      assertType<Same<typeof peer, string | undefined>>(true);
      await Promise.resolve(signal);
      return a + b + deadlineMs;
    },
    async *ticks({ everyMs }, { signal }) {
      assertType<Same<typeof everyMs, number>>(true);
      while (!signal.aborted) yield "tick";
    },
    sum: async (numbers) => {
      assertType<Same<typeof numbers, AsyncIterable<number>>>(true);
      return (await Array.fromAsync(numbers)).length;
    },
    async *chat(lines) {
      for await (const text of lines) yield { text };
    },
    buy: ({ item }) => {
      assertType<Same<typeof item, string>>(true);
      throw new CallError("ERR_NO_STOCK", "Only 3 are left", { left: 3 });
    },
  });
  // What is iterated need not be a generator, and need not be asynchronous.
  answer(wire, shop, { ...handlers, ticks: () => ["one", "two"] });
  answer(wire, shop, { ...handlers, ticks: () => new ReadableStream<string>() });
  answer(wire, shop, { ...handlers, ticks: async () => await Promise.resolve(["later"]) });
}

function wrongAnswerers() {
  const { now: _, ...missing } = handlers;
  // @ts-expect-error "now" is missing
  answer(wire, shop, missing);
  // @ts-expect-error "now" is misspelt
  answer(wire, shop, { ...missing, noww: () => "now" });
  // @ts-expect-error "more" is no call of the contract
  answer(wire, shop, { ...handlers, more: () => "" });
  // @ts-expect-error the output is text
  answer(wire, shop, { ...handlers, now: () => 5 });
  // @ts-expect-error the output is text, also when it comes later
  answer(wire, shop, { ...handlers, now: () => Promise.resolve(5) });
  // @ts-expect-error an output is missing
  answer(wire, shop, { ...handlers, now: () => {} });
  // @ts-expect-error the input has no "c"
  answer(wire, shop, { ...handlers, add: ({ c }) => c });
  // @ts-expect-error the input is of another type
  answer(wire, shop, { ...handlers, add: (numbers: number[]) => numbers.length });
  // @ts-expect-error the items are texts
  answer(wire, shop, { ...handlers, ticks: () => [1, 2] });
  answer(wire, shop, {
    ...handlers,
    // @ts-expect-error the items of a generator are texts
    async *ticks() {
      yield 5;
    },
  });
  // @ts-expect-error many outputs, and not one
  answer(wire, shop, { ...handlers, ticks: () => 5 });
  // @ts-expect-error many inputs, and not one
  answer(wire, shop, { ...handlers, sum: (one: number) => one });
  // @ts-expect-error the output of a collect is a number
  answer(wire, shop, { ...handlers, sum: () => "6" });
  answer(wire, shop, {
    ...handlers,
    // @ts-expect-error the items of a talk are objects
    async *chat(lines) {
      yield* lines;
    },
  });
  // @ts-expect-error "signal" is a member of the context, and the input comes first
  answer(wire, shop, { ...handlers, now: ({ signal }) => `${signal}` });
  // @ts-expect-error there is no such option
  answer(wire, shop, handlers, { authorise: () => true });
  // @ts-expect-error an object of calls is no contract
  answer(wire, { now: call<void, string>() }, { now: () => "now" });
  // @ts-expect-error nothing can be answered on a number
  answer(5, shop, handlers);
}

function wrongContracts() {
  // @ts-expect-error "output" is misspelt
  call({ input: z.number(), outputs: z.number() });
  // @ts-expect-error a time is a number
  call({ input: z.number(), output: z.number(), timeoutMs: "5s" });
  // @ts-expect-error "idempotent" is misspelt
  call<void, string>({ idempotant: true });
  // @ts-expect-error types or schemas, and not both
  call<number, string>({ input: z.string(), output: z.string() });
  // @ts-expect-error a schema, and not an example
  call({ input: 5 });
  // @ts-expect-error a schema of data, and not an example
  call({ errors: { ERR_NO_STOCK: { left: 5 } } });
  // @ts-expect-error a function is no call
  contract({ now: () => "now" });
  // @ts-expect-error "version" is misspelt
  contract({ now: call<void, string>() }, { versoin: "1" });
  // @ts-expect-error a version is text
  contract({ now: call<void, string>() }, { version: 1 });
}

async function narrowing(error: unknown) {
  if (isCallError(error, shop.buy)) {
    assertType<Same<typeof error.code, "ERR_NO_STOCK" | "ERR_CLOSED_TODAY">>(true);
    switch (error.code) {
      case "ERR_NO_STOCK": {
        const left: number = error.data.left;
        // @ts-expect-error that is data of the other error
        error.data.until;
        return left;
      }
      case "ERR_CLOSED_TODAY": {
        const until: string = error.data.until;
        return until;
      }
      // @ts-expect-error the call declares no such error
      case "ERR_TOO_BIG":
        return 0;
    }
    // All errors are dealt with.
    assertType<Same<typeof error, never>>(true);
  }
  // @ts-expect-error "now" declares no errors
  if (isCallError(error, shop.now)) error.code;
  return await caller(session, shop).now();
}

/** Schemas that change values: what is sent and what arrives are of other types. */
const changing = contract({
  count: call({
    input: z.string().transform((text) => text.length),
    output: z.number().transform((count) => ({ count })),
  }),
  find: call({
    input: z.object({ limit: z.number().default(10) }),
    output: v.pipe(v.string(), v.transform((text) => new Date(text))),
  }),
  each: feed({
    input: type("string.numeric.parse"),
    output: z.coerce.number<string>(),
  }),
});

async function transforms() {
  answer(wire, changing, {
    count: (length) => {
      assertType<Same<typeof length, number>>(true);
      return length;
    },
    find: ({ limit }) => {
      assertType<Same<typeof limit, number>>(true);
      return `${limit}`;
    },
    async *each(number) {
      assertType<Same<typeof number, number>>(true);
      yield `${number}`;
    },
  });
  const remote = caller(session, changing);
  const { count } = await remote.count("four");
  assertType<Same<typeof count, number>>(true);
  const found = await remote.find({});
  assertType<Same<typeof found, Date>>(true);
  for await (const each of remote.each("5")) assertType<Same<typeof each, number>>(true);
  // @ts-expect-error the caller passes what goes into the schema
  await remote.count(4);
  // @ts-expect-error the caller gets what comes out of the schema
  const _number: number = await remote.count("four");
  answer(wire, changing, {
    // @ts-expect-error the handler returns what goes into the schema
    count: (length) => ({ count: length }),
    find: () => "",
    each: () => [],
  });
}

/** Codecs in place of schemas. */
const files = contract({
  read: call({ input: text(), output: bytes() }),
  write: collect({ input: bytes(), output: z.number() }),
  follow: feed({ input: z.string(), output: bytes() }),
});

async function codecs() {
  answer(wire, files, {
    read: (path) => {
      assertType<Same<typeof path, string>>(true);
      return new Uint8Array(path.length);
    },
    write: async (chunks) => {
      let written = 0;
      for await (const chunk of chunks) written += chunk.length;
      return written;
    },
    follow: (path) => [new TextEncoder().encode(path)],
  });
  const remote = caller(session, files);
  const content: Uint8Array = await remote.read("a file");
  await remote.write([content]);
  await remote.write(new ReadableStream<Uint8Array>());
  for await (const chunk of remote.follow("a file")) chunk.subarray(1);
  // @ts-expect-error bytes, and not text
  await remote.write(["text"]);
  // @ts-expect-error a path, and not bytes
  await remote.read(content);
}

/** Types alone, with options. */
const typed = contract({
  get: call<{ key: string }, number | undefined>({ idempotent: true, timeoutMs: 1000 }),
  put: call<{ key: string; value: number }>({ idempotent: true }),
  ping: call(),
  list: feed<void, string>({ timeoutMs: 1000 }),
  optional: call<string | undefined, void>(),
}, { name: "store", version: "1.0" });

async function typesAlone() {
  const remote = caller(session, typed);
  const got = await remote.get({ key: "a" });
  assertType<Same<typeof got, number | undefined>>(true);
  const put = await remote.put({ key: "a", value: 1 });
  assertType<Same<typeof put, void>>(true);
  const pinged = await remote.ping();
  assertType<Same<typeof pinged, void>>(true);
  // @ts-expect-error there is no input
  await remote.ping(5);
  for await (const name of remote.list()) name.length;
  await remote.optional();
  await remote.optional("x");
  // @ts-expect-error "value" is missing
  await remote.put({ key: "a" });
  // @ts-expect-error not text
  await remote.optional(5);
  answer(wire, typed, {
    get: ({ key }) => key.length,
    put: () => {},
    ping: () => {},
    list: () => [],
    optional: (given) => {
      const _text: string | undefined = given;
    },
  });
}

/** A contract whose type is written out has the types of one whose type is inferred. */
async function writtenOut() {
  const remote = remoteClock(session);
  const now = await remote.now();
  assertType<Same<typeof now, string>>(true);
  const sum = await remote.add({ a: 1, b: 2 });
  assertType<Same<typeof sum, number>>(true);
  for await (const tick of remote.ticks({ everyMs: 5 })) tick.trim();
  for await (const said of remote.chat(["hi"])) said.trim();
  // @ts-expect-error numbers, and not texts
  await remote.sum(["1"]);
  // @ts-expect-error there is no such call
  await remote.noww();
}

/** What calls can be answered and made over, with the data of its own that it may have. */
function carriers(
  { mounted, joined, server, client, pool, ...more }: Carriers,
) {
  const { peer, ipcServer, ipcClient, ipcPeer, ipcServerClient } = more;
  const targets = [mounted, joined, server, client, ipcServer, ipcClient, ipcPeer, ipcServerClient];
  for (const target of targets) answer(target, shop, handlers);
  for (const connection of server.connections.values()) {
    answer(connection, shop, handlers);
    caller(connection, shop);
  }
  for (const session of mounted.sessions.values()) {
    answer(session, shop, handlers);
    caller(session, shop);
  }
  for (const via of [joined, peer, client, pool, ipcClient, ipcPeer, ipcServerClient]) {
    caller(via, shop);
  }
  // @ts-expect-error a server has many peers: calls go over one of its sessions
  caller(mounted, shop);
  // @ts-expect-error the same for connections
  caller(server, shop);
  // @ts-expect-error a peer behind a hub is answered over the joined wire
  answer(peer, shop, handlers);
}

interface Carriers {
  readonly mounted: MountedWire;
  readonly joined: JoinedWire;
  readonly peer: WirePeer;
  readonly server: Server<{ user: string }>;
  readonly client: Client<{ user: string }>;
  readonly pool: Pool;
  readonly ipcServer: IpcServer;
  readonly ipcClient: IpcClient;
  readonly ipcPeer: IpcPeer;
  readonly ipcServerClient: IpcServerClient;
}

/** What hovering shows: the method itself, and not the types that make it. */
function hovering() {
  const remote = caller(session, shop);
  assertType<
    Same<
      typeof remote.sum,
      (
        inputs: AsyncIterable<number> | Iterable<number>,
        options?: Parameters<typeof remote.sum>[1],
      ) => Promise<number>
    >
  >(true);
  assertType<Same<keyof typeof remote, "now" | "add" | "ticks" | "sum" | "chat" | "buy">>(true);
}

/** Programs that are checked and never run. */
const PROGRAMS = [
  rightCallers,
  wrongCallers,
  rightAnswerers,
  wrongAnswerers,
  wrongContracts,
  narrowing,
  transforms,
  codecs,
  typesAlone,
  writtenOut,
  carriers,
  hovering,
];

Deno.test("a contract holds its calls, with the kinds that its types say", () => {
  assertEquals(Object.entries(shop).map(([name, { kind }]) => [name, kind]), [
    ["now", "call"],
    ["add", "call"],
    ["ticks", "feed"],
    ["sum", "collect"],
    ["chat", "talk"],
    ["buy", "call"],
  ]);
  assertEquals([typed.get.idempotent, typed.get.timeoutMs, typed.put.timeoutMs], [
    true,
    1000,
    undefined,
  ]);
  assertEquals(PROGRAMS.every((program) => typeof program === "function"), true);
  assertEquals(Object.keys(clock), ["now", "add", "ticks", "sum", "chat"]);
});
