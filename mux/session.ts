// MuxSession: many streams over one transport, as the application sees it.
import { ClosedError, ParleyError, TimeoutError } from "../errors.ts";
import type { Transport } from "../net/transport.ts";
import { Engine } from "./engine.ts";
import type { EngineCounters } from "./engine_parts.ts";
import { type MuxSessionOptions, type ResolvedMuxOptions, resolveMuxOptions } from "./options.ts";
import type { SessionState } from "./state.ts";
import { MuxStream } from "./stream.ts";
import type { StreamCore } from "./stream_core.ts";
import { checkWait, type WaitOptions, watchWait } from "./wait.ts";
import { INITIAL_WINDOW_BYTES } from "./window.ts";

/** What a session has done so far. */
export interface MuxSessionStats extends Readonly<EngineCounters> {
  /** Where it stands. */
  readonly state: SessionState;
  /** Streams that are not over. */
  readonly streams: number;
  /** Streams that the peer opened and nobody accepted yet. */
  readonly backlog: number;
  /** Bytes that came and were not read, over all streams. */
  readonly bufferedBytes: number;
  /** Round trip measured last, milliseconds. */
  readonly rttMs: number | undefined;
}

/** What one side of a session takes from the other. */
export interface MuxTerms {
  /** Streams that the peer may have open. */
  readonly maxStreams: number;
  /** Window with which each stream starts, in bytes. */
  readonly windowBytes: number;
}

/** Options of {@linkcode MuxSession.close}. */
export interface MuxCloseOptions {
  /** Time that open streams get to end by themselves before they are cut. @default {10_000} */
  timeoutMs?: number;
}

/** Somebody who waits for a stream, incoming or to be opened. */
interface Waiter {
  /** Looks whether the wait is over. */
  readonly check: () => void;
}

/**
 * Many streams over one connection, by the yamux protocol; the far side may be any yamux program. The session
 * owns its transport and closes it.
 *
 * Everything is bounded: see {@linkcode MuxSessionOptions}. A peer that breaks the protocol or floods is told so
 * (go-away 1) and cut off; `closed` then tells the {@linkcode ProtocolError}.
 *
 * @example Both sides over a pair in memory
 * ```ts
 * import { memoryPair } from "@parley/parley";
 * import { MuxSession } from "@parley/parley/mux";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const [left, right] = memoryPair();
 * await using client = new MuxSession(left, { role: "client" });
 * await using server = new MuxSession(right, { role: "server" });
 *
 * const serving = (async () => {
 *   for await (const stream of server) {
 *     for await (const chunk of stream) await stream.write(chunk);
 *     await stream.closeWrite();
 *   }
 * })();
 *
 * await using stream = await client.openStream();
 * await stream.write(new Uint8Array([1, 2, 3]));
 * await stream.closeWrite();
 * assertEquals(await stream.read(), new Uint8Array([1, 2, 3]));
 * assertEquals(await stream.read(), null);
 * assert(await client.ping() >= 0);
 *
 * await client.close();
 * await serving;
 * ```
 */
export class MuxSession implements AsyncDisposable, AsyncIterable<MuxStream> {
  readonly #options: ResolvedMuxOptions;
  readonly #engine: Engine;
  #accepting: Waiter[] = [];
  #opening: Waiter[] = [];
  #idle: (() => void)[] = [];
  #closing: Promise<void> | undefined;

