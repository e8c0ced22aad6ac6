// Random schedules over a simulated link against a naive model: bytes in order, ends in order,
// everything settles.
import { assert, assertEquals } from "@std/assert";
import { ParleyError } from "../../errors.ts";
import { MuxMemory, MuxSession, type MuxStream } from "../../mux/mod.ts";
import { forSeedsAsync, type Random } from "../support/random.ts";
import { type SimLink, simLink } from "../support/simulation/sim_link.ts";
import { TestClock } from "../support/simulation/test_clock.ts";

/** Seeds that the gate runs; `PARLEY_FUZZ_RUNS` multiplies them. */
const SEEDS = 1000;
/** Simulated time in which everything must have come to an end. */
const LIMIT_MS = 400_000;

/** What one direction of a stream had to carry, and what came of it: the model. */
interface Direction {
  /** Returns the byte at an offset. */
  readonly salt: number;
  written: number;
  read: number;
  /** FIN was asked for, after `written` bytes. */
  finished: boolean;
  /** The reader saw the end. */
  ended: boolean;
}

/** The world of one seed. */
interface World {
  readonly random: Random;
  readonly clock: TestClock;
  readonly link: SimLink;
  readonly memory: MuxMemory;
  readonly client: MuxSession;
  readonly server: MuxSession;
  readonly directions: Map<string, Direction>;
  /** A side reset a stream, or the link or a session was cut: reads may fail. */
  readonly broken: Set<number>;
  isCut: boolean;
}

function byteAt(salt: number, offset: number): number {
  return (Math.imul(salt + offset, 0x9e3779b1) >>> 13) & 0xff;
}

function directionOf(world: World, id: number, from: "client" | "server"): Direction {
  const key = `${id} ${from}`;
  const known = world.directions.get(key);
  if (known !== undefined) return known;
  const fresh = {
    salt: id * 7919 + (from === "client" ? 1 : 104729),
    written: 0,
    read: 0,
    finished: false,
    ended: false,
  };
  world.directions.set(key, fresh);
  return fresh;
}

/** An error is only right when something was broken on purpose. */
function assertExcused(world: World, id: number, error: unknown): void {
  if (!(error instanceof ParleyError)) throw error;
  assert(
    world.isCut || world.broken.has(id),
    `stream ${id} failed with ${error.code} though nothing broke it`,
  );
}

async function writeSome(
  world: World,
  stream: MuxStream,
  side: "client" | "server",
): Promise<void> {
  const { random, clock } = world;
  const direction = directionOf(world, stream.id, side);
  const rounds = random.int(0, 6);
  const pending: Promise<void>[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      if (random.chance(0.3)) await clock.sleep(random.int(0, 50));
      const size = random.chance(0.02)
        ? random.int(200_000, 700_000)
        : random.length(random.pick([3000, 60_000]));
      if (size <= 0) continue;
      const bytes = new Uint8Array(size);
      for (let index = 0; index < size; index++) {
        bytes[index] = byteAt(direction.salt, direction.written + index);
      }
      direction.written += size;
      const write = stream.write(bytes);
      if (random.chance(0.7)) await write;
      else pending.push(write);
    }
    if (random.chance(0.05)) {
      world.broken.add(stream.id);
      stream.reset();
      return;
    }
    direction.finished = true;
    await stream.closeWrite();
  } catch (error) {
    assertExcused(world, stream.id, error);
  } finally {
    for (const result of await Promise.allSettled(pending)) {
      if (result.status === "rejected") assertExcused(world, stream.id, result.reason);
    }
  }
}

async function readSome(world: World, stream: MuxStream, side: "client" | "server"): Promise<void> {
  const { random, clock } = world;
  const direction = directionOf(world, stream.id, side === "client" ? "server" : "client");
  try {
    for (;;) {
      if (random.chance(0.2)) await clock.sleep(random.int(0, 80));
      if (random.chance(0.01)) await clock.sleep(5000);
      const chunk = await stream.read();
      if (chunk === null) break;
      for (let index = 0; index < chunk.length; index++) {
        const wanted = byteAt(direction.salt, direction.read + index);
        if (chunk[index] !== wanted) {
          throw new Error(`wrong byte at ${direction.read + index} of stream ${stream.id}`);
        }
      }
      direction.read += chunk.length;
      assert(
        direction.read <= direction.written,
        `stream ${stream.id} gave bytes that no side wrote`,
      );
    }
    assert(direction.finished, `stream ${stream.id} ended though its writer did not`);
    assertEquals(direction.read, direction.written, `stream ${stream.id} ended early`);
    direction.ended = true;
  } catch (error) {
    assertExcused(world, stream.id, error);
  }
}

/** Both halves of a stream on one side, then its orderly end. */
async function run(world: World, stream: MuxStream, side: "client" | "server"): Promise<void> {
  await Promise.all([writeSome(world, stream, side), readSome(world, stream, side)]);
  await stream.closed;
}

async function openMany(
  world: World,
  session: MuxSession,
  side: "client" | "server",
  count: number,
): Promise<void> {
  const running: Promise<void>[] = [];
  for (let opened = 0; opened < count; opened++) {
    await world.clock.sleep(world.random.int(0, 40));
    try {
      running.push(run(world, await session.openStream(), side));
    } catch (error) {
      assert(world.isCut && error instanceof ParleyError);
      break;
    }
  }
  await Promise.all(running);
}

async function acceptMany(
  world: World,
  session: MuxSession,
  side: "client" | "server",
): Promise<void> {
  const running: Promise<void>[] = [];
  for await (const stream of session) {
    running.push(run(world, stream, side));
    if (world.random.chance(0.2)) await world.clock.sleep(world.random.int(0, 100));
  }
  await Promise.all(running);
}

