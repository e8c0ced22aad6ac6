// MuxStream: one bidirectional flow of bytes inside a session, as the application sees it.
import type { ParleyError } from "../errors.ts";
import type { StreamState } from "./state.ts";
import type { StreamCore } from "./stream_core.ts";
import { checkWait, type WaitOptions } from "./wait.ts";

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
 * {@linkcode readable}; write with {@linkcode write} or through {@linkcode writable}. The direct methods are the
 * faster ones. The peer may send only as much as its window allows, and gets more as bytes are read.
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
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /** Streams come from `MuxSession.openStream` and `acceptStream`. */
  constructor(core: StreamCore) {
    this.#core = core;
  }

  /** Number of the stream: odd when the client opened it, even when the server did. */
  get id(): number {
    return this.#core.id;
  }

  /**
   * Resolves once the stream is over: with `undefined` after a FIN of each side, else with what ended it. Never
   * rejects.
   */
  get closed(): Promise<ParleyError | undefined> {
    return this.#core.closed;
  }

  /**
   * Waits for the next bytes; `null` at the peer's FIN. The chunk belongs to the caller. A read that ends early
   * loses nothing: the next one goes on.
   *
   * @throws {ClosedError} `ERR_RESET` when either side reset the stream or the session was lost
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when nothing came within `timeoutMs`
   * @throws {TypeError} when another read is under way
   */
  read(options?: WaitOptions): Promise<Uint8Array | null> {
    if (options !== undefined) checkWait("read from the stream", options);
    return this.#core.receiver.read(options);
  }

  /**
   * Sends `bytes`; resolves when they were taken over, and only then may they be changed. That waits for the
   * peer's window: a peer that does not read holds us up here. Writes keep their order. When a write that has gone
   * in part ends early, the stream is reset.
   *
   * @throws {ClosedError} `ERR_CLOSED` after {@linkcode closeWrite}, `ERR_RESET` after a reset
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when the bytes were not taken within `timeoutMs`
   */
  write(bytes: Uint8Array, options?: WaitOptions): Promise<void> {
    if (options !== undefined) checkWait("write to the stream", options);
    return this.#core.sender.write(bytes, options);
  }

  /**
   * Ends our direction after everything written; the peer reads to its end, and we go on reading. Resolves when
   * FIN is on its way. Idempotent.
   *
   * @throws {ClosedError} `ERR_RESET` when the stream was reset before
   */
  closeWrite(): Promise<void> {
    return this.#core.sender.finish();
  }

  /**
   * Ends our direction after everything written and stops reading. What the peer still sends is refused with a
   * reset, as TCP does; so read to the end first when it matters. Resolves when the stream is over. Idempotent.
   */
  async close(_options: WaitOptions = {}): Promise<void> {
    this.#core.close();
    await this.#core.closed;
  }

  /** Stops reading now; together with a closed writing side that resets the stream. */
  cancel(): void {
    this.#core.receiver.discard();
  }

  /** Ends a served stream whose handler has returned. Resolves when it is over. */
  async retire(): Promise<void> {
    await this.close();
  }

  /** Fires when the stream ends other than in order. */
  get signal(): AbortSignal {
    const controller = new AbortController();
    void this.closed.then((error) => error && controller.abort(error));
    return controller.signal;
  }

  /** True once a read or a write ended by its `timeoutMs` or `signal`. */
  get hasGivenUp(): boolean {
    return false;
  }

  /** True while a read or a write waits. */
  get isBusy(): boolean {
    return false;
  }

  /** When the application used the stream last, by the session's clock, in milliseconds. */
  get lastUsedMs(): number {
    return 0;
  }

  /** Ends both directions now; waiting calls of both sides reject with `ERR_RESET`. Idempotent. */
  reset(reason?: unknown, _options: { readonly failed?: boolean } = {}): void {
    this.#core.reset(reason);
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
   * What the peer sends. It holds no bytes of its own, so credit goes back only for what was taken. Cancelling
   * drops what comes from then on; together with a closed {@linkcode writable} that resets the stream.
   */
  get readable(): ReadableStream<Uint8Array> {
    const { receiver } = this.#core;
    this.#readable ??= new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const chunk = await receiver.read();
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: () => receiver.discard(),
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
      for (let chunk = await receiver.read(); chunk !== null; chunk = await receiver.read()) yield chunk;
    } finally {
      receiver.discard();
    }
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
