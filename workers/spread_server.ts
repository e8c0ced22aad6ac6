// SpreadServer: what servers of workers have in common, whatever runs in their threads.
import type { ServerState } from "../accept/server_state.ts";
import type { Address } from "../net/transport/transport.ts";
import type { ShutdownOptions } from "../server/shutdown_options.ts";

/** What a {@linkcode SpreadServer} does by the group of its threads. */
interface ThreadGroup {
  readonly finished: Promise<void>;
  readonly addr: Address;
  readonly state: ServerState;
  readonly workers: number;
  setReferenced(referenced: boolean): void;
  shutdown(options: ShutdownOptions): Promise<void>;
  abort(reason: unknown): void;
  start(): Promise<void>;
}

/**
 * A running server that is spread over threads: `serveWorkers` and `mountWorkers` make one. Every
 * method may be called at any moment, in every state; calls of {@linkcode shutdown} share one drain.
 */
export abstract class SpreadServer implements AsyncDisposable {
  readonly #group: ThreadGroup;

  /** @ignore use `serveWorkers` or `mountWorkers` */
  constructor(group: ThreadGroup) {
    this.#group = group;
  }

  /** Resolves: a server of workers is made when it listens. */
  get ready(): Promise<void> {
    return Promise.resolve();
  }

  /** Resolves when the server is stopped, and all its threads have ended. Never rejects. */
  get finished(): Promise<void> {
    return this.#group.finished;
  }

  /** Where the server listens, with the real port. */
  get addr(): Address {
    return this.#group.addr;
  }

  /** The current state. */
  get state(): ServerState {
    return this.#group.state;
  }

  /** Threads that serve, or are about to be started again. */
  get workers(): number {
    return this.#group.workers;
  }

  /** Lets the process live while the server runs (the default). */
  ref(): void {
    this.#group.setReferenced(true);
  }

  /** Lets the process end although the server runs. */
  unref(): void {
    this.#group.setReferenced(false);
  }

  /**
   * Drains all workers side by side, as the `shutdown` of a server in one thread does, after
   * `drainDelayMs` if there is any: connections, or sessions with their streams and handlers, end in
   * order. Idempotent: a second call shares the first one's deadline and outcome.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when some could not end in order: it counts what was
   * cut, over all workers
   * @throws {ClosedError} `ERR_CLOSED` when {@linkcode abort} cut some before they had ended
   * @throws {RangeError} when `timeoutMs` is out of range
   */
  shutdown(options: ShutdownOptions = {}): Promise<void> {
    return this.#group.shutdown(options);
  }

  /** Stops now: everything is cut. `reason` becomes the cause of the errors. Idempotent. */
  abort(reason?: unknown): void {
    this.#group.abort(reason);
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /**
   * Starts the workers.
   *
   * @ignore use `serveWorkers` or `mountWorkers`
   */
  start(): Promise<void> {
    return this.#group.start();
  }
}
