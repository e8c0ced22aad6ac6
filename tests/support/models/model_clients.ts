// The world of one seed over Client: programs that keep a link up to one server, through all that befalls it.
import { assert, assertEquals } from "@std/assert";
import { Client, type ClientOptions, type ClientStatusEvent } from "../../../client.ts";
import type { ServeOptions } from "../../../server.ts";
import { ParleyError } from "../../../errors.ts";
import { lineOf, ModelBackend, type Outage } from "./model_backend.ts";
import { codeOf } from "./model_flow.ts";
import type { KernelOptions } from "./model_kernel.ts";
import { onStage, type Stage } from "./scenes/model_stage.ts";
import { decodeAnswer, encodeQuestion, hello, type Question } from "./model_talk.ts";
import type { Random } from "../random.ts";

const PORT = 7000;
/** Time after which a program asks again: longer than anything takes but an outage. */
const ASK_AGAIN_MS = 20_000;
/** Longest delay of a client before it dials, and the time for what it has to say. */
const BACK_MS = 60_000;
/** What `close()` may take beside `closeTimeoutMs`. */
const CLOSE_SLACK_MS = 500;
const CLOSE_MS = 10_000;

/** What one program does. */
export interface ClientPlan {
  readonly name: string;
  readonly host: string;
  readonly atMs?: number | undefined;
  /** Notes have no parts, and are not answered. */
  readonly messages: readonly Question[];
  /**
   * `"asks"`: one question after the other, again until it is answered. `"tells"`: all, and reads
   * what comes.
   */
  readonly habit: "asks" | "tells";
  readonly gapMs?: number | undefined;
  /** Closes at that time, whatever it does. */
  readonly closeAtMs?: number | undefined;
  /** Waits for messages that it never looks at, as a program does that has lost interest. */
  readonly forgets?: boolean | undefined;
  readonly options?: Partial<ClientOptions> | undefined;
}

/** What a seed is about. */
export interface ClientScene {
  readonly clients: readonly ClientPlan[];
  readonly outages?: readonly Outage[] | undefined;
  readonly serve?: ServeOptions | undefined;
  readonly wantsHello?: boolean | undefined;
  readonly link?: Omit<KernelOptions, "clock" | "random"> | undefined;
}

/** What the scenes of a test did together. */
export interface ClientTally {
  links: number;
  answers: number;
  lost: number;
  refused: number;
  closedEarly: number;
}

/** Nothing yet. */
export function newClientTally(): ClientTally {
  return { links: 0, answers: 0, lost: 0, refused: 0, closedEarly: 0 };
}

/** Lives one life, and checks it. */
export async function simulateClients(
  random: Random,
  scene: ClientScene,
  tally: ClientTally,
): Promise<void> {
  const programs: Program[] = [];
  await onStage(random, scene.link ?? {}, async (stage) => {
    const backend = new ModelBackend(stage, { port: PORT, ...scene });
    await backend.start();
    programs.push(...scene.clients.map((plan) => new Program(plan, stage, scene)));
    const isOver = backend.live();
    await Promise.all([...programs.map((program) => program.run(isOver)), isOver]);
    await stage.clock.sleep(1000);
    await backend.stop();
    for (const program of programs) program.check(backend, tally);
  }, () => programs.filter(({ isDone }) => !isDone).map((program) => program.story()).join("\n"));
}

/** One program with its client. */
class Program {
  readonly #plan: ClientPlan;
  readonly #stage: Stage;
  readonly #scene: ClientScene;
  readonly #events: ClientStatusEvent[] = [];
  readonly #accepted: number[] = [];
  readonly #refused: string[] = [];
  #answers = 0;
  #hellos = 0;
  #isClosing = false;
  #doneAtMs = 0;
  #settled: Promise<unknown>[] = [];
  isDone = false;
  at = "start";

  constructor(plan: ClientPlan, stage: Stage, scene: ClientScene) {
    this.#plan = plan;
    this.#stage = stage;
    this.#scene = scene;
  }

