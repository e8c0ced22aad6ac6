// runLoad(): opens connections, warms up, measures, waits for the last answers, closes.
import { ClosedError } from "../../../errors.ts";
import { setImmediate } from "node:timers";
import { connectTransport } from "../../../client/connect.ts";
import type { ConnectOptions } from "../../../client.ts";
import type { FrameDecoder } from "../../../framing.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import { Answers } from "./answers.ts";
import { Lane } from "./lane.ts";
import { ClosedPace, OpenPace, type Pace } from "./pace.ts";
import type { Requests } from "./requests.ts";
import { Tally } from "./tally.ts";

/** Connections that are opened at a time: servers bound handshakes under way. */
const DIALS = 16;

/** Longest wait in ms for the server to close its side. */
const CLOSE_MS = 1000;

/** Time between two looks at how far it has come, in ms. */
const LOOK_EVERY_MS = 50;

/** Timers of the platform are late by about this, in ms: before the moment it is looked at in every turn. */
const TIMER_LATENESS_MS = 2;

/** What a load is. */
export interface LoadOptions {
  /** Where to, and with which TLS. */
  readonly target: Pick<ConnectOptions, "hostname" | "port" | "path" | "tls">;
  /** What is sent. */
  readonly requests: Requests;
  /** Makes what finds answers in the bytes of a connection. */
  readonly decoder: () => FrameDecoder;
  /** How many connections. */
  readonly connections: number;
  /** Most requests without an answer, on each. */
  readonly inFlight: number;
  /** Requests in a second, over all connections; `null` for as many as are answered. */
  readonly perSecond: number | null;
  /** Time before the measurement, in ms. */
  readonly warmUpMs: number;
  /** Length of the measurement, in ms. */
  readonly durationMs: number;
  /** Most requests of the measurement. */
  readonly maxRequests: number;
  /** Longest wait for a connection, and for the last answers, in ms. */
  readonly timeoutMs: number;
  /** Whether an answer must be its request. */
  readonly verify: boolean;
  /** Ends the load early: what was measured so far is kept. */
  readonly signal: AbortSignal;
  /** Called now and then with the time since it began, in ms. */
  readonly onProgress: (doneMs: number, tally: Tally) => void;
}

/** What a load has given. */
export interface LoadResult {
  readonly tally: Tally;
  /** Length of the measurement as it was, in ms. */
  readonly measuredMs: number;
  /** Whether the signal ended it. */
  readonly interrupted: boolean;
}

/**
 * Runs a load.
 *
 * @throws {Error} when a connection cannot be opened, or the signal's reason when it aborts before the
 * measurement
 */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  return await new Load(options, await dialAll(options)).run();
}

/** All connections, or none: when one cannot be opened, the others are closed. */
async function dialAll(options: LoadOptions): Promise<Transport[]> {
  const { target, connections, timeoutMs, signal } = options;
  const failed = new AbortController();
  const transports: Transport[] = [];
  const either = AbortSignal.any([signal, failed.signal]);
  let left = connections;
  const dial = async () => {
    while (left-- > 0) {
      transports.push(await connectTransport({ ...target, timeoutMs, signal: either }));
    }
  };
  const dials = Array.from({ length: DIALS }, dial);
  try {
    await Promise.all(dials);
    return transports;
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(dials);
    for (const transport of transports) transport.close();
    throw error;
  }
}

class Load {
  readonly #options: LoadOptions;
  readonly #plan: { beginMs: number; measureMs: number; endMs: number; maxRequests: number };
  readonly #pace: Pace;
  readonly #lanes: readonly Lane[];
  readonly #tally = new Tally();
  /** Whether nothing is sent any more. */
  #stopped = false;
  /** Resolves when the measurement is over, or no answer can come. */
  readonly #sentAll = Promise.withResolvers<void>();
  /** Resolves when no answer is missing, or none can come. */
  readonly #settled = Promise.withResolvers<void>();

