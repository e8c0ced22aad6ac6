// Actor: one side of one stream, which goes through its steps and writes into the reference model what came
// of them.
import type { Clock } from "../../../async/clock.ts";
import { ParleyError } from "../../../errors.ts";
import { codeOf, Flow } from "./model_flow.ts";

/** What a stream of a mux, a wire or a raw peer has in common. */
export interface ModelStream {
  readonly id: number;
  readonly closed: Promise<Error | undefined>;
  read(
    options?: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined },
  ): Promise<Uint8Array | null>;
  write(
    bytes: Uint8Array,
    options?: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined },
  ): Promise<void>;
  closeWrite(): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): void;
  /** Stops reading; raw peers cannot say so. */
  cancel?(): void;
}

/** What one side does in one direction, step by step. */
export type Step =
  | { readonly do: "write"; readonly bytes: number; readonly timeoutMs?: number | undefined }
  /** Writes, and does not wait for it. */
  | { readonly do: "writeOn"; readonly bytes: number }
  | { readonly do: "read"; readonly bytes: number; readonly timeoutMs?: number | undefined }
  /** Reads to the end. */
  | { readonly do: "drain" }
  | { readonly do: "pause"; readonly ms: number }
  /** Waits until this side's reading is over. */
  | { readonly do: "readFirst" }
  | { readonly do: "closeWrite" }
  /** Ends our direction and stops reading. */
  | { readonly do: "close" }
  /** Stops reading. */
  | { readonly do: "cancel" }
  | { readonly do: "reset" };

/** Both lanes of one side. They run at the same time. */
export interface Lanes {
  readonly out: readonly Step[];
  readonly in: readonly Step[];
}

/** Which side of a stream. */
export type Side = "opener" | "acceptor";

let lastPlan = 0;

/** Options of a {@linkcode StreamPlan}. */
export interface PlanOptions {
  readonly atMs?: number | undefined;
  readonly openTimeoutMs?: number | undefined;
  readonly isQuestion?: boolean | undefined;
}

/** What one stream is to do, and its model. */
export class StreamPlan {
  readonly number: number = lastPlan += 1;
  readonly lanes: Readonly<Record<Side, Lanes>>;
  /** When its opener comes, in ms from the start. */
  readonly atMs: number;
  /** What its opener may wait for its turn. */
  readonly openTimeoutMs: number | undefined;
  /** By who writes. */
  readonly flows: Readonly<Record<Side, Flow>>;
  readonly actors: Partial<Record<Side, Actor>> = {};
  /** What `openStream` got. */
  openError: unknown;
  opened = false;
  acceptedAtMs: number | undefined;
  /** Why it may be refused. */
  mayRefuse: string | undefined;
  /** A stream of the same opener was accepted before: a refusal can be told from a reset. */
  knowsPeer = false;
  /** Its opener never ends its own direction: it reads the answer to the end, and that is it. */
  readonly isQuestion: boolean;

  constructor(
    lanes: Readonly<Record<Side, Lanes>>,
    { atMs = 0, openTimeoutMs, isQuestion = false }: PlanOptions = {},
  ) {
    this.lanes = lanes;
    this.atMs = atMs;
    this.openTimeoutMs = openTimeoutMs;
    this.isQuestion = isQuestion;
    const flow = (side: Side, salt: number) =>
      new Flow(this.number * 7919 + salt, `stream plan ${this.number}, written by its ${side}`);
    this.flows = { opener: flow("opener", 0), acceptor: flow("acceptor", 31_337) };
    if (isQuestion) {
      this.flows.opener.abandoned = true;
      this.flows.opener.allow("a question has no end");
    }
  }

  /** Both directions may end other than in order. */
  allow(why: string): void {
    this.flows.opener.allow(why);
    this.flows.acceptor.allow(why);
  }

  /** True when neither side ever rests, so that nothing but the session can hold it up. */
  get isBrisk(): boolean {
    const all = [this.lanes.opener, this.lanes.acceptor].flatMap((
      { in: input, out },
    ) => [...input, ...out]);
    return all.every((step) => step.do !== "pause" || step.ms <= 1000);
  }
}

/** Runs the lanes of one side. */
export class Actor {
  readonly #clock: Clock;
  readonly #plan: StreamPlan;
  readonly #side: Side;
  readonly #stream: ModelStream;
  readonly #reading = Promise.withResolvers<void>();
  #hasStopped = false;
  /** Where each lane is, for finding out why something hangs. */
  readonly at: { out: string; in: string } = { out: "start", in: "start" };
  /** When both lanes were through. */
  doneAtMs: number | undefined;
  closedAtMs: number | undefined;
  /** How long `close()` took. */
  closeTookMs: number | undefined;
  cancelledAtMs: number | undefined;
  /** It reset the stream itself, and needs no notice. */
  hasReset = false;
  outDoneAtMs: number | undefined;
  /** The value of `closed`; `"pending"` until then. */
  closed: Error | "pending" | undefined = "pending";

