// Peers that break the rules at random, beside an honest session in the same process: they cost no more than
// their budget, and the other nothing.
import { assert, assertEquals } from "@std/assert";
import { ParleyError } from "../../errors.ts";
import { MuxMemory, MuxSession, type MuxStream } from "../../mux/mod.ts";
import { Actor, type StreamPlan } from "../support/models/model_actor.ts";
import { checkPlan } from "../support/models/model_check.ts";
import { type ModelLink, modelLink } from "../support/models/model_link.ts";
import { FLOODS, NOISE, OFFENCES } from "../support/models/scenes/model_offences.ts";
import { download, shortCall, upload } from "../support/models/scenes/model_plans.ts";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import type { Random } from "../support/random.ts";
import { TestClock } from "../support/simulation/test_clock.ts";

const SEEDS = 200;
const FLOOD_SEEDS = 8;
/** Unread bytes that one session may hold. */
const BUDGET = 2 * 2 ** 20;
/** What a link holds in one direction. */
const LINK_BYTES = 65_536;
/**
 * What may wait for a peer that does not read: 256 KiB, a batch under way and one being filled, and the
 * link.
 */
const MAX_QUEUED_BYTES = 256 * 1024 + 3 * 65_536;
/** Noise that is looked at before the session ends, or slows the peer down. */
const MAX_NOISE_FRAMES = 4000;

/** What the application behind the attacked session does with streams. */
type Habit = "reads" | "sleeps" | "answers" | "closes" | "ignores";

/** What sort of attack. */
interface AttackOptions {
  /**
   * One offence, tens of thousands of times, by a peer that reads nothing, while the application keeps up.
   */
  readonly flood?: boolean | undefined;
}

interface Tally {
  ended: number;
  harmless: number;
  readonly kinds: Set<string>;
}

class Attacked {
  readonly clock: TestClock;
  readonly session: MuxSession;
  readonly link: ModelLink;
  readonly #random: Random;
  readonly #habit: Habit;
  readonly #errors: unknown[] = [];
  #nextId = 1;
  #received = 0;
  readonly #readsOn: boolean;
  readonly #chosen: readonly string[];
  readonly #pieceBytes: number;
  readonly #most: number;

  constructor(clock: TestClock, memory: MuxMemory, random: Random, options: AttackOptions) {
    this.clock = clock;
    this.#random = random;
    const { flood } = options;
    this.#habit = random.pick<Habit>(
      flood ? ["reads", "closes"] : ["reads", "sleeps", "answers", "closes", "ignores"],
    );
    this.#pieceBytes = flood || random.chance(0.2) ? random.int(8, 20) * 12 : Infinity;
    this.link = modelLink({ clock, random, bufferBytes: LINK_BYTES });
    this.session = new MuxSession(this.link.right, {
      role: "server",
      clock,
      memory,
      maxBufferedBytes: BUDGET,
    });
    this.#readsOn = !flood && random.chance(0.5);
    const choices = flood ? FLOODS : Object.keys(OFFENCES);
    this.#chosen = Array.from({ length: flood ? 1 : random.int(1, 3) }, () => random.pick(choices));
    this.#most = flood ? 40_000 : 2000;
    void this.#serve();
    if (this.#readsOn) void this.#read();
  }

  /** Its offences. */
  get offences(): readonly string[] {
    return this.#chosen;
  }

