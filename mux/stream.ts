// MuxStream: one bidirectional flow of bytes inside a session, as the application sees it.
import { type ParleyError, TimeoutError } from "../errors.ts";
import type { Clock } from "../async/clock.ts";
import { type LinkStatus, type StreamState, streamStatus } from "./state.ts";
import type { StreamCore } from "./stream_core.ts";
import { waitAtMost } from "../async/wait_at_most.ts";
import { checkWait, type WaitOptions, watchWait } from "../async/wait.ts";

/** Time for which the end of a scope waits for the peer to end its stream. */
const LEAVE_MS = 500;

/** What a stream has done so far. */
export interface MuxStreamStats {
  /** Where it stands: see `docs/yamux.md`. */
  readonly state: StreamState;
  /** Data bytes that came. */
  readonly bytesIn: number;
  /** Data bytes that were handed to the session's writer. */
  readonly bytesOut: number;
  /** Bytes that came and were not read yet. */
  readonly bufferedBytes: number;
  /** Bytes that wait for window or turn. */
  readonly pendingBytes: number;
  /** Size that the receive window has grown to. */
  readonly windowBytes: number;
}

/**
 * One bidirectional flow of bytes. Read with {@linkcode read}, with `for await`, or through
 * {@linkcode readable}; write with {@linkcode write} or through {@linkcode writable}. The direct
 * methods are faster. The peer may send only as much as its window allows, and the window grows
 * again as bytes are read.
 *
 * One read at a time; `write` may be called concurrently with reads and other writes, and bytes
 * leave in the order of the calls.
 *
 * @example
 * ```ts
 * import { memoryPair } from "@parley/parley";
 * import { MuxSession } from "@parley/parley/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = memoryPair();
 * await using client = new MuxSession(left, { role: "client" });
 * await using server = new MuxSession(right, { role: "server" });
 *
 * const there = await client.openStream();
 * await there.write(new TextEncoder().encode("Hi!"));
 * await there.closeWrite();
 *
 * const here = await server.acceptStream();
 * assertEquals(await new Response(here?.readable).text(), "Hi!");
 * await here?.close();
 * assertEquals(await there.read(), null);
 * ```
 */
export class MuxStream implements AsyncDisposable {
  readonly #core: StreamCore;
  readonly #clock: Clock;
  #uses = 0;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /** Streams come from `MuxSession.openStream` and `acceptStream`. */
  constructor(core: StreamCore, clock: Clock) {
    this.#core = core;
    this.#clock = clock;
    core.handle = this;
  }

  /** Number of the stream: odd when the client opened it, even when the server did. */
  get id(): number {
    return this.#core.id;
  }