  async run(isOver: Promise<void>): Promise<void> {
    const { atMs = 0, habit, closeAtMs, forgets } = this.#plan;
    const { clock } = this.#stage;
    await clock.sleep(atMs);
    const client = this.#make();
    const watching = this.#watch(client);
    if (forgets) void client[Symbol.asyncIterator]().next();
    this.#settled.push(client.ready, client.closed);
    const working = habit === "asks" ? this.#askAll(client) : this.#tellAll(client, isOver);
    if (closeAtMs === undefined) await working;
    else await Promise.race([working, clock.sleep(closeAtMs)]);
    this.#doneAtMs = clock.now();
    await this.#close(client);
    this.at = "ending";
    await Promise.all([watching, working, Promise.allSettled(this.#settled)]);
    this.isDone = true;
  }

  #make(): Client {
    const { name, host, options } = this.#plan;
    const { wantsHello = false } = this.#scene;
    return new Client({
      hostname: host,
      port: PORT,
      signal: this.#stage.user.signal,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      ...wantsHello && {
        onConnect: async (link, { first }) => {
          if (first !== (this.#hellos === 0)) {
            this.#hellos === 0 && this.#stage.fail(`${name}: its first link is none`);
          }
          await link.send(hello(name));
          const welcome = await link.receive();
          if (welcome === null) throw new Error("It left in the middle of the hello");
          this.#hellos++;
        },
      },
      ...options,
    });
  }

  async #watch(client: Client): Promise<void> {
    for await (const event of client.statuses()) this.#events.push(event);
  }

  async #askAll(client: Client): Promise<void> {
    for (const question of this.#plan.messages) {
      await this.#rest();
      while (!this.#isClosing) {
        this.at = `asking ${question.number}`;
        await this.#send(client, question);
        if (question.parts === 0 || await this.#hear(client, question)) break;
      }
    }
  }

  /** False when the answer does not come. */
  async #hear(client: Client, question: Question): Promise<boolean> {
    for (let part = 0; part < question.parts;) {
      let message: Uint8Array | null;
      try {
        message = await client.receive({ timeoutMs: ASK_AGAIN_MS });
      } catch (error) {
        if (codeOf(error) === "ERR_READ_TIMEOUT") return false;
        throw error;
      }
      if (message === null) return true;
      const answer = this.#check(message);
      // The answer to what was asked before, when it was asked again.
      if (answer.number < question.number) continue;
      assertEquals(answer.number, question.number, "an answer came to what was not asked yet");
      part = answer.part + 1;
    }
    this.#answers++;
    return true;
  }

  async #tellAll(client: Client, isOver: Promise<void>): Promise<void> {
    const reading = (async () => {
      for await (const message of client) {
        this.#check(message);
        this.#answers++;
      }
    })();
    this.#settled.push(reading);
    if (this.#plan.forgets) reading.catch(() => {});
    for (const message of this.#plan.messages) {
      await this.#rest();
      if (this.#isClosing) return;
      this.at = `telling ${message.number}`;
      await this.#send(client, message);
    }
    this.at = "waiting for the server";
    await isOver;
    // Whatever is still to come has come by then.
    if (!this.#isClosing) await this.#stage.clock.sleep(BACK_MS);
  }

  async #send(client: Client, message: Question): Promise<void> {
    try {
      await client.send(encodeQuestion(message));
      this.#accepted.push(message.number);
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      this.#refused.push(codeOf(error));
      if (!this.#isClosing) {
        this.#stage.fail(`${this.#plan.name}: a message was refused by ${lineOf(error)}`);
      }
    }
  }

  async #rest(): Promise<void> {
    const { gapMs = 0 } = this.#plan;
    if (gapMs > 0) await this.#stage.clock.sleep(gapMs);
  }

