// Tests of how sessions and streams end: within one deadline, with their reason, and without hiding
// another error.
import { assertEquals, assertRejects } from "@std/assert";
import { ClosedError, RemoteError, TimeoutError } from "@parley/parley";
import { join, type JoinOptions, type WireStream } from "@parley/parley/wire";
import { RawWire } from "../support/peers/wires.ts";
import { codeOf, errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";
import { askStream, echoStream, mounted, type TestWire, TOKEN } from "../support/peers/wires.ts";

const keep = async (stream: WireStream) => void await stream.closed.then(() => {});
const hang = () => new Promise<void>(() => {});
const portOf = (test: TestWire) => (test.server.addr as { port: number }).port;

Deno.test("MountedWire.close bounds streams and handlers by one deadline", async () => {
  const go = Promise.withResolvers<void>();
  await using test = await mounted({
    handlers: {
      long: async (stream) => {
        await stream.read();
        stream.abort();
        await go.promise;
      },
    },
  });
  const wire = await test.join("ann");
  const stream = await wire.open("long");
  const startMs = performance.now();
  const closing = errorOf(test.server.shutdown({ timeoutMs: 1000 }));
  // The stream ends late, and its handler later still.
  await until("half of the time is over", () => performance.now() - startMs > 700);
  await stream.write("end");
  const { errors } = await settles("the close", closing) as AggregateError;
  const tookMs = performance.now() - startMs;
  assertEquals(errors.map((error) => [codeOf(error), /1000 ms/.test(error.message)]), [[
    "ERR_DRAIN_TIMEOUT",
    true,
  ]]);
  // One of its own for the handler would end 1700 ms after the start.
  assertEquals(tookMs < 1650, true, `it took ${tookMs} ms`);
  go.resolve();
});

for (const kind of ["MountedWire", "JoinedWire"]) {
  Deno.test(`${kind}.abort ends a close that waits for a handler`, async () => {
    await using test = await mounted({ handlers: { hang } });
    const ann = await test.join("ann", { handlers: { hang } });
    const isMount = kind === "MountedWire";
    const stream = await (isMount ? ann.open("hang") : test.server.open("ann", "hang"));
    const side = isMount ? test.server : ann;
    const session = side.sessions[0]!;
    const closing = errorOf(isMount ? test.server.shutdown() : ann.close());
    stream.abort();
    await settles("the session", session.closed);
    side.abort();
    const error = await settles("the close", closing);
    const errors = error instanceof AggregateError ? error.errors : [error];
    assertEquals(errors.map(codeOf), ["ERR_CLOSED"]);
  });
}

Deno.test("a session whose client ends the control stream is over when its last stream is, and its name is free", async () => {
  await using test = await mounted({ handlers: { echo: echoStream } });
  await using raw = await RawWire.dial(portOf(test));
  const control = await raw.send({ parley: 1, identity: "go", token: `go${TOKEN}`, streams: [] });
  await control.read();
  const echo = await raw.send({ name: "echo" });
  await echo.read();
  await control.mux.closeWrite();
  await until(
    "no new streams",
    async () =>
      codeOf(await errorOf(test.server.open("go", "x", { timeoutMs: 20 }))) === "ERR_GOING_AWAY",
  );
  assertEquals(test.server.sessions.length, 1);
  await echo.mux.closeWrite();
  await until("the session is over", () => test.server.sessions.length === 0);
  assertEquals(codeOf(await errorOf(test.server.open("go", "x"))), "ERR_NO_PEER");
  assertEquals(await settles("the connection", raw.mux.closed), undefined);
});

/** A program with a fault of its own, while it holds what `use` makes. */
async function leave(
  use: (options: JoinOptions) => Promise<unknown>,
  test: TestWire,
  errors: string[],
): Promise<unknown> {
  const options: JoinOptions = {
    ...test.server.addr,
    identity: "ann",
    token: `ann${TOKEN}`,
    onError: (error) => errors.push(codeOf(error)),
  };
  const startMs = performance.now();
  const error = await errorOf((async () => {
    await using wire = join(options);
    await use(Object.assign(options, { wire }));
    throw new Error("my own fault");
  })());
  assertEquals(performance.now() - startMs < 4000, true);
  return (error as Error).message;
}

Deno.test("JoinedWire: leaving its block by a fault shows that fault, and resets streams that nothing uses", async () => {
  const ended = Promise.withResolvers<unknown>();
  await using test = await mounted({
    handlers: {
      keep: (stream) => {
        stream.signal.addEventListener("abort", () => ended.resolve(stream.signal.reason));
        return keep(stream);
      },
    },
  });
  const errors: string[] = [];
  const message = await leave(
    async (options) => {
      const { wire } = options as JoinOptions & { wire: ReturnType<typeof join> };
      await (await wire.open("keep")).write("a file");
    },
    test,
    errors,
  );
  assertEquals([message, errors], ["my own fault", []]);
  assertEquals(codeOf(await settles("the handler", ended.promise)), "ERR_RESET");
});

Deno.test("JoinedWire: leaving its block waits for a stream that is still read", async () => {
  const go = Promise.withResolvers<void>();
  await using test = await mounted({
    handlers: {
      slow: async (stream) => {
        await go.promise;
        await stream.write("done");
      },
    },
  });
  let read: Promise<Uint8Array | null> | undefined;
  const leaving = (async () => {
    await using wire = await test.join("ann", { reconnect: false });
    const stream = await wire.open("slow");
    read = stream.read();
  })();
  await until("it is being left", () => test.server.session("ann")?.stats().state !== "open");
  const startMs = performance.now();
  // Longer than a stream that nothing uses would live.
  await until("a while has passed", () => performance.now() - startMs > 700);
  go.resolve();
  assertEquals(new TextDecoder().decode(await read ?? undefined), "done");
  await settles("the leaving", leaving);
});

Deno.test("MountedWire: leaving its block shows the fault, and reports what could not end in order", async () => {
  await using test = await mounted();
  const errors: string[] = [];
  const message = await errorOf((async () => {
    await using own = await mounted({
      handlers: { echo: echoStream },
      onError: (error) => void errors.push(codeOf(error)),
    });
    await own.join("bob", { handlers: { keep } });
    await using server = own.server;
    await (await server.open("bob", "keep")).write("x");
    throw new Error("my own fault");
  })());
  assertEquals([(message as Error).message, errors], ["my own fault", []]);
  assertEquals(test.server.state, "listening");
});

Deno.test("WireStream: leaving its block after a read that gave up resets it at once", async () => {
  await using test = await mounted({ handlers: { hang } });
  const wire = await test.join("ann");
  const startMs = performance.now();
  const call = async () => {
    await using stream = await wire.open("hang");
    await stream.write("a question");
    return await stream.read({ timeoutMs: 50 });
  };
  const error = await assertRejects(call, TimeoutError, '"hang" to the server');
  assertEquals(error.code, "ERR_READ_TIMEOUT");
  assertEquals(performance.now() - startMs < 2000, true);
});

Deno.test("open's lifetime covers the opening and the whole stream, by time and by signal", async () => {
  const signals: AbortSignal[] = [];
  await using test = await mounted({
    authorize: ({ kind, name }) =>
      kind === "session" || name !== "never" || new Promise<boolean>(() => {}),
    handlers: { hang: (stream) => (signals.push(stream.signal), hang()), echo: echoStream },
  });
  const wire = await test.join("ann");
  const byTime = await wire.open("hang", { lifetime: { timeoutMs: 400 } });
  const error = await settles("the read", errorOf(byTime.read())) as Error;
  assertEquals([codeOf(error), codeOf(error.cause)], ["ERR_RESET", "ERR_READ_TIMEOUT"]);
  const controller = new AbortController();
  const bySignal = await wire.open("hang", { lifetime: { signal: controller.signal } });
  controller.abort(new Error("enough"));
  assertEquals(
    (await errorOf(bySignal.read()) as Error & { cause: Error }).cause.message,
    "enough",
  );
  await until(
    "the handlers know",
    () => signals.length === 2 && signals.every((signal) => signal.aborted),
  );
  assertEquals(
    codeOf(await errorOf(wire.open("never", { lifetime: { timeoutMs: 30 } }))),
    "ERR_READ_TIMEOUT",
  );
  // One that ends before leaves no timer behind: the sanitizer would find it.
  assertEquals(
    await askStream(await wire.open("echo", { lifetime: { timeoutMs: 60_000 } }), "x"),
    "x",
  );
  await assertRejects(
    () => wire.open("echo", { lifetime: { timeoutMs: 0 } }),
    RangeError,
    "lifetime.timeoutMs",
  );
  // deno-lint-ignore no-explicit-any
  await assertRejects(() => wire.open("echo", { lifetime: 5 as any }), TypeError, '"lifetime"');
});

Deno.test("stream.signal fires for a handler when its caller gives up, session.signal when the session ends", async () => {
  const fired: string[] = [];
  await using test = await mounted({
    handlers: {
      work: async (stream, session) => {
        session.signal.addEventListener("abort", () => fired.push(`session ${stream.meta["n"]}`));
        stream.signal.addEventListener("abort", () => fired.push(`stream ${stream.meta["n"]}`));
        await stream.read().catch(() => {});
      },
    },
  });
  const wire = await test.join("ann", { reconnect: false });
  const [first, second, third] = [
    await wire.open("work", { meta: { n: 1 } }),
    await wire.open("work", { meta: { n: 2 } }),
    await wire.open("work", { meta: { n: 3 } }),
  ];
  assertEquals(await askStream(third!, "x"), "");
  first!.abort();
  await until("the first has fired", () => fired.length === 1);
  assertEquals(fired, ["stream 1"]);
  assertEquals([second!.signal.aborted, third!.signal.aborted], [false, false]);
  wire.abort();
  await until("the session has ended", () => fired.length === 5);
  assertEquals(fired.slice(1).sort(), ["session 1", "session 2", "session 3", "stream 2"]);
});

Deno.test("a handler that throws after it was reached shows at its caller as ERR_RESET with ERR_HANDLER as cause", async () => {
  await using test = await mounted({ handlers: { bad: () => Promise.reject(new Error("oh no")) } });
  const wire = await test.join("ann");
  const stream = await wire.open("bad");
  const error = await assertRejects(() => stream.read(), ClosedError, '"bad" to the server');
  assertEquals([error.code, error.cause instanceof RemoteError, codeOf(error.cause)], [
    "ERR_RESET",
    true,
    "ERR_HANDLER",
  ]);
});

Deno.test("open that crosses an orderly close works, or rejects with ERR_GOING_AWAY, and both sessions end in order", async () => {
  for (let round = 0; round < 10; round++) {
    await using test = await mounted({ handlers: { hello: (stream) => stream.write("hello") } });
    const wire = await test.join("ann", { reconnect: false });
    const closing = test.server.shutdown({ timeoutMs: 5000 });
    const result = await wire.open("hello").then(
      (stream) => new Response(stream.readable).text(),
      codeOf,
    );
    assertEquals(["hello", "ERR_GOING_AWAY"].includes(result), true, result);
    await closing;
    assertEquals(await wire.closed, undefined);
  }
});
