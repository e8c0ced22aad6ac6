// Tests of calls over the wire: sessions, joined wires, and peers behind a hub.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { AuthError, ClosedError, LimitError, RemoteError, TimeoutError } from "@parley/parley";
import {
  answer,
  type AnswerTarget,
  call,
  type CallContext,
  caller,
  type CallVia,
  collect,
  contract,
  feed,
  talk,
} from "@parley/parley/calls";
import { bytes } from "@parley/parley/codec";
import type { JoinedWire, WireSession } from "@parley/parley/wire";
import type { FrameChannel } from "../../wire/protocol/frame_stream.ts";
import { errorOf } from "../support/peers/servers.ts";
import { Random } from "../support/random.ts";
import { authorize, hubbed, mounted, RawWire, type TestWire } from "../support/peers/wires.ts";
import { settles, until } from "../support/wait.ts";
import { watchedSignal } from "../support/watched_signal.ts";

const lab = contract({
  add: call<{ a: number; b: number }, number>(),
  who: call<void, string>(),
  echo: call({ input: bytes(), output: bytes() }),
  hang: call<void, void>(),
  slow: call<number, number>(),
  ticks: feed<number, number>(),
  pages: feed({ output: bytes() }),
  sum: collect<number, number>(),
  shout: talk<string, string>(),
}, { name: "lab" });

class Lab {
  readonly contexts: CallContext[] = [];
  running = 0;
  yielded = 0;
  ended = 0;

  serve(target: AnswerTarget): () => void {
    return answer(target, lab, {
      add: ({ a, b }) => a + b,
      who: (_, { peer }) => peer ?? "unnamed",
      echo: (input) => input,
      hang: (_, context) => {
        this.contexts.push(context);
        this.running++;
        return new Promise((_, reject) => {
          const { signal } = context;
          signal.addEventListener("abort", () => (this.running--, reject(signal.reason)));
        });
      },
      slow: async (hops) => {
        for (let hop = 0; hop < hops; hop++) await new Promise<void>((go) => setTimeout(go, 0));
        return hops;
      },
      ticks: async function* (count: number) {
        for (let tick = 0; tick < count; tick++) yield tick;
      },
      pages: async function* (this: Lab) {
        try {
          for (;;) {
            this.yielded++;
            yield new Uint8Array(4096);
          }
        } finally {
          this.ended++;
        }
      }.bind(this),
      sum: async (numbers) => {
        let sum = 0;
        for await (const number of numbers) sum += number;
        return sum;
      },
      shout: async function* (lines) {
        for await (const line of lines) yield line.toUpperCase();
      },
    });
  }
}

/** A hub with a lab, and two clients; bob has a lab too. */
async function labs(test: TestWire) {
  const [atHub, atBob] = [new Lab(), new Lab()];
  atHub.serve(test.server);
  const ann = await test.join("ann");
  const bob = await test.join("bob");
  atBob.serve(bob);
  return { ann, bob, atHub, atBob };
}

/** Every way in which calls go over a wire, with the lab that answers them. */
function ways(
  test: TestWire,
  { ann, atHub, atBob }: { readonly ann: JoinedWire; readonly atHub: Lab; readonly atBob: Lab },
): readonly (readonly [name: string, via: CallVia, peer: string, at: Lab])[] {
  return [
    ["a joined wire", ann, "ann", atHub],
    ["its session", ann.session!, "ann", atHub],
    ["a peer of the hub", ann.peer("bob"), "ann", atBob],
    ["a session of the server", test.server.session("bob")!, "unnamed", atBob],
  ];
}

/** Waits until only the control streams are left. */
async function nothingLeft(sessions: readonly WireSession[]): Promise<void> {
  await until(
    "no stream is left",
    () => sessions.every((session) => session.stats().streams === 1),
  );
}

