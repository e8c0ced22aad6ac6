// The world of one seed over serve(): a server, legal peers that come, ask and leave, and what must
// hold of each.
import { assert, assertEquals } from "@std/assert";
import { serve, type ServeErrorContext, type ServeOptions } from "../../../server.ts";
import type { Server } from "../../../server.ts";
import type { Connection } from "../../../connection.ts";
import { codeOf } from "./model_flow.ts";
import type { KernelOptions } from "./model_kernel.ts";
import { ModelPeer, type PeerPlan } from "./model_peers.ts";
import { onStage, type Stage } from "./scenes/model_stage.ts";
import { decodeQuestion, encodeAnswer, type Question } from "./model_talk.ts";
import type { Random } from "../random.ts";

/** Time that a drain is given: all that is legal ends within it. */
const DRAIN_MS = 1_200_000;
/** What comes beside the round trip and the work, at most, where nothing is busy. */
const SLACK_MS = 250;
/** Turns of the microtask queue in which a connection that comes is let in. */
const MOMENT_HOPS = 40;
/** Time for which a drain may read on, because it cannot know what had arrived. */
const LAST_MS = 2000;
/** From the kernel to the server's reader, beside the latency. */
const ARRIVAL_MS = 2;

/** What a seed is about. */
export interface ServeScene {
  readonly options?: ServeOptions | undefined;
  readonly peers: readonly PeerPlan[];
  readonly link?: Omit<KernelOptions, "clock" | "random"> | undefined;
  /** Rest of each handler before it receives the next message. @default {0} */
  readonly restMs?: number | undefined;
  /** The server is shut down then. */
  readonly shutdownAtMs?: number | undefined;
  /** Others that come meanwhile. */
  readonly beside?: ((world: ServeWorld) => Promise<void>) | undefined;
  /** A balancer with this address stands before the server. */
  readonly balancer?: string | undefined;
  /** No answer waits for anything but the way and the work. */
  readonly isBrisk?: boolean | undefined;
  /** What else must hold. */
  readonly check?: ((world: ServeWorld) => void) | undefined;
}

/** What the scenes of a test did together. */
export interface ServeTally {
  peers: number;
  answers: number;
  turnedAway: number;
  left: number;
  promised: number;
  unanswered: number;
}

/** Nothing yet. */
export function newServeTally(): ServeTally {
  return { peers: 0, answers: 0, turnedAway: 0, left: 0, promised: 0, unanswered: 0 };
}

/** What a handler saw of one program, the last time that it came. */
interface Served {
  taken: Question[];
  end: string | undefined;
  closed: string | undefined;
  closedAtMs: number | undefined;
}

/** Lives one life, and checks it. */
export async function simulateServe(
  random: Random,
  scene: ServeScene,
  tally: ServeTally,
): Promise<void> {
  let world: ServeWorld | undefined;
  await onStage(random, scene.link ?? {}, async (stage) => {
    world = new ServeWorld(stage, scene);
    await world.live();
    world.check(tally);
  }, () => world?.waiting() ?? "nothing began");
}

/** One server, and who comes. */
export class ServeWorld {
  readonly stage: Stage;
  readonly scene: ServeScene;
  readonly peers: readonly ModelPeer[];
  readonly errors: {
    readonly error: unknown;
    readonly context: ServeErrorContext;
    readonly atMs: number;
  }[] = [];
  readonly #served = new Map<string, Served>();
  readonly #byConnection = new Map<string, Served>();
  #server: Server | undefined;
  shutdownAtMs: number = Infinity;

  constructor(stage: Stage, scene: ServeScene) {
    this.stage = stage;
    this.scene = scene;
    this.peers = scene.peers.map((plan) => new ModelPeer(plan, stage));
  }

  /** The server. */
  get server(): Server {
    return this.#server!;
  }

  /** Where it listens. */
  get port(): number {
    const { addr } = this.server;
    assert(addr.transport === "tcp");
    return addr.port;
  }

