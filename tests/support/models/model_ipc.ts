// The world of one seed over IPC: processes that listen, connect and pair, through all that befalls them.
import { assert } from "@std/assert";
import { connectIpc } from "../../../ipc/client.ts";
import { SecretKey } from "../../../ipc/endpoint/keys.ts";
import type { IpcCommonOptions } from "../../../ipc/options.ts";
import { pairIpc } from "../../../ipc/peer.ts";
import { listenIpc } from "../../../ipc/server.ts";
import type { IpcStatusEvent } from "../../../ipc/observe/status.ts";
import { codeOf } from "./model_flow.ts";
import { checkLossCode, type IpcFlow, IpcLedger } from "./model_ipc_ledger.ts";
import { type IpcParty, serverParty, soleParty } from "./model_ipc_parties.ts";
import type { KernelOptions } from "./model_kernel.ts";
import { onStage, type Stage } from "./scenes/model_stage.ts";
import type { Random } from "../random.ts";
import { TestClock } from "../simulation/test_clock.ts";

const PORT = 7400;
/** What `close()` may take beside the time for what is under way. */
const CLOSE_MS = 10_000;
/** After the last event, time for every process to be back. */
const BACK_MS = 20_000;
/** Longest wait for an answer at the end, when nothing is in the way any more. */
const ANSWER_MS = 10_000;
const SECRET = SecretKey.fromBytes(new Uint8Array(32).fill(7));

/** One life of a process: from its start to its end. */
export interface IpcLife {
  readonly atMs: number;
  /** Lives to the end of the world without it. */
  readonly endAtMs?: number | undefined;
  /** How it ends. */
  readonly end?: "close" | "kill" | undefined;
}

/** What one program does in each of its lives. */
export interface IpcPlan {
  readonly name: string;
  readonly part: "server" | "client" | "pair";
  readonly lives: readonly IpcLife[];
  /** Sizes of the messages that it writes, and the pause behind each. */
  readonly messages: readonly { readonly bytes: number; readonly gapMs: number }[];
  /** Sizes of the queries that it asks, and the pause behind each. */
  readonly queries: readonly { readonly bytes: number; readonly gapMs: number }[];
  /** When it stops to read for a while, counted from its start. */
  readonly pauses: readonly { readonly atMs: number; readonly ms: number }[];
}

/** What a seed is about. */
export interface IpcScene {
  readonly programs: readonly IpcPlan[];
  /** Moments at which every connection is cut. */
  readonly cutsAtMs?: readonly number[] | undefined;
  readonly link?: Omit<KernelOptions, "clock" | "random"> | undefined;
  readonly options?: Partial<IpcCommonOptions> | undefined;
  /** Time limit of a close in order. @default {10000} */
  readonly closeTimeoutMs?: number | undefined;
}

/** What the scenes of a test did together. */
export interface IpcTally {
  messages: number;
  answers: number;
  /** Answers that came by streams. */
  streams: number;
  links: number;
  losses: number;
  kills: number;
}

/** Nothing yet. */
export function newIpcTally(): IpcTally {
  return { messages: 0, answers: 0, streams: 0, links: 0, losses: 0, kills: 0 };
}

/** Lives one life of the world, and checks it. */
export async function simulateIpc(random: Random, scene: IpcScene, tally: IpcTally): Promise<void> {
  const programs: IpcProgram[] = [];
  await onStage(
    random,
    scene.link ?? {},
    async (stage) => {
      const world = new IpcWorld(stage, scene, tally);
      for (const plan of scene.programs) {
        for (const life of plan.lives) {
          programs.push(new IpcProgram(world, plan, life, programs.length));
        }
      }
      await world.live(programs);
    },
    () => programs.map((program) => program.story()).join("\n"),
    new TestClock(),
  );
}