  constructor(clock: Clock, plan: StreamPlan, side: Side, stream: ModelStream) {
    this.#clock = clock;
    this.#plan = plan;
    this.#side = side;
    this.#stream = stream;
    plan.actors[side] = this;
    void stream.closed.then((error) => this.closed = error);
  }

  /**
   * Goes through both lanes; settles when they are through or have failed, and rejects only when the model
   * is broken.
   */
  async run(): Promise<void> {
    const { out, in: input } = this.#plan.lanes[this.#side];
    await Promise.all([
      this.#lane("out", out).finally(() => this.outDoneAtMs = this.#clock.now()),
      this.#lane("in", input).finally(() => this.#reading.resolve()),
    ]);
    this.doneAtMs = this.#clock.now();
  }

  get #mine(): Flow {
    return this.#plan.flows[this.#side];
  }

  get #theirs(): Flow {
    return this.#plan.flows[this.#side === "opener" ? "acceptor" : "opener"];
  }

  async #lane(lane: "out" | "in", steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      this.at[lane] = JSON.stringify(step);
      if (this.#hasStopped && lane === "in") break;
      try {
        await this.#step(step);
      } catch (error) {
        // Errors of the library are noted; anything else is a fault of the library, or of the model.
        if (!(error instanceof ParleyError)) throw error;
        this.#note(lane, step, error);
        break;
      }
    }
    this.at[lane] += " (through)";
  }

  #note(lane: "out" | "in", step: Step, error: ParleyError): void {
    if (lane === "in") this.#theirs.readError ??= error;
    else this.#mine.writeError ??= error;
    if (step.do === "write" && error.code === "ERR_WRITE_TIMEOUT") {
      this.#plan.allow(`the ${this.#side} gave a write up`);
      this.hasReset = true;
      this.#theirs.abandoned = this.#hasStopped = true;
      this.#stream.abort(error);
    }
  }

  async #step(step: Step): Promise<void> {
    const stream = this.#stream;
    switch (step.do) {
      case "write":
        return await this.#write(step.bytes, step.timeoutMs);
      case "writeOn": {
        const part = this.#mine.next(step.bytes);
        this.#mine.written += part.length;
        return void stream.write(part).catch((error) => this.#mine.writeError ??= error);
      }
      case "read":
      case "drain":
        return await this.#read(
          step.do === "read" ? step.bytes : Infinity,
          step.do === "read" ? step.timeoutMs : undefined,
        );
      case "pause":
        return await new Promise((resolve) => this.#clock.after(step.ms, resolve));
      case "readFirst":
        return await this.#reading.promise;
      case "closeWrite":
        this.#mine.finished = true;
        return await stream.closeWrite();
      case "close":
        this.closedAtMs = this.#clock.now();
        this.#mine.finished = true;
        this.#stopReading(`the ${this.#side} closed the stream`);
        return await stream.close().finally(() =>
          this.closeTookMs = this.#clock.now() - this.closedAtMs!
        );
      case "cancel":
        this.cancelledAtMs = this.#clock.now();
        this.#stopReading(`the ${this.#side} stopped reading`);
        return stream.cancel?.();
      case "reset":
        this.#plan.allow(`the ${this.#side} reset the stream`);
        this.#theirs.abandoned = this.#hasStopped = true;
        this.hasReset = true;
        return stream.abort();
    }
  }

  #stopReading(why: string): void {
    if (this.#theirs.ended) return;
    this.#theirs.abandoned = this.#hasStopped = true;
    this.#theirs.allow(why);
  }

  async #write(bytes: number, timeoutMs: number | undefined): Promise<void> {
    const flow = this.#mine;
    const part = flow.next(bytes);
    await this.#stream.write(part, timeoutMs === undefined ? undefined : { timeoutMs });
    flow.written += part.length;
  }

  async #read(bytes: number, timeoutMs: number | undefined): Promise<void> {
    const flow = this.#theirs;
    const end = flow.read + bytes;
    while (flow.read < end && !flow.ended && !this.#hasStopped) {
      let chunk: Uint8Array | null;
      try {
        chunk = await this.#stream.read(timeoutMs === undefined ? undefined : { timeoutMs });
      } catch (error) {
        // A read that gives up loses nothing: the next one goes on.
        if (codeOf(error) === "ERR_READ_TIMEOUT") continue;
        throw error;
      }
      if (this.#hasStopped) return;
      if (chunk === null) flow.end();
      else flow.take(chunk);
    }
  }
}
