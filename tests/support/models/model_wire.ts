// The world of one seed over the wire: a hub or a server, callers that join it, and the streams that they
// open to one target.
import { assert, assertEquals } from "@std/assert";
import {
  hub,
  join,
  type JoinedWire,
  mount,
  type MountedWire,
  type WireStream,
} from "@parley/parley/wire";
import { MuxMemory } from "../../../mux/mod.ts";
import { Actor, type StreamPlan } from "./model_actor.ts";
import { checkPlan, story } from "./model_check.ts";
import { codeOf } from "./model_flow.ts";
import { liveOut } from "./model_life.ts";
import { ModelNetwork } from "./model_network.ts";
import { ModelTime } from "./model_time.ts";
import type { Tally } from "./model_world.ts";
import type { Random } from "../random.ts";

/** What an opener waits for its turn, where its plan has no other limit. */
const OPEN_MS = 1_200_000;
/** By how much a time limit may be passed. */
const CLOSE_SLACK_MS = 50;
/** Time to end in order. */
const CLOSE_MS = 1_000_000;

/** Who opens streams. */
export interface Caller {
  readonly plans: readonly StreamPlan[];
  /** It is gone from then on, in the middle of whatever it does. */
  readonly abortAtMs?: number | undefined;
  /** It ends in order from then on. */
  readonly closeAtMs?: number | undefined;
  /** Time that it has for that. @default {enough} */
  readonly closeTimeoutMs?: number | undefined;
}

/** What a seed is about. */
export interface WireScene {
  /** Streams go through a hub to the target; otherwise the server itself is the target. */
  readonly hub: boolean;
  readonly callers: readonly Caller[];
  /** Streams that the target's side opens to the first caller, where there is no hub. */
  readonly back?: readonly StreamPlan[] | undefined;
  /** What strangers do to the server meanwhile. */
  readonly beside?: ((port: number) => Promise<void>) | undefined;
  /** All peers see who is there. */
  readonly presence?: boolean | undefined;
  readonly maxStreams?: number | undefined;
  readonly maxStreamsPerPair?: number | undefined;
  readonly latencyMs?: number | undefined;
  readonly bytesPerMs?: number | undefined;
  readonly bufferBytes?: number | undefined;
  /** Nothing takes long, so that waiting one's turn at the hub is never waiting too long. */
  readonly isBrisk?: boolean | undefined;
  /** Handlers go on for so long after their streams. */
  readonly handlerRestMs?: number | undefined;
}

/** Lives one life over the wire, and checks it. */
export async function simulateWire(random: Random, scene: WireScene, tally: Tally): Promise<void> {
  using time = new ModelTime(random);
  const { latencyMs = 5, bytesPerMs, bufferBytes } = scene;
  using _network = new ModelNetwork({
    clock: time.clock,
    random,
    latencyMs,
    bytesPerMs,
    bufferBytes,
  });
  const world = new WireWorld(time, scene);
  await liveOut(time.clock, () => world.live(), () => world.waiting());
  await time.clock.advance(60_000);
  world.check(tally);
  assertEquals(time.clock.pending, 0, "timers are left");
}

class WireWorld {
  readonly #time: ModelTime;
  readonly #scene: WireScene;
  readonly #memory = new MuxMemory();
  readonly #plans = new Map<number, StreamPlan>();
  readonly #serving: Promise<void>[] = [];
  readonly #callers: JoinedWire[] = [];
  /** How the sessions of each joined side ended, on both sides. */
  readonly #ends = new Map<string, unknown[]>();
  /** Who was cut on purpose. */
  readonly #gone = new Set<string>();
  readonly #leaving = new Set<string>();
  #server: MountedWire | undefined;

  constructor(time: ModelTime, scene: WireScene) {
    this.#time = time;
    this.#scene = scene;
    const all = [...scene.callers.flatMap(({ plans }) => plans), ...scene.back ?? []];
    for (const plan of all) this.#plans.set(plan.number, plan);
  }

