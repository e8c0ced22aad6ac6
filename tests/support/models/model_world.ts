// The world of one seed: two sessions over a simulated link, the streams that they open, and what befalls
// them.
import { assert, assertEquals } from "@std/assert";
import type { ParleyError } from "../../../errors.ts";
import { MuxMemory, MuxSession, type MuxSessionOptions } from "../../../mux/mod.ts";
import { Actor, type ModelStream, type Side, type StreamPlan } from "./model_actor.ts";
import { checkPlan, story } from "./model_check.ts";
import { codeOf } from "./model_flow.ts";
import { liveOut } from "./model_life.ts";
import { type ModelLink, modelLink } from "./model_link.ts";
import { YamuxPeer } from "./model_yamux.ts";
import type { Random } from "../random.ts";
import { TestClock } from "../simulation/test_clock.ts";

/** Time that a stream may take whose two sides never rest, over a link that is not slow. */
const BRISK_MS = 60_000;

/**
 * Time that `close()` of a stream may take while its peer takes nothing, and that word of a cancelled read
 * needs.
 */
const CLOSE_MS = 150_000;
const CANCEL_MS = 5000;

/** One of the two sessions. */
export type End = "left" | "right";

/** What befalls everything at once. */
export type Event =
  | { readonly atMs: number; readonly do: "stall"; readonly ms: number }
  | { readonly atMs: number; readonly do: "cut" }
  | { readonly atMs: number; readonly do: "abort" | "goAway" | "ping"; readonly by: End }
  | { readonly atMs: number; readonly do: "close"; readonly by: End; readonly timeoutMs: number };

/** What a seed is about. */
export interface Scene {
  readonly latencyMs?: number | undefined;
  readonly bytesPerMs?: number | undefined;
  readonly bufferBytes?: number | undefined;
  readonly maxChunkBytes?: number | undefined;
  readonly options?: Partial<MuxSessionOptions> | undefined;
  /** The two have announced their terms to each other. */
  readonly agreed?: boolean | undefined;
  /** The left end is a yamux program in another language. */
  readonly raw?: boolean | undefined;
  /** Streams by who opens them. */
  readonly plans: Readonly<Record<End, readonly StreamPlan[]>>;
  readonly events?: readonly Event[] | undefined;
  /** Longest time before a stream that came is accepted. */
  readonly acceptWithinMs?: number | undefined;
}

/** What all seeds did together, so that a test that tests nothing is found out. */
export interface Tally {
  bytes: number;
  streams: number;
  inOrder: number;
  excused: number;
  refused: number;
  cut: number;
}

/** A tally of nothing. */
export function newTally(): Tally {
  return { bytes: 0, streams: 0, inOrder: 0, excused: 0, refused: 0, cut: 0 };
}

/** What the world needs of a session, ours or a raw one. */
interface ModelSession {
  readonly closed: Promise<ParleyError | undefined>;
  openStream(options?: { timeoutMs?: number | undefined }): Promise<ModelStream>;
  acceptStream(): Promise<ModelStream | null>;
  ping(): Promise<unknown>;
  goAway(): void;
  close(options?: { timeoutMs?: number | undefined }): Promise<void>;
  abort(): void;
}

/** Lives one life of two sessions, and checks it. */
export async function simulate(random: Random, scene: Scene, tally: Tally): Promise<void> {
  await new World(random, scene).live(tally);
}

class World {
  readonly #random: Random;
  readonly #scene: Scene;
  readonly #clock = new TestClock();
  readonly #memory = new MuxMemory();
  readonly #link: ModelLink;
  readonly #ends: Readonly<Record<End, ModelSession>>;
  readonly #mux: readonly MuxSession[];
  readonly #plans: readonly StreamPlan[];
  readonly #byId = new Map<number, StreamPlan>();
  readonly #running: Promise<void>[] = [];
  readonly #told: Record<End, unknown> = { left: undefined, right: undefined };
  #cut: string | undefined;
  #abortedBy: End | undefined;
  #goneAway = false;