  #check(message: Uint8Array): { number: number; part: number } {
    const answer = decodeAnswer(message);
    const { name } = this.#plan;
    if (answer.who !== name) this.#stage.fail(`${name} was given an answer to ${answer.who}`);
    return answer;
  }

  async #close(client: Client): Promise<void> {
    const { clock } = this.#stage;
    this.at = "closing";
    this.#isClosing = true;
    const startMs = clock.now();
    try {
      await client.close();
    } catch (error) {
      // In the middle of things there may be bytes that no link has taken.
      if (this.#plan.closeAtMs === undefined || !(error instanceof ParleyError)) throw error;
    }
    const tookMs = clock.now() - startMs;
    if (tookMs > CLOSE_MS + CLOSE_SLACK_MS) {
      this.#stage.fail(`${this.#plan.name}: close() took ${tookMs} ms`);
    }
    if (client.status !== "closed") {
      this.#stage.fail(`${this.#plan.name}: closed, its status is ${client.status}`);
    }
  }

  check(backend: ModelBackend, tally: ClientTally): void {
    try {
      this.#checkAll(backend, tally);
    } catch (error) {
      if (error instanceof Error) error.message += `\n${this.story(backend)}`;
      throw error;
    }
  }

  #checkAll(backend: ModelBackend, tally: ClientTally): void {
    const { name, messages, closeAtMs, habit } = this.#plan;
    const { outages = [] } = this.#scene;
    const taken = backend.taken.get(name) ?? [];
    const numbers = taken.map(({ number }) => number);
    const losses = this.#events.flatMap(({ loss }) => loss ?? []);
    const missing = this.#accepted.filter((number) => !numbers.includes(number));
    const mayMiss = losses.reduce(
      (sum, { handedMessages, uncertainMessages, earlierMessages = 0, keptMessages }) =>
        sum + handedMessages + uncertainMessages + earlierMessages +
        (closeAtMs === undefined ? 0 : keptMessages),
      0,
    );
    assert(
      missing.length <= mayMiss,
      `${missing.length} messages are lost, and ${mayMiss} were told: ${missing.slice(0, 5)}`,
    );
    const isOrderly = outages.every(({ kind }) => kind === "orderly");
    if (outages.length === 0 && closeAtMs === undefined) {
      assertEquals(missing.length, 0, "messages are lost though nothing befell");
    }
    if (isOrderly && closeAtMs === undefined) this.#checkLost(missing);
    if (habit === "tells" || isOrderly) {
      assertEquals(new Set(numbers).size, numbers.length, "a message was told twice");
      // Links are served side by side: what is left on one that has ended is no later for that.
      for (const [index, { number, link }] of taken.entries()) {
        const before = taken[index - 1];
        if (before?.link === link) {
          assert(number > before.number, `${number} came behind ${before.number}`);
        }
      }
    }
    // Who is turned away after it has spoken gets a reset.
    this.#checkEvents(isOrderly && this.#scene.serve?.maxConnections === undefined);
    tally.links += this.#events.filter(({ status }) => status === "connected").length;
    tally.answers += this.#answers;
    tally.lost += missing.length;
    tally.refused += this.#refused.length;
    if (closeAtMs !== undefined) return void tally.closedEarly++;
    if (habit === "asks") {
      assertEquals(
        this.#answers,
        messages.filter(({ parts }) => parts > 0).length,
        "not all was answered",
      );
    }
    assertEquals(this.#accepted.length >= messages.length, true, "not all was taken");
    const sinceUpMs = this.#doneAtMs - Math.max(backend.upAtMs, this.#plan.atMs ?? 0);
    const workMs = messages.reduce(
      (sum, { workMs, parts, everyMs }) => sum + workMs + parts * everyMs,
      0,
    );
    const waitMs = messages.length * (this.#plan.gapMs ?? 0);
    assert(
      sinceUpMs <= 2 * BACK_MS + workMs + waitMs,
      `it took ${sinceUpMs} ms from the time at which all was well`,
    );
  }

  /** A server that leaves in order costs no more than what was under way, each time. */
  #checkLost(missing: readonly number[]): void {
    const { sendBytes = 65_536, receiveBytes = 65_536 } = this.#scene.link ?? {};
    const sizes = this.#plan.messages.map(({ bytes }) => bytes);
    const lost = missing.reduce((sum, number) => sum + sizes[number]!, 0);
    const most = (this.#scene.outages?.length ?? 0) *
      (3 * (sendBytes + receiveBytes) + Math.max(...sizes));
    assert(
      lost <= most,
      `${lost} bytes are lost to a server that left in order, and ${most} were under way`,
    );
  }

  #checkEvents(isOrderly: boolean): void {
    const statuses = this.#events.map(({ status }) => status);
    assertEquals(statuses.indexOf("closed"), statuses.length - 1, "a client gave up");
    for (const { serverLeft, error } of this.#events) {
      if (!isOrderly) continue;
      assert(
        serverLeft !== "vanished",
        `a server that left in order was called vanished: ${lineOf(error)}`,
      );
    }
  }

  story(backend?: ModelBackend): string {
    const { messages, ...rest } = this.#plan;
    const events = this.#events.slice(-6).map(({ status, error, serverLeft, loss }) =>
      `${status} ${serverLeft ?? ""} ${error === undefined ? "" : lineOf(error)} ${
        loss === undefined ? "" : JSON.stringify(loss)
      }`
    );
    const taken = backend?.taken.get(this.#plan.name)?.map(({ number }) => number);
    return `${JSON.stringify(rest)} with ${messages.length} messages such as ${
      JSON.stringify(messages[0])
    }\n` +
      `  at "${this.at}", ${this.#accepted.length} accepted, ${this.#answers} answers, ${this.#hellos} hellos, done at ${this.#doneAtMs} ms` +
      `\n  taken: ${taken}\n  outages: ${JSON.stringify(this.#scene.outages)}\n  ${
        events.join("\n  ")
      }`;
  }
}
