// The demo's load: a process with many clients, each of which sends jobs and checks every answer.
import type { Connection } from "../../../connection.ts";
import { connectToDemo } from "./client_parts.ts";
import { orders } from "./orders.ts";
import {
  answeredFile,
  encodeJson,
  JOB_HEAD_BYTES,
  jobId,
  jobSum,
  tell,
  writeIds,
} from "./protocol.ts";

/** Jobs of one client that wait for their answer at a time. */
const IN_FLIGHT = 8;

/** Largest content of a job, in bytes. */
const MAX_CONTENT_BYTES = 500;

/** Progress is reported each time so many answers are in. */
const PROGRESS_EVERY = 250;

/** The task of a process with clients. */
export interface LoadPlan {
  /** Where the server listens. */
  readonly port: number;
  /** Folder of the demo's files. */
  readonly folder: string;
  /** Which of the processes with clients this is. */
  readonly part: number;
  /** Clients in this process. */
  readonly clients: number;
  /** Jobs of each client before the rush. */
  readonly jobsEach: number;
}

/** Connects, then does as it is ordered until the server has ended every connection. */
export async function runLoadPart(plan: LoadPlan): Promise<number> {
  const answered: number[] = [];
  const onAnswer = (id: number) => {
    answered.push(id);
    if (answered.length % PROGRESS_EVERY === 0) tell({ event: "progress", done: answered.length });
  };
  const clients = await Promise.all(
    Array.from({ length: plan.clients }, async (_, i) => {
      const conn = await connectToDemo(plan.port, plan.folder);
      await conn.send(encodeJson({ task: "jobs" }));
      return new LoadClient(conn, plan.part * plan.clients + i, onAnswer);
    }),
  );
  tell({ event: "connected", protocol: clients[0]?.protocol ?? null });
  for await (const order of orders()) {
    if (order === "count") {
      await Promise.all(clients.map((client) => client.run(plan.jobsEach)));
      const latenciesMs = clients.flatMap((client) => client.latenciesMs);
      const wrong = clients.reduce((sum, client) => sum + client.wrong, 0);
      tell({ event: "answered", answered: answered.length, wrong, latenciesMs });
    } else if (order === "rush") {
      tell({ event: "progress", done: answered.length });
      const ends = await Promise.all(clients.map((client) => client.run(Infinity)));
      await writeIds(answeredFile(plan.folder, plan.part), answered);
      tell({ event: "ended", failures: ends.filter((end) => end !== null) });
      return 0;
    }
  }
  return 1; // the process that started us is gone
}

/**
 * One client: sends jobs, some of them on their way at any time, and checks order and content of the answers.
 */
class LoadClient {
  readonly latenciesMs: number[] = [];
  /** Answers that were not what was asked for. */
  wrong = 0;
  readonly #conn: Connection;
  readonly #number: number;
  readonly #onAnswer: (id: number) => void;
  /** Jobs on their way, the oldest first. */
  readonly #asked: { readonly id: number; readonly sum: number; readonly atMs: number }[] = [];
  #next = 0;

  constructor(conn: Connection, number: number, onAnswer: (id: number) => void) {
    this.#conn = conn;
    this.#number = number;
    this.#onAnswer = onAnswer;
  }

  get protocol(): string | null {
    return this.#conn.tls?.protocol ?? null;
  }

  /**
   * Has `jobs` jobs done, or goes on until the server ends the connection; returns why that went wrong, if it
   * did.
   */
  async run(jobs: number): Promise<string | null> {
    const last = this.#next + jobs;
    try {
      while (this.#next < last && this.#asked.length < IN_FLIGHT) this.#ask();
      while (this.#asked.length > 0) {
        const answers = await this.#conn.receiveBatch();
        if (answers === null) break;
        for (const answer of answers) {
          this.#check(answer);
          if (this.#next < last) this.#ask();
        }
      }
      if (jobs === Infinity) await this.#conn.close().catch(() => {}); // the drain: the rest has no answer
      return null;
    } catch (error) {
      return String(error);
    }
  }

  #ask(): void {
    const job = crypto.getRandomValues(
      new Uint8Array(JOB_HEAD_BYTES + Math.floor(Math.random() * MAX_CONTENT_BYTES)),
    );
    const view = new DataView(job.buffer);
    view.setUint32(0, this.#number);
    view.setUint32(4, this.#next++);
    this.#asked.push({ id: jobId(job), sum: jobSum(job), atMs: performance.now() });
    this.#conn.send(job).catch(() => {}); // the reader hears of it
  }

  #check(answer: Uint8Array): void {
    const asked = this.#asked.shift()!;
    const sum = new DataView(answer.buffer, answer.byteOffset).getUint32(JOB_HEAD_BYTES);
    if (jobId(answer) !== asked.id || sum !== asked.sum) this.wrong++;
    this.latenciesMs.push(performance.now() - asked.atMs);
    this.#onAnswer(jobId(answer));
  }
}
