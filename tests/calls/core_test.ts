// The core of calls, above any carrier: contracts, handlers, callers, errors and ends.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { z } from "zod";
import { RemoteError, SchemaError, TimeoutError } from "@parley/parley";
import {
  answer,
  call,
  type CallContext,
  caller,
  CallError,
  collect,
  contract,
  feed,
  isCallError,
  talk,
} from "@parley/parley/calls";
import { bytes } from "@parley/parley/codec";
import { MemoryPort } from "../support/calls/memory_port.ts";
import { until } from "../support/wait.ts";

const shop = contract({
  now: call<void, string>(),
  add: call({ input: z.object({ a: z.number(), b: z.number() }), output: z.number() }),
  buy: call({
    input: z.string(),
    output: z.number(),
    errors: { ERR_NO_STOCK: z.object({ left: z.number() }) },
  }),
  echo: call({ input: bytes(), output: bytes() }),
  hang: call<void, void>(),
  ticks: feed({ input: z.object({ count: z.number() }), output: z.string() }),
  sum: collect({ input: z.number(), output: z.number() }),
  shout: talk({ input: z.string(), output: z.string() }),
}, { name: "shop", version: "1.0" });

interface Seen {
  errors: unknown[];
  contexts: CallContext[];
  ended: number;
  yielded: number;
}

function open() {
  const port = new MemoryPort();
  const seen: Seen = { errors: [], contexts: [], ended: 0, yielded: 0 };
  answer(port.table, shop, {
    now: () => "noon",
    add: ({ a, b }) => a + b,
    buy: (what) => {
      if (what === "bread") throw new CallError("ERR_NO_STOCK", "Only 3 are left", { left: 3 });
      if (what === "odd") throw new CallError("ERR_NO_STOCK", "Odd", { left: "three" });
      throw new Error("a secret");
    },
    echo: (data) => data,
    hang: (_, context) => {
      seen.contexts.push(context);
      return new Promise((_, reject) => {
        context.signal.addEventListener("abort", () => reject(context.signal.reason));
      });
    },
    async *ticks({ count }, context) {
      seen.contexts.push(context);
      try {
        for (let i = 0; i < count; i++) {
          seen.yielded++;
          yield `tick ${i}`;
        }
      } finally {
        seen.ended++;
      }
    },
    sum: async (numbers) => {
      let sum = 0;
      for await (const number of numbers) sum += number;
      return sum;
    },
    async *shout(lines) {
      for await (const line of lines) yield line.toUpperCase();
    },
  }, { onError: (error) => seen.errors.push(error) });
  return { port, seen, remote: caller(port, shop) };
}

Deno.test("a call of each kind", async () => {
  const { port, remote } = open();
  await using _ = port;
  assertEquals(await remote.now(), "noon");
  assertEquals(await remote.add({ a: 1, b: 2 }), 3);
  assertEquals(await remote.echo(new Uint8Array([1, 2])), new Uint8Array([1, 2]));
  assertEquals(await Array.fromAsync(remote.ticks({ count: 3 })), ["tick 0", "tick 1", "tick 2"]);
  assertEquals(await remote.sum([1, 2, 3]), 6);
  assertEquals(await Array.fromAsync(remote.shout(["a", "b"])), ["A", "B"]);
});

Deno.test("a CallError crosses with its code, text and data", async () => {
  const { port, remote, seen } = open();
  await using _ = port;
  const error = await assertRejects(() => remote.buy("bread"), CallError, "Only 3 are left");
  assert(isCallError(error, shop.buy));
  assertEquals(error.data.left, 3);
  assertEquals(seen.errors, []);
});

Deno.test("data of a declared error that does not fit is an error of the output", async () => {
  const { port, remote } = open();
  await using _ = port;
  const error = await assertRejects(() => remote.buy("odd"), SchemaError);
  assertEquals([error.code, error.issues[0]?.path], ["ERR_OUTPUT_INVALID", ["left"]]);
});

Deno.test("anything else crosses without its text, and is reported", async () => {
  const { port, remote, seen } = open();
  await using _ = port;
  const error = await assertRejects(() => remote.buy("milk"), RemoteError);
  assertEquals(error.code, "ERR_HANDLER");
  assert(!error.message.includes("secret"));
  assertEquals(seen.errors.map((each) => (each as Error).message), ["a secret"]);
});

