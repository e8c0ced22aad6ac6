// Lane: one connection of a load: sends requests in batches, matches answers to them in order.
import type { Connection } from "../../connection.ts";
import type { FrameDecoder } from "../../framing.ts";
import type { Pace, Plan } from "./pace.ts";
import type { Requests } from "./requests.ts";
import type { Tally } from "./tally.ts";

/** What a lane needs. */
export interface LaneOptions {
  /** Which of the connections it is. */
  readonly number: number;
  /** Its connection, without a framing: it decodes whole chunks by itself, so that no message costs a promise. */
  readonly conn: Connection;
  /** Finds the answers in the bytes. */
  readonly decoder: FrameDecoder;
  /** What is sent. */
  readonly requests: Requests;
  /** Most requests without an answer. */
  readonly inFlight: number;
  /** When to send. */
  readonly pace: Pace;
  /** When answers count; its end moves forward when the load ends early. */
  readonly plan: Plan;
  /** Where answers are counted. */
  readonly tally: Tally;
  /** Whether an answer must be its request. */
  readonly verify: boolean;
  /** Whether to keep by how much requests are late. */
  readonly openLoop: boolean;
}

/** One connection of a load. */
export class Lane {
  /** Requests sent. */
  sent = 0;
  /** Answers that have come. */
  answered = 0;
  readonly #options: LaneOptions;
  /** When the requests without an answer began: a ring. */
  readonly #startedMs: Float64Array;
  #state: "open" | "closing" | "ended" = "open";

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#startedMs = new Float64Array(options.inFlight);
  }

  /** Requests without an answer. */
  get outstanding(): number {
    return this.sent - this.answered;
  }

  /** Whether answers can still come. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Sends what the pace allows and there is room for. */
  fill(nowMs: number): void {
    const { number, conn, requests, inFlight, pace, plan, tally, openLoop } = this.#options;
    const room = inFlight - this.outstanding;
    if (room <= 0 || this.#state !== "open") return;
    const count = pace.grant(number, this.sent, room, nowMs);
    if (count <= 0) return;
    const end = this.sent + count;
    for (let request = this.sent; request < end; request++) {
      const startedMs = pace.startOf(number, request, nowMs);
      this.#startedMs[request % inFlight] = startedMs;
      if (openLoop && startedMs >= plan.measureMs) tally.lateness.add(nowMs - startedMs, 1);
    }
    for (const frames of requests.frames(this.sent, count)) {
      conn.send(frames).catch(() => {}); // the reader hears of it
    }
    this.sent = end;
    tally.sent += count;
  }

  /** Reads answers until the connection ends, by either side. Never rejects. */
  async run(onAnswers: () => void): Promise<void> {
    const { conn, tally } = this.#options;
    let error: unknown = null;
    try {
      for await (const chunk of conn) {
        this.#take(chunk);
        onAnswers();
      }
    } catch (failure) {
      error = failure;
      conn.abort(failure);
    }
    if (this.#state === "open") tally.countError(error);
    this.#state = "ended";
    onAnswers();
  }

  /** Closes the connection; what it does from now on does not count. */
  async close(): Promise<void> {
    if (this.#state === "open") this.#state = "closing";
    await this.#options.conn.close().catch(() => {});
  }

  /**
   * What was asked and not answered by `nowMs`, and what should have been asked by `endMs`, counts with the time that it
   * has waited: a server that does not keep the rate must not look good by it.
   */
  giveUp(nowMs: number, endMs: number): void {
    const { number: own, inFlight, pace, tally } = this.#options;
    const due = Math.max(this.sent, pace.due(own, endMs));
    tally.unanswered += this.outstanding;
    tally.unsent += due - this.sent;
    for (let number = this.answered; number < due; number++) {
      const startedMs = number < this.sent
        ? this.#startedMs[number % inFlight]!
        : pace.startOf(own, number, nowMs);
      this.#count(startedMs, 1, nowMs);
    }
  }

  #take(chunk: Uint8Array): void {
    const { decoder, requests, inFlight, plan, tally, verify } = this.#options;
    const nowMs = performance.now();
    const inTime = nowMs >= plan.measureMs && nowMs < plan.endMs;
    const before = this.answered;
    let bytesIn = 0;
    // Requests that were sent together began at one moment: they count together.
    let [runMs, run] = [NaN, 0];
    decoder.push(chunk);
    for (let answer = decoder.next(); answer !== undefined; answer = decoder.next()) {
      if (this.answered === this.sent) {
        tally.countMismatch(null, answer);
        continue;
      }
      const number = this.answered++;
      bytesIn += answer.length;
      if (verify && !requests.isEcho(number, answer)) tally.countMismatch(requests.message(number), answer);
      const startedMs = this.#startedMs[number % inFlight]!;
      if (startedMs === runMs) {
        run++;
        continue;
      }
      this.#count(runMs, run, nowMs);
      [runMs, run] = [startedMs, 1];
    }
    this.#count(runMs, run, nowMs);
    tally.answered += this.answered - before;
    if (inTime) {
      tally.answersInTime += this.answered - before;
      tally.bytesIn += bytesIn;
      // All requests are of one size.
      tally.bytesOut += (this.answered - before) * requests.message(0).length;
    }
    this.fill(nowMs);
  }

  #count(startedMs: number, count: number, nowMs: number): void {
    const { plan, tally } = this.#options;
    if (count > 0 && startedMs >= plan.measureMs) tally.latencies.add(nowMs - startedMs, count);
  }
}
