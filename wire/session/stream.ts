// WireStream: a named stream, after its OPEN and ACCEPT: bytes both ways, or segments.
import { ProtocolError } from "../../errors.ts";
import type { ParleyError } from "../../errors.ts";
import type { LinkStatus } from "../../mux/state.ts";
import type { MuxStream } from "../../mux/stream.ts";
import type { WaitOptions } from "../../async/wait.ts";
import type { Meta } from "../protocol/frames.ts";
import {
  type BodyEnd,
  copyBody,
  SegmentReader,
  type SegmentSink,
  type SegmentSource,
  SegmentWriter,
} from "../protocol/segments.ts";
import { nameError } from "../protocol/refusals.ts";
import { EndWatch } from "../../async/step.ts";

/** What both sides know of a stream. */
export interface StreamInfo {
  /** Name under which it was opened. */
  readonly name: string;
  /** Who opened it, as authenticated; `undefined` for the server itself. */
  readonly from: string | undefined;
  /** What its opener said about it; where it traces, `traceparent` and `tracestate` are among it. */
  readonly meta: Meta;
}

/**
 * Puts back what was read off a stream and not used, once its handler has returned: its opener
 * learns that not all was used. For use inside this module.
 */
export let putBackUnused: (stream: WireStream) => void;

/** Reads the next bytes of a stream, as many as are there and fit. For use inside this module. */
export let readJoined: (stream: WireStream, limitBytes: number) => Promise<Uint8Array | null>;

/**
 * Whether the peer has ended its direction of a stream: what it sent can be read, even after a reset. For use
 * inside this module.
 */
export let hasPeerEnded: (stream: WireStream) => boolean;

/**
 * Ends a stream that is served, because what it was joined to has broken: the opener gets what was
 * written, and then learns of the break. The stream is reset when there is no way to send both. For
 * use inside this module.
 */
export let breakOff: (stream: WireStream, reason: unknown) => void;

/** Plain or segmented: the first use of a direction fixes it. */
type Mode = "unused" | "plain" | "segments";

/**
 * A named stream of bytes, both ways. Use a direction either plain, with {@linkcode read}, `for await`,
 * {@linkcode readable}, {@linkcode write} and {@linkcode writable}, or in segments, with
 * {@linkcode readFrom} and {@linkcode writeTo}; the first use decides.
 *
 * When a handler returns, its stream is over: bytes that it wrote still arrive, and bytes that it
 * did not read are dropped. When the handler throws, the stream is reset. A stream that was read to
 * its end and whose handler has returned is over on the opener's side too.
 *
 * One read at a time; `write` may be called concurrently with reads and other writes, and bytes
 * leave in the order of the calls.
 */
export class WireStream implements AsyncDisposable {
  /** Name under which it was opened. */
  readonly name: string;
  /** Who opened it, as authenticated; `undefined` for the server itself. */
  readonly from: string | undefined;
  /** What its opener said about it. It comes from the peer: check it as any input. */
  readonly meta: Meta;
  readonly #mux: MuxStream;
  /** How errors name it. */
  readonly #label: string;
  #closed: Promise<ParleyError | undefined> | undefined;
  #in: Mode = "unused";
  #out: Mode = "unused";
  #reader: SegmentReader | undefined;
  #writer: SegmentWriter | undefined;
  #bodyEnd: BodyEnd | undefined;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;
  #signal: AbortSignal | undefined;

