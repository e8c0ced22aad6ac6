// Ends while calls are under way: drains, aborts and deaths of either side.
import { answer } from "@parley/parley/calls";
import { ParleyError } from "@parley/parley";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Child } from "../ipc/children.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { errorOf } from "../support/peers/servers.ts";
import { settles } from "../support/wait.ts";
import { Answerers } from "./answerers.ts";
import { Carried } from "./carried.ts";
import { type Answering, CARRIERS } from "./programs/carriers/carriers.ts";
import { table } from "./programs/contract.ts";
import { makeHandlers } from "./programs/handlers.ts";
import type { Half } from "./programs/place.ts";
import { carrierOf, Hanging, placeFor, PORTS } from "./together.ts";

/** A process may take long to start on a busy machine. */
const START_MS = 30_000;

/** Calls of every kind that a carrier has, all under way. */
async function manyCalls({ remote, carrier, program }: Carried): Promise<Promise<unknown>[]> {
  const calls: Promise<unknown>[] = Array.from({ length: 8 }, () => remote.hangs("end"));
  if (carrier.hasStreams) {
    const feed = remote.count({ id: "", to: null });
    calls.push((async () => {
      for await (const _ of feed);
    })());
    const never = async function* () {
      yield 1;
      await new Promise(() => {});
    };
    calls.push(remote.sum(never()));
    const talk = remote.shout(async function* () {
      yield "a";
      await new Promise(() => {});
    }());
    await settles("the talk begins", talk.next());
    calls.push(talk.next());
  }
  for (const call of calls) call.catch(() => {});
  for (let i = 0; i < 8; i++) {
    await settles("a call begins", program.next((event) => event["hangs"] === "end"));
  }
  return calls;
}

async function assertAllRefused(calls: readonly Promise<unknown>[]): Promise<void> {
  for (const call of calls) {
    assertInstanceOf(await settles("a call under way", errorOf(call)), ParleyError);
  }
}

for (const [name, { hasStreams }] of Object.entries(CARRIERS)) {
  Deno.test(`ends while calls are under way: ${name}`, async (t) => {
    await using answerers = new Answerers();
    await t.step("a drain finishes running calls and refuses new ones", async () => {
      await using carried = await Carried.start(name, answerers);
      const { remote, program } = carried;
      const running = remote.waits({ id: "drained", ms: 400 });
      running.catch(() => {});
      const feed = hasStreams ? remote.count({ id: "", to: 2000 }) : null;
      await feed?.next();
      await carried.event("waits", "drained");
      await program.tell("shutdown");
      await settles("the drain begins", program.next((event) => event["leaving"]));
      const late = remote.nothing(undefined, { timeoutMs: 3000 });
      late.catch(() => {});
      await settles("the running call", running);
      if (feed !== null) {
        let last = 0;
        for await (const { n } of feed) last = n;
        assertEquals(last, 1999);
      }
      const end = await settles("the drain", program.next((event) => event["gone"]));
      assertEquals(end["running"], 0);
      assertEquals(carried.events.filter((event) => "cut" in event || "unhandled" in event), []);
      // The call may have been on its way when the drain began: then it is answered.
      const outcome = await settles("the late call", late.then(() => "answered", (e) => e));
      assert(outcome === "answered" || outcome instanceof ParleyError, String(outcome));
      const after = await settles(
        "a call after it",
        errorOf(remote.nothing(undefined, { timeoutMs: 500 })),
      );
      assertInstanceOf(after, ParleyError);
    });

    await t.step("every call settles when the caller aborts, and the handlers end", async () => {
      await using carried = await Carried.start(name, answerers);
      const calls = await manyCalls(carried);
      carried.half.abort();
      await assertAllRefused(calls);
      await carried.isIdle();
      const bad = carried.events.filter((event) => "unhandled" in event || "failed" in event);
      assertEquals(bad, [], carried.program.output);
    });

    await t.step(
      "an answerer that stops answering finishes its calls, and knows no new ones",
      async () => {
        await using carried = await Carried.start(name, answerers);
        const { remote, program } = carried;
        const running = remote.waits({ id: "stopped", ms: 200 });
        await carried.event("waits", "stopped");
        await program.tell("stop");
        await settles("it stops", program.next((event) => event["stopped"]));
        const error = await settles("a new call", errorOf(remote.nothing()));
        assertInstanceOf(error, ParleyError);
        assertEquals(error.code, "ERR_UNKNOWN_CALL");
        await settles("the running call", running);
      },
    );

    await t.step("every call settles when the answerer aborts, and when it is killed", async () => {
      for (const end of ["abort", "kill"] as const) {
        await using carried = await Carried.start(name, answerers);
        const calls = await manyCalls(carried);
        if (end === "abort") await carried.program.tell("abort");
        else carried.program.kill();
        await assertAllRefused(calls);
        if (end === "kill") await carried.program.ended();
      }
    });
  });
}

for (const name of PORTS.filter((name) => name in CARRIERS)) {
  Deno.test(`a caller whose process dies ends its handlers: ${name}`, async () => {
    await using stack = new AsyncDisposableStack();
    const dir = stack.use(new TempDir());
    const carrier = carrierOf(name);
    const given = await placeFor(carrier, dir.path);
    const hanging = new Hanging();
    const handlers = {
      ...makeHandlers(() => {}).handlers,
      ...hanging.handlers,
    };
    const answerOn = async (half: Half<Answering>) => {
      stack.defer(async () => {
        half.abort();
        await settles("our half ends", half.ended());
      });
      answer(await half.end(), table, handlers);
    };
    // A server answers before its first connection; others are there after it.
    const early = carrier.first === "answerer" ? await carrier.answers(given) : undefined;
    const answering = early === undefined ? undefined : answerOn(early);
    const args = [name, JSON.stringify(early?.place ?? given)];
    const program = stack.use(new Child("tests/calls/programs/vanishing_caller.ts", args));
    const there = program.next((event) => event["place"]);
    const { place } = await settles("the program is up", there, START_MS);
    await settles("we answer", answering ?? carrier.answers(place).then(answerOn));
    await program.tell("call");
    const expected = carrier.hasStreams ? 2 : 1;
    await hanging.hasBegun(expected);
    program.kill();
    await program.ended();
    await hanging.hasEnded(expected);
  });
}