  constructor(options: LoadOptions, transports: readonly Transport[]) {
    this.#options = options;
    const beginMs = performance.now();
    const measureMs = beginMs + options.warmUpMs;
    const { maxRequests, perSecond } = options;
    const plan = { beginMs, measureMs, endMs: measureMs + options.durationMs, maxRequests };
    this.#plan = plan;
    const pace = perSecond === null
      ? new ClosedPace(plan)
      : new OpenPace(plan, perSecond, transports.length);
    this.#pace = pace;
    this.#lanes = transports.map((transport, number) =>
      new Lane({
        ...options,
        number,
        transport,
        answers: new Answers(options.requests, options.decoder(), options.verify, this.#tally),
        pace,
        plan,
        tally: this.#tally,
        openLoop: pace instanceof OpenPace,
      })
    );
  }

  async run(): Promise<LoadResult> {
    const { signal, timeoutMs, perSecond } = this.#options;
    const running = this.#lanes.map((lane) => lane.run(this.#onAnswers));
    const clock = setInterval(this.#look, LOOK_EVERY_MS);
    signal.addEventListener("abort", this.#stop);
    try {
      for (const lane of this.#lanes) lane.fill(performance.now());
      if (perSecond !== null) this.#tick();
      this.#look();
      await this.#sentAll.promise;
      const stoppedMs = performance.now();
      this.#stop();
      if (stoppedMs < this.#plan.measureMs) this.#throwWhy();
      const timer = setTimeout(this.#settled.resolve, timeoutMs);
      this.#onAnswers();
      await this.#settled.promise;
      clearTimeout(timer);
      const measuredMs = this.#plan.endMs - this.#plan.measureMs;
      this.#giveUp();
      return { tally: this.#tally, measuredMs, interrupted: signal.aborted };
    } finally {
      clearInterval(clock);
      signal.removeEventListener("abort", this.#stop);
      const timer = setTimeout(this.#cut, CLOSE_MS);
      await Promise.all(this.#lanes.map((lane) => lane.finish()));
      await Promise.all(running);
      clearTimeout(timer);
    }
  }

  /** The measurement ends now, unless it has; what was due by then is the last that is sent. */
  readonly #stop = (): void => {
    const endMs = this.#plan.endMs = Math.min(this.#plan.endMs, performance.now());
    for (const lane of this.#lanes) lane.fill(endMs);
    this.#stopped = true;
    this.#sentAll.resolve();
  };

  readonly #cut = (): void => {
    for (const lane of this.#lanes) lane.cut();
  };

  readonly #look = (): void => {
    const nowMs = performance.now();
    this.#options.onProgress(nowMs - this.#plan.beginMs, this.#tally);
    if (nowMs >= this.#plan.endMs || !this.#lanes.some((lane) => lane.isOpen)) {
      this.#sentAll.resolve();
    }
  };

  /** Looks whether all that will be asked is answered. */
  readonly #onAnswers = (): void => {
    const { sent, answered } = this.#tally;
    const done = sent === answered && this.#pace.isOver(performance.now());
    if (!done && this.#lanes.some((lane) => lane.isOpen)) return;
    this.#sentAll.resolve();
    if (this.#stopped) this.#settled.resolve();
  };

  /** Sends what is due, and comes back when the next request is. */
  readonly #tick = (): void => {
    const pace = this.#pace as OpenPace;
    const nowMs = performance.now();
    for (const lane of this.#lanes) lane.fill(nowMs);
    // What is behind by then goes out as answers make room.
    if (pace.isOver(nowMs)) return;
    const waitMs = pace.nextMs(nowMs) - nowMs;
    if (waitMs > TIMER_LATENESS_MS) {
      setTimeout(this.#tick, Math.min(waitMs - TIMER_LATENESS_MS, LOOK_EVERY_MS));
    } else setImmediate(this.#tick);
  };

  #giveUp(): void {
    const nowMs = performance.now();
    for (const lane of this.#lanes) lane.giveUp(nowMs, this.#plan.endMs);
  }

  #throwWhy(): never {
    const { signal } = this.#options;
    if (signal.aborted) throw signal.reason;
    const codes = [...this.#tally.errors.keys()].join(", ");
    throw new ClosedError(
      "ERR_CLOSED",
      `Every connection ended before the measurement began: ${codes}`,
    );
  }
}