  /**
   * Starts a session over `transport`.
   *
   * @throws {RangeError} when an option is out of range, before any I/O
   */
  constructor(transport: Transport, options: MuxSessionOptions) {
    this.#options = resolveMuxOptions(options);
    this.#engine = new Engine(transport, this.#options, {
      onIncoming: () => this.#accepting.shift()?.check(),
      onOpeningChanged: () => this.#wakeOpeners(),
      onIdle: () => this.#wakeIdle(),
      onEnd: () => {
        this.#wakeOpeners(Infinity);
        this.#wakeIdle();
        for (const waiter of this.#accepting.splice(0)) waiter.check();
      },
    });
  }

  /** Where the session stands. */
  get state(): SessionState {
    return this.#engine.state;
  }

  /**
   * Resolves once the session is over and the transport closed: with `undefined` after an orderly end, else with
   * what ended it. Never rejects.
   */
  get closed(): Promise<ParleyError | undefined> {
    return this.#engine.closed;
  }

  /**
   * Opens a stream. It can be written to at once; the peer may still refuse it, and reads then reject with
   * `ERR_RESET`. Waits only while `maxOpening` streams have no answer.
   *
   * @throws {ClosedError} `ERR_GOING_AWAY` once either side went away, `ERR_CLOSED` or `ERR_RESET` after the end
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it had to wait longer than `timeoutMs`
   */
  async openStream(options: WaitOptions = {}): Promise<MuxStream> {
    checkWait("open a stream", options);
    options.signal?.throwIfAborted();
    if (this.#mayOpen()) return new MuxStream(this.#engine.open());
    return await this.#wait(
      this.#opening,
      options,
      () => {
        return this.#mayOpen() ? new MuxStream(this.#engine.open()) : undefined;
      },
      (ms) =>
        new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot open a stream within ${ms} ms: too many are opening`),
    );
  }

  /**
   * Waits for the next stream that the peer opens; `null` once the session is over. The peer learns that the
   * stream is accepted.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when none came within `timeoutMs`
   */
  async acceptStream(options: WaitOptions = {}): Promise<MuxStream | null> {
    checkWait("accept a stream", options);
    options.signal?.throwIfAborted();
    const ready = this.#accept();
    if (ready !== undefined) return ready;
    return await this.#wait(this.#accepting, options, () => this.#accept(), (ms) => {
      return new TimeoutError("ERR_READ_TIMEOUT", `Cannot accept a stream: none came in ${ms} ms`);
    });
  }

  /**
   * Measures the round trip, in milliseconds. It may be called as often as you like: who asks while a ping is under way shares
   * its answer, and no more than 50 go in any ten seconds (40 at once), with those of the keepalive; others wait their turn.
   *
   * @throws {ClosedError} when the session is over or ends before the answer
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when no answer came within `timeoutMs`
   */
  async ping(options: WaitOptions = {}): Promise<number> {
    checkWait("ping the peer", options);
    options.signal?.throwIfAborted();
    this.#checkEnd();
    const { answer, fail } = this.#engine.pings.ping();
    const stop = watchWait(options, {
      clock: this.#options.clock,
      cancel: fail,
      timeout: (ms) =>
        new TimeoutError("ERR_READ_TIMEOUT", `Cannot measure the round trip: no answer in ${ms} ms`),
    });
    try {
      return await answer;
    } finally {
      stop();
    }
  }

  /** What this side takes, to be told to the peer: see {@linkcode agree}. */
  get terms(): MuxTerms {
    return { maxStreams: this.#options.maxStreams, windowBytes: INITIAL_WINDOW_BYTES };
  }

  /** The peer told what it takes, and knows our {@linkcode terms}. May be called again when they change. */
  agree(_theirs: Partial<MuxTerms>): void {}

  /** Lets the peer have more streams open than so far. */
  raiseMaxStreams(_maxStreams: number): void {}

  /** Tells the peer that the session takes no new streams; neither side can open one any more, old ones finish. */
  goAway(): void {
    this.#engine.goAway();
    this.#wakeOpeners();
  }

  /**
   * Ends the session in order: go-away, streams that nobody accepted are reset, the others finish, then the transport
   * is closed. Idempotent: later calls wait for the first.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when streams were cut as the time ran out
   */
  close({ timeoutMs = 10_000 }: MuxCloseOptions = {}): Promise<void> {
    checkWait("close the session", { timeoutMs });
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** Ends the session now: the transport is closed, and everything that waits rejects with `ERR_CLOSED`. */
  abort(reason?: unknown): void {
    this.#engine.abort(
      reason instanceof ParleyError
        ? reason
        : new ClosedError("ERR_CLOSED", "Cannot use the session as it was aborted on this side", {
          cause: reason,
        }),
    );
  }

  /** Numbers of this session. */
  stats(): MuxSessionStats {
    const { counters, state, live, backlog, memory, pings } = this.#engine;
    return {
      ...counters,
      state,
      streams: live,
      backlog: backlog.size,
      bufferedBytes: memory.usedBytes,
      rttMs: pings.lastRttMs,
    };
  }

  /** Incoming streams, until the session is over. Leaving the loop leaves the session as it is. */
  async *[Symbol.asyncIterator](): AsyncGenerator<MuxStream, void, void> {
    for (let stream = await this.acceptStream(); stream !== null; stream = await this.acceptStream()) {
      yield stream;
    }
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    this.goAway();
    this.#engine.refuseBacklog();
    const drained = await this.#drained(timeoutMs);
    const cut = this.#engine.live;
    await this.#engine.finish();
    await this.#engine.closed;
    if (drained) return;
    const text = `Cannot close the session in order: ${cut} streams were still open after ${timeoutMs} ms`;
    throw new TimeoutError("ERR_DRAIN_TIMEOUT", text, { cutConnections: cut });
  }

  /** True once no stream is left, false when that took too long. */
  #drained(timeoutMs: number): Promise<boolean> {
    if (this.#engine.live === 0 || this.#engine.state === "ended") return Promise.resolve(true);
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(timeoutMs, () => resolve(false));
      this.#idle.push(() => (cancel(), resolve(true)));
    });
  }

  #wakeIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #wakeOpeners(count = 1): void {
    if (this.#engine?.state !== "open") count = Infinity;
    for (const waiter of this.#opening.splice(0, count)) waiter.check();
  }

  #checkEnd(): void {
    const { state, error } = this.#engine;
    if (state === "ended") {
      throw error ?? new ClosedError("ERR_CLOSED", "Cannot use the session as it was closed");
    }
  }

  #mayOpen(): boolean {
    this.#checkEnd();
    if (this.#engine.state !== "open") {
      const who = this.#engine.state === "goAwayReceived" ? "the peer" : "this side";
      throw new ClosedError("ERR_GOING_AWAY", `Cannot open a stream as ${who} is going away`);
    }
    return this.#engine.opening < this.#options.maxOpening;
  }

  #accept(): MuxStream | null | undefined {
    for (const core of this.#engine.backlog) return this.#take(core);
    return this.#engine.state === "ended" ? null : undefined;
  }

  #take(core: StreamCore): MuxStream {
    this.#engine.backlog.delete(core);
    core.accept();
    return new MuxStream(core);
  }

  /** Waits until `attempt` gives something or throws. */
  #wait<T>(
    queue: Waiter[],
    options: WaitOptions,
    attempt: () => T | undefined,
    timeout: (ms: number) => Error,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter = {
      check: () => {
        try {
          const result = attempt();
          if (result === undefined) return void queue.push(waiter);
          stop();
          resolve(result);
        } catch (error) {
          stop();
          reject(error);
        }
      },
    };
    const stop = watchWait(options, {
      clock: this.#options.clock,
      cancel: (error) => {
        const index = queue.indexOf(waiter);
        if (index >= 0) queue.splice(index, 1);
        reject(error);
      },
      timeout,
    });
    queue.push(waiter);
    return promise;
  }
}