  constructor(random: Random, scene: Scene) {
    this.#random = random;
    this.#scene = scene;
    const { latencyMs, bytesPerMs, bufferBytes, maxChunkBytes, options = {}, raw, plans } = scene;
    const clock = this.#clock;
    this.#link = modelLink({
      clock,
      random,
      latencyMs: latencyMs ?? random.int(0, 60),
      bytesPerMs: bytesPerMs ?? Infinity,
      bufferBytes: bufferBytes ?? random.pick([1000, 65_536, 1_000_000]),
      maxChunkBytes: maxChunkBytes ?? random.pick([700, 5000, 65_536]),
    });
    const shared = { clock, memory: this.#memory, random: () => 0.5, keepAliveMs: 0, ...options };
    const right = new MuxSession(this.#link.right, { ...shared, role: "server" });
    const left = raw
      ? new YamuxPeer(this.#link.left, {
        role: "client",
        clock,
        random,
        reorderMs: random.pick([0, 20]),
      })
      : new MuxSession(this.#link.left, { ...shared, role: "client" });
    this.#ends = { left, right };
    this.#mux = left instanceof MuxSession ? [left, right] : [right];
    this.#plans = [...plans.left, ...plans.right];
    if (scene.agreed && left instanceof MuxSession) {
      left.agree(right.terms);
      right.agree(left.terms);
    }
  }

  async live(tally: Tally): Promise<void> {
    await liveOut(this.#clock, () => this.#life(), () => this.#waiting());
    // What is still on its way arrives.
    await this.#clock.advance(5000);
    this.#check();
    this.#count(tally);
  }

  async #life(): Promise<void> {
    const accepting = [this.#accept("left"), this.#accept("right")];
    const failed = Promise.withResolvers<never>();
    const { plans, events = [] } = this.#scene;
    const all = [
      ...plans.left.map((plan) => this.#open("left", plan)),
      ...plans.right.map((plan) => this.#open("right", plan)),
      ...events.map((event) => this.#befall(event)),
    ];
    for (const task of [...accepting, ...all]) task.catch(failed.reject);
    failed.promise.catch(() => {});
    await Promise.race([failed.promise, this.#untilEnd(all, accepting)]);
  }

  async #untilEnd(
    all: readonly Promise<void>[],
    accepting: readonly Promise<void>[],
  ): Promise<void> {
    await Promise.all(all);
    // Streams on the way are accepted before their opener closes: the round trip sees to it.
    await Promise.all([this.#ends.left, this.#ends.right].map((end) => end.ping().catch(() => {})));
    await Promise.all([this.#close("left", 1_000_000), this.#close("right", 1_000_000)]);
    await Promise.all(accepting);
    await Promise.all(this.#running);
    for (const end of ["left", "right"] as const) this.#told[end] ??= await this.#ends[end].closed;
  }

  async #open(end: End, plan: StreamPlan): Promise<void> {
    await this.#clock.sleep(plan.atMs);
    const { openTimeoutMs: timeoutMs } = plan;
    this.#allowRefusal(end, plan);
    let stream: ModelStream;
    try {
      stream = await this.#ends[end].openStream(timeoutMs === undefined ? {} : { timeoutMs });
    } catch (error) {
      plan.openError = error;
      // Others may have opened theirs in the same moment.
      return this.#allowRefusal(end, plan);
    }
    this.#allowRefusal(end, plan);
    plan.opened = true;
    this.#byId.set(stream.id, plan);
    await new Actor(this.#clock, plan, "opener", stream).run();
  }

  /**
   * An opener that got no terms may come over a limit, and memory may be short for it. It must be
   * so, then.
   */
  #allowRefusal(end: End, plan: StreamPlan): void {
    const { maxStreams = 256, maxBufferedBytes = 16 * 2 ** 20 } = this.#scene.options ?? {};
    const live = (plans: readonly StreamPlan[]) =>
      plans.filter((other) => other.opened && !isOver(other)).length;
    plan.knowsPeer ||= this.#scene.plans[end].some(({ acceptedAtMs }) =>
      acceptedAtMs !== undefined
    );
    const isOpen = (other: StreamPlan) => other.opened && other.actors.opener?.closed === "pending";
    const mine = this.#scene.plans[end];
    // Between sides that agreed, only streams that are over and not read yet can come on top of the limit.
    const told = this.#scene.agreed ? mine.filter(isOpen).length < maxStreams : true;
    if (told && live(mine) >= maxStreams) plan.mayRefuse ??= "the peer has so many streams";
    if (this.#scene.agreed) return;
    // Grown windows may take half of the memory.
    const windows = Math.floor(maxBufferedBytes / 2 / (256 * 1024));
    if (live(this.#plans) >= windows) plan.mayRefuse ??= "so many windows fill the memory";
  }

  async #accept(end: End): Promise<void> {
    const session = this.#ends[end];
    for (
      let stream = await session.acceptStream();
      stream !== null;
      stream = await session.acceptStream()
    ) {
      const plan = this.#byId.get(stream.id);
      assert(plan !== undefined, `stream ${stream.id} came, and was never opened`);
      plan.acceptedAtMs = this.#clock.now();
      const running = new Actor(this.#clock, plan, "acceptor", stream).run();
      running.catch(() => {});
      this.#running.push(running);
      const { acceptWithinMs = 0 } = this.#scene;
      if (acceptWithinMs > 0) await this.#clock.sleep(this.#random.int(0, acceptWithinMs));
    }
  }

  async #befall(event: Event): Promise<void> {
    await this.#clock.sleep(event.atMs);
    switch (event.do) {
      case "stall":
        this.#link.stall();
        await this.#clock.sleep(event.ms);
        return this.#link.resume();
      case "cut":
        this.#cut ??= "the link was cut";
        return this.#link.cut();
      case "abort":
        this.#cut ??= `the ${event.by} session was aborted`;
        this.#abortedBy ??= event.by;
        return this.#ends[event.by].abort();
      case "goAway":
        this.#goneAway = true;
        return this.#ends[event.by].goAway();
      case "ping":
        return void await this.#ends[event.by].ping().catch((error) =>
          this.#excuseEnd("a ping", error)
        );
      case "close":
        return await this.#close(event.by, event.timeoutMs);
    }
  }

  async #close(end: End, timeoutMs: number): Promise<void> {
    this.#goneAway = true;
    try {
      await this.#ends[end].close({ timeoutMs });
    } catch (error) {
      this.#told[end] ??= error;
      if (codeOf(error) === "ERR_DRAIN_TIMEOUT" && timeoutMs < 1_000_000) {
        this.#cut ??= "close() ran out of time";
        this.#abortedBy ??= end;
      }
      this.#excuseEnd("close()", error);
    }
  }

  #excuseEnd(what: string, error: unknown): void {
    if (this.#cut === undefined && !(this.#goneAway && codeOf(error) === "ERR_CLOSED")) {
      throw new Error(`${what} failed with ${codeOf(error)} though nothing broke`, {
        cause: error,
      });
    }
  }

  #check(): void {
    const { left, right } = this.#told;
    if (this.#cut === undefined) {
      assertEquals(
        [codeOf(left), codeOf(right)],
        ["undefined", "undefined"],
        "a session ended other than in order",
      );
    }
    const goneAway = this.#goneAway;
    for (const end of ["left", "right"] as const) {
      const other = end === "left" ? "right" : "left";
      const sessionErrors = { opener: this.#told[end], acceptor: this.#told[other] };
      for (const plan of this.#scene.plans[end]) {
        if (this.#abortedBy === end) plan.flows.acceptor.abandoned = true;
        if (this.#abortedBy === other) plan.flows.opener.abandoned = true;
        checkPlan(plan, {
          cut: this.#cut,
          goneAway,
          sessionErrors,
          resetDropsUnread: this.#scene.raw,
        });
        this.#checkBrisk(plan);
      }
    }
    for (const session of this.#mux) {
      assertEquals(session.status, "ended");
      const { streams, backlog, bufferedBytes } = session.stats();
      assertEquals([streams, backlog, bufferedBytes], [0, 0, 0], "a session still holds something");
    }
    assertEquals(this.#memory.usedBytes, 0, "memory is still held");
    this.#link.cut();
    assertEquals(this.#clock.pending, 0, "timers are left");
  }

  /** No stream waits for the rest that others take. */
  #checkBrisk(plan: StreamPlan): void {
    const { bytesPerMs = Infinity } = this.#scene;
    const { acceptor } = plan.actors;
    if (bytesPerMs < 100 || acceptor === undefined || plan.acceptedAtMs === undefined) {
      return;
    }
    this.#checkLeaving(plan);
    if (!plan.isBrisk) return;
    const tookMs = (acceptor.doneAtMs ?? Infinity) - plan.acceptedAtMs;
    assert(tookMs < BRISK_MS, `a stream that never rested took ${tookMs} ms\n${story(plan)}`);
  }

  /** A side that leaves is let go in time, and the other learns it. */
  #checkLeaving(plan: StreamPlan): void {
    for (const [side, other] of [["opener", "acceptor"], ["acceptor", "opener"]] as const) {
      const { closeTookMs = 0, cancelledAtMs } = plan.actors[side] ?? {};
      assert(closeTookMs < CLOSE_MS, `close() took ${closeTookMs} ms\n${story(plan)}`);
      if (cancelledAtMs === undefined) continue;
      const lateMs = (plan.actors[other]?.outDoneAtMs ?? Infinity) - cancelledAtMs;
      assert(
        lateMs < CANCEL_MS,
        `a writer heard after ${lateMs} ms that it is not read\n${story(plan)}`,
      );
    }
  }

  #waiting(): string {
    const stuck = this.#plans.filter((plan) => plan.opened && !isOver(plan));
    const unopened =
      this.#plans.filter((plan) => !plan.opened && plan.openError === undefined).length;
    const states = this.#mux.map((session) => session.status).join(", ");
    return `${unopened} were never opened; sessions: ${states}\n${
      stuck.slice(0, 3).map(story).join("\n")
    }`;
  }

  #count(tally: Tally): void {
    tally.cut += this.#cut === undefined ? 0 : 1;
    for (const { flows, opened, actors } of this.#plans) {
      if (!opened) continue;
      tally.streams += 1;
      tally.refused += actors.acceptor === undefined ? 1 : 0;
      for (const flow of [flows.opener, flows.acceptor] as const) {
        tally.bytes += flow.read;
        tally.inOrder += flow.ended ? 1 : 0;
        tally.excused += flow.excuse === undefined ? 0 : 1;
      }
    }
  }
}

/** Both sides know that it is over, and have read what came. */
function isOver({ actors, openError }: StreamPlan): boolean {
  if (openError !== undefined) return true;
  const isThrough = (side: Side) =>
    actors[side]?.doneAtMs !== undefined && actors[side].closed !== "pending";
  // A stream that was refused has one side only.
  if (actors.acceptor === undefined) return actors.opener?.closed instanceof Error;
  return isThrough("opener") && isThrough("acceptor");
}
