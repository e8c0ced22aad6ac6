// MuxSession: many streams over one transport, as the application sees it.
import type { CloseOptions } from "../options/close.ts";
import { checkOptionNames } from "../options/names.ts";
import { MUX_SESSION_NAMES } from "./option_names.ts";
import { ClosedError, LimitError, ParleyError, TimeoutError } from "../errors.ts";
import type { Transport } from "../net/transport/transport.ts";
import { Engine } from "./engine.ts";
import { type EngineCounters, unconfirmedError } from "./engine_types.ts";
import { type MuxSessionOptions, type ResolvedMuxOptions, resolveMuxOptions } from "./options.ts";
import type { SessionState } from "./state.ts";
import { MuxStream } from "./stream.ts";
import type { StreamCore } from "./stream_core.ts";
import { waitAtMost } from "../async/wait_at_most.ts";
import { checkTerm, MAX_STREAMS, type MuxTerms, type PeerTerms } from "./terms.ts";
import { AttemptQueue } from "../async/attempt_queue.ts";
import { checkWait, type WaitOptions, watchWait } from "../async/wait.ts";
import { INITIAL_WINDOW_BYTES } from "./credit_window.ts";

/** What a session has done so far. */
export interface MuxSessionStats extends Readonly<EngineCounters> {
  /** Where it stands. */
  readonly state: SessionState;
  /** Streams that are not over. */
  readonly streams: number;
  /** Streams that the peer opened and that were not accepted yet. */
  readonly backlog: number;
  /** Bytes that came and were not read, over all streams. */
  readonly bufferedBytes: number;
  /** Round trip measured last, milliseconds. */
  readonly rttMs: number | undefined;
}

