// Calls given up at random moments leave nothing behind: ten thousand over a carrier of each kind, some
// over those with code of their own, and ten thousand over every carrier by `deno task soak`.
import { ParleyError } from "@parley/parley";
import { Pool } from "@parley/parley/pool";
import { assert, assertEquals } from "@std/assert";
import { descriptorsOf, hasProcessStats, processStats } from "../support/programs/process_stats.ts";
import { keptBytes } from "../support/programs/heap.ts";
import { effort, propertySeed, Random } from "../support/random.ts";
import { atRest, openDescriptors, settles, until } from "../support/wait.ts";
import { watchedSignal } from "../support/watched_signal.ts";
import { Answerers } from "./answerers.ts";
import { Carried } from "./carried.ts";
import { CARRIERS } from "./programs/carriers/carriers.ts";
import { openStreamsOf } from "./programs/streams.ts";

/** Calls over each kind of port. */
const CALLS = 10_000 * effort;
/** Calls over each of {@linkcode FURTHER}. */
const FEWER_CALLS = 200 * effort;
/** Whether every carrier gets as many calls as those of {@linkcode THOROUGH}. */
const isSoak = Deno.env.has("PARLEY_SOAK");
/** One carrier of each kind of port: a session, a link of IPC, a connection. */
const THOROUGH = [
  "session of a mount, called by that of the joined side",
  "IPC client, called by its server",
  "server of connections",
];
/** Carriers with code of their own above those. */
const FURTHER = [
  "peer at a hub, called by another",
  "server, called by a client",
  "server, called by a pool",
];
/** Rounds of calls: what a call leaves makes a process grow in each of them. */
const ROUNDS = 4;
/** Calls at a time. */
const AT_ONCE = 64;
/** Bytes that a process may keep more after its best round: less than a call takes, for each. */
const MAX_GROWTH_BYTES = 2 ** 19;

const GIVEN_UP = new Error("given up");

/** Gives up one call, in one of many ways, at a random moment. */
async function giveUpOne(carried: Carried, random: Random, longLived: AbortSignal): Promise<void> {
  const { remote, carrier } = carried;
  const ways = carrier.hasStreams ? 6 : 3;
  switch (random.int(0, ways - 1)) {
    case 0:
      return await remote.hangs("", { timeoutMs: random.int(1, 8), signal: longLived });
    case 1:
      return await remote.hangs("", { signal: soon(random) });
    case 2:
      await remote.add({ a: 1, b: 2 }, { signal: soon(random) });
      return;
    case 3: {
      const last = random.int(0, 20);
      for await (
        const { n } of remote.count({ id: "", to: endOf(random) }, { signal: longLived })
      ) {
        if (n === last) break;
      }
      return;
    }
    case 4: {
      const feed = remote.count({ id: "", to: endOf(random), ballast: 500 }, {
        signal: soon(random),
      });
      for await (const _ of feed);
      return;
    }
    default: {
      const to = endOf(random);
      const numbers = function* () {
        for (let n = 0; to === null || n < to; n++) yield n;
      };
      await remote.sum(numbers(), { signal: soon(random) });
    }
  }
}

/** Where a feed ends: most are short, because each of the others fills a window for nothing. */
function endOf(random: Random): number | null {
  return random.chance(0.005) ? null : random.int(0, 60);
}

/** A signal that fires at once, in this turn, or within some milliseconds. */
function soon(random: Random): AbortSignal {
  const giveUp = new AbortController();
  const when = random.int(0, 5);
  if (when === 0) giveUp.abort(GIVEN_UP);
  else if (when === 1) queueMicrotask(() => giveUp.abort(GIVEN_UP));
  else setTimeout(() => giveUp.abort(GIVEN_UP), random.int(0, 6));
  return giveUp.signal;
}

async function giveUpMany(
  carried: Carried,
  random: Random,
  longLived: AbortSignal,
  count: number,
): Promise<void> {
  let begun = 0;
  const worker = async () => {
    while (begun++ < count) {
      try {
        await giveUpOne(carried, random, longLived);
      } catch (error) {
        if (error === GIVEN_UP) continue;
        if (error instanceof ParleyError && error.code === "ERR_CALL_TIMEOUT") continue;
        throw error;
      }
    }
  };
  await settles("all calls end", Promise.all(Array.from({ length: AT_ONCE }, worker)), 60_000);
}

/** What both processes hold. */
interface Held {
  readonly ourDescriptors: number;
  readonly theirDescriptors: number;
  readonly ourBytes: number;
  readonly theirBytes: number;
  readonly ourStreams: number;
  readonly theirStreams: number;
}

/** What both processes hold while no call is under way. */
async function heldAtRest(carried: Carried): Promise<Held> {
  const { via, program: { pid } } = carried;
  await carried.isIdle();
  return {
    ourDescriptors: await atRest(openDescriptors),
    theirDescriptors: await atRest(() => descriptorsOf(pid)),
    ourStreams: await atRest(() => openStreamsOf(via)),
    theirStreams: (await carried.running()).streams,
    ourBytes: keptBytes(),
    theirBytes: await carried.kept(),
  };
}

/** Gives up many calls over a carrier in rounds, and compares what is held after each of them. */
async function leavesNothing(carried: Carried, calls: number): Promise<void> {
  const random = new Random(propertySeed);
  const watched = watchedSignal();
  const held: Held[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await giveUpMany(carried, random, watched.signal, calls / ROUNDS);
    await until("no listener is left", () => watched.listeners === 0);
    held.push(await heldAtRest(carried));
  }
  // In its first rounds the runtime itself opens descriptors that it keeps.
  const [, first, ...later] = held;
  const last = later.at(-1);
  assert(first !== undefined && last !== undefined);
  // A pool keeps idle connections: at most as many as there were calls at a time.
  const idle = carried.via instanceof Pool ? AT_ONCE : 0;
  assert(last.ourDescriptors <= first.ourDescriptors + idle, JSON.stringify(held));
  assert(last.theirDescriptors <= first.theirDescriptors + idle, JSON.stringify(held));
  assert(last.ourStreams <= first.ourStreams, JSON.stringify(held));
  assert(last.theirStreams <= first.theirStreams, JSON.stringify(held));
  for (const bytes of ["ourBytes", "theirBytes"] as const) {
    const growth = later.map((each, i) => each[bytes] - held[i + 1]![bytes]);
    assert(Math.min(...growth) < MAX_GROWTH_BYTES, `${bytes} grew by ${growth}`);
  }
  assertEquals(await settles("it still works", carried.remote.add({ a: 1, b: 2 })), 3);
  const bad = carried.events.filter((event) => "unhandled" in event || "failed" in event);
  assertEquals(bad, [], carried.program.output);
}

Deno.test({
  name: `calls given up at random leave nothing${processStats}`,
  ignore: !hasProcessStats,
  async fn(t) {
    await using answerers = new Answerers();
    for (const name of isSoak ? Object.keys(CARRIERS) : [...THOROUGH, ...FURTHER]) {
      const calls = isSoak || THOROUGH.includes(name) ? CALLS : FEWER_CALLS;
      await t.step(`${calls} calls: ${name}`, async () => {
        await using carried = await Carried.start(name, answerers);
        await leavesNothing(carried, calls);
      });
    }
  },
});