/** What the programs of a seed share. */
class IpcWorld {
  readonly ledger: IpcLedger;
  readonly stage: Stage;
  readonly scene: IpcScene;
  readonly tally: IpcTally;
  /** Something violent happens in this scene, so that connections may be lost. */
  isViolent: boolean;
  readonly #over = Promise.withResolvers<void>();
  /** Resolves when every event has passed and every program that lives had its time to be back. */
  readonly over: Promise<void> = this.#over.promise;

  constructor(stage: Stage, scene: IpcScene, tally: IpcTally) {
    this.stage = stage;
    this.ledger = new IpcLedger(() => stage.clock.now());
    this.scene = scene;
    this.tally = tally;
    const kills = scene.programs.some(({ lives }) => lives.some(({ end }) => end === "kill"));
    this.isViolent = kills || (scene.cutsAtMs ?? []).length > 0;
  }

  async live(programs: readonly IpcProgram[]): Promise<void> {
    const { clock, hosts } = this.stage;
    const lastAtMs = Math.max(
      ...programs.map((program) => program.lastEventMs),
      ...(this.scene.cutsAtMs ?? []),
    );
    for (const atMs of this.scene.cutsAtMs ?? []) {
      clock.after(atMs, () => {
        for (const link of hosts.links) link.cut();
      });
    }
    clock.after(lastAtMs + BACK_MS, () => this.#over.resolve());
    await Promise.all(programs.map((program) => program.run()));
    this.ledger.check();
    this.tally.messages += this.ledger.messages;
    this.tally.losses += this.ledger.losses;
  }

  /** Whether another process stands ready to answer this one at the end. */
  hasPartner(plan: IpcPlan): boolean {
    const staying = (part: IpcPlan["part"]) =>
      this.scene.programs.filter((other) =>
        other !== plan && other.part === part && other.lives.at(-1)!.endAtMs === undefined
      ).length > 0;
    return plan.part === "pair" ? staying("pair") : plan.part === "client" && staying("server");
  }
}

/** One process. */
class IpcProgram {
  readonly #world: IpcWorld;
  readonly #plan: IpcPlan;
  readonly #life: IpcLife;
  readonly #name: string;
  readonly #ending = new AbortController();
  readonly #events: string[] = [];
  #isEnding = false;
  #at = "not started";

  constructor(world: IpcWorld, plan: IpcPlan, life: IpcLife, index: number) {
    this.#world = world;
    this.#plan = plan;
    this.#life = life;
    this.#name = `${plan.name}#${index}`;
  }

  get lastEventMs(): number {
    const { atMs, endAtMs = 0 } = this.#life;
    const pauses = this.#plan.pauses.map((pause) => atMs + pause.atMs + pause.ms);
    const gaps = (list: readonly { gapMs: number }[]) =>
      list.reduce((sum, { gapMs }) => sum + gapMs, 0);
    const { messages, queries } = this.#plan;
    return Math.max(atMs + Math.max(gaps(messages), gaps(queries)), endAtMs, ...pauses);
  }

  story(): string {
    return `${this.#name} is at "${this.#at}" after ${this.#events.join(", ")}`;
  }

