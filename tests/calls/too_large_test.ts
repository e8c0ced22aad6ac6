// Values that are too large: the same error on every carrier and for every kind, and nothing else is lost.
import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { Client, connect, Connection, FramingError, memoryPair, serve } from "@parley/parley";
import {
  answer,
  call,
  caller,
  CallError,
  collect,
  contract,
  feed,
  talk,
} from "@parley/parley/calls";
import { connectIpc, listenIpc } from "@parley/parley/ipc";
import { join, mount } from "@parley/parley/wire";
import { Channel } from "../ipc/channels.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";

const sizes = contract({
  make: call<number, string>(),
  take: call<string, number>(),
  refuse: call<number, void>(),
  feed: feed<number, string>(),
  gather: collect<string, string>(),
  talk: talk<string, string>(),
});

/** Larger than every carrier takes. */
const LARGE = 2 ** 22;

type Target = Parameters<typeof answer>[0];
type Via = Parameters<typeof caller>[0];

/** The two sides, kept up by the stack. */
type Sides = (
  stack: AsyncDisposableStack,
) => Promise<{ target: Target; connects: () => Via | Promise<Via> }>;

function pairOf(near: object, far: object): Sides {
  return (stack) => {
    const [a, b] = memoryPair();
    const via = stack.use(new Connection(a, near));
    return Promise.resolve({ connects: () => via, target: stack.use(new Connection(b, far)) });
  };
}

const CARRIERS: Readonly<Record<string, { readonly sides: Sides; readonly hasStreams: boolean }>> =
  {
    wire: {
      hasStreams: true,
      async sides(stack) {
        const target = stack.use(mount({ insecureAnyone: true }));
        await target.ready;
        return { target, connects: () => stack.use(join({ ...target.addr, identity: "alice" })) };
      },
    },
    IPC: {
      hasStreams: true,
      async sides(stack) {
        const { options } = stack.use(new Channel());
        const target = stack.use(await listenIpc(options));
        return { target, connects: async () => stack.use(await connectIpc(options)) };
      },
    },
    client: {
      hasStreams: false,
      async sides(stack) {
        const target = stack.use(serve());
        await target.ready;
        return { target, connects: () => stack.use(new Client(target.addr)) };
      },
    },
    "server that takes more": {
      hasStreams: false,
      async sides(stack) {
        const target = stack.use(serve({ maxMessageBytes: 2 ** 24 }));
        await target.ready;
        return { target, connects: async () => stack.use(await connect(target.addr)) };
      },
    },
    "caller that takes less": { hasStreams: false, sides: pairOf({ maxMessageBytes: 1000 }, {}) },
    "answerer that takes less": { hasStreams: false, sides: pairOf({}, { maxMessageBytes: 1000 }) },
  };

for (const [name, { sides, hasStreams }] of Object.entries(CARRIERS)) {
  Deno.test(`a value that is too large fails alone, with the limit and its size: ${name}`, async () => {
    await using stack = new AsyncDisposableStack();
    const { target, connects } = await sides(stack);
    const reported: unknown[] = [];
    const large = "x".repeat(LARGE);
    answer(target, sizes, {
      make: (length) => "x".repeat(length),
      take: (text) => text.length,
      refuse: (length) => {
        throw new CallError("ERR_LARGE", "It is", "x".repeat(length));
      },
      *feed(length) {
        yield "first";
        yield "x".repeat(length);
      },
      async gather(texts) {
        for await (const text of texts) if (text === "large") return large;
        return "none";
      },
      async *talk(texts) {
        for await (const text of texts) yield text === "large" ? large : text;
      },
    }, { onError: (error) => void reported.push(error) });
    const remote = caller(await connects(), sizes);
    assertEquals(await settles("a first call", remote.make(1)), "x");
    let reports = 0;
    const fails = async (what: string, failing: () => Promise<unknown>, isOutput: boolean) => {
      const error = await settles(what, errorOf(failing()));
      assertInstanceOf(error, FramingError, what);
      assertEquals(error.code, "ERR_FRAME_TOO_LARGE", what);
      assertMatch(
        error.message,
        /\b(?:995|1000|1048576|1048571|3145728|31457\d\d)\b.*\b4194\d{3}\b/,
        what,
      );
      if (isOutput) reports++;
      assertEquals(reported.length, reports, what);
      if (isOutput) assertInstanceOf(reported.at(-1), FramingError);
      assertEquals(await settles("a call after it", remote.make(2)), "xx");
    };
    await fails("an output", () => remote.make(LARGE), true);
    await fails("the data of a failure", () => remote.refuse(LARGE), true);
    await fails("an input", () => remote.take(large), false);
    if (!hasStreams) return;
    const all = async (items: AsyncIterable<unknown>) => {
      for await (const _ of items);
    };
    await fails("an output of a feed", () => all(remote.feed(LARGE)), true);
    await fails("the output of a collect", () => remote.gather(["large"]), true);
    await fails("an output of a talk", () => all(remote.talk(["a", "large"])), true);
    await fails("an input of a collect", () => remote.gather(["a", large]), false);
    await fails("an input of a talk", () => all(remote.talk(["a", large])), false);
  });
}
