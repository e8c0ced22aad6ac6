// WorkerSlot: one worker of a server, whose thread is started again when it dies.
import { Backoff } from "../async/backoff.ts";
import { withDeadline } from "../async/deadline.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Address } from "../net/transport/transport.ts";
import type { ServerCredentials } from "../tls/handshake/options.ts";
import { ConnectionPlaces } from "./connection_places.ts";
import { decodeError, encodeError } from "./error_message.ts";
import type { NumericRecord } from "../stats/data/counters.ts";
import type { DrainReport, ErrorPlace, LinePlan, StartOrder, ToMain } from "./messages.ts";
import { type ConnectionCounters, WorkerBooks } from "./worker_books.ts";
import { WorkerThread } from "./worker_thread.ts";

/** What every start of a worker has in common. */
export type StartPlan =
  & Omit<
    StartOrder,
    "mark" | "worker" | "credentials" | "books" | "heard" | "places"
  >
  & {
    readonly allPlaces: SharedArrayBuffer;
    /** Address of the module that the thread begins with. */
    readonly threadUrl: string;
  };

/** Counters of the workers of one kind. */
export type SlotCounters<Counters> = ConnectionCounters & NumericRecord<Counters>;

/** What a slot reports to its server. No method may throw. */
export interface SlotEvents<Counters extends SlotCounters<Counters>> {
  /** An error came up in the thread. */
  onError(error: unknown, place: ErrorPlace, line: LinePlan): void;
  /** The thread died, or could not be started again; `lostConnections` were lost with it. */
  onDeath(error: unknown, lostConnections: number): void;
  /** The books of a thread that has ended, with all its connections counted as closed. */
  onEnd(books: WorkerBooks<Counters>): void;
  /** The thread logs a line. */
  onLine(line: LinePlan, fields: Record<string, unknown>): void;
  /** The thread sent a message that only workers of its kind send. */
  onOwn(body: unknown): void;
}

/** What a slot works with. */
export interface SlotParts<Counters extends SlotCounters<Counters>> {
  /** Number of the worker, from 1. */
  readonly worker: number;
  readonly plan: StartPlan;
  readonly events: SlotEvents<Counters>;
  /** Names of the counters. */
  readonly names: readonly (keyof Counters & string)[];
  /** Certificates in force; `undefined` without TLS. */
  readonly credentials: () => ServerCredentials | undefined;
}

/** Nothing was cut. */
const CLEAN: DrainReport = { error: null, cutConnections: 0, cutBytes: 0 };

/**
 * Longest pause before a worker is started again, in ms: a start costs some 100 ms of processor time,
 * and while all workers pause, nothing listens.
 */
const MAX_PAUSE_MS = 2000;

/** Time in ms that a thread has beyond the deadline of a drain to report what it cut. */
const REPORT_GRACE_MS = 2000;

/** Time in ms that handlers have to see an abort. */
const ABORT_GRACE_MS = 1000;

/** A thread that runs. */
interface Running<Counters extends SlotCounters<Counters>> {
  readonly thread: WorkerThread;
  readonly books: WorkerBooks<Counters>;
  readonly places: ConnectionPlaces;
  /** Credentials that it was started with, or got last. */
  credentials: ServerCredentials | undefined;
  readonly listening: PromiseWithResolvers<Address>;
  readonly exited: PromiseWithResolvers<void>;
  /** Resolves with what a drain or an abort, which was ordered, cut. */
  readonly ended: PromiseWithResolvers<DrainReport>;
  isListening: boolean;
  isLooking: boolean;
}

/**
 * ```text
 *           start()                    (thread dies)
 *  created ────────▶ starting ─▶ serving ──────────▶ waiting ─(back-off)─▶ starting …
 *                       │           │ drain(), abort()  │ drain(), abort()
 *                       └───────────┴───────────────────┴──────────────▶ ended
 * ```
 */
export class WorkerSlot<Counters extends SlotCounters<Counters>, Look> {
  readonly #parts: SlotParts<Counters>;
  readonly #backoff = new Backoff({ maxDelayMs: MAX_PAUSE_MS });
  #plan: StartPlan;
  #running: Running<Counters> | null = null;
  #look: Look | null = null;
  #restart: ReturnType<typeof setTimeout> | undefined;
  /** Whether deaths are survived: from the first time that it listens to the end that was ordered. */
  #isLasting = false;
  #isReferenced = true;

  constructor(parts: SlotParts<Counters>) {
    this.#parts = parts;
    this.#plan = parts.plan;
  }

  /** The counters of the thread that runs; `null` while there is none. */
  get books(): WorkerBooks<Counters> | null {
    return this.#running?.books ?? null;
  }

  /** What was known of the thread when it last answered; `null` before it has. */
  get look(): Look | null {
    return this.#look;
  }

  /**
   * Starts the thread for the first time. Returns where it listens.
   *
   * @throws what keeps the module from being loaded, or the worker from listening
   */
  async start(where: Readonly<Record<string, unknown>>): Promise<Address> {
    this.listenAt(where);
    return await this.#spawn().listening.promise;
  }

  /** Sets where a thread listens that is started again. */
  listenAt(where: Readonly<Record<string, unknown>>): void {
    this.#plan = { ...this.#plan, options: { ...this.#plan.options, ...where } };
  }

