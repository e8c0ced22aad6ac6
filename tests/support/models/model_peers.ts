// ModelPeer: a legal program at the far end of a server: it asks, reads at its pace, pauses, and
// leaves in one of the ways that programs have.
import { connect, type ConnectOptions } from "../../../client.ts";
import type { Connection } from "../../../connection.ts";
import { ParleyError } from "../../../errors.ts";
import { codeOf } from "./model_flow.ts";
import type { KernelLink } from "./model_kernel.ts";
import type { Stage } from "./scenes/model_stage.ts";
import { type Answer, decodeAnswer, encodeQuestion, type Question } from "./model_talk.ts";

/** Time after which a program that was turned away by a full server comes again. */
const AGAIN_MS = 500;

/** How a program leaves. */
export type Leaving =
  /** Ends its direction, and reads to the end. */
  | "half-close"
  | "close"
  /** Drops the connection in the middle of whatever it does, at once. */
  | "abort"
  /** The same, by a reset. */
  | "reset";

/** What one program is to do. */
export interface PeerPlan {
  readonly name: string;
  /** Address that it comes from. */
  readonly host: string;
  readonly atMs?: number | undefined;
  readonly questions: readonly Question[];
  /** All questions at once, rather than one after the answer of the other. @default {false} */
  readonly pipelined?: boolean | undefined;
  /** Rest before each question. @default {0} */
  readonly gapMs?: number | undefined;
  /** Rest before each message is received. @default {0} */
  readonly restMs?: number | undefined;
  /** Rest before it leaves. @default {0} */
  readonly lingerMs?: number | undefined;
  /** @default {"half-close"} */
  readonly leaving?: Leaving | undefined;
  /** It leaves after so many answers, whatever there is still to come. */
  readonly leavesAfter?: number | undefined;
  /** It may be turned away as the server is full, and comes again. */
  readonly comesAgain?: boolean | undefined;
  /** Its network is gone from then on, counted from its connection; neither side learns it. */
  readonly vanishesAfterMs?: number | undefined;
  readonly options?: Partial<ConnectOptions> | undefined;
}

/** A question that was handed to the kernel, and what came of it. */
export interface Asked {
  readonly question: Question;
  readonly atMs: number;
  /** When its last part was received. */
  answeredAtMs?: number | undefined;
}

/** One program. */
export class ModelPeer {
  readonly plan: PeerPlan;
  readonly #stage: Stage;
  readonly asked: Asked[] = [];
  /** How its messages ended: by `null`, by an error's code, or not yet. */
  end: string | undefined;
  /** The value of `closed`. */
  closed: string | undefined;
  connectError: string | undefined;
  turnedAway = 0;
  isDone = false;
  vanishedAtMs: number | undefined;
  closedAtMs: number | undefined;
  at = "start";
  #parts = 0;
  #answers = 0;

  constructor(plan: PeerPlan, stage: Stage) {
    this.plan = plan;
    this.#stage = stage;
  }

  /** Questions that were answered whole. */
  get answers(): number {
    return this.#answers;
  }

  /** Whether it went through all that it wanted to. */
  get isServed(): boolean {
    return this.#answers >= Math.min(this.plan.leavesAfter ?? Infinity, this.#wanted);
  }

  /** Whether it left while answers were to come. */
  get hasLeftEarly(): boolean {
    return this.plan.leavesAfter !== undefined &&
      this.asked.some(({ answeredAtMs }) => answeredAtMs === undefined);
  }