/**
 * Many streams over one connection, by the yamux protocol; the peer may be any yamux program. The session
 * owns its transport and closes it.
 *
 * Everything is bounded: see {@linkcode MuxSessionOptions}. A peer that breaks the protocol or floods
 * receives go-away 1 and is cut off; `closed` then resolves with the {@linkcode ProtocolError}.
 *
 * All methods may be called concurrently: streams open in the order of the calls, and an accepted stream
 * goes to the call that has waited longest.
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
  readonly #accepting = new AttemptQueue();
  readonly #opening = new AttemptQueue();
  #idle: (() => void)[] = [];
  #closing: Promise<void> | undefined;

  /**
   * Starts a session over `transport`.
   *
   * @throws {RangeError} when an option is out of range, before any I/O
   */
  constructor(transport: Transport, options: MuxSessionOptions) {
    checkOptionNames("Cannot start a session", options, MUX_SESSION_NAMES);
    this.#options = resolveMuxOptions(options);
    this.#engine = new Engine(transport, this.#options, {
      onIncoming: () => this.#accepting.wakeFirst(),
      onOpeningChanged: () => this.#opening.wakeAll(),
      onIdle: () => this.#wakeIdle(),
      onEnd: () => {
        this.#opening.wakeAll();
        this.#wakeIdle();
        this.#accepting.wakeAll();
      },
    });
  }

  /** Where the session stands. */
  get status(): SessionState {
    return this.#engine.state;
  }

  /**
   * Resolves once the session is over and the transport closed: with `undefined` after an orderly end,
   * else with the error that ended it. Never rejects.
   */
  get closed(): Promise<ParleyError | undefined> {
    return this.#engine.closed;
  }

  /**
   * Opens a stream. It can be written to at once; if the peer refuses it, reads reject with
   * `ERR_TOO_MANY_STREAMS`, or `ERR_GOING_AWAY` when the peer was going away. Waits for its turn while
   * the peer accepts no more streams (by {@linkcode agree}, or by its refusals), or `maxOpening` wait.
   *
   * @throws {ClosedError} `ERR_GOING_AWAY` once a side went away, `ERR_CLOSED` or `ERR_RESET` after the end
   * @throws {LimitError} `ERR_TOO_MANY_STREAMS` when it got no turn within `timeoutMs`, or no memory
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when those before it had no answer within `timeoutMs`
   */
  async openStream(options: WaitOptions = {}): Promise<MuxStream> {
    checkWait("open a stream", options);
    options.signal?.throwIfAborted();
    // Who waits already has the earlier turn.
    const opened = this.#opening.isEmpty ? this.#open() : undefined;
    if (opened !== undefined) return opened;
    return await this.#opening.wait(options, {
      clock: this.#options.clock,
      attempt: () => this.#open(),
      timeout: (ms) => this.#lateOpen(ms),
    });
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
    return await this.#accepting.wait(options, {
      clock: this.#options.clock,
      attempt: () => this.#accept(),
      timeout: (ms) =>
        new TimeoutError("ERR_READ_TIMEOUT", `Cannot accept a stream: none came in ${ms} ms`),
    });
  }

  /**
   * Measures the round trip, in milliseconds. Call it as often as you like: calls during a ping share its
   * answer, and at most 50 pings leave in any ten seconds (40 at once), the keepalive's included.
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
        new TimeoutError(
          "ERR_READ_TIMEOUT",
          `Cannot measure the round trip: no answer in ${ms} ms`,
        ),
    });
    try {
      return await answer;
    } finally {
      stop();
    }
  }

  /** What this side accepts, to announce to the peer: see {@linkcode agree}. */
  get terms(): MuxTerms {
    return this.#engine.terms.ours;
  }

  /**
   * Sets the terms that the peer announced, by a protocol of yours. Call it again when they change.
   *
   * With `maxStreams`, {@linkcode openStream} waits for its turn and is not refused. With `windowBytes`, and
   * if {@linkcode terms} was announced to the peer as well, streams start with the small windows of the terms
   * and grow as memory allows, and both sides know the end of a handler ({@linkcode MuxStream.retire}).
   * Call it before the peer may open streams under these terms.
   *
   * @throws {RangeError} when a term is out of range
   */
  agree(theirs: PeerTerms): void {
    const { maxStreams = 0, windowBytes = 1 } = theirs;
    checkTerm("maxStreams", maxStreams, MAX_STREAMS, 0);
    checkTerm("windowBytes", windowBytes, INITIAL_WINDOW_BYTES);
    this.#engine.agree(theirs);
  }

  /** Lets the peer have more streams open than `maxStreams`. Announce it first. Fewer changes nothing. */
  raiseMaxStreams(maxStreams: number): void {
    checkTerm("maxStreams", maxStreams, MAX_STREAMS);
    this.#engine.terms.raiseMaxStreams(maxStreams);
  }

  /** Lets the session reserve more than `maxBufferedBytes` of the options. Less changes nothing. */
  raiseMaxBufferedBytes(maxBufferedBytes: number): void {
    checkTerm("maxBufferedBytes", maxBufferedBytes, 2 ** 40);
    this.#engine.memory.raise(maxBufferedBytes);
  }

  /** Announces that the session accepts no new streams: neither side can open any, old ones finish. */
  goAway(): void {
    this.#engine.goAway();
    this.#opening.wakeAll();
  }

  /**
   * Ends the session in order: sends go-away, resets streams that were not accepted, lets the others
   * finish, then closes the transport. Idempotent: later calls wait for the first.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when streams were cut because the time ran out
   * @throws {ParleyError} what ended the session, when that came before everything was done
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkWait("close the session", options);
    this.#closing ??= this.#close(options.timeoutMs ?? 10_000);
    return this.#closing;
  }

  /** Ends the session now: the transport is closed, and everything that waits rejects with `ERR_CLOSED`. */
  abort(reason?: unknown): void {
    this.#engine.abort(
      reason instanceof ParleyError
        ? reason
        : new ClosedError("ERR_CLOSED", "Cannot use the session: it was aborted on this side", {
          cause: reason,
        }),
    );
  }

  /** Numbers of this session. */
  stats(): MuxSessionStats {
    const { counters, state, streams, memory, pings } = this.#engine;
    return {
      ...counters,
      state,
      streams: streams.live,
      backlog: streams.backlog.size,
      bufferedBytes: memory.usedBytes,
      rttMs: pings.lastRttMs,
    };
  }

  /** Incoming streams, until the session is over. Leaving the loop leaves the session as it is. */
  async *[Symbol.asyncIterator](): AsyncGenerator<MuxStream, void, void> {
    for (
      let stream = await this.acceptStream();
      stream !== null;
      stream = await this.acceptStream()
    ) {
      yield stream;
    }
  }

  /** The same as {@linkcode close}; waits for {@linkcode closed} when the session has ended already. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.status === "ended" ? this.closed : this.close());
  }

  async #close(timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    const engine = this.#engine;
    const endMs = clock.now() + timeoutMs;
    const wasOver = engine.state === "ended";
    this.goAway();
    engine.refuseBacklog();
    const drained = await this.#drained(timeoutMs);
    let late: TimeoutError | undefined;
    const cut = () => {
      // It may have ended in order, and only let the peer read that.
      if (engine.state !== "ended") late = this.#drainError(timeoutMs);
      const text = "Cannot use the session: it was closed on this side before everything was done";
      engine.abort(new ClosedError("ERR_CLOSED", text, { cause: late }));
    };
    const cancel = drained ? clock.after(Math.max(0, endMs - clock.now()), cut) : void cut();
    const lost = await engine.closed;
    cancel?.();
    if (late !== undefined) throw late;
    if (lost !== undefined && !wasOver) throw lost;
  }

  #drainError(timeoutMs: number): TimeoutError {
    const { streams: { live }, writer: { queuedBytes } } = this.#engine;
    if (live === 0) return unconfirmedError(queuedBytes, timeoutMs);
    const text =
      `Cannot close the session in order: ${live} streams were still open after ${timeoutMs} ms`;
    return new TimeoutError("ERR_DRAIN_TIMEOUT", text, {
      cutConnections: live,
      cutBytes: queuedBytes,
    });
  }

  /** True once no stream is left, false when that took too long. */
  #drained(timeoutMs: number): Promise<boolean> {
    if (this.#engine.streams.live === 0 || this.#engine.state === "ended") {
      return Promise.resolve(true);
    }
    const { promise: idle, resolve } = Promise.withResolvers<void>();
    this.#idle.push(resolve);
    return waitAtMost(this.#options.clock, timeoutMs, idle);
  }

  #wakeIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #checkEnd(): void {
    const { state, error } = this.#engine;
    if (state === "ended") {
      throw error ?? new ClosedError("ERR_CLOSED", "Cannot use the session: it was closed");
    }
  }

  /** A new stream, `undefined` when its turn has not come. */
  #open(): MuxStream | undefined {
    this.#checkEnd();
    if (this.#engine.state !== "open") {
      const side = this.#engine.isPeerGoing ? "the peer" : "this side";
      throw new ClosedError("ERR_GOING_AWAY", `Cannot open a stream: ${side} is going away`);
    }
    return this.#engine.openingWaitsFor === "nothing"
      ? this.#offer(this.#engine.open())
      : undefined;
  }

  #lateOpen(ms: number): Error {
    if (this.#engine.openingWaitsFor === "answers") {
      const text =
        `Cannot open a stream within ${ms} ms: ${this.#engine.streams.opening} before it have no answer yet`;
      return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
    }
    const text = `Cannot open a stream within ${ms} ms: the peer takes no more streams at a time`;
    return new LimitError("ERR_TOO_MANY_STREAMS", text);
  }

  #accept(): MuxStream | null | undefined {
    const { first } = this.#engine.streams.backlog;
    if (first !== undefined) return this.#take(first);
    return this.#engine.state === "ended" ? null : undefined;
  }

  #take(core: StreamCore): MuxStream {
    this.#engine.streams.take(core);
    core.accept();
    return this.#offer(core);
  }

  #offer(core: StreamCore): MuxStream {
    return new MuxStream(core, this.#options.clock);
  }
}
