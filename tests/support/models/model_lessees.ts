// Lessee: a program that works through a Pool, and returns its leases in every state that a program
// can leave them in.
import { assert, assertEquals } from "@std/assert";
import type { Connection } from "../../../connection.ts";
import { ClosedError, ParleyError } from "../../../errors.ts";
import { delimited } from "../../../framing.ts";
import type { Lease, Pool } from "../../../pool.ts";
import { lineOf } from "./model_backend.ts";
import { codeOf } from "./model_flow.ts";
import type { Stage } from "./scenes/model_stage.ts";
import { decodeAnswer, encodeQuestion, type Question } from "./model_talk.ts";

/** Longest wait for one part of an answer. */
const ANSWER_MS = 30_000;

/** How a lease is given back. */
export const STATES = [
  "clean",
  "disposed",
  "discarded",
  "failed",
  "a receive pending",
  "an iteration pending",
  "a stream pending",
  "a stream locked",
  "an answer unread",
  "its writing ended",
  "another framing",
  "unreferenced",
  "draining",
  "hung up",
  "aborted",
  "used afterwards",
] as const;

/** One of {@linkcode STATES}. */
export type LeaseState = typeof STATES[number];

/** What one program does. */
export interface LesseePlan {
  readonly name: string;
  readonly questions: readonly Question[];
  readonly gapMs?: number | undefined;
  /** Retries of each `use`; absent for a program that acquires. */
  readonly retries?: number | undefined;
  /** How it gives leases back, one after the other. */
  readonly states?: readonly LeaseState[] | undefined;
}

/** One program. */
export class Lessee {
  readonly plan: LesseePlan;
  readonly #stage: Stage;
  readonly #pool: Pool;
  /** What calls of the pool failed with. */
  readonly failures: { readonly atMs: number; readonly code: string; readonly line: string }[] = [];
  answers = 0;
  /** Answers that were `null` though the call did not fail. */
  nulls = 0;
  at = "start";
  isDone = false;
  readonly #left: Promise<unknown>[] = [];

  constructor(plan: LesseePlan, stage: Stage, pool: Pool) {
    this.plan = plan;
    this.#stage = stage;
    this.#pool = pool;
  }

  async run(): Promise<void> {
    const { questions, gapMs = 0, retries, states = ["clean"] } = this.plan;
    for (const [index, question] of questions.entries()) {
      if (gapMs > 0) await this.#stage.clock.sleep(gapMs);
      this.at = `question ${question.number}`;
      try {
        if (retries === undefined) await this.#lease(question, states[index % states.length]!);
        else await this.use(question, retries);
      } catch (error) {
        if (!(error instanceof ParleyError)) throw error;
        this.failures.push({
          atMs: this.#stage.clock.now(),
          code: codeOf(error),
          line: lineOf(error),
        });
      }
    }
    this.isDone = true;
  }

  /** Asks through `pool.use`. */
  async use(question: Question, retries: number): Promise<void> {
    const { signal } = this.#stage.user;
    const isAnswered = await this.#pool.use((conn) => this.#ask(conn, question), {
      retries,
      signal,
    });
    if (isAnswered) this.answers++;
    else this.nulls++;
  }

  /** What was left pending on leases has come to an end, too. */
  async settle(): Promise<void> {
    this.at = "waiting for what was left";
    this.isDone = false;
    await Promise.all(this.#left);
    this.isDone = true;
  }

  /** False at the end. */
  async #ask(conn: Connection, question: Question): Promise<boolean> {
    await conn.send(encodeQuestion(question));
    return await this.#hear(conn, question);
  }

  async #hear(conn: Connection, question: Question): Promise<boolean> {
    for (let part = 0; part < question.parts; part++) {
      const message = await conn.receive({ timeoutMs: ANSWER_MS });
      // Of how many messages an answer is, the program knows, and not the pool: it asks again.
      if (message === null && part > 0) {
        throw new ClosedError("ERR_CLOSED", "The rest of an answer is missing");
      }
      if (message === null) return false;
      this.#check(message, question, part);
    }
    return true;
  }

  #check(message: Uint8Array, question: Question, part: number): void {
    const answer = decodeAnswer(message);
    if (answer.who === question.who && answer.number === question.number && answer.part === part) {
      return;
    }
    const { fail } = this.#stage;
    fail(
      `${question.who} got part ${answer.part} of answer ${answer.number} to ${answer.who}, and not ${part} of ${question.number}`,
    );
  }

  async #lease(question: Question, state: LeaseState): Promise<void> {
    const { signal } = this.#stage.user;
    const lease = await this.#pool.acquire({ signal });
    const { conn } = lease;
    try {
      await conn.send(encodeQuestion(question));
      if (state !== "an answer unread") {
        if (await this.#hear(conn, question)) this.answers++;
        else this.nulls++;
      }
    } catch (error) {
      lease.fail(error);
      throw error;
    }
    await this.#giveBack(lease, state);
  }

  async #giveBack(lease: Lease, state: LeaseState): Promise<void> {
    const { conn } = lease;
    switch (state) {
      case "disposed":
        return await lease[Symbol.asyncDispose]();
      case "discarded":
        return lease.discard();
      case "failed":
        return lease.fail(new Error("The program did not like the answer"));
      case "a receive pending":
        this.#leave(conn.receive());
        break;
      case "an iteration pending":
        this.#leave((async () => {
          for await (const message of conn) return message;
          return null;
        })());
        break;
      case "a stream pending":
        this.#leave(conn.readable.getReader().read().then(({ value }) => value ?? null));
        break;
      case "a stream locked":
        conn.readable.getReader();
        break;
      case "its writing ended":
        await conn.closeWrite();
        break;
      case "another framing":
        conn.setFraming(delimited("\n"));
        break;
      case "unreferenced":
        conn.unref();
        break;
      case "draining":
        conn.drain();
        break;
      case "hung up":
        conn.closeNow();
        break;
      case "aborted":
        conn.abort();
        break;
      case "used afterwards":
        lease.release();
        await this.#useAfterwards(conn);
    }
    lease.release();
  }

  /** A read that was left pending: it may see an end, but never of a message that belongs to another. */
  #leave(reading: Promise<Uint8Array | null>): void {
    this.#left.push(reading.then(
      (message) => {
        if (message === null) return;
        this.#stage.fail(
          `${this.plan.name} got a message on a lease that it had given back: ${
            JSON.stringify(decodeAnswer(message))
          }`,
        );
      },
      (error) => assert(error instanceof ParleyError, `a read was left, and told ${lineOf(error)}`),
    ));
  }

  async #useAfterwards(conn: Connection): Promise<void> {
    const { fail } = this.#stage;
    for (const call of ["send", "receive", "flush", "closeWrite"] as const) {
      try {
        await (call === "send" ? conn.send("mine no more") : conn[call]());
        fail(`${call}() worked on a lease that was given back`);
      } catch (error) {
        assertEquals(codeOf(error), "ERR_CLOSED", `${call}() on a lease that was given back`);
      }
    }
    conn.closeNow();
    conn.abort();
    conn.drain();
    await conn.close();
  }
}