  get #wanted(): number {
    return this.plan.questions.filter(({ parts }) => parts > 0).length;
  }

  /** Lives to its end. Rejects only for what no program may get. */
  async run(port: number): Promise<void> {
    const { clock } = this.#stage;
    await clock.sleep(this.plan.atMs ?? 0);
    for (;;) {
      const conn = await this.#connect(port);
      if (conn === null) break;
      const again = await this.#talk(conn);
      if (!again) break;
      this.turnedAway++;
      await clock.sleep(AGAIN_MS);
    }
    this.isDone = true;
  }

  async #connect(port: number): Promise<Connection | null> {
    const { host, options } = this.plan;
    this.at = "connecting";
    try {
      return await connect({ hostname: host, port, signal: this.#stage.user.signal, ...options });
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      this.connectError = codeOf(error);
      return null;
    }
  }

  /** True when it was turned away at the door, and wants to come again. */
  async #talk(conn: Connection): Promise<boolean> {
    const { pipelined = false, comesAgain = false, vanishesAfterMs } = this.plan;
    if (vanishesAfterMs !== undefined) {
      this.#stage.clock.after(vanishesAfterMs, () => this.#vanish(conn));
    }
    try {
      if (pipelined) await Promise.all([this.#askAll(conn), this.#readAll(conn)]);
      else await this.#askEach(conn);
      if (this.end === undefined) await this.#leave(conn);
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      this.end ??= codeOf(error);
    }
    const { messagesIn } = conn.stats();
    if (this.end !== undefined && conn.status !== "closed") conn.closeNow();
    this.at = "waiting for the end";
    const { error } = await conn.closed;
    this.closedAtMs = this.#stage.clock.now();
    this.closed = error === null ? "in order" : codeOf(error);
    const { heldBytes, queuedBytes } = conn.stats();
    if (queuedBytes > 0 && error === null) {
      this.#stage.fail(`${this.plan.name}: ${queuedBytes} bytes wait after the end`);
    }
    if (this.end === "null" && heldBytes > 0) {
      this.#stage.fail(`${this.plan.name}: ${heldBytes} bytes are held after the end`);
    }
    if (!comesAgain || messagesIn > 0 || this.isServed) return false;
    this.end = this.closed = undefined;
    this.asked.length = 0;
    return true;
  }

  async #askEach(conn: Connection): Promise<void> {
    for (const question of this.plan.questions) {
      await this.#ask(conn, question);
      for (let part = 0; part < question.parts; part++) if (!await this.#receive(conn)) return;
      if (this.#answers === this.plan.leavesAfter) return;
    }
  }

  async #askAll(conn: Connection): Promise<void> {
    try {
      for (const question of this.plan.questions) await this.#ask(conn, question);
    } catch (error) {
      // The reader learns how the connection ended.
      if (!(error instanceof ParleyError)) throw error;
    }
  }

  async #readAll(conn: Connection): Promise<void> {
    const wanted = this.plan.questions.reduce((sum, { parts }) => sum + parts, 0);
    for (let part = 0; part < wanted; part++) {
      if (!await this.#receive(conn)) return;
      if (this.#answers === this.plan.leavesAfter) return await this.#leave(conn);
    }
  }

  async #ask(conn: Connection, question: Question): Promise<void> {
    const { clock } = this.#stage;
    this.at = `asking ${question.number}`;
    await this.#rest(this.plan.gapMs);
    await conn.send(encodeQuestion(question));
    await conn.flush();
    this.asked.push({ question, atMs: clock.now() });
  }

  /** False at the end. */
  async #receive(conn: Connection): Promise<boolean> {
    const { clock } = this.#stage;
    const { name, questions } = this.plan;
    await this.#rest(this.plan.restMs);
    const question = questions.filter(({ parts }) => parts > 0)[this.#answers]!;
    this.at = `reading part ${this.#parts} of answer ${question.number}`;
    const message = await conn.receive();
    if (message === null) {
      this.end = "null";
      return false;
    }
    const answer: Answer = decodeAnswer(message);
    if (answer.who !== name) this.#stage.fail(`${name} was given an answer to ${answer.who}`);
    else if (answer.number !== question.number || answer.part !== this.#parts) {
      this.#stage.fail(
        `${name} got part ${answer.part} of answer ${answer.number}, and not ${this.#parts} of ${question.number}`,
      );
    }
    this.#parts++;
    if (this.#parts < question.parts) return true;
    this.#parts = 0;
    this.#answers++;
    const asked = this.asked.find((each) => each.question === question);
    if (asked !== undefined) asked.answeredAtMs = clock.now();
    return true;
  }

  async #leave(conn: Connection): Promise<void> {
    const { leaving = "half-close", lingerMs } = this.plan;
    this.at = `leaving by ${leaving}`;
    await this.#rest(lingerMs);
    switch (leaving) {
      case "abort":
        this.end = "left";
        return conn.abort();
      case "reset":
        this.end = "left";
        return this.#link(conn)?.cut();
      case "close":
        await conn.close();
        this.end = "closed";
        return;
      case "half-close": {
        await conn.closeWrite();
        // Answers that it did not wait for come all the same.
        while (this.#answers < this.#wanted) if (!await this.#receive(conn)) return;
        const rest = await conn.receive();
        this.end = rest === null ? "null" : "a message that was not asked for";
      }
    }
  }

  #vanish(conn: Connection): void {
    this.vanishedAtMs = this.#stage.clock.now();
    this.#link(conn)?.stall();
  }

  #link({ localAddr }: Connection): KernelLink | undefined {
    for (const link of this.#stage.hosts.links) {
      if (localAddr.transport === "tcp" && link.near.localAddr.port === localAddr.port) return link;
    }
    return undefined;
  }

  async #rest(ms = 0): Promise<void> {
    if (ms > 0) await this.#stage.clock.sleep(ms);
  }
}
