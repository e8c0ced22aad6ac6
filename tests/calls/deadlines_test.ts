// Deadlines and giving up, over every kind of port: what a handler that hangs costs its caller, and
// what the handler learns.
import { caller } from "@parley/parley/calls";
import { ParleyError, TimeoutError } from "@parley/parley";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { FreezingProxy } from "../support/peers/freezing_proxy.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles, staysBelow, until } from "../support/wait.ts";
import { watchedSignal } from "../support/watched_signal.ts";
import { table } from "./programs/contract.ts";
import { carrierOf, Hanging, MEMORY, PORTS, STREAM_PORTS, Together } from "./together.ts";

/** What a call may cost beyond its time, in ms. */
const GRACE_MS = 50;

for (const name of PORTS) {
  Deno.test(`a handler that hangs costs its caller the call's time and 50 ms at most: ${name}`, async () => {
    const hanging = new Hanging();
    await using pair = await Together.start(name, hanging.handlers);
    const timeoutMs = 120;
    let calls = 0;
    await staysBelow(GRACE_MS, async () => {
      const startedMs = performance.now();
      const call = pair.remote.hangs("", { timeoutMs });
      const error = await settles("the timeout", errorOf(call));
      const tookMs = performance.now() - startedMs;
      assertInstanceOf(error, TimeoutError);
      assertEquals(error.code, "ERR_CALL_TIMEOUT");
      assert(tookMs > timeoutMs - 5, `it took ${tookMs} ms only`);
      await hanging.hasEnded(++calls);
      return tookMs - timeoutMs;
    });
    assertEquals(pair.reported, [], "a caller that gives up is no failure of a handler");
  });

  Deno.test(`a caller that gives up is told at once, and the handler's signal fires: ${name}`, async () => {
    const hanging = new Hanging();
    await using pair = await Together.start(name, hanging.handlers);
    let calls = 0;
    await staysBelow(GRACE_MS, async () => {
      const giveUp = new AbortController();
      const call = pair.remote.hangs("", { signal: giveUp.signal });
      call.catch(() => {});
      await hanging.hasBegun(++calls);
      const startedMs = performance.now();
      const reason = new Error("enough");
      giveUp.abort(reason);
      assertEquals(await settles("the call", errorOf(call)), reason);
      const reasonThere = await hanging.hasEnded(calls);
      assert(reasonThere instanceof Error, String(reasonThere));
      return performance.now() - startedMs;
    });
    assertEquals(pair.reported, []);
  });

  Deno.test(`a signal that has fired before sends nothing: ${name}`, async () => {
    const hanging = new Hanging();
    await using pair = await Together.start(name, hanging.handlers);
    const reason = new Error("before");
    const call = pair.remote.hangs("", { signal: AbortSignal.abort(reason) });
    assertEquals(await settles("the call", errorOf(call)), reason);
    await pair.remote.nothing();
    assertEquals(hanging.begun, 0);
  });

  Deno.test(`neither side's signal keeps a listener, or fires, after a success: ${name}`, async () => {
    let fired = 0;
    const signals: AbortSignal[] = [];
    await using pair = await Together.start(name, {
      nothing: (_, { signal }) => {
        signals.push(signal);
        signal.addEventListener("abort", () => fired++);
      },
    });
    const watched = watchedSignal();
    for (let i = 0; i < 50; i++) {
      await pair.remote.nothing(undefined, { signal: watched.signal, timeoutMs: 60_000 });
    }
    await until("no listener is left", () => watched.listeners === 0);
    watched.controller.abort();
    pair.calling.abort();
    await settles("our end", pair.calling.ended());
    pair.answering.abort();
    await settles("the other end", pair.answering.ended());
    assertEquals([fired, signals.some((signal) => signal.aborted)], [0, false]);
  });
}

for (const name of PORTS.filter((name) => name !== MEMORY)) {
  Deno.test(`the end of the caller's connection fires the handler's signal: ${name}`, async () => {
    const hanging = new Hanging();
    await using pair = await Together.start(name, hanging.handlers);
    const call = pair.remote.hangs("");
    call.catch(() => {});
    await hanging.hasBegun();
    pair.calling.abort();
    assertInstanceOf(await settles("the call", errorOf(call)), ParleyError);
    await hanging.hasEnded();
  });
}

/** A pool is not among them: it closes the connection of a call that is given up. */
const OVER_TCP = [
  "mount, called by the joined side",
  "peer at a hub, called by another",
  "server of connections",
  "server, called by a client",
];

