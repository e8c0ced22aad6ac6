// Tunnels whole, over simulated links: a program, a relay, the hub, a relay, a service; what breaks at one
// end breaks at the other, and only that.
import { assert, assertEquals } from "@std/assert";
import { hub, join, type WireStream } from "@parley/parley/wire";
import { joinTunnel } from "../../wire/tunnel/join_tunnel.ts";
import { MuxMemory } from "../../mux/mod.ts";
import { Actor, type StreamPlan } from "../support/models/model_actor.ts";
import { checkPlan, story } from "../support/models/model_check.ts";
import { codeOf } from "../support/models/model_flow.ts";
import { liveOut } from "../support/models/model_life.ts";
import { modelLink } from "../support/models/model_link.ts";
import { ModelNetwork } from "../support/models/model_network.ts";
import { download, drawPlan, ORDINARY, upload } from "../support/models/scenes/model_plans.ts";
import { modelSeeds, runsAllSeeds } from "../support/models/scenes/model_seeds.ts";
import { ModelSocket } from "../support/models/model_socket.ts";
import { ModelTime } from "../support/models/model_time.ts";
import type { Random } from "../support/random.ts";

const SEEDS = 60;

interface Tally {
  ended: number;
  broken: number;
  hubGone: number;
}

class Tunnels {
  readonly #time: ModelTime;
  readonly #random: Random;
  readonly #memory = new MuxMemory();
  readonly #plans: ReadonlyMap<number, StreamPlan>;
  readonly #running: Promise<void>[] = [];
  /** The hub is gone from then on, in the middle of everything. */
  readonly #hubGoneAtMs: number | undefined;

  constructor(time: ModelTime, random: Random) {
    this.#time = time;
    this.#random = random;
    const style = {
      ...ORDINARY,
      resets: 0.15,
      closes: 0,
      impatience: 0,
      rests: 0.3,
      maxRestMs: 90_000,
    };
    const rest = { afterBytes: random.int(1, 100_000), ms: random.int(100, 130_000) };
    const plans = [
      random.pick([upload, download])(random.int(100_000, 800_000), rest),
      ...Array.from({ length: random.int(1, 5) }, () => drawPlan(random, style)),
    ];
    this.#plans = new Map(plans.map((plan) => [plan.number, plan]));
    this.#hubGoneAtMs = random.chance(0.25) ? random.int(20, 2000) : undefined;
  }

  async live(): Promise<void> {
    const { clock } = this.#time;
    const shared = { mux: { memory: this.#memory }, onError: () => {} };
    const server = hub({ ...shared, insecureAnyone: true });
    await server.ready;
    assert(server.addr.transport === "tcp");
    const office = join({ ...shared, ...server.addr, identity: "office", reconnect: false });
    office.handle("tcp:web", (stream) => this.#expose(stream));
    const home = join({ ...shared, ...server.addr, identity: "home", reconnect: false });
    await Promise.all([office.ready, home.ready]);
    if (this.#hubGoneAtMs !== undefined) clock.after(this.#hubGoneAtMs, () => server.abort());
    await Promise.all([...this.#plans.values()].map(async (plan) => {
      await clock.sleep(plan.atMs);
      await this.#forward(plan, (options) => home.peer("office").open("tcp:web", options));
    }));
    while (this.#running.length > 0) await Promise.all(this.#running.splice(0));
    for (const wire of [home, office]) await wire.close().catch((error) => this.#excuse(error));
    await server.shutdown().catch((error) => this.#excuse(error));
    await server.finished;
  }

  check(tally: Tally): void {
    const cut = this.#hubGoneAtMs === undefined ? undefined : "the hub was gone";
    tally.hubGone += cut === undefined ? 0 : 1;
    const sessionErrors = { opener: undefined, acceptor: undefined };
    for (const plan of this.#plans.values()) {
      checkPlan(plan, { cut, goneAway: false, sessionErrors, sockets: true });
      for (const flow of Object.values(plan.flows)) flow.ended ? tally.ended++ : tally.broken++;
    }
    assertEquals(this.#memory.usedBytes, 0, "memory is still held");
  }

  waiting(): string {
    const stuck = [...this.#plans.values()].filter(({ actors: { opener, acceptor } }) =>
      opener?.doneAtMs === undefined || (acceptor !== undefined && acceptor.doneAtMs === undefined)
    );
    return stuck.slice(0, 3).map(story).join("\n");
  }

  /** A program connects to the near port; what it says goes through the hub. */
  async #forward(
    plan: StreamPlan,
    open: (options: { meta: { plan: number } }) => Promise<WireStream>,
  ): Promise<void> {
    const link = this.#link();
    const program = this.#act(plan, "opener", link.left);
    plan.opened = true;
    try {
      await joinTunnel(await open({ meta: { plan: plan.number } }), link.right, { role: "opened" });
    } catch (error) {
      link.right.reset();
      this.#excuse(error);
    }
    await program;
  }

  /** The far relay dials the service. */
  async #expose(stream: WireStream): Promise<void> {
    const plan = this.#plans.get(Number(stream.meta["plan"]));
    assert(plan !== undefined);
    const link = this.#link();
    this.#running.push(this.#act(plan, "acceptor", link.right));
    await joinTunnel(stream, link.left, { role: "served" });
  }

  #act(
    plan: StreamPlan,
    side: "opener" | "acceptor",
    transport: ReturnType<typeof modelLink>["left"],
  ): Promise<void> {
    const running = new Actor(this.#time.clock, plan, side, new ModelSocket(transport)).run();
    running.catch(() => {});
    return running;
  }

  #link(): ReturnType<typeof modelLink> {
    return modelLink({
      clock: this.#time.clock,
      random: this.#random,
      bufferBytes: this.#random.pick([4000, 65_536]),
    });
  }

  #excuse(error: unknown): void {
    if (this.#hubGoneAtMs === undefined) {
      throw new Error(`Something failed with ${codeOf(error)}`, { cause: error });
    }
  }
}

async function simulate(random: Random, tally: Tally): Promise<void> {
  using time = new ModelTime(random);
  using _network = new ModelNetwork({ clock: time.clock, random, latencyMs: random.int(0, 30) });
  const tunnels = new Tunnels(time, random);
  await liveOut(time.clock, () => tunnels.live(), () => tunnels.waiting());
  await time.clock.advance(60_000);
  tunnels.check(tally);
}

Deno.test("tunnels are fair to the programs at their ends, and tell them every break", async () => {
  const tally: Tally = { ended: 0, broken: 0, hubGone: 0 };
  const test = { file: "tests/models/tunnel_legal_test.ts", filter: "tunnels", seeds: SEEDS };
  await modelSeeds(test, (random) => simulate(random, tally));
  if (!runsAllSeeds) return;
  assert(tally.ended > 200 && tally.broken > 30 && tally.hubGone > 8, JSON.stringify(tally));
});