  async live(): Promise<void> {
    const { scene, stage } = this;
    const server = this.#server = serve({
      drainTimeoutMs: DRAIN_MS,
      ...scene.options,
      signal: stage.user.signal,
      onError: (error, context) =>
        void this.errors.push({ error, context, atMs: stage.clock.now() }),
      onDisconnect: (conn, { error }) => this.#onDisconnect(conn, error),
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    }, (conn) => this.#serve(conn));
    await server.ready;
    stage.hosts.balancer = scene.balancer;
    const { port } = this;
    const ending = scene.shutdownAtMs === undefined
      ? undefined
      : this.#shutDown(scene.shutdownAtMs);
    await Promise.all([...this.peers.map((peer) => peer.run(port)), scene.beside?.(this), ending]);
    // Handlers see an end a moment later.
    await stage.clock.sleep(1000);
    await server.shutdown();
    await server.finished;
  }

  async #shutDown(atMs: number): Promise<void> {
    const { clock, random } = this.stage;
    await clock.sleep(atMs);
    // In the midst of whatever happens in the same moment.
    for (let hop = random.int(0, MOMENT_HOPS); hop > 0; hop--) await null;
    this.shutdownAtMs = clock.now();
    await this.server.shutdown();
  }

  waiting(): string {
    const stuck = this.peers.filter(({ isDone }) => !isDone);
    const state = this.#server?.state;
    return `server ${state}; ${stuck.length} peers wait: ${
      stuck.slice(0, 3).map((peer) => this.story(peer)).join("\n")
    }`;
  }

  check(tally: ServeTally): void {
    for (const peer of this.peers) {
      try {
        this.#checkPeer(peer, tally);
      } catch (error) {
        if (error instanceof Error) error.message += `\n${this.story(peer)}`;
        throw error;
      }
    }
    const { connectionsNow, pendingNow, queuedBytes, connections } = this.server.stats();
    assertEquals(
      [connectionsNow, pendingNow, queuedBytes, connections.length],
      [0, 0, 0, 0],
      "connections are left",
    );
    this.scene.check?.(this);
  }

  /** What became of one. */
  story(peer: ModelPeer): string {
    const { plan, at, asked, answers, end, closed, connectError, turnedAway } = peer;
    const { questions, ...rest } = plan;
    const served = this.#served.get(plan.name);
    return `${plan.name}: at "${at}", asked ${asked.length} of ${questions.length}, ${answers} answers, end ${end}, closed ${closed}` +
      `${connectError ? `, could not connect: ${connectError}` : ""}${
        turnedAway ? `, turned away ${turnedAway} times` : ""
      }` +
      `\n  its handler took ${served?.taken.length}, end ${served?.end}, closed ${served?.closed}` +
      `\n  ${JSON.stringify(rest)} ${JSON.stringify(questions[0])}` +
      `\n  errors: ${
        this.errors.slice(0, 3).map(({ error, context }) => `${context.phase} ${codeOf(error)}`)
          .join(", ")
      }`;
  }

  #onDisconnect(conn: Connection, error: Error | null): void {
    const served = this.#of(conn);
    served.closed = error === null ? "in order" : codeOf(error);
    served.closedAtMs = this.stage.clock.now();
  }

  #of(conn: Connection): Served {
    let served = this.#byConnection.get(conn.id);
    if (served === undefined) {
      this.#byConnection.set(
        conn.id,
        served = { taken: [], end: undefined, closed: undefined, closedAtMs: undefined },
      );
    }
    return served;
  }

  async #serve(conn: Connection): Promise<void> {
    const { clock } = this.stage;
    const { restMs = 0 } = this.scene;
    const served = this.#of(conn);
    try {
      for (;;) {
        if (restMs > 0) await clock.sleep(restMs);
        const message = await conn.receive();
        if (message === null) break;
        const question = decodeQuestion(message);
        this.#served.set(question.who, served);
        this.#checkAddress(conn, question.who);
        served.taken.push(question);
        await this.#answer(conn, question);
      }
      served.end = "null";
    } catch (error) {
      served.end = codeOf(error);
      // Of a stranger nothing is expected.
      if (served.taken.length > 0) throw error;
    }
  }

  #checkAddress({ remoteAddr }: Connection, who: string): void {
    const plan = this.peers.find(({ plan: { name } }) => name === who)?.plan;
    const hostname = remoteAddr.transport === "tcp" ? remoteAddr.hostname : "";
    if (plan !== undefined && hostname !== plan.host) {
      this.stage.fail(`${who} at ${plan.host} was taken for one at ${hostname}`);
    }
  }

  async #answer(conn: Connection, question: Question): Promise<void> {
    const { clock } = this.stage;
    if (question.workMs > 0) await clock.sleep(question.workMs);
    for (let part = 0; part < question.parts; part++) {
      if (part > 0 && question.everyMs > 0) await clock.sleep(question.everyMs);
      await conn.send(encodeAnswer(question, part));
    }
  }

  #checkPeer(peer: ModelPeer, tally: ServeTally): void {
    const { plan, asked, turnedAway, end, connectError } = peer;
    const served = this.#served.get(plan.name);
    tally.peers++;
    tally.turnedAway += turnedAway;
    tally.answers += peer.answers;
    if (turnedAway > 0) this.#checkTurnedAway();
    if (this.shutdownAtMs < Infinity) return this.#checkDrained(peer, served, tally);
    assertEquals(connectError, undefined, "a legal peer could not connect");
    if (peer.vanishedAtMs !== undefined) {
      return this.#checkVanished(peer, peer.vanishedAtMs, served);
    }
    this.#checkTimes(peer);
    if (plan.leaving === "abort" || plan.leaving === "reset") {
      tally.left++;
      assert(peer.isServed, "a legal peer was not served until it left");
      if (plan.leaving === "reset" && asked.length > 0) {
        assert(served?.closed !== "in order", "the end by a reset was called an orderly one");
      }
      return;
    }
    assert(peer.isServed, "a legal peer was not served");
    assertEquals(peer.closed, "in order", "a legal peer was cut");
    if (plan.leaving !== "close") assertEquals(end, "null", "an orderly end was not told");
    if (served === undefined || peer.hasLeftEarly) return;
    assertEquals(served.closed, "in order", "the connection of a legal peer ended by an error");
    if (plan.leavesAfter === undefined) {
      assertEquals(served.taken.length, plan.questions.length, "questions were lost");
    }
  }

  #checkTurnedAway(): void {
    const { connectionsPeak } = this.server.stats();
    const most = this.scene.options?.maxConnections;
    assertEquals(connectionsPeak, most, "a peer was turned away though there was room");
  }

  #checkTimes({ asked, plan }: ModelPeer): void {
    if (!this.scene.isBrisk || plan.pipelined) return;
    const { latencyMs = 1 } = this.scene.link ?? {};
    const { restMs = 0 } = this.scene;
    for (
      const { question: { workMs, parts, everyMs, number }, atMs, answeredAtMs = Infinity } of asked
    ) {
      if (parts === 0 || answeredAtMs === Infinity) continue;
      const tookMs = answeredAtMs - atMs;
      const dueMs = 2 * latencyMs + workMs + (parts - 1) * everyMs + (plan.restMs ?? 0) * parts +
        restMs +
        SLACK_MS;
      assert(tookMs <= dueMs, `answer ${number} took ${tookMs} ms and not ${dueMs}`);
    }
  }

  /** Both sides find out, in the time that they were given; the server's may be one that has said nothing. */
  #checkVanished(peer: ModelPeer, atMs: number, served: Served | undefined): void {
    const { receiveTimeoutMs = 0 } = this.scene.options ?? {};
    // A sweep finds it that saw the last of it move, and they are a second apart, at most.
    const mostMs = receiveTimeoutMs + 2 * Math.min(1000, receiveTimeoutMs / 4) + 1500;
    for (const side of served === undefined ? [peer] : [peer, served]) {
      assertEquals(side.closed, "ERR_IDLE_TIMEOUT", "a vanished peer was not told of as one");
      const tookMs = (side.closedAtMs ?? Infinity) - atMs;
      assert(tookMs <= mostMs, `a vanished peer was found after ${tookMs} ms and not ${mostMs}`);
    }
  }

  /** What has arrived as the drain begins is answered, and all ends in order. */
  #checkDrained(peer: ModelPeer, served: Served | undefined, tally: ServeTally): void {
    const { plan, asked, end, closed, connectError } = peer;
    const { restMs = 0, link: { latencyMs = 1 } = {} } = this.scene;
    if (connectError !== undefined) {
      return assertEquals(
        connectError,
        "ERR_CONNECT_REFUSED",
        "a peer of a server that is gone was told something else",
      );
    }
    for (const { question, atMs, answeredAtMs } of asked) {
      if (answeredAtMs !== undefined || question.parts === 0) continue;
      if (plan.leavesAfter !== undefined) continue;
      tally.unanswered++;
      assert(
        atMs + latencyMs + ARRIVAL_MS >= this.shutdownAtMs,
        `question ${question.number} had arrived at ${
          atMs + latencyMs
        } ms, before the drain at ${this.shutdownAtMs} ms, and was not answered`,
      );
    }
    if (!plan.pipelined && restMs === 0) this.#checkLast(asked);
    tally.promised +=
      asked.filter(({ answeredAtMs = 0 }) => answeredAtMs > this.shutdownAtMs).length;
    if (plan.leaving === "abort" || plan.leaving === "reset") return;
    if (served !== undefined) {
      assertEquals(served.closed, "in order", "a drain ended a connection by an error");
    }
    // What is sent to a server that reads no more may be answered by a reset; what came before it
    // is not lost by that.
    if (end !== "closed" && end !== "ERR_RESET") {
      assertEquals(end, "null", "a drain was told to a legal peer as something else");
    }
    if (closed !== "in order") {
      assertEquals(closed, "ERR_RESET", "a drain was told to a legal peer as something else");
    }
  }

  /** A server that leaves does not go on for long with who waits for each answer. */
  #checkLast(asked: ModelPeer["asked"]): void {
    for (const { question: { number }, atMs, answeredAtMs } of asked) {
      if (answeredAtMs === undefined || atMs <= this.shutdownAtMs + LAST_MS) continue;
      assert(
        false,
        `question ${number} of ${atMs} ms was answered by a server that left at ${this.shutdownAtMs} ms`,
      );
    }
  }
}
