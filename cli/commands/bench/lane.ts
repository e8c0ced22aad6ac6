// Lane: one connection of a load: sends requests in batches, and takes the time to their answers.
import type { Transport } from "../../../net/transport/transport.ts";
import type { Answers } from "./answers.ts";
import type { Pace, Plan } from "./pace.ts";
import type { Batch, Requests } from "./requests.ts";
import type { Tally } from "./tally.ts";

/** What a lane needs. */
export interface LaneOptions {
  /** Which of the connections it is. */
  readonly number: number;
  /** Its bytes: a lane goes beneath `Connection`, as one promise for each chunk is all that it can afford. */
  readonly transport: Transport;
  /** Knows the answers in the bytes. */
  readonly answers: Answers;
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
  /** Whether to keep by how much requests are late. */
  readonly openLoop: boolean;
}

/** One connection of a load. */
export class Lane {
  readonly #options: LaneOptions;
  /** When the requests without an answer began: a ring. */
  readonly #startedMs: Float64Array;
  /** Requests that are sent, or wait for the write under way. */
  #sent = 0;
  /** Those given to the transport. */
  #written = 0;
  #answered = 0;
  #writing: Batch | null = null;
  #state: "open" | "closing" | "ended" = "open";

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#startedMs = new Float64Array(options.inFlight);
  }

  /** Whether answers can still come. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Sends what the pace allows and there is room for. */
  fill(nowMs: number): void {
    const { number, inFlight, pace, plan, tally, openLoop } = this.#options;
    const room = inFlight - (this.#sent - this.#answered);
    if (room <= 0 || this.#state !== "open") return;
    const count = pace.grant(number, this.#sent, room, nowMs);
    if (count <= 0) return;
    const end = this.#sent + count;
    for (let request = this.#sent; request < end; request++) {
      const startedMs = pace.startOf(number, request, nowMs);
      this.#startedMs[request % inFlight] = startedMs;
      if (openLoop && startedMs >= plan.measureMs) tally.lateness.add(nowMs - startedMs, 1);
    }
    this.#sent = end;
    tally.sent += count;
    if (this.#writing === null) this.#write();
  }

  /** Reads answers until the connection ends, by either side. Never rejects. */
  async run(onAnswers: () => void): Promise<void> {
    const { transport, tally } = this.#options;
    let error: unknown = null;
    try {
      for (let chunk = await transport.read(); chunk !== null; chunk = await transport.read()) {
        this.#take(chunk);
        onAnswers();
      }
    } catch (failure) {
      error = failure;
    }
    transport.close();
    if (this.#state === "open") tally.countError(error);
    this.#state = "ended";
    onAnswers();
  }

  /**
   * Says that nothing more is sent; the server is to end its side. What the connection does from now on does
   * not count. Never rejects.
   */
  async finish(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closing";
    if (this.#writing === null) await this.#options.transport.closeWrite().catch(() => {});
  }

  /** Ends the connection now. */
  cut(): void {
    this.#options.transport.close();
  }

  /**
   * What was asked and not answered by `nowMs`, and what should have been asked by `endMs`, counts with the
   * time that it has waited: a server that does not keep the rate must not look good by it.
   */
  giveUp(nowMs: number, endMs: number): void {
    const { number: own, inFlight, pace, tally } = this.#options;
    const due = Math.max(this.#sent, pace.due(own, endMs));
    tally.unanswered += this.#sent - this.#answered;
    tally.unsent += due - this.#sent;
    for (let number = this.#answered; number < due; number++) {
      const startedMs = number < this.#sent
        ? this.#startedMs[number % inFlight]!
        : pace.startOf(own, number, nowMs);
      this.#count(startedMs, 1, nowMs);
    }
  }

  #write(): void {
    const { requests, transport } = this.#options;
    const batch = this.#writing = requests.batch(this.#written, this.#sent - this.#written);
    transport.write(batch.bytes).then(this.#onWritten, this.#onWriteFailed);
  }

  readonly #onWritten = (): void => {
    this.#written += this.#writing?.count ?? 0;
    this.#writing = null;
    if (this.#written < this.#sent && this.#state === "open") this.#write();
  };

  /** The reader hears of it too, and reports why. */
  readonly #onWriteFailed = (): void => {
    this.#writing = null;
  };

  #take(chunk: Uint8Array): void {
    const { answers, requests, inFlight, plan, tally } = this.#options;
    const nowMs = performance.now();
    const { count: countBefore, bytes: bytesBefore } = answers;
    answers.take(chunk);
    let came = answers.count - countBefore;
    if (this.#answered + came > this.#sent) {
      tally.countUnasked(this.#answered + came - this.#sent, chunk);
      came = this.#sent - this.#answered;
    }
    const end = this.#answered + came;
    // Requests that were sent together began at one moment: they count together.
    let [runMs, run] = [NaN, 0];
    for (let number = this.#answered; number < end; number++) {
      const startedMs = this.#startedMs[number % inFlight]!;
      if (startedMs !== runMs) {
        this.#count(runMs, run, nowMs);
        [runMs, run] = [startedMs, 0];
      }
      run++;
    }
    this.#count(runMs, run, nowMs);
    this.#answered = end;
    tally.answered += came;
    if (nowMs >= plan.measureMs && nowMs < plan.endMs) {
      tally.answersInTime += came;
      tally.bytesIn += answers.bytes - bytesBefore;
      tally.bytesOut += came * requests.messageBytes;
    }
    this.fill(nowMs);
  }

  #count(startedMs: number, count: number, nowMs: number): void {
    const { plan, tally } = this.#options;
    if (count > 0 && startedMs >= plan.measureMs) tally.latencies.add(nowMs - startedMs, count);
  }
}