  /** Where in its life the stream is: `"closing"` once our direction has ended. */
  get status(): LinkStatus {
    return streamStatus(this.#core.state);
  }

  /**
   * Resolves once the stream is over: with `undefined` after a FIN of each side, else with what
   * ended it. Never rejects.
   */
  get closed(): Promise<ParleyError | undefined> {
    return this.#core.closed;
  }

  /**
   * Waits for the next bytes; `null` at the peer's FIN. The chunk belongs to the caller. A read
   * that ends early loses nothing: the next one goes on.
   *
   * @throws {ClosedError} `ERR_RESET` when either side reset the stream or the session was lost
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when nothing came within `timeoutMs`
   * @throws {TypeError} when another read is under way
   */
  read(options?: WaitOptions): Promise<Uint8Array | null> {
    if (options !== undefined) checkWait("read from the stream", options);
    this.#uses += 1;
    return this.#core.receiver.read(options);
  }

  /**
   * Puts back bytes that were read too far: the next read returns them first. `bytes` must be the
   * end of the last chunk that was read, or all of it, and belongs to the stream from then on. If
   * the stream has broken off meanwhile, they are dropped as all that was unread.
   *
   * @throws {TypeError} when a read is under way
   *
   * @example Taking a line off a stream, and leaving the rest to the next reader
   * ```ts
   * import { memoryPair } from "@parley/parley";
   * import { MuxSession } from "@parley/parley/mux";
   * import { assertEquals } from "@std/assert";
   *
   * const [left, right] = memoryPair();
   * await using client = new MuxSession(left, { role: "client" });
   * await using server = new MuxSession(right, { role: "server" });
   * const there = await client.openStream();
   * await there.write(new TextEncoder().encode("title\nbody"));
   * await there.closeWrite();
   *
   * const here = await server.acceptStream();
   * const chunk = await here!.read();
   * here!.unread(chunk!.subarray(chunk!.indexOf(10) + 1));
   * assertEquals(await new Response(here!.readable).text(), "body");
   * await here!.closeWrite();
   * ```
   */
  unread(bytes: Uint8Array): void {
    this.#core.unread(bytes, this);
  }

  /**
   * As {@linkcode read}, with chunks that wait joined as far as they fit in `limitBytes`: for
   * readers to whom each chunk costs more than a copy.
   */
  readJoined(limitBytes: number): Promise<Uint8Array | null> {
    this.#uses += 1;
    return this.#core.receiver.read(undefined, limitBytes);
  }

  /**
   * As {@linkcode read}, with the bytes copied to `target`, as many as are there and fit: for
   * readers that pass them on and use the same memory again. Over sockets of Deno fresh memory for
   * each chunk costs more than a copy; over TLS of node there is nothing to save.
   * The result is how many bytes came.
   * Until then `target` must not be used.
   *
   * @throws {RangeError} when `target` has no room
   * @throws {TypeError} when another read is under way, or the memory was transferred meanwhile
   *
   * @example Counting what comes
   * ```ts
   * import { memoryPair } from "@parley/parley";
   * import { MuxSession } from "@parley/parley/mux";
   * import { assertEquals } from "@std/assert";
   *
   * const [left, right] = memoryPair();
   * await using client = new MuxSession(left, { role: "client" });
   * await using server = new MuxSession(right, { role: "server" });
   * const there = await client.openStream();
   * await there.write(new Uint8Array(100_000));
   * await there.closeWrite();
   *
   * const here = await server.acceptStream();
   * const memory = new Uint8Array(65_536);
   * let total = 0;
   * for (let count; (count = await here!.readInto(memory)) !== null;) total += count;
   * assertEquals(total, 100_000);
   * await here!.closeWrite();
   * ```
   */
  readInto(target: Uint8Array, options?: WaitOptions): Promise<number | null> {
    if (options !== undefined) checkWait("read from the stream", options);
    if (target.length === 0) {
      throw new RangeError("Cannot read from the stream: the memory to read into has no room");
    }
    this.#uses += 1;
    return this.#core.receiver.readInto(target, options);
  }

  /**
   * Sends `bytes`; resolves when they were taken over, and only then may they be changed. That
   * waits for the peer's window: a peer that does not read holds us up here. Writes keep their
   * order. When a write that has gone in part ends early, the stream is reset.
   *
   * @throws {ClosedError} `ERR_CLOSED` after {@linkcode closeWrite}, `ERR_RESET` after a reset
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when the bytes were not taken within `timeoutMs`
   */
  write(bytes: Uint8Array, options?: WaitOptions): Promise<void> {
    if (options !== undefined) checkWait("write to the stream", options);
    this.#uses += 1;
    return this.#core.sender.write(bytes, options);
  }

  /**
   * Ends our direction after everything written; the peer reads to its end, and we go on reading.
   * Resolves when FIN is on its way. Idempotent.
   *
   * @throws {ClosedError} `ERR_RESET` when the stream was reset before
   */
  closeWrite(): Promise<void> {
    return this.#core.sender.finish();
  }

  /**
   * Ends our direction after everything written, and stops reading: what still comes is heard and
   * not kept, and a peer that goes on sending is refused with a reset. So read to the end first
   * when it matters. Resolves when the stream is over, which the peer decides: it gets
   * `halfCloseTimeoutMs` without progress, then the stream is reset. Idempotent.
   *
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when written bytes were not taken in that time, or
   * the stream was not over within `timeoutMs`; `cutBytes` counts what was lost
   */
  async close(options: WaitOptions = {}): Promise<void> {
    checkWait("close the stream", options);
    const core = this.#core;
    options.signal?.throwIfAborted();
    core.close();
    let late: { readonly error: unknown } | undefined;
    const stop = watchWait(options, {
      clock: this.#clock,
      cancel: (error) => {
        late = { error };
        if (error instanceof TimeoutError) core.kill(error);
        else core.reset(error);
      },
      timeout: (ms) => this.#lateClose(ms),
    });
    const ended = await core.closed;
    stop();
    if (late !== undefined) throw late.error;
    if (ended instanceof TimeoutError && ended.cutBytes > 0) throw ended;
  }

  /**
   * Stops reading now: what comes is dropped. Once our direction is over too, the peer gets a reset
   * at once.
   */
  cancel(): void {
    this.#core.cancel();
  }

  /**
   * Ends a stream that a handler has served, once the handler has returned. Between sides that
   * agreed on terms ({@linkcode MuxSession.agree}) the stream is then over for the opener too, in
   * order if everything that it sent was used; otherwise this is {@linkcode close}. `unreadBytes`
   * were read off the stream and not used.
   *
   * @throws {TimeoutError} as {@linkcode close} does
   */
  async retire(unreadBytes = 0): Promise<void> {
    this.#core.retire(unreadBytes);
    await this.close();
  }

  /**
   * Ends a stream other than in order, but behind everything written: the opener can read that to
   * its end, and then learns that it was not all. `false`, with nothing done, where the sides have
   * not agreed on terms, because yamux cannot say that.
   */
  breakOff(): boolean {
    return this.#core.breakOff();
  }

  /** Fires when the stream ends other than in order, with what ended it as reason. */
  get signal(): AbortSignal {
    return this.#core.signal;
  }

  /**
   * True once a read or a write ended by its `timeoutMs` or `signal`: the flow is no longer what
   * the caller planned.
   */
  get hasGivenUp(): boolean {
    return this.#core.receiver.hasGivenUp || this.#core.sender.hasGivenUp;
  }

  /** True once the peer has ended its direction: what it sent can be read to the end, even after a reset. */
  get peerHasEnded(): boolean {
    return this.#core.receiver.hasEnded;
  }

  /** True while a read or a write waits. */
  get isBusy(): boolean {
    return this.#core.receiver.hasReader || this.#core.sender.pendingBytes > 0;
  }

  /** How often it was read from or written to: it moves while the application uses the stream. */
  get uses(): number {
    return this.#uses;
  }

  /**
   * Ends both directions now; waiting calls of both sides reject with `ERR_RESET`. Idempotent.
   * `failed` shows a peer that agreed on terms that the handler failed: its error then has a
   * `RemoteError` with `ERR_HANDLER` as cause.
   */
  reset(
    reason?: unknown,
    { failed = false }: { readonly failed?: boolean | undefined } = {},
  ): void {
    this.#core.reset(reason, failed);
  }

  /** Ends both directions now: {@linkcode reset} under the name that all links share. */
  abort(reason?: unknown): void {
    this.reset(reason);
  }

  /** Numbers of this stream. */
  stats(): MuxStreamStats {
    const { state, sender, receiver } = this.#core;
    return {
      state,
      bytesIn: receiver.receivedBytes,
      bytesOut: sender.sentBytes,
      bufferedBytes: receiver.bufferedBytes,
      pendingBytes: sender.pendingBytes,
      windowBytes: receiver.windowBytes,
    };
  }

  /**
   * What the peer sends. It holds no bytes of its own, so credit goes back only for what was taken.
   * Cancelling drops what comes from then on; together with a closed {@linkcode writable} that
   * resets the stream.
   */
  get readable(): ReadableStream<Uint8Array> {
    const { receiver } = this.#core;
    this.#readable ??= new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        this.#uses += 1;
        const chunk = await receiver.read();
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: () => this.#core.cancel(),
    }, { highWaterMark: 0 });
    return this.#readable;
  }

  /** What goes to the peer. Closing it is {@linkcode closeWrite}, aborting it {@linkcode reset}. */
  get writable(): WritableStream<Uint8Array> {
    const { sender } = this.#core;
    this.#writable ??= new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#core.closed.then((error) => error && controller.error(error));
      },
      write: (chunk) => sender.write(chunk),
      close: () => sender.finish(),
      abort: (reason) => this.#core.reset(reason),
    });
    return this.#writable;
  }

  /** Reads to the end; leaving the loop early stops reading as cancelling {@linkcode readable} does. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    const { receiver } = this.#core;
    try {
      for (let chunk = await receiver.read(); chunk !== null; chunk = await receiver.read()) {
        yield chunk;
      }
    } finally {
      this.#core.cancel();
    }
  }

  /**
   * The same as {@linkcode close}, but a stream on which a wait was given up is {@linkcode reset},
   * and a peer that does not end the stream within half a second is not waited for: the stream then
   * ends by itself. It never rejects, so that it hides no error by which the scope is left;
   * {@linkcode closed} says how the stream ended.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.hasGivenUp) this.reset();
    await waitAtMost(this.#clock, LEAVE_MS, this.close());
  }

  #lateClose(ms: number): TimeoutError {
    const cutBytes = this.#core.sender.pendingBytes;
    const text =
      `Cannot close stream ${this.id} in order within ${ms} ms: ${cutBytes} bytes were not taken`;
    return new TimeoutError("ERR_WRITE_TIMEOUT", text, { cutBytes });
  }
}
