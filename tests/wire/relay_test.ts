// Tests of streams through a hub: what ends one side ends the other in the same way, and nothing
// that was said is lost.
import { assertEquals } from "@std/assert";
import { RemoteError } from "@parley/parley";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";
import { hubbed, readText, type TestWire } from "../support/peers/wires.ts";

/** Waits until the hub holds nothing but control streams. */
async function atRestAt(test: TestWire): Promise<void> {
  await until(
    "the hub holds nothing",
    () => test.server.sessions.every((session) => session.stats().streams === 1),
  );
}

Deno.test("hub: a stream whose handler has returned is over for its caller too, in order when all was used", async () => {
  await using test = await hubbed({ maxStreamsPerPair: 2 });
  const ann = await test.join("ann");
  await test.join("bob", {
    handlers: {
      answer: (stream) => stream.write("21.5"),
      take: async (stream) => void await stream.read(),
    },
  });
  // More than the pair may have at a time: those before are over.
  for (let count = 0; count < 6; count++) {
    const stream = await ann.peer("bob").open("answer", { timeoutMs: 5000 });
    assertEquals(await readText(stream), "21.5");
    assertEquals(await settles("the end", stream.closed), undefined);
  }
  const stream = await ann.peer("bob").open("take");
  await stream.write("all of it");
  assertEquals(await settles("the end", stream.closed), undefined);
  await atRestAt(test);
});

Deno.test("hub: a caller whose bytes were not used can read the answer, and learns that they were not", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const go = Promise.withResolvers<void>();
  await test.join("bob", {
    handlers: {
      early: async (stream) => {
        await go.promise;
        await stream.write("no, thanks");
      },
    },
  });
  const stream = await ann.peer("bob").open("early");
  const writing = errorOf((async () => {
    for (let count = 0; count < 1000; count++) await stream.write(new Uint8Array(65_536));
  })());
  await until("the windows are full", () => test.server.session("bob")!.stats().bytesOut > 32_768);
  go.resolve();
  assertEquals(await readText(stream), "no, thanks");
  assertEquals(codeOf(await settles("the write", writing)), "ERR_RESET");
  assertEquals(codeOf(await settles("the end", stream.closed)), "ERR_RESET");
  await atRestAt(test);
});

Deno.test("hub: a caller whose few bytes came to the target and were not read learns that they were not", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const go = Promise.withResolvers<void>();
  await test.join("bob", { handlers: { ignore: () => go.promise } });
  const stream = await ann.peer("bob").open("ignore");
  const before = test.server.session("bob")!.stats().bytesOut;
  await stream.write("ten bytes.");
  await until("they went on", () => test.server.session("bob")!.stats().bytesOut >= before + 10);
  go.resolve();
  assertEquals(codeOf(await settles("the end", stream.closed)), "ERR_RESET");
  await atRestAt(test);
});

Deno.test("hub: what a caller wrote before it closed comes whole, also while the target still talks", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const go = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<number>();
  await test.join("bob", {
    handlers: {
      talk: async (stream) => {
        const talking = errorOf((async () => {
          for (;;) await stream.write(new Uint8Array(65_536));
        })());
        await go.promise;
        let bytes = 0;
        for await (const chunk of stream) bytes += chunk.length;
        heard.resolve(bytes);
        assertEquals(codeOf(await talking), "ERR_RESET");
      },
    },
  });
  const stream = await ann.peer("bob").open("talk");
  await stream.read();
  for (let count = 0; count < 3; count++) await stream.write(new Uint8Array(100_000));
  await settles("close()", stream.close());
  go.resolve();
  assertEquals(await settles("what bob heard", heard.promise), 300_000);
  await atRestAt(test);
});

Deno.test("hub: a caller that had ended its direction learns that a part of what it sent was not used", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const go = Promise.withResolvers<void>();
  await test.join("bob", {
    handlers: {
      part: async (stream) => {
        await go.promise;
        await stream.write(String((await stream.read())!.length));
      },
      all: async (stream) => {
        let count = 0;
        for await (const chunk of stream) count += chunk.length;
        await stream.write(String(count));
      },
    },
  });
  const size = 200_000;
  for (const name of ["part", "all"]) {
    const stream = await ann.peer("bob").open(name);
    const before = test.server.session("bob")!.stats().bytesOut;
    await stream.write(new Uint8Array(size));
    await stream.closeWrite();
    await until(
      "all came to the target",
      () => test.server.session("bob")!.stats().bytesOut >= before + size,
    );
    go.resolve();
    const used = Number(await settles("the answer", readText(stream)));
    assertEquals(used === size, name === "all");
    const end = await settles("the end", stream.closed);
    assertEquals(
      end === undefined ? "in order" : codeOf(end),
      name === "all" ? "in order" : "ERR_RESET",
    );
  }
  await atRestAt(test);
});

Deno.test("hub: a handler that fails after it has ended its answer shows at a caller that still sends, who can read the answer", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  await test.join("bob", {
    handlers: {
      late: async (stream) => {
        await stream.read();
        await stream.write("an answer");
        await stream.closeWrite();
        throw new Error("oh no");
      },
    },
  });
  const stream = await ann.peer("bob").open("late");
  await stream.write("x");
  const end = await settles("the end", stream.closed);
  assertEquals(codeOf(end), "ERR_RESET");
  assertEquals(codeOf(end!.cause), "ERR_HANDLER");
  assertEquals(await readText(stream), "an answer");
  await atRestAt(test);
});

Deno.test("hub: a handler that throws shows at the caller as a handler that failed", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  await test.join("bob", { handlers: { bad: () => Promise.reject(new Error("oh no")) } });
  const stream = await ann.peer("bob").open("bad");
  const error = await settles("the read", errorOf(stream.read())) as Error;
  assertEquals([codeOf(error), error.cause instanceof RemoteError], ["ERR_RESET", true]);
  assertEquals(/the stream "bad" to "bob"/.test(error.message), true, error.message);
  await atRestAt(test);
});

Deno.test("hub: a handler learns by its signal that its caller gave up, while bytes wait on both ways", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const ended = Promise.withResolvers<unknown>();
  await test.join("bob", {
    handlers: {
      flood: async (stream) => {
        stream.signal.addEventListener("abort", () => ended.resolve(stream.signal.reason));
        for (;;) await stream.write(new Uint8Array(65_536));
      },
    },
  });
  const stream = await ann.peer("bob").open("flood");
  await stream.read();
  stream.abort();
  assertEquals(codeOf(await settles("the signal", ended.promise)), "ERR_RESET");
  await atRestAt(test);
});

Deno.test("hub: a target whose session is lost is told at once to callers that only wait", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const bob = await test.join("bob", {
    handlers: { wait: async (stream) => void await stream.read() },
    reconnect: false,
  });
  const stream = await ann.peer("bob").open("wait");
  bob.abort();
  assertEquals(codeOf(await settles("the read", errorOf(stream.read()))), "ERR_RESET");
  assertEquals(codeOf(await errorOf(ann.peer("bob").open("wait"))), "ERR_NO_PEER");
});

Deno.test("hub: a target that leaves before it has answered is a peer that is not there", async () => {
  await using test = await hubbed();
  const ann = await test.join("ann");
  const asked = Promise.withResolvers<void>();
  const bob = await test.join("bob", {
    reconnect: false,
    handlers: { x: () => {} },
    authorize: () => (asked.resolve(), new Promise<boolean>(() => {})),
  });
  const opening = errorOf(ann.peer("bob").open("x"));
  await asked.promise;
  bob.abort();
  assertEquals(codeOf(await settles("the opening", opening)), "ERR_NO_PEER");
});
