// The world of one seed over Pool: backends, what befalls them, and programs that lease connections to them.
import { assert, assertEquals } from "@std/assert";
import { Pool, type PoolOptions } from "../../../pool.ts";
import { ModelBackend, type Outage } from "./model_backend.ts";
import type { KernelOptions } from "./model_kernel.ts";
import { Lessee, type LesseePlan } from "./model_lessees.ts";
import { onStage, type Stage } from "./scenes/model_stage.ts";
import { encodeQuestion, question } from "./model_talk.ts";
import type { Random } from "../random.ts";

const FIRST_PORT = 7100;
/** Time after the last outage, in which circuits are tried again and look-ups are made. */
const HEALING_MS = 45_000;
const IDLE_MS = 5000;

/** What a seed is about. */
export interface PoolScene {
  readonly lessees: readonly LesseePlan[];
  /** What befalls each backend. */
  readonly backends: readonly (readonly Outage[])[];
  readonly options?: Partial<PoolOptions> | undefined;
  /** Backends are asked how they are. */
  readonly asksHealth?: boolean | undefined;
  /** Names are looked up, and each look-up of this number hangs. */
  readonly hangs?: readonly number[] | undefined;
  readonly link?: Omit<KernelOptions, "clock" | "random"> | undefined;
  /** No call of `use` may fail: there is always a backend, and it ends in order. */
  readonly isSafe?: boolean | undefined;
}

/** What the scenes of a test did together. */
export interface PoolTally {
  answers: number;
  failures: number;
  reused: number;
  retries: number;
  opened: number;
}

/** Nothing yet. */
export function newPoolTally(): PoolTally {
  return { answers: 0, failures: 0, reused: 0, retries: 0, opened: 0 };
}

/** Lives one life, and checks it. */
export async function simulatePool(
  random: Random,
  scene: PoolScene,
  tally: PoolTally,
): Promise<void> {
  let world: PoolWorld | undefined;
  await onStage(random, scene.link ?? {}, async (stage) => {
    world = new PoolWorld(stage, scene);
    await world.live(tally);
  }, () => world?.waiting() ?? "nothing began");
}

class PoolWorld {
  readonly #stage: Stage;
  readonly #scene: PoolScene;
  readonly #backends: readonly ModelBackend[];
  #lessees: readonly Lessee[] = [];
  #pool: Pool | undefined;
  #lookUps = 0;

  constructor(stage: Stage, scene: PoolScene) {
    this.#stage = stage;
    this.#scene = scene;
    this.#backends = scene.backends.map((outages, index) =>
      new ModelBackend(stage, { port: FIRST_PORT + index, outages })
    );
  }

  async live(tally: PoolTally): Promise<void> {
    const { clock } = this.#stage;
    for (const backend of this.#backends) await backend.start();
    const pool = this.#pool = this.#make();
    const lessees = this.#lessees = this.#scene.lessees.map((plan) =>
      new Lessee(plan, this.#stage, pool)
    );
    await Promise.all([
      ...lessees.map((lessee) => lessee.run()),
      ...this.#backends.map((backend) => backend.live()),
    ]);
    for (const lessee of lessees) this.#checkLessee(lessee, tally);
    await clock.sleep(HEALING_MS);
    await this.#checkHealed(lessees);
    const { retries } = pool.stats();
    tally.retries += retries;
    await clock.sleep(2 * IDLE_MS);
    this.#checkQuiet(tally);
    await pool.close();
    assertEquals(pool.status, "closed");
    await Promise.all(lessees.map((lessee) => lessee.settle()));
    for (const backend of this.#backends) await backend.stop();
  }

  waiting(): string {
    const stuck = this.#lessees.filter(({ isDone }) => !isDone).map(({ plan: { name }, at }) =>
      `${name} at ${at}`
    );
    return `${stuck.join(", ")}\n${JSON.stringify(this.#pool?.stats(), null, 1)}`;
  }

  #make(): Pool {
    const { options, asksHealth = false, hangs } = this.#scene;
    return new Pool({
      backends: this.#backends.map(({ port }, index) => ({
        hostname: hangs === undefined ? `198.51.100.${index + 1}` : `backend-${index}.example`,
        port,
        ...hangs !== undefined &&
          {
            resolve: (name: string, { signal }: { signal: AbortSignal }) =>
              this.#lookUp(name, signal),
          },
      })),
      idleTimeoutMs: IDLE_MS,
      onError: () => {},
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      ...asksHealth && {
        health: {
          check: async (conn) => {
            await conn.send(encodeQuestion(question("health", 0)));
            return await conn.receive() !== null;
          },
        },
      },
      ...options,
    });
  }

  async #lookUp(name: string, _signal: AbortSignal): Promise<string[]> {
    const number = this.#lookUps++;
    await this.#stage.clock.sleep(5);
    // As resolvers do whose server is gone.
    if (this.#scene.hangs!.includes(number)) await new Promise<void>(() => {});
    return [`198.51.100.${Number(name.match(/\d+/)) + 1}`];
  }

  #checkLessee({ plan, answers, nulls, failures }: Lessee, tally: PoolTally): void {
    tally.answers += answers;
    tally.failures += failures.length;
    const told = failures.map(({ atMs, line }) => `\n  at ${atMs} ms: ${line}`).join("");
    const story =
      `${plan.name} asked ${plan.questions.length}, ${answers} answers, ${nulls} nulls${told}` +
      `\n${JSON.stringify(this.#scene.backends)}`;
    if (plan.retries === undefined) return;
    assertEquals(nulls, 0, `a call of use gave null for an answer\n${story}`);
    if (this.#scene.isSafe) {
      assertEquals(failures.length, 0, `a call of use failed though there was a backend\n${story}`);
    }
  }

  /** Everything is well again, and the pool knows. */
  async #checkHealed(lessees: readonly Lessee[]): Promise<void> {
    for (const lessee of lessees) {
      const { name } = lessee.plan;
      lessee.at = "asking once more";
      lessee.isDone = false;
      const before = lessee.answers;
      await lessee.use(question(name, 1000), 2);
      assert(lessee.answers === before + 1, `${name} got null for its last question`);
      lessee.isDone = true;
    }
  }

  #checkQuiet(tally: PoolTally): void {
    const { waiting, backends, dialsExhausted, noBackend, waitTimeouts } = this.#pool!.stats();
    assertEquals(waiting, 0, "callers still wait");
    const failed = this.#lessees.reduce((sum, { failures }) => sum + failures.length, 0);
    // A call that cannot have a connection fails by that: the pool has tried what there was to try.
    assert(
      dialsExhausted + noBackend + waitTimeouts <= failed,
      "a call went on after it could have no connection",
    );
    for (const { name, idle, busy, dialling, closing, leasesReused, breakerOpened } of backends) {
      assertEquals(
        { idle, busy, dialling, closing },
        { idle: 0, busy: 0, dialling: 0, closing: 0 },
        `${name} is not at rest`,
      );
      tally.reused += leasesReused;
      tally.opened += breakerOpened;
    }
  }
}
