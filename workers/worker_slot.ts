// WorkerSlot: one worker of a server, whose thread is started again when it dies.
import { Backoff } from "../async/backoff.ts";
import { withDeadline } from "../async/deadline.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Address } from "../net/transport/transport.ts";
import type { ServerCredentials } from "../tls/handshake/options.ts";
import { ConnectionPlaces } from "./connection_places.ts";
import { decodeError, encodeError } from "./error_message.ts";
import type {
  DrainReport,
  ErrorPlace,
  LinePlan,
  StartOrder,
  ToMain,
  WorkerLook,
} from "./messages.ts";
import { WorkerBooks } from "./worker_books.ts";
import { WorkerThread } from "./worker_thread.ts";

/** What every start of a worker has in common. */
export type StartPlan =
  & Omit<
    StartOrder,
    "mark" | "worker" | "credentials" | "books" | "heard" | "places"
  >
  & {
    readonly allPlaces: SharedArrayBuffer;
  };

/** What a slot reports to its server. No method may throw. */
export interface SlotEvents {
  /** An error came up in the thread. */
  onError(error: unknown, place: ErrorPlace, line: LinePlan): void;
  /** The thread died, or could not be started again; `lostConnections` were lost with it. */
  onDeath(error: unknown, lostConnections: number): void;
  /** The books of a thread that has ended, with all its connections counted as closed. */
  onEnd(books: WorkerBooks): void;
}

/** What a slot works with. */
export interface SlotParts {
  /** Number of the worker, from 1. */
  readonly worker: number;
  readonly plan: StartPlan;
  readonly events: SlotEvents;
  /** Certificates in force; `undefined` without TLS. */
  readonly credentials: () => ServerCredentials | undefined;
}

/** Look of a worker that has none. */
const NO_LOOK: WorkerLook = { pendingNow: 0, queuedBytes: 0, connections: [] };

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
interface Running {
  readonly thread: WorkerThread;
  readonly books: WorkerBooks;
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
export class WorkerSlot {
  readonly #parts: SlotParts;
  readonly #backoff = new Backoff({ maxDelayMs: MAX_PAUSE_MS });
  #plan: StartPlan;
  #running: Running | null = null;
  #look: WorkerLook = NO_LOOK;
  #restart: ReturnType<typeof setTimeout> | undefined;
  /** Whether deaths are survived: from the first time that it listens to the end that was ordered. */
  #isLasting = false;
  #isReferenced = true;

  constructor(parts: SlotParts) {
    this.#parts = parts;
    this.#plan = parts.plan;
  }

  /** The counters of the thread that runs; `null` while there is none. */
  get books(): WorkerBooks | null {
    return this.#running?.books ?? null;
  }

  /** What was known of the thread when it last answered. */
  get look(): WorkerLook {
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
  #giveUp(): Running | null {
    this.#isLasting = false;
    clearTimeout(this.#restart);
    return this.#running;
  }

  /** Waits for the report of a thread, then ends the thread. */
  async #finish(running: Running, timeoutMs: number): Promise<DrainReport> {
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

  #spawn(): Running {
    const { worker, credentials } = this.#parts;
    const { allPlaces, ...plan } = this.#plan;
    const memory = { books: WorkerBooks.allocate(), own: ConnectionPlaces.allocate() };
    const inForce = credentials();
    const thread = new WorkerThread({
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
    const running: Running = {
      thread,
      books: new WorkerBooks(memory.books),
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

  #onMessage(running: Running, message: ToMain): void {
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
        this.#look = message.look;
        return;
      case "drained":
        return running.ended.resolve(message.report);
      case "aborted":
        return running.ended.resolve(CLEAN);
      case "dying":
        return;
    }
  }

  #onListening(running: Running, addr: Address): void {
    running.isListening = true;
    this.#backoff.connected(performance.now());
    running.listening.resolve(addr);
    const credentials = this.#parts.credentials();
    if (credentials !== undefined && credentials !== running.credentials) this.renew(credentials);
  }

  #onExit(running: Running, error: unknown): void {
    const { events } = this.#parts;
    const { places, books, listening, ended, exited } = running;
    this.#running = null;
    this.#look = NO_LOOK;
    const lost = closeBooks(books);
    const held = places.own;
    places.release();
    events.onEnd(books);
    listening.reject(error);
    ended.resolve({ error: encodeError(error), cutConnections: held, cutBytes: 0 });
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

/** Counts the connections of a thread that has ended as lost. Returns how many there were. */
function closeBooks({ counters }: WorkerBooks): number {
  const lost = counters.connectionsOpened - counters.connectionsClosed;
  counters.connectionsClosed += lost;
  counters.connectionsLost += lost;
  return lost;
}

function tooLate(): TimeoutError {
  return new TimeoutError("ERR_DRAIN_TIMEOUT", "The worker did not answer in time");
}