for (const name of OVER_TCP) {
  Deno.test(`the answerer's own deadline fires when the caller's word is lost: ${name}`, async () => {
    const hanging = new Hanging();
    await using pair = await Together.start(name, hanging.handlers);
    const { place } = pair.answering;
    await using proxy = await FreezingProxy.start({ hostname: "127.0.0.1", port: place.port ?? 0 });
    const half = await carrierOf(name).calls({ ...place, port: proxy.port });
    try {
      const remote = caller(await half.end(), table);
      const startedMs = performance.now();
      const call = remote.hangs("", { timeoutMs: 400 });
      call.catch(() => {});
      await hanging.hasBegun();
      proxy.freeze();
      const error = await settles("the timeout", errorOf(call));
      assertInstanceOf(error, TimeoutError);
      const reason = await hanging.hasEnded();
      assertInstanceOf(reason, TimeoutError);
      assertEquals(reason.code, "ERR_CALL_TIMEOUT");
      assert(performance.now() - startedMs > 350, "it fired too early");
    } finally {
      half.abort();
      await half.ended();
    }
  });
}

for (const name of OVER_TCP.filter((name) => carrierOf(name).hasStreams)) {
  Deno.test(`a feed that the other side does not accept ends in time: ${name}`, async () => {
    await using pair = await Together.start(name);
    const { place } = pair.answering;
    await using proxy = await FreezingProxy.start({ hostname: "127.0.0.1", port: place.port ?? 0 });
    const half = await carrierOf(name).calls({ ...place, port: proxy.port });
    try {
      const remote = caller(await half.end(), table);
      proxy.freeze();
      await staysBelow(GRACE_MS, async () => {
        const startedMs = performance.now();
        const feed = remote.count({ id: "", to: null }, { openTimeoutMs: 100 });
        const error = await settles("the timeout", errorOf(feed.next()));
        assertInstanceOf(error, TimeoutError);
        return performance.now() - startedMs - 100;
      });
    } finally {
      half.abort();
      await half.ended();
    }
  });
}

for (const name of OVER_TCP.filter((name) => carrierOf(name).hasStreams)) {
  Deno.test(`a handler that waits for inputs ends with its caller's time, told or not: ${name}`, async () => {
    const waiting = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<unknown>();
    await using pair = await Together.start(name, {
      async sum(numbers) {
        try {
          for await (const _ of numbers) waiting.resolve();
        } catch (error) {
          ended.resolve(error);
          throw error;
        }
        return 0;
      },
    });
    const { place } = pair.answering;
    await using proxy = await FreezingProxy.start({ hostname: "127.0.0.1", port: place.port ?? 0 });
    const half = await carrierOf(name).calls({ ...place, port: proxy.port });
    try {
      const remote = caller(await half.end(), table);
      const never = async function* () {
        yield 1;
        await new Promise(() => {});
      };
      const call = remote.sum(never(), { timeoutMs: 400 });
      call.catch(() => {});
      await settles("the handler waits", waiting.promise);
      proxy.freeze();
      assertInstanceOf(await settles("the timeout", errorOf(call)), TimeoutError);
      const error = await settles("the handler ends", ended.promise);
      assertInstanceOf(error, TimeoutError);
      assertEquals(error.code, "ERR_CALL_TIMEOUT");
    } finally {
      half.abort();
      await half.ended();
    }
    assertEquals(pair.reported, []);
  });
}

for (const name of STREAM_PORTS) {
  Deno.test(`a feed has no deadline of its own, and obeys those it is given: ${name}`, async () => {
    const hanging = new Hanging();
    await using pair = await Together.start(name, {
      ...hanging.handlers,
      async *checked({ to }, { deadlineMs, signal }) {
        assertEquals(deadlineMs, Infinity);
        for (let n = 0; n < to; n++) yield n;
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      },
    });
    const { remote } = pair;
    const idle = remote.checked({ to: 3 }, { idleTimeoutMs: 100 });
    const got: number[] = [];
    const reading = async () => {
      for await (const n of idle) got.push(n);
    };
    const silent = await settles("the idle timeout", errorOf(reading()));
    assertInstanceOf(silent, TimeoutError);
    assertEquals(got, [0, 1, 2]);

    await staysBelow(GRACE_MS, async () => {
      const startedMs = performance.now();
      const feed = remote.count({ id: "", to: null }, { timeoutMs: 150 });
      const error = await settles("the timeout", errorOf(feed.next()));
      assertInstanceOf(error, TimeoutError);
      return performance.now() - startedMs - 150;
    });
  });

  Deno.test(`an idle timeout runs only while a reader waits: ${name}`, async () => {
    await using pair = await Together.start(name);
    const feed = pair.remote.count({ id: "", to: 3 }, { idleTimeoutMs: 60 });
    const got: number[] = [];
    for await (const { n } of feed) {
      got.push(n);
      // The reader is busy for longer than that, and no read waits for an item.
      await new Promise((resolve) => setTimeout(resolve, 90));
    }
    assertEquals(got, [0, 1, 2]);
  });
}
