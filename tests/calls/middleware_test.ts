// Middleware and authorisation, over every kind of port: what they see, change and refuse.
import { answer, caller, CallError, contextKey, type Middleware } from "@parley/parley/calls";
import { AuthError, ParleyError, RemoteError } from "@parley/parley";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { errorOf } from "../support/peers/servers.ts";
import { settles, until } from "../support/wait.ts";
import { table } from "./programs/contract.ts";
import { aborted, codeOf, makeHandlers } from "./programs/handlers.ts";
import { carrierOf, PORTS, STREAM_PORTS, Together } from "./together.ts";

/** Middleware that logs what goes in and out. */
function logging(log: string[], who: string): Middleware {
  return async (call, next) => {
    log.push(`${who} before ${call.side} ${call.name} ${call.kind}`);
    try {
      const output = await next();
      log.push(`${who} after`);
      return output;
    } catch (error) {
      log.push(`${who} failed ${codeOf(error)}`);
      throw error;
    }
  };
}

/** Doubles the numbers that a feed yields. */
const doubling: Middleware = async (call, next) => {
  const output = await next();
  if (call.kind !== "feed") return output;
  return (async function* () {
    for await (const n of output as AsyncIterable<number>) yield 2 * n;
  })();
};

for (const name of PORTS) {
  Deno.test(`middleware runs around calls on either side, the first outermost: ${name}`, async () => {
    await using pair = await Together.start(name);
    pair.stop();
    const log: string[] = [];
    const key = contextKey<string>("user");
    const users: (string | undefined)[] = [];
    const stop = answer(await pair.answering.end(), table, {
      ...makeHandlers(() => {}).handlers,
      nothing: (_, context) => void users.push(context.get(key)),
    }, {
      middleware: [
        logging(log, "outer"),
        async (call, next) => {
          call.set(key, `user of ${call.peer}`);
          if (call.name === "table.add") call.input = { a: 20, b: 1 };
          return await next();
        },
        logging(log, "inner"),
      ],
    });
    const sent: string[] = [];
    const remote = caller(pair.via, table, {
      middleware: [logging(sent, "one"), async (call, next) => {
        if (call.name === "table.echo") call.input = "changed";
        const output = await next();
        return call.name === "table.add" ? 2 * (output as number) : output;
      }],
    });
    assertEquals(await settles("a sum", remote.add({ a: 1, b: 2 })), 42);
    assertEquals(log, [
      "outer before answerer table.add call",
      "inner before answerer table.add call",
      "inner after",
      "outer after",
    ]);
    assertEquals(sent, ["one before caller table.add call", "one after"]);
    assertEquals(await settles("an echo", remote.echo("as it was")), "changed");
    await settles("nothing", remote.nothing());
    const peer = carrierOf(name).peer;
    assertEquals(users, [`user of ${peer ?? undefined}`]);
    log.length = sent.length = 0;
    const error = await settles("a failure", errorOf(remote.hangs("", { timeoutMs: 60 })));
    assertInstanceOf(error, ParleyError);
    await until("the answerer has logged it", () => log.length === 4);
    // Whether by its own clock or by the caller's word, whichever comes first.
    assertEquals(log.slice(2).map((line) => line.split(" ", 2).join(" ")), [
      "inner failed",
      "outer failed",
    ]);
    await until("the caller has logged it", () => sent.length === 2);
    assertEquals(sent, ["one before caller table.hangs call", "one failed ERR_CALL_TIMEOUT"]);
    stop();
  });

  Deno.test(`middleware refuses, and its faults stay at the answerer: ${name}`, async () => {
    await using pair = await Together.start(name);
    pair.stop();
    const reported: unknown[] = [];
    let ran = 0;
    answer(await pair.answering.end(), table, {
      ...makeHandlers(() => {}).handlers,
      nothing: () => void ran++,
    }, {
      onError: (error) => reported.push(error),
      middleware: [(call, next) => {
        if (call.name === "table.nothing") {
          throw new CallError("ERR_TOO_OFTEN", "Come later", { waitMs: 5 });
        }
        if (call.name === "table.echo") throw new Error("a secret");
        return next();
      }],
    });
    const refused = await settles("a refusal", errorOf(pair.remote.nothing()));
    assertInstanceOf(refused, CallError);
    assertEquals([refused.code, refused.data, ran], ["ERR_TOO_OFTEN", { waitMs: 5 }, 0]);
    const failed = await settles("a failure", errorOf(pair.remote.echo(1)));
    assertInstanceOf(failed, RemoteError);
    assertEquals([failed.code, failed.message.includes("secret")], ["ERR_HANDLER", false]);
    assertEquals(reported.map((error) => (error as Error).message), ["a secret"]);
    assertEquals(await settles("another", pair.remote.add({ a: 1, b: 2 })), 3);
  });

  Deno.test(`authorize sees each call's name, kind and caller, and refuses before the input is read: ${name}`, async () => {
    await using pair = await Together.start(name);
    pair.stop();
    const seen: string[] = [];
    const reported: unknown[] = [];
    let ran = 0;
    answer(await pair.answering.end(), table, {
      ...makeHandlers(() => {}).handlers,
      add: () => ++ran,
      echo: () => ++ran,
    }, {
      onError: (error) => reported.push(error),
      authorize: async ({ name, kind, peer, via }) => {
        await Promise.resolve();
        assert(typeof via === "object");
        seen.push(`${name} ${kind} ${peer}`);
        if (name === "table.echo") throw new Error("the list is away");
        return name !== "table.add" && name !== "table.count";
      },
    });
    const peer = carrierOf(name).peer ?? undefined;
    const refused = await settles("a refusal", errorOf(pair.remote.add({} as never)));
    assertInstanceOf(refused, AuthError);
    assertEquals(refused.code, "ERR_FORBIDDEN");
    const failed = await settles("a failure", errorOf(pair.remote.echo(1)));
    assertInstanceOf(failed, RemoteError);
    assertEquals(failed.code, "ERR_HANDLER");
    await settles("nothing", pair.remote.nothing());
    assertEquals(seen, [
      `table.add call ${peer}`,
      `table.echo call ${peer}`,
      `table.nothing call ${peer}`,
    ]);
    assertEquals(reported.map((error) => (error as Error).message), ["the list is away"]);
    assertEquals(ran, 0);
    if (!carrierOf(name).hasStreams) return;
    const feed = pair.remote.count({ id: "", to: 3 });
    assertInstanceOf(await settles("a refused feed", errorOf(feed.next())), AuthError);
  });
}

for (const name of STREAM_PORTS) {
  Deno.test(`middleware wraps what a feed yields, on either side, and the feed still ends: ${name}`, async () => {
    await using pair = await Together.start(name);
    pair.stop();
    let left = 0;
    const signals: AbortSignal[] = [];
    answer(await pair.answering.end(), table, {
      ...makeHandlers(() => {}).handlers,
      async *checked({ to }, { signal }) {
        signals.push(signal);
        try {
          for (let n = 0; n < to; n++) yield n;
        } finally {
          left++;
        }
      },
    }, { middleware: [doubling] });
    const remote = caller(pair.via, table, { middleware: [doubling] });
    const got: number[] = [];
    for await (const n of remote.checked({ to: 4 })) got.push(n);
    assertEquals(got, [0, 4, 8, 12]);
    await until("the generator has ended", () => left === 1);
    for await (const n of remote.checked({ to: 1e9 })) {
      if (n > 20) break;
    }
    await until("the generator has ended", () => left === 2);
    await settles("its signal", aborted(signals[1]!));
    assertEquals(signals[0]!.aborted, false);
    assertEquals(await settles("a sum", remote.sum([1, 2])), 3);
  });
}