async function breakThings(world: World): Promise<void> {
  const { random, clock, link } = world;
  await clock.sleep(random.int(0, 300));
  if (random.chance(0.3)) {
    link.stall();
    await clock.sleep(random.int(0, 2000));
    link.resume();
  }
  if (!random.chance(0.15)) return;
  await clock.sleep(random.int(0, 200));
  world.isCut = true;
  if (random.chance(0.5)) link.cut();
  else (random.chance(0.5) ? world.client : world.server).abort();
}

/** What all seeds did together, so that a test that tests nothing is found out. */
interface Tally {
  bytes: number;
  streams: number;
  ended: number;
  broken: number;
  cut: number;
}

/** One whole life of two sessions. */
async function simulate(random: Random, tally: Tally): Promise<void> {
  const clock = new TestClock();
  const link = simLink({
    clock,
    random: () => random.int(0, 999_999) / 1_000_000,
    latencyMs: random.int(0, 60),
    bufferBytes: random.pick([1, 1000, 65_536, 1_000_000]),
    maxChunkBytes: random.pick([random.int(1, 40) * 100, 5000, 65_536]),
  });
  const memory = new MuxMemory();
  const options = { clock, memory, random: () => 0.5, keepAliveMs: random.pick([0, 15_000]) };
  const client = new MuxSession(link.left, { ...options, role: "client" });
  const server = new MuxSession(link.right, { ...options, role: "server" });
  const world: World = {
    random,
    clock,
    link,
    memory,
    client,
    server,
    directions: new Map(),
    broken: new Set(),
    isCut: false,
  };
  const accepting = [acceptMany(world, client, "client"), acceptMany(world, server, "server")];
  const opening = [
    openMany(world, client, "client", random.int(0, 4)),
    openMany(world, server, "server", random.int(0, 3)),
    breakThings(world),
  ];
  let over = false;
  let failure: unknown;
  const life = (async () => {
    await Promise.all(opening);
    // Streams on the way are accepted before their opener closes: the round trip sees to it.
    await Promise.all([client.ping(), server.ping()]).catch(() => {});
    // A session that was cut does not close in order, and says so.
    const closing = [client, server].map((session) =>
      session.close({ timeoutMs: 100_000 }).catch((error) => {
        if (!world.isCut) throw error;
      })
    );
    await Promise.all([...accepting, ...closing]);
  })().catch((error) => failure = error).finally(() => over = true);
  const finished = await clock.runUntil(() => over, LIMIT_MS);
  if (failure !== undefined) throw failure;
  assert(finished, `something still waits after ${LIMIT_MS} ms`);
  await life;
  // What is still on its way arrives.
  await clock.advance(1000);
  check(world);
  tally.streams += world.directions.size / 2;
  tally.broken += world.broken.size;
  tally.cut += world.isCut ? 1 : 0;
  for (const { read, ended } of world.directions.values()) {
    tally.bytes += read;
    tally.ended += ended ? 1 : 0;
  }
}

/** What must hold when everything is over. */
function check(world: World): void {
  assertEquals([world.client.status, world.server.status], ["ended", "ended"]);
  assertEquals([world.memory.usedBytes, world.memory.grownBytes], [0, 0]);
  assertEquals([world.client.stats().streams, world.server.stats().streams], [0, 0]);
  assertEquals(world.clock.pending, 0, "timers are left");
  for (const [key, direction] of world.directions) {
    const id = Number(key.split(" ")[0]);
    if (world.isCut || world.broken.has(id)) continue;
    assert(direction.ended, `direction ${key} never ended`);
  }
}

Deno.test(`MuxSession holds to a naive model over ${SEEDS} random schedules`, async () => {
  const tally: Tally = { bytes: 0, streams: 0, ended: 0, broken: 0, cut: 0 };
  await forSeedsAsync(SEEDS, (random) => simulate(random, tally));
  assert(
    tally.bytes > 10_000_000 && tally.streams > 2500 && tally.ended > 4000,
    JSON.stringify(tally),
  );
  assert(tally.broken > 100 && tally.cut > 50, JSON.stringify(tally));
});

Deno.test("MuxSession survives a corrupted link: it ends or goes on, and settles everything", async () => {
  await forSeedsAsync(100, async (random) => {
    const clock = new TestClock();
    const link = simLink({ clock, random: () => random.int(0, 999) / 1000, maxChunkBytes: 3000 });
    const options = { clock, memory: new MuxMemory(), random: () => 0.5 };
    const client = new MuxSession(link.left, { ...options, role: "client" });
    const server = new MuxSession(link.right, { ...options, role: "server" });
    let over = false;
    const life = (async () => {
      const streams = await Promise.all([client.openStream(), client.openStream()]);
      const waits = streams.map(async (stream) => {
        for (let round = 0; round < 20; round++) {
          if (round === 10) link.corrupt();
          await stream.write(new Uint8Array(random.int(1, 2000)));
        }
        await stream.closeWrite();
        while (await stream.read() !== null);
      });
      const far = (async () => {
        for await (const stream of server) {
          void (async () => {
            while (await stream.read() !== null);
            await stream.closeWrite();
          })().catch(() => {});
        }
      })();
      await Promise.race([Promise.allSettled(waits), clock.sleep(50_000)]);
      client.abort();
      await Promise.allSettled(waits);
      await Promise.all([far, client.closed, server.closed]);
    })().finally(() => over = true);
    assert(await clock.runUntil(() => over, LIMIT_MS), "something still waits");
    await life;
  });
});