Deno.test("calls of every kind go over a session, a joined wire and a hub, and leave nothing", async () => {
  await using test = await hubbed();
  const parts = await labs(test);
  for (const [name, via, peer, at] of ways(test, parts)) {
    const remote = caller(via, lab);
    assertEquals(await settles(name, remote.add({ a: 1, b: 2 })), 3);
    assertEquals(await remote.who(), peer, name);
    const large = new Uint8Array(700_000).map((_, index) => index % 253);
    assertEquals(await settles(name, remote.echo(large)), large);
    assertEquals(await settles(name, Array.fromAsync(remote.ticks(3))), [0, 1, 2]);
    assertEquals(await settles(name, remote.sum([1, 2, 3])), 6);
    assertEquals(await settles(name, Array.fromAsync(remote.shout(["a", "b"]))), ["A", "B"]);
    const sums = Array.from({ length: 200 }, (_, index) => remote.add({ a: index, b: 1 }));
    assertEquals(
      await settles(name, Promise.all(sums)),
      sums.map((_, index) => index + 1),
    );
    assertEquals(at.running, 0);
  }
  await nothingLeft([parts.ann.session!, parts.bob.session!, ...test.server.sessions]);
});

Deno.test("a feed whose reader stops stalls its generator within the window, and leaving it ends the generator", async () => {
  await using test = await hubbed();
  const parts = await labs(test);
  for (const [name, via, , at] of ways(test, parts)) {
    at.yielded = at.ended = 0;
    let pages = 0;
    for await (const page of caller(via, lab).pages()) {
      pages += page.length / 4096;
      if (pages === 10) break;
    }
    await until(`${name}: the generator has ended`, () => at.ended === 1);
    assert(at.yielded < 500, `${name}: ${at.yielded}`);
  }
  await nothingLeft([parts.ann.session!, parts.bob.session!, ...test.server.sessions]);
});

Deno.test("answers of one session alone are for its peer alone", async () => {
  await using test = await mounted();
  const ann = await test.join("ann");
  const bob = await test.join("bob");
  const stop = new Lab().serve(test.server.session("ann")!);
  assertEquals(await caller(ann, lab).who(), "ann");
  const error = await errorOf(caller(bob, lab).who());
  assert(error instanceof RemoteError && error.code === "ERR_UNKNOWN_CALL", `${error}`);
  assertEquals(
    error.message,
    'Cannot call "lab.who" of the server: it has no such call',
  );
  stop();
  assertEquals((await errorOf(caller(ann, lab).who()) as RemoteError).code, "ERR_UNKNOWN_CALL");
  // The other direction, by the session of the joined side.
  new Lab().serve(bob.session!);
  assertEquals(await caller(test.server.session("bob")!, lab).who(), "unnamed");
});

Deno.test("a name that is handled already cannot be answered, and stays as it was", async () => {
  await using test = await mounted({ handlers: { "lab.hang": () => {} } });
  assertThrows(() => new Lab().serve(test.server), TypeError, '"lab.hang"');
  assertEquals(test.server.handlers, ["lab.hang"]);
});

Deno.test("what refuses a call keeps its code, and says which call it was", async () => {
  const unknown = contract({ forbidden: call<void, void>() });
  await using test = await hubbed();
  const { ann } = await labs(test);
  const forbidden = await errorOf(caller(ann, unknown).forbidden());
  assert(forbidden instanceof AuthError && forbidden.code === "ERR_FORBIDDEN");
  assertEquals(forbidden.message, 'Cannot call "forbidden" of the server as it is forbidden');
  const noPeer = await errorOf(caller(ann.peer("cid"), lab).who());
  assert(noPeer instanceof RemoteError && noPeer.code === "ERR_NO_PEER");
  assertEquals(noPeer.message, 'Cannot call "lab.who" of "cid" as the peer is not there');
  await using small = await mounted({ mux: { maxStreams: 1 } });
  const at = new Lab();
  at.serve(small.server);
  const bob = await small.join("bob");
  const controller = new AbortController();
  const { signal } = controller;
  const hanging = errorOf(caller(bob, lab).hang(undefined, { signal }));
  await until("it runs", () => at.running === 1);
  const busy = await errorOf(caller(bob, lab).who(undefined, { timeoutMs: 20 }));
  assert(busy instanceof LimitError && busy.code === "ERR_TOO_MANY_STREAMS", `${busy}`);
  assert(busy.message.startsWith('Cannot call "lab.who" of the server'), busy.message);
  controller.abort(new Error("enough"));
  assertEquals((await hanging).message, "enough");
});