  /** Commits its offences; settles when all is sent, or nothing more can be. */
  async offend(): Promise<void> {
    const fresh = () => (this.#nextId += 2) - 2;
    try {
      for (const name of this.#chosen) {
        const bytes = OFFENCES[name]!({ random: this.#random, fresh, most: this.#most });
        for (let offset = 0; offset < bytes.length; offset += this.#pieceBytes) {
          await this.link.left.write(bytes.subarray(offset, offset + this.#pieceBytes));
          if (this.#pieceBytes < Infinity) await this.clock.sleep(1);
        }
        if (this.#random.chance(0.3)) await this.clock.sleep(this.#random.int(1, 3000));
      }
      if (this.#random.chance(0.2)) await this.link.left.closeWrite();
      else if (this.#random.chance(0.1)) this.link.cut();
    } catch (error) {
      assert(error instanceof ParleyError);
    }
  }

  /** Begins to read, if it did not all the while. */
  listen(): void {
    if (!this.#readsOn) void this.#read();
  }

  /** Once it has listened: no error without a type came, and no more waited than may. */
  check(): void {
    const { framesIn } = this.session.stats();
    if (this.#chosen.every((name) => NOISE.has(name))) {
      assert(framesIn < MAX_NOISE_FRAMES, `${framesIn} frames of noise were taken`);
    }
    // What the application has to say is bounded by the credit of the peer.
    if (!this.#readsOn && this.#habit !== "answers") {
      assert(
        this.#received <= MAX_QUEUED_BYTES,
        `${this.#received} bytes waited for a peer that did not read`,
      );
    }
    const strange = this.#errors.find((error) => !(error instanceof ParleyError));
    assertEquals(strange, undefined, "the application was told something untyped");
  }

  async #read(): Promise<void> {
    try {
      for (
        let chunk = await this.link.left.read();
        chunk !== null;
        chunk = await this.link.left.read()
      ) {
        this.#received += chunk.length;
      }
    } catch {
      // The link is over.
    }
  }

  async #serve(): Promise<void> {
    if (this.#habit === "ignores") return;
    for await (const stream of this.session) {
      void this.#handle(stream).catch((error) => this.#errors.push(error));
    }
  }

  async #handle(stream: MuxStream): Promise<void> {
    if (this.#habit === "closes") return await stream.close();
    if (this.#habit === "answers") await stream.write(new Uint8Array(300_000));
    if (this.#habit === "sleeps") await this.clock.sleep(40_000);
    while (await stream.read() !== null);
    await stream.closeWrite();
  }
}

/** An honest pair in the same process, under the same memory. */
class Honest {
  readonly plans: readonly StreamPlan[];
  readonly #clock: TestClock;
  readonly #link: ModelLink;
  readonly #client: MuxSession;
  readonly #server: MuxSession;

  constructor(clock: TestClock, memory: MuxMemory, random: Random) {
    this.#clock = clock;
    const rest = { afterBytes: 60_000, ms: random.int(1, 5000) };
    this.plans = [
      upload(200_000, rest),
      download(300_000, rest, 50),
      ...Array.from({ length: 5 }, () => shortCall(random, random.int(0, 5000))),
    ];
    this.#link = modelLink({ clock, random, latencyMs: 5, bufferBytes: 1_000_000 });
    const options = { clock, memory, maxBufferedBytes: BUDGET };
    this.#client = new MuxSession(this.#link.left, { ...options, role: "client" });
    this.#server = new MuxSession(this.#link.right, { ...options, role: "server" });
  }

  async run(): Promise<void> {
    const byId = new Map<number, StreamPlan>();
    const serving = (async () => {
      const running: Promise<void>[] = [];
      for await (const stream of this.#server) {
        running.push(new Actor(this.#clock, byId.get(stream.id)!, "acceptor", stream).run());
      }
      await Promise.all(running);
    })();
    await Promise.all(this.plans.map(async (plan) => {
      await this.#clock.sleep(plan.atMs);
      const stream = await this.#client.openStream();
      byId.set(stream.id, plan);
      plan.opened = true;
      await new Actor(this.#clock, plan, "opener", stream).run();
    }));
    await this.#client.close({ timeoutMs: 60_000 });
    await serving;
    const ends = [await this.#client.closed, await this.#server.closed];
    assertEquals(ends, [undefined, undefined], "the honest session did not end in order");
    const sessionErrors = { opener: undefined, acceptor: undefined };
    for (const plan of this.plans) {
      checkPlan(plan, { cut: undefined, goneAway: false, sessionErrors });
    }
  }
}

async function attack(random: Random, options: AttackOptions, tally: Tally): Promise<void> {
  const clock = new TestClock();
  const count = options.flood ? 1 : random.int(1, 3);
  const memory = new MuxMemory({ maxBytes: (count + 2) * BUDGET });
  const attacked = Array.from(
    { length: count },
    () => new Attacked(clock, memory, random, options),
  );
  for (const name of attacked.flatMap(({ offences }) => offences)) tally.kinds.add(name);
  const honest = new Honest(clock, memory, random);
  const work = { isOver: false, failure: undefined as unknown };
  void honest.run().catch((error) => work.failure = error).finally(() => work.isOver = true);
  const watch = () => {
    if (attacked.some(({ session }) => session.stats().bufferedBytes > BUDGET)) {
      work.failure ??= new Error("a session holds more than its budget");
    }
    if (memory.usedBytes > memory.maxBytes) {
      work.failure ??= new Error("the process holds more than its budget");
    }
    if (!work.isOver) clock.after(250, watch);
  };
  watch();
  try {
    for (const victim of attacked) void victim.offend();
    await clock.advance(9000);
    for (const victim of attacked) {
      victim.session.status === "ended" ? tally.ended++ : tally.harmless++;
    }
    for (const victim of attacked) victim.listen();
    await clock.advance(3000);
    for (const victim of attacked) victim.check();
    assert(await clock.runUntil(() => work.isOver, 300_000), "the honest session still waits");
    if (work.failure !== undefined) throw work.failure;
    await endAll(clock, attacked);
    assertEquals(memory.usedBytes, 0, "memory is still held");
  } catch (error) {
    const offences = attacked.map(({ offences }) => offences.join(", ")).join("; ");
    if (error instanceof Error) error.message += `\nafter ${offences}`;
    throw error;
  }
}

async function endAll(clock: TestClock, attacked: readonly Attacked[]): Promise<void> {
  for (const { session } of attacked) session.abort();
  await clock.advance(5000);
  for (const { session, link } of attacked) {
    link.cut();
    const error = await session.closed;
    assert(error === undefined || error instanceof ParleyError, "an end that is not typed");
  }
}

Deno.test("MuxSession gives rule-breakers no more than their budget, and lets no other session pay", async () => {
  const tally: Tally = { ended: 0, harmless: 0, kinds: new Set() };
  const test = { file: "tests/models/mux_breaker_test.ts", filter: "rule-breakers", seeds: SEEDS };
  await modelSeeds(test, (random) => attack(random, {}, tally));
  if (!runsAllSeeds) return;
  assertEquals(tally.kinds.size, Object.keys(OFFENCES).length, "some offences were never tried");
  assert(
    tally.ended > 100 && tally.harmless > 30,
    `${tally.ended} ended, ${tally.harmless} harmless`,
  );
});

Deno.test("MuxSession bounds what waits for a peer that floods it and does not read", async () => {
  const tally: Tally = { ended: 0, harmless: 0, kinds: new Set() };
  const test = {
    file: "tests/models/mux_breaker_test.ts",
    filter: "does not read",
    seeds: FLOOD_SEEDS,
  };
  await modelSeeds(test, (random) => attack(random, { flood: true }, tally));
});