Deno.test("an input that does not fit is the caller's to hear, with its path", async () => {
  const { port, remote, seen } = open();
  await using _ = port;
  const error = await assertRejects(() => remote.add({ a: 1, b: "2" } as never), SchemaError);
  assertEquals([error.code, error.issues[0]?.path], ["ERR_INPUT_INVALID", ["b"]]);
  assertEquals(
    error.message,
    'Cannot call "shop.add" with this input: "b" does not fit the schema',
  );
  const late = await assertRejects(() => remote.sum([1, "2" as never]), SchemaError);
  assertEquals(late.code, "ERR_INPUT_INVALID");
  assertEquals(seen.errors, []);
});

Deno.test("a handler that hangs costs its caller the time, and learns of it", async () => {
  const { port, remote, seen } = open();
  await using _ = port;
  const error = await assertRejects(() => remote.hang(undefined, { timeoutMs: 20 }), TimeoutError);
  assertEquals(error.code, "ERR_CALL_TIMEOUT");
  assert(seen.contexts[0]!.signal.aborted);
  assertEquals(seen.errors, []);
});

Deno.test("a signal gives up with its own reason", async () => {
  const { port, remote, seen } = open();
  await using _ = port;
  const giving = new AbortController();
  const hanging = remote.hang(undefined, { signal: giving.signal });
  giving.abort("enough");
  assertEquals(await hanging.catch((error) => error), "enough");
  await until("it comes about", () => seen.contexts[0]?.signal.aborted === true);
});

Deno.test("leaving a feed ends its generator", async () => {
  const { port, remote, seen } = open();
  await using _ = port;
  for await (const tick of remote.ticks({ count: 1e9 })) {
    if (tick === "tick 5") break;
  }
  await until("it comes about", () => seen.ended === 1);
  assert(seen.contexts[0]!.signal.aborted);
  const stopped = seen.yielded;
  assert(stopped < 100_000);
});

Deno.test("a feed whose reader stops stalls the generator", async () => {
  const { port, remote, seen } = open();
  await using _ = port;
  const ticks = remote.ticks({ count: 1e9 });
  await ticks.next();
  let before = -1;
  await until("it comes about", () => {
    const still = seen.yielded === before;
    before = seen.yielded;
    return still;
  });
  assert(seen.yielded * 8 < 2 * 256 * 1024, `${seen.yielded}`);
  await ticks.return();
  await until("it comes about", () => seen.ended === 1);
});