  static {
    putBackUnused = (stream) => {
      if (stream.#reader !== undefined) stream.#mux.unread(stream.#reader.takeHeld());
    };
    readJoined = (stream, limitBytes) => stream.#readJoined(limitBytes);
    hasPeerEnded = (stream) => stream.#mux.peerHasEnded;
    breakOff = (stream, reason) => {
      if (!stream.#mux.breakOff()) stream.#mux.reset(reason);
    };
  }

  /** @ignore streams come from `open` and go to handlers */
  constructor(mux: MuxStream, { name, from, meta }: StreamInfo, label: string) {
    this.#mux = mux;
    this.#label = label;
    this.name = name;
    this.from = from;
    this.meta = meta;
  }

  /** Number of the stream in its session. */
  get id(): number {
    return this.#mux.id;
  }

  /** Where in its life the stream is: `"closing"` once our direction has ended. */
  get status(): LinkStatus {
    return this.#mux.status;
  }

  /**
   * Resolves once the stream is over: with `undefined` after an orderly end, else with what ended
   * it. Never rejects.
   */
  get closed(): Promise<ParleyError | undefined> {
    this.#closed ??= this.#mux.closed.then((error) => this.#named(error));
    return this.#closed;
  }

  /**
   * Fires when the stream ends other than in order: the peer reset it, such as a caller that gave up, or
   * the session was lost. A handler stops its work by it.
   */
  get signal(): AbortSignal {
    this.#signal ??= this.#namedSignal();
    return this.#signal;
  }

  /**
   * Waits for the next bytes; `null` at the peer's end. The chunk belongs to the caller.
   *
   * @throws {ClosedError} `ERR_RESET` when either side reset the stream or the session was lost
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when nothing came within `timeoutMs`
   * @throws {TypeError} when the direction is used in segments, or another read is under way
   */
  async read(options?: WaitOptions): Promise<Uint8Array | null> {
    this.#in = use("read from", this.#in, "plain");
    return await this.#pull(options);
  }

  /**
   * As {@linkcode read}, with the bytes copied to `target`, as many as are there and fit: for
   * readers of much data that use the same memory again. The result is how many bytes came. Until
   * then `target` must not be used.
   *
   * @throws {RangeError} when `target` has no room
   * @throws {TypeError} as {@linkcode read} does, and when the memory was transferred meanwhile
   */
  async readInto(target: Uint8Array, options?: WaitOptions): Promise<number | null> {
    this.#in = use("read from", this.#in, "plain");
    try {
      return await this.#mux.readInto(target, options);
    } catch (error) {
      throw this.#named(error, options);
    }
  }

  /**
   * Sends `bytes`; resolves when they were taken over, which waits for the peer to read.
   *
   * @throws {ClosedError} `ERR_CLOSED` after {@linkcode closeWrite}, `ERR_RESET` after a reset
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when the bytes were not taken within `timeoutMs`
   * @throws {TypeError} when the direction is used in segments
   */
  async write(bytes: Uint8Array | string, options?: WaitOptions): Promise<void> {
    this.#out = use("write to", this.#out, "plain");
    await this.#push(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes, options);
  }

  /**
   * Sends all of `source` as one segment; more may follow. Returns the number of bytes. When the segment
   * cannot be ended, the stream is reset and the source cancelled, also while the source is silent;
   * `timeoutMs` is for each chunk: until the source yields it, and until the peer takes it.
   *
   * @throws {ClosedError} `ERR_RESET` when the stream ends before
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when a chunk did not come, or go, within `timeoutMs`
   * @throws {TypeError} when the direction is used plain
   */
  async readFrom(source: SegmentSource, options?: WaitOptions): Promise<number> {
    this.#out = use("write to", this.#out, "segments");
    this.#writer ??= new SegmentWriter(
      (bytes, wait) => this.#push(bytes, wait),
      new EndWatch(() => this.closed),
    );
    try {
      return await this.#writer.send(source, options);
    } catch (error) {
      // The peer must not take a part for the whole.
      this.abort(error);
      throw error;
    }
  }

  /**
   * Writes the next segment to `sink`, which stays open. Returns the number of bytes, `null` when the peer
   * ended its direction and no segment is left. When it breaks off inside a segment, the stream is reset;
   * `timeoutMs` is for each chunk.
   *
   * @throws {ClosedError} `ERR_RESET` when the stream broke off, also while the sink takes nothing
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when a chunk did not come, or the sink did not take
   * it, within `timeoutMs`
   * @throws {ProtocolError} `ERR_WIRE_SEGMENT` when the stream ends inside a segment, or holds none
   * @throws {TypeError} when the direction is used plain
   */
  async writeTo(sink: SegmentSink, options?: WaitOptions): Promise<number | null> {
    this.#in = use("read from", this.#in, "segments");
    const mux = this.#mux;
    this.#reader ??= new SegmentReader((wait) => this.#pull(wait));
    this.#bodyEnd ??= {
      watch: new EndWatch(() => this.closed),
      hasMore: () => mux.stats().bufferedBytes > 0,
    };
    try {
      return await copyBody(this.#reader, sink, this.#bodyEnd, options);
    } catch (error) {
      // Inside a segment there is no way back to its beginning.
      if (error instanceof ProtocolError || this.#reader.isInside) this.abort(error);
      throw error;
    }
  }

  /** Ends our direction; the peer reads to its end, and we go on reading. Idempotent. */
  async closeWrite(): Promise<void> {
    try {
      await this.#mux.closeWrite();
    } catch (error) {
      throw this.#named(error);
    }
  }

  /**
   * Ends our direction after everything written, and stops reading. Resolves when the stream is over.
   * Idempotent.
   *
   * @throws {TimeoutError} `ERR_WRITE_TIMEOUT` when the peer did not take everything within `timeoutMs`
   */
  async close(options?: WaitOptions): Promise<void> {
    try {
      await this.#mux.close(options);
    } catch (error) {
      throw this.#named(error, options);
    }
  }

  /** Ends both directions now; waiting calls of both sides reject with `ERR_RESET`. Idempotent. */
  abort(reason?: unknown): void {
    this.#mux.reset(reason);
  }

  /** What the peer sends. Cancelling it stops reading. */
  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const chunk = await this.read();
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: () => this.#mux.cancel(),
    }, { highWaterMark: 0 });
    return this.#readable;
  }

  /** What goes to the peer. Closing it is {@linkcode closeWrite}, aborting it {@linkcode abort}. */
  get writable(): WritableStream<Uint8Array> {
    this.#out = use("write to", this.#out, "plain");
    this.#writable ??= new WritableStream<Uint8Array>({
      start: (controller) => {
        void this.closed.then((error) => error && controller.error(error));
      },
      write: (chunk) => this.#push(chunk),
      close: () => this.closeWrite(),
      abort: (reason) => this.abort(reason),
    });
    return this.#writable;
  }

  /** Reads to the end; leaving the loop early stops reading. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    let ended = false;
    try {
      for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk;
      ended = true;
    } finally {
      if (!ended) this.#mux.cancel();
    }
  }

  /**
   * The same as {@linkcode close}; after a read or write that ended by its `signal` or `timeoutMs`, a
   * {@linkcode abort}. A peer that does not end the stream within half a second is not waited for: the stream
   * then ends by itself. Never rejects, so that it hides no error by which the block was left; {@linkcode
   * closed} says how the stream ended.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mux[Symbol.asyncDispose]();
  }

  async #readJoined(limitBytes: number): Promise<Uint8Array | null> {
    try {
      return await this.#mux.readJoined(limitBytes);
    } catch (error) {
      throw this.#named(error);
    }
  }

  async #pull(options: WaitOptions | undefined): Promise<Uint8Array | null> {
    try {
      return await this.#mux.read(options);
    } catch (error) {
      throw this.#named(error, options);
    }
  }

  async #push(bytes: Uint8Array, options?: WaitOptions): Promise<void> {
    try {
      await this.#mux.write(bytes, options);
    } catch (error) {
      throw this.#named(error, options);
    }
  }

  /** An error of the stream with its name; the reason of a signal of the caller stays as it is. */
  #named<Given>(error: Given, options?: WaitOptions): Given | ParleyError {
    if (options?.signal?.aborted && error === options.signal.reason) return error;
    return nameError(error, this.#mux.id, this.#label);
  }

  #namedSignal(): AbortSignal {
    const { signal } = this.#mux;
    const named = new AbortController();
    const onAbort = () => named.abort(this.#named(signal.reason));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return named.signal;
  }
}

function use(action: string, now: Mode, wanted: Mode): Mode {
  if (now === "unused" || now === wanted) return wanted;
  const other = now === "plain" ? "plain" : "in segments";
  throw new TypeError(`Cannot ${action} the stream like this: the direction is used ${other}`);
}