  async live(): Promise<void> {
    const { callers, back = [], hub: isHub } = this.#scene;
    const server = this.#server = this.#listen();
    await server.ready;
    const target = isHub ? this.#join("target") : undefined;
    this.#callers.push(...callers.map((_, index) => this.#join(`caller-${index}`)));
    await Promise.all([target?.ready, ...this.#callers.map((wire) => wire.ready)]);
    const tasks = callers.map((caller, index) => this.#call(caller, index));
    const first = server.session("caller-0");
    tasks.push(
      ...back.map((plan) =>
        this.#open("caller-0", plan, (options) => first!.open("model", options))
      ),
    );
    assert(server.addr.transport === "tcp");
    await Promise.all([...tasks, this.#scene.beside?.(server.addr.port)]);
    await this.#served();
    await Promise.all(this.#callers.map((wire) => this.#close(wire)));
    if (target !== undefined) await this.#close(target);
    await server.shutdown({ timeoutMs: CLOSE_MS });
    await server.finished;
  }

  check(tally: Tally): void {
    for (const [identity, errors] of this.#ends) {
      const isOurs = identity === "target" ||
        this.#callers.some((wire) => wire.identity === identity);
      if (this.#gone.has(identity) || !isOurs) continue;
      assertEquals(
        errors.map(codeOf),
        errors.map(() => "undefined"),
        `the session of ${identity} broke`,
      );
    }
    for (const [index, { plans }] of this.#scene.callers.entries()) {
      this.#checkPlans(`caller-${index}`, plans, tally);
    }
    this.#checkPlans("caller-0", this.#scene.back ?? [], tally);
    assertEquals(this.#memory.usedBytes, 0, "memory is still held");
  }

  waiting(): string {
    const stuck = [...this.#plans.values()].filter(({ openError, actors }) =>
      openError === undefined &&
      (actors.opener?.doneAtMs ?? actors.acceptor?.doneAtMs) === undefined
    );
    return `${stuck.length} streams\n${stuck.slice(0, 3).map(story).join("\n")}`;
  }

  #listen(): MountedWire {
    const { hub: isHub, maxStreamsPerPair, presence = false } = this.#scene;
    const options = { ...this.#shared, insecureAnyone: true };
    const server = isHub
      ? hub({ ...options, maxStreamsPerPair, presence: () => presence })
      : mount(options);
    server.handle("model", (stream) => this.#serve(stream));
    return server;
  }

  #join(identity: string): JoinedWire {
    const { addr } = this.#server!;
    assert(addr.transport === "tcp");
    const wire = join({ ...this.#shared, ...addr, identity, token: identity, reconnect: false });
    wire.handle("model", (stream) => this.#serve(stream));
    return wire;
  }

  get #shared() {
    const { maxStreams } = this.#scene;
    return {
      mux: { memory: this.#memory, maxStreams },
      onError: () => {},
      onClose: ({ identity }: { identity: string }, error?: Error) =>
        void this.#ends.set(identity, [...this.#ends.get(identity) ?? [], error]),
    };
  }

  async #call(
    { plans, abortAtMs, closeAtMs, closeTimeoutMs }: Caller,
    index: number,
  ): Promise<void> {
    const identity = `caller-${index}`;
    const wire = this.#callers[index]!;
    const peer = this.#scene.hub ? wire.peer("target") : wire;
    const { clock } = this.#time;
    const ends: Promise<void>[] = [];
    if (abortAtMs !== undefined) {
      ends.push(
        clock.sleep(abortAtMs).then(() => {
          this.#gone.add(identity);
          wire.abort();
        }),
      );
    }
    if (closeAtMs !== undefined) {
      ends.push(
        clock.sleep(closeAtMs).then(() => {
          this.#leaving.add(identity);
          return this.#close(wire, closeTimeoutMs);
        }),
      );
    }
    await Promise.all([
      ...plans.map((plan) => this.#open(identity, plan, (options) => peer.open("model", options))),
      ...ends,
    ]);
  }

  async #close(wire: JoinedWire, timeoutMs = CLOSE_MS): Promise<void> {
    const { clock } = this.#time;
    const startMs = clock.now();
    try {
      await wire.close({ timeoutMs });
    } catch (error) {
      if (codeOf(error) === "ERR_DRAIN_TIMEOUT" && timeoutMs < CLOSE_MS) {
        this.#gone.add(wire.identity);
      }
      if (!this.#gone.has(wire.identity)) throw error;
    }
    const tookMs = clock.now() - startMs;
    assert(
      tookMs <= timeoutMs + CLOSE_SLACK_MS,
      `close({ timeoutMs: ${timeoutMs} }) took ${tookMs} ms`,
    );
  }

  async #open(
    identity: string,
    plan: StreamPlan,
    open: (options: { meta: { plan: number }; timeoutMs: number }) => Promise<WireStream>,
  ): Promise<void> {
    const { clock } = this.#time;
    await clock.sleep(plan.atMs);
    this.#allowRefusal(identity, plan);
    let stream: WireStream;
    try {
      stream = await open({
        meta: { plan: plan.number },
        timeoutMs: plan.openTimeoutMs ?? OPEN_MS,
      });
    } catch (error) {
      plan.openError = error;
      return;
    }
    plan.opened = true;
    await new Actor(clock, plan, "opener", stream).run();
  }

  /** A hub lets one pair have so many streams at a time, and lets others wait, but not for ever. */
  #allowRefusal(identity: string, plan: StreamPlan): void {
    const { hub: isHub, callers, isBrisk, maxStreamsPerPair = 64, maxStreams = 256 } = this.#scene;
    if (!isHub || isBrisk) return;
    const mine = callers[Number(identity.split("-")[1])]?.plans ?? [];
    const all = callers.flatMap(({ plans }) => plans);
    // It is not known yet how long they take: a caller with so many may have to wait too long.
    if (mine.length > maxStreamsPerPair || all.length > maxStreams) {
      plan.mayRefuse = "the pair or the target is busy";
    }
  }

  /** The handler: at its end the stream is over, in order as far as it can be. */
  async #serve(stream: WireStream): Promise<void> {
    const plan = this.#plans.get(Number(stream.meta["plan"]));
    assert(plan !== undefined, "a stream came that was never opened");
    plan.acceptedAtMs = this.#time.clock.now();
    const running = new Actor(this.#time.clock, plan, "acceptor", stream).run();
    this.#serving.push(running);
    running.catch(() => {});
    await running;
    plan.flows.acceptor.finished = true;
    const { handlerRestMs = 0 } = this.#scene;
    if (handlerRestMs > 0) await this.#time.clock.sleep(handlerRestMs);
    // A handler that failed throws, as handlers do.
    const { opener, acceptor } = plan.flows;
    if (opener.readError !== undefined || acceptor.writeError !== undefined) {
      throw opener.readError ?? acceptor.writeError;
    }
  }

  async #served(): Promise<void> {
    for (let count = -1; count < this.#serving.length;) {
      count = this.#serving.length;
      await Promise.all(this.#serving);
      await this.#time.clock.sleep(1000);
    }
  }

  #checkPlans(identity: string, plans: readonly StreamPlan[], tally: Tally): void {
    const cut = this.#gone.has(identity) ? `${identity} was aborted` : undefined;
    const told = (this.#ends.get(identity) ?? []).find((error) => error !== undefined);
    const goneAway = this.#leaving.has(identity);
    for (const plan of plans) {
      if (cut !== undefined) plan.flows.acceptor.abandoned = true;
      checkPlan(plan, { cut, goneAway, sessionErrors: { opener: told, acceptor: told } });
      if (!plan.opened) {
        tally.refused += 1;
        continue;
      }
      tally.streams += 1;
      for (const flow of [plan.flows.opener, plan.flows.acceptor]) {
        tally.bytes += flow.read;
        tally.inOrder += flow.ended ? 1 : 0;
        tally.excused += flow.excuse === undefined ? 0 : 1;
      }
    }
    tally.cut += cut === undefined ? 0 : 1;
  }
}