Deno.test("a contract limits the time of a feed, where its caller does not", async () => {
  await using port = new MemoryPort();
  const slow = contract({ ticks: feed<void, number>({ timeoutMs: 30 }) });
  answer(port.table, slow, {
    async *ticks(_, { signal }) {
      yield 1;
      await new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  });
  const error = await assertRejects(
    () => Array.fromAsync(caller(port, slow).ticks()),
    TimeoutError,
  );
  assertEquals(error.code, "ERR_CALL_TIMEOUT");
});

Deno.test("a caller that leaves in the middle of its inputs is not reported", async () => {
  await using port = new MemoryPort();
  const many = contract({ sum: collect<number, number>(), shout: talk<string, string>() });
  const [errors, ended]: [unknown[], string[]] = [[], []];
  const leave = new AbortController();
  answer(port.table, many, {
    async sum(numbers) {
      let sum = 0;
      try {
        for await (const number of numbers) {
          sum += number;
          leave.abort();
        }
      } finally {
        ended.push("sum");
      }
      return sum;
    },
    async *shout(words) {
      try {
        for await (const word of words) yield word.toUpperCase();
      } finally {
        ended.push("shout");
      }
    },
  }, { onError: (error) => errors.push(error) });
  const remote = caller(port, many);
  async function* words() {
    yield "a";
    await new Promise(() => {});
  }
  for await (const word of remote.shout(words())) {
    assertEquals(word, "A");
    break;
  }
  async function* numbers() {
    yield 1;
    await new Promise(() => {});
  }
  await assertRejects(() => remote.sum(numbers(), { signal: leave.signal }));
  await until("both handlers have ended", () => ended.length === 2);
  assertEquals(errors, []);
});

Deno.test("an unknown call, another kind and another version have codes of their own", async () => {
  const { port } = open();
  await using _ = port;
  const other = caller(port, contract({ nothing: call() }, { name: "shop" }));
  assertEquals((await assertRejects(() => other.nothing(), RemoteError)).code, "ERR_UNKNOWN_CALL");
  const kind = caller(port, contract({ now: feed<void, string>() }, { name: "shop" }));
  const wrongKind = await assertRejects(() => kind.now().next(), RemoteError);
  assertEquals(wrongKind.code, "ERR_CONTRACT_MISMATCH");
  const newer = caller(port, contract({ now: shop.now }, { name: "shop", version: "2.0" }));
  const wrong = await assertRejects(() => newer.now(), RemoteError, '"1.0"');
  assertEquals(wrong.code, "ERR_CONTRACT_MISMATCH");
  const minor = caller(port, contract({ now: shop.now }, { name: "shop", version: "1.7" }));
  assertEquals(await minor.now(), "noon");
});

Deno.test("answer() refuses a missing, a misspelt and a second handler", () => {
  const small = contract({ open: call() });
  const { table } = new MemoryPort();
  assertThrows(() => answer(table, small, {} as never), TypeError, `"open" is missing`);
  const misspelt = { open() {}, opne() {} };
  assertThrows(() => answer(table, small, misspelt), TypeError, `did you mean "open"?`);
  answer(table, small, { open() {} });
  assertThrows(() => answer(table, small, { open() {} }), TypeError, "answered here already");
});

Deno.test("an object of a class with fields of its own answers", async () => {
  await using port = new MemoryPort();
  class Counter {
    count = 40;
    add(by: number): number {
      return this.count += by;
    }
    helper(): void {}
  }
  const counter = contract({ add: call<number, number>() });
  answer(port.table, counter, new Counter());
  assertEquals(await caller(port, counter).add(2), 42);
});

Deno.test("a call may have the name of a method that every object has", async () => {
  await using port = new MemoryPort();
  const odd = contract({ toString: call<void, string>(), valueOf: call<void, string>() });
  assertThrows(() => answer(port.table, odd, {} as never), TypeError, "is missing");
  answer(port.table, odd, { toString: () => "text", valueOf: () => "value" });
  const remote = caller(port, odd);
  assertEquals([await remote.toString(), await remote.valueOf()], ["text", "value"]);
});

Deno.test("a handler may return what has then, and throw what is no error", async () => {
  await using port = new MemoryPort();
  const loose = contract({ later: call<void, number>(), fails: call<string, void>() });
  const errors: unknown[] = [];
  const thrown: Record<string, unknown> = { nothing: undefined, null: null, text: "a text" };
  answer(port.table, loose, {
    later: () => ({ then: (resolve: (value: number) => void) => resolve(9) }) as Promise<number>,
    fails: (what) => {
      throw thrown[what];
    },
  }, { onError: (error) => errors.push(error) });
  const remote = caller(port, loose);
  assertEquals(await remote.later(), 9);
  for (const what of Object.keys(thrown)) {
    assertEquals((await assertRejects(() => remote.fails(what), RemoteError)).code, "ERR_HANDLER");
  }
  assertEquals(errors, [undefined, null, "a text"]);
});

Deno.test("a CallError of another copy of the package is one, and has its types", async () => {
  const copy: typeof import("../../calls/call_error.ts") = await import(
    `${new URL("../../calls/call_error.ts", import.meta.url)}?copy`
  );
  const error: unknown = new copy.CallError("ERR_NO_STOCK", "Only 3 are left", { left: 3 });
  assert(error instanceof CallError);
  const { code, data }: { readonly code: string; readonly data: unknown } = error;
  assertEquals([code, data], ["ERR_NO_STOCK", { left: 3 }]);
  assert(isCallError(error, shop.buy));
  class Own extends CallError {}
  assert(!(error instanceof Own) && new Own("ERR_OWN", "") instanceof CallError);
  assert(!(new Error() instanceof CallError));
});