Deno.test("a call that hangs costs its caller the time that it set, and its handler's signal fires", async () => {
  await using test = await hubbed();
  const parts = await labs(test);
  for (const [name, via, , at] of ways(test, parts)) {
    const startedMs = performance.now();
    const error = await errorOf(caller(via, lab).hang(undefined, { timeoutMs: 100 }));
    const tookMs = performance.now() - startedMs;
    assert(error instanceof TimeoutError && error.code === "ERR_CALL_TIMEOUT", `${error}`);
    assert(tookMs >= 99 && tookMs < 1000, `${name}: ${tookMs} ms`);
    await until(`${name}: the handler was told`, () => at.running === 0);
    assert(at.contexts.at(-1)!.signal.aborted);
  }
  await nothingLeft([parts.ann.session!, parts.bob.session!, ...test.server.sessions]);
});

Deno.test("10 000 calls given up at random leave no stream, handler or listener on any side", async () => {
  await using test = await hubbed();
  const parts = await labs(test);
  const random = new Random(13);
  const watched = watchedSignal();
  let done = 0;
  let givenUp = 0;
  for (const [, via, , at] of ways(test, parts)) {
    const remote = caller(via, lab);
    let left = 2500;
    const worker = async () => {
      while (left-- > 0) {
        const controller = new AbortController();
        const byTime = random.chance(0.5);
        const wait = byTime
          ? { signal: watched.signal, timeoutMs: random.int(1, 30) }
          : { signal: controller.signal };
        const calling = random.chance(0.3)
          ? remote.hang(undefined, wait)
          : remote.slow(random.int(0, 2), wait);
        const end = calling.then(() => done++, (error: Error) => {
          if (byTime) assert(error instanceof TimeoutError, `${error}`);
          else assertEquals(error.message, "given up");
          givenUp++;
        });
        for (let hop = random.int(0, 3); hop > 0; hop--) {
          await new Promise<void>((go) => setTimeout(go, 0));
        }
        controller.abort(new Error("given up"));
        await end;
      }
    };
    await Promise.all(Array.from({ length: 32 }, worker));
    await until("no handler is left", () => at.running === 0);
  }
  assertEquals(done + givenUp, 10_000);
  assert(done > 200 && givenUp > 200, `${done} done, ${givenUp} given up`);
  await nothingLeft([parts.ann.session!, parts.bob.session!, ...test.server.sessions]);
  assertEquals(await caller(parts.ann, lab).add({ a: 1, b: 2 }), 3);
  assertEquals([test.server.stats().calls, watched.listeners], [[], 0]);
});

Deno.test("a call whose session is lost rejects with ERR_RESET, and one after the close with ERR_CLOSED", async () => {
  await using test = await mounted();
  const at = new Lab();
  at.serve(test.server);
  const ann = await test.join("ann", { reconnect: false });
  const hanging = errorOf(caller(ann, lab).hang());
  await until("it runs", () => at.running === 1);
  test.server.session("ann")!.abort();
  const error = await settles("the call", hanging);
  assert(error instanceof ClosedError && error.code === "ERR_RESET", `${error}`);
  await until("its handler was told", () => at.running === 0);
  await ann.closed;
  assert(await errorOf(caller(ann, lab).who()) instanceof ClosedError);
});

Deno.test("what is no call resets its stream alone, and is the peer's fault", async () => {
  const errors: unknown[] = [];
  await using test = await mounted({
    authorize,
    onError: (error) => void errors.push(error),
  });
  new Lab().serve(test.server);
  await using raw = await RawWire.dial((test.server.addr as Deno.NetAddr).port);
  await raw.hello("raw");
  const item = (...body: number[]) => new Uint8Array([body.length, ...body]);
  const requests = [
    new Uint8Array(0),
    item(),
    item(1, 2, 3),
    item(9, 9, 9, 9),
    new Uint8Array([0xff, 0xff, 0xff, 0xff, 0x7f]),
    // A head for another name than that of its stream.
    item(1, 1, 0x78, 0, 0, 0, 0, 0, 0, 0),
  ];
  for (const request of requests) {
    const channel: FrameChannel = await raw.send({ name: "lab.add" });
    await channel.mux.write(request);
    await channel.mux.closeWrite();
    await settles("ACCEPT", channel.read());
    assert(await settles("the end", channel.mux.closed) instanceof ClosedError);
  }
  const { overall } = test.server.stats();
  assertEquals([overall.streamErrors, overall.streamsBroken], [0, requests.length]);
  assertEquals(await caller(await test.join("ann"), lab).add({ a: 1, b: 2 }), 3);
});