  /** From now on a thread that dies is started again. */
  keep(): void {
    this.#isLasting = true;
    // It may have died since.
    if (this.#running === null) this.#startLater(new ClosedError("ERR_CLOSED", "The thread ended"));
  }

  /** Asks the thread for its connections, unless it owes an answer. */
  askForLook(): void {
    const running = this.#running;
    if (running === null || !running.isListening || running.isLooking) return;
    running.isLooking = true;
    running.thread.post({ kind: "look" });
  }

  /** Passes on new certificates. */
  renew(credentials: ServerCredentials): void {
    const running = this.#running;
    if (running === null || !running.isListening) return;
    running.credentials = credentials;
    running.thread.post({ kind: "credentials", credentials });
  }

  /** Sends a message that only workers of its kind know, if the thread runs. */
  post(body: unknown): void {
    this.#running?.thread.post({ kind: "own", body });
  }

  /** Whether the thread keeps the process alive. */
  setReferenced(referenced: boolean): void {
    this.#isReferenced = referenced;
    this.#running?.thread.setReferenced(referenced);
    if (this.#restart === undefined) return;
    referenced ? Deno.refTimer(this.#restart) : Deno.unrefTimer(this.#restart);
  }

  /** Lets connections end in order, at most for `timeoutMs`, and ends the thread. Never rejects. */
  async drain(timeoutMs: number): Promise<DrainReport> {
    const running = this.#giveUp();
    if (running === null) return CLEAN;
    if (running.isListening) running.thread.post({ kind: "drain", timeoutMs });
    else running.thread.terminate();
    const limitMs = timeoutMs > 0 ? timeoutMs + REPORT_GRACE_MS : Infinity;
    return await this.#finish(running, limitMs);
  }

  /** Cuts every connection, and ends the thread. Never rejects. */
  async abort(reason: unknown): Promise<void> {
    const running = this.#giveUp();
    if (running === null) return;
    const message = reason === undefined ? null : encodeError(reason);
    if (running.isListening) running.thread.post({ kind: "abort", reason: message });
    else running.thread.terminate();
    await this.#finish(running, ABORT_GRACE_MS);
  }

  /** Starts no thread any more. */
  #giveUp(): Running<Counters> | null {
    this.#isLasting = false;
    clearTimeout(this.#restart);
    return this.#running;
  }

  /** Waits for the report of a thread, then ends the thread. */
  async #finish(running: Running<Counters>, timeoutMs: number): Promise<DrainReport> {
    const { thread, places } = running;
    try {
      return await withDeadline({ timeoutMs, late: tooLate }, () => running.ended.promise);
    } catch (error) {
      return { error: encodeError(error), cutConnections: places.own, cutBytes: 0 };
    } finally {
      thread.terminate();
      await running.exited.promise;
    }
  }

  #spawn(): Running<Counters> {
    const { worker, credentials, names } = this.#parts;
    const { allPlaces, threadUrl, ...plan } = this.#plan;
    const memory = { books: WorkerBooks.allocate(names), own: ConnectionPlaces.allocate() };
    const inForce = credentials();
    const thread = new WorkerThread(threadUrl, {
      mark: "parley worker",
      worker,
      ...plan,
      credentials: inForce,
      books: memory.books,
      places: { all: allPlaces, own: memory.own },
    }, {
      onMessage: (message) => this.#onMessage(running, message),
      onExit: (error) => this.#onExit(running, error),
    });
    const running: Running<Counters> = {
      thread,
      books: new WorkerBooks<Counters>(names, memory.books),
      places: new ConnectionPlaces(allPlaces, memory.own),
      credentials: inForce,
      listening: Promise.withResolvers(),
      exited: Promise.withResolvers(),
      ended: Promise.withResolvers(),
      isListening: false,
      isLooking: false,
    };
    running.listening.promise.catch(() => {});
    thread.setReferenced(this.#isReferenced);
    this.#running = running;
    return running;
  }

  #onMessage(running: Running<Counters>, message: ToMain): void {
    const { events } = this.#parts;
    switch (message.kind) {
      case "listening":
        return this.#onListening(running, message.addr);
      case "failed":
        return running.listening.reject(decodeError(message.error));
      case "error":
        return events.onError(decodeError(message.error), message.place, message.line);
      case "looked":
        running.isLooking = false;
        this.#look = message.look as Look;
        return;
      case "line":
        return events.onLine(message.line, message.fields);
      case "own":
        return events.onOwn(message.body);
      case "drained":
        return running.ended.resolve(message.report);
      case "aborted":
        return running.ended.resolve(CLEAN);
      case "dying":
        return;
    }
  }

  #onListening(running: Running<Counters>, addr: Address): void {
    running.isListening = true;
    this.#backoff.connected(performance.now());
    running.listening.resolve(addr);
    const credentials = this.#parts.credentials();
    if (credentials !== undefined && credentials !== running.credentials) this.renew(credentials);
  }

  #onExit(running: Running<Counters>, error: unknown): void {
    const { events } = this.#parts;
    const { places, books, listening, ended, exited } = running;
    this.#running = null;
    this.#look = null;
    const lost = books.closeAll();
    const held = places.own;
    places.release();
    events.onEnd(books);
    listening.reject(error);
    // One that had not listened yet had nothing to cut.
    ended.resolve(
      running.isListening
        ? { error: encodeError(error), cutConnections: held, cutBytes: 0 }
        : CLEAN,
    );
    exited.resolve();
    if (!this.#isLasting) return;
    events.onDeath(error, lost);
    this.#startLater(error);
  }

  #startLater(error: unknown): void {
    if (!this.#isLasting) return;
    const delayMs = this.#backoff.failed(error, performance.now(), Math.random())!;
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      this.#spawn();
    }, delayMs);
    if (!this.#isReferenced) Deno.unrefTimer(this.#restart);
  }
}

function tooLate(): TimeoutError {
  return new TimeoutError("ERR_DRAIN_TIMEOUT", "The worker did not answer in time");
}