  async run(): Promise<void> {
    const { clock } = this.#world.stage;
    const { atMs, endAtMs, end = "close" } = this.#life;
    await clock.sleep(atMs);
    const ended = endAtMs === undefined ? this.#world.over : clock.sleep(endAtMs - atMs);
    this.#at = "start";
    const party = await this.#start(ended);
    if (party === undefined) return void (this.#at = "never in");
    try {
      const watching = this.#watch(party);
      const reading = this.#read(party);
      const working = Promise.all([this.#write(party), this.#ask(party)]);
      for (const promise of [watching, reading, working]) {
        promise.catch((error) => this.#fail(error.message));
      }
      this.#at = "work";
      await ended;
      if (end === "close" || endAtMs === undefined) {
        if (endAtMs === undefined) {
          await working;
          await this.#proveAlive(party);
        }
        await this.#close(party);
      } else this.#kill(party);
      this.#at = "the end of its reader";
      await reading;
      this.#at = "the end of its work";
      await working;
      await watching;
      await party.closed;
      this.#world.tally.links += party.links();
      this.#at = "done";
    } catch (error) {
      throw new Error(`${this.story()}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Starts it; `undefined` when its end came first. */
  async #start(ended: Promise<void>): Promise<IpcParty | undefined> {
    const options = {
      name: "model",
      transport: "tcp" as const,
      hostname: "192.0.2.1",
      port: PORT,
      secret: SECRET,
      encryption: false,
      ...this.#world.scene.options,
      onError: (error: unknown) => {
        // A process that is killed while it sends is reported, as one that breaks the protocol
        // looks the same.
        if (this.#world.isViolent && codeOf(error) === "ERR_FRAME_TRUNCATED") return;
        this.#fail(`onError was told of ${codeOf(error)}`);
      },
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    };
    const { signal } = this.#ending;
    const { part } = this.#plan;
    const answer = (data: Uint8Array) => this.#answer(data);
    const answerStream = async (data: Uint8Array) => await this.#answer(data);
    const starting = part === "server"
      ? listenIpc({ ...options, onQuery: answer }).then((server) =>
        serverParty(server, answerStream)
      )
      : part === "pair"
      ? pairIpc({ ...options, signal }, answer).then((pair) => soleParty(pair, answerStream))
      : connectIpc({ ...options, signal, onQuery: answer, connectTimeoutMs: 0 }).then((client) =>
        soleParty(client, answerStream)
      );
    const early = new Error("The process ends before it is in");
    let isIn = false;
    void ended.then(() => {
      if (isIn) return;
      this.#world.isViolent = true; // it may have been in for the other side
      this.#ending.abort(early);
    });
    try {
      const party = await starting;
      isIn = true;
      return party;
    } catch (error) {
      if (error === early) return undefined;
      throw new Error(`${this.#name} could not start: ${codeOf(error)}`, { cause: error });
    }
  }

  #answer(data: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const { random, clock } = this.#world.stage;
    const answer = data.toReversed();
    return random.chance(0.5) ? answer : clock.sleep(random.int(0, 30)).then(() => answer);
  }

  /** Legal programs lose connections only by what befalls them, and none gives up. */
  async #watch(party: IpcParty): Promise<void> {
    for await (const event of party.statuses()) {
      const { status, error } = event as IpcStatusEvent;
      this.#events.push(error === undefined ? status : `${status} (${codeOf(error)})`);
      if (error !== undefined) {
        if (!this.#world.isViolent) {
          this.#fail(`${status} came with ${codeOf(error)} though nothing broke`);
        } else if (!["ERR_RESET", "ERR_GOING_AWAY", "killed"].includes(codeOf(error))) {
          this.#fail(`${status} came with ${codeOf(error)}`);
        }
      }
      if (status === "error" || status === "timed-out" || status === "disconnected") {
        if (!this.#isEnding) this.#fail(`it gave up: ${status} (${codeOf(error)})`);
      }
    }
  }

  async #read(party: IpcParty): Promise<void> {
    const { clock } = this.#world.stage;
    const startMs = clock.now();
    const pauses = [...this.#plan.pauses];
    for (;;) {
      const next = pauses[0];
      if (next !== undefined && clock.now() - startMs >= next.atMs) {
        pauses.shift();
        // A process that ends reads what there is. A rest that begins late ends when it was to end.
        const leftMs = startMs + next.atMs + next.ms - clock.now();
        if (!this.#isEnding && leftMs > 0) await clock.sleep(leftMs);
      }
      let message: Awaited<ReturnType<IpcParty["read"]>>;
      try {
        message = await party.read();
      } catch (error) {
        checkLossCode("read()", error);
        if (!this.#isEnding) this.#fail(`read() failed with ${codeOf(error)}`);
        return;
      }
      if (message === null) return;
      this.#world.ledger.take(message.type, message.data, this.#name, message.client);
    }
  }

  async #write(party: IpcParty): Promise<void> {
    const { clock, random } = this.#world.stage;
    for (const { bytes, gapMs } of this.#plan.messages) {
      if (this.#isEnding) return;
      const target = party.target(
        random,
        (from) => this.#world.ledger.open(`${this.#name}${from}`),
      );
      if (target !== undefined) {
        await target.flow.write(bytes, target.write);
        if (random.chance(0.2)) await target.flow.confirm(target.flush);
      }
      await clock.sleep(gapMs);
    }
  }

  /**
   * Some questions are asked before the answer to the last one is there, so that some have to wait
   * their turn.
   */
  async #ask(party: IpcParty): Promise<void> {
    const { clock, random } = this.#world.stage;
    const asked: Promise<void>[] = [];
    for (const { bytes, gapMs } of this.#plan.queries) {
      if (this.#isEnding) break;
      asked.push(this.#askOnce(party, random.bytes(bytes)));
      if (random.chance(0.4)) await Promise.all(asked);
      await clock.sleep(gapMs);
    }
    await Promise.all(asked);
  }

  async #askOnce(party: IpcParty, data: Uint8Array): Promise<void> {
    const { random } = this.#world.stage;
    const isStream = random.chance(0.3);
    const asking = isStream ? party.stream(random, data) : party.query(random, data);
    if (asking === undefined) return;
    try {
      const answer = await asking;
      const wanted = data.toReversed();
      assert(answer.length === data.length && answer.every((byte, i) => byte === wanted[i]));
      if (isStream) this.#world.tally.streams++;
      else this.#world.tally.answers++;
    } catch (error) {
      const code = codeOf(error);
      // Without another process it waits in vain; that is no fault.
      const isLegal = [
        "ERR_RESET",
        "ERR_GOING_AWAY",
        "ERR_CLOSED",
        "ERR_CONNECT_TIMEOUT",
        "killed",
        ...(isStream ? ["ERR_UNKNOWN_CALL"] : []), // a moment after the link, before it answers
      ];
      if (!isLegal.includes(code)) this.#fail(`query() failed with ${code}`);
    }
  }

  /** At the end, with nothing in the way, a program that has a partner is answered by it. */
  async #proveAlive(party: IpcParty): Promise<void> {
    if (!this.#world.hasPartner(this.#plan)) return;
    this.#at = "the last question";
    const { random, clock } = this.#world.stage;
    const startMs = clock.now();
    try {
      await party.query(random, new Uint8Array(3), ANSWER_MS);
    } catch (error) {
      // The partner may have left a moment ago: it was there for long enough before.
      if (clock.now() - startMs < ANSWER_MS) return;
      this.#fail(`was not answered at the end: ${codeOf(error)}`);
    }
  }

  async #close(party: IpcParty): Promise<void> {
    this.#at = "close()";
    this.#isEnding = true;
    const { clock } = this.#world.stage;
    const timeoutMs = this.#world.scene.closeTimeoutMs ?? CLOSE_MS;
    for (const { flow, flush } of party.flows()) await flow.confirm(flush);
    const startMs = clock.now();
    const flows: readonly IpcFlow[] = [...party.flows()].map(({ flow }) => flow);
    const closing = party.close({ timeoutMs });
    const results = await Promise.all(flows.map((flow) => flow.confirm(() => closing)));
    if (flows.length === 0) await closing;
    if (!this.#world.isViolent && results.includes(false)) {
      this.#fail("close() told of a loss though nothing broke");
    }
    const tookMs = clock.now() - startMs;
    if (tookMs > timeoutMs) this.#fail(`close() took ${tookMs} ms`);
  }

  #kill(party: IpcParty): void {
    this.#at = "its death";
    this.#isEnding = true;
    this.#world.tally.kills++;
    this.#world.ledger.kill();
    for (const { flow } of party.flows()) flow.killed = true;
    party.abort(Object.assign(new Error("The process was killed"), { code: "killed" }));
  }

  #fail(why: string): void {
    this.#world.stage.fail(`${this.#world.stage.clock.now()} ms, ${this.story()}: ${why}`);
  }
}
