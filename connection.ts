// Connection: one peer; messages in, messages out, and an end in order.
import { ClosedError, TimeoutError } from "./errors.ts";
import type { Framing } from "./framing.ts";
import type { Address, SocketTuning, TlsInfo, Transport } from "./net/transport.ts";
import { checkInteger } from "./limits/check.ts";
import { MAX_MESSAGE_BYTES } from "./framing.ts";
import { Inbox, type ReceiveOptions } from "./connection/inbox.ts";
import {
  type ConnectionOptions,
  resolveConnectionOptions,
  type ResolvedConnectionOptions,
} from "./connection/options.ts";
import { messageReadable, messageWritable } from "./connection/streams.ts";
import { sharedSweeper } from "./connection/sweeper.ts";
import { TimeoutWatch } from "./connection/timeout_watch.ts";
import type { ConnectionCounts, ConnectionEnd, ConnectionSetup, Traffic } from "./connection/types.ts";
import { WriteQueue } from "./connection/write_queue.ts";

export type { ConnectionOptions } from "./connection/options.ts";
export type { ReceiveOptions } from "./connection/inbox.ts";
export type { ConnectionCounts, ConnectionEnd, ConnectionSetup, Traffic } from "./connection/types.ts";

/** After our end of the connection is closed, how long the peer may take to close its own, in ms. */
const LINGER_MS = 1000;

/**
 * ```
 * open ──close()──▶ closing ──▶ closed
 *   └──abort(), reset, timeout────▲
 * ```
 */
type State = "open" | "closing" | "closed";

const textEncoder = new TextEncoder();

/**
 * A connection to one peer that carries whole messages. `serve` hands one to its handler, `connect` gives one.
 *
 * Reading: iterate over it, or call {@linkcode receive}, or use {@linkcode readable}; one reader at a time. Writing:
 * {@linkcode send} or {@linkcode writable}. Messages that are sent in one turn of the event loop go out in one write.
 *
 * @example Over a pair of transports in memory
 * ```ts
 * import { Connection, memoryPair } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * const [near, far] = memoryPair();
 * await using a = new Connection(near);
 * await using b = new Connection(far);
 * await a.send("Hi!");
 * assertEquals(await b.receive(), new TextEncoder().encode("Hi!"));
 * ```
 *
 * @template Data what {@linkcode data} holds
 */
export class Connection<Data = unknown> implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Name in logs and statistics, made on this side. */
  readonly id: string;
  /** Whatever belongs to this connection: set it, read it; Parley does not touch it. */
  data: Data;
  /** Resolves when the connection is gone and its descriptor is free. Never rejects. */
  readonly closed: Promise<ConnectionEnd>;

  readonly #transport: Transport;
  readonly #options: ResolvedConnectionOptions;
  readonly #inbox: Inbox;
  readonly #queue: WriteQueue;
  readonly #openedAt = new Date();
  readonly #onTraffic: ((traffic: Traffic) => number) | undefined;
  readonly #unwatch: () => void;
  readonly #inputEnded: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #closed: PromiseWithResolvers<ConnectionEnd> = Promise.withResolvers();
  #state: State = "open";
  #draining = false;
  #drainingController: AbortController | undefined;
  #writesEnded = false;
  #error: Error | null = null;
  #closing: Promise<void> | undefined;
  #messagesOut = 0;
  #told = { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0 };
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array | string> | undefined;

  /**
   * Takes over a transport and begins to read. `serve` and `connect` do this for you.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  constructor(transport: Transport, setup: ConnectionSetup<Data> = {}) {
    const options = resolveConnectionOptions("Cannot make the connection", setup, 0);
    this.#transport = transport;
    this.#options = options;
    this.id = setup.id ?? crypto.randomUUID();
    this.data = setup.data as Data;
    this.closed = this.#closed.promise;
    this.#onTraffic = setup.onTraffic;
    this.#queue = new WriteQueue(transport, options.framing.encoder(options), {
      highWaterBytes: options.highWaterBytes,
      maxQueuedBytes: options.maxQueuedBytes,
      onError: (error) => this.#onWriteError(error),
      onWritten: () => {},
    });
    this.#inbox = new Inbox(transport, options.framing.decoder(options), {
      highWaterBytes: options.readAheadBytes,
      onIdle: () => this.#queue.flush(),
      onRead: () => this.#tellTraffic(),
      onEnd: (error) => this.#onInputEnd(error),
    });
    const watch = new TimeoutWatch(options, this.#inbox, this.#queue, (error) => this.#onTimeout(error));
    const sweeper = setup.sweeper ?? sharedSweeper;
    this.#unwatch = sweeper.add((nowMs) => {
      this.#tellTraffic();
      watch.sweep(nowMs);
    }, watch.shortestMs);
    this.#inbox.start();
  }

  /** The near end. */
  get localAddr(): Address {
    return this.#transport.localAddr;
  }

  /** The far end. */
  get remoteAddr(): Address {
    return this.#transport.remoteAddr;
  }

  /** What the TLS handshake told; `undefined` without TLS. */
  get tls(): TlsInfo | undefined {
    return this.#transport.tls;
  }

  /** Aborts when {@linkcode drain} is called, as a draining server does: time to say goodbye. */
  get draining(): AbortSignal {
    this.#drainingController ??= new AbortController();
    if (this.#draining) this.#drainingController.abort(goingAway());
    return this.#drainingController.signal;
  }

  /** Counters as they are now. */
  stats(): ConnectionCounts {
    return {
      bytesIn: this.#inbox.bytesIn,
      bytesOut: this.#queue.writtenBytes,
      messagesIn: this.#inbox.messagesIn,
      messagesOut: this.#messagesOut,
      heldBytes: this.#inbox.heldBytes,
      queuedBytes: this.#queue.queuedBytes,
      openedAt: this.#openedAt,
    };
  }

  /**
   * Sends one message; a string goes as UTF-8. Resolves when it is accepted and less than `highWaterBytes` wait: a
   * sender that waits for each send keeps memory bounded. Accepted messages go out in order. The bytes must not be changed
   * until {@linkcode flush} resolves.
   *
   * @throws {FramingError} when the framing refuses the message; nothing was sent, the connection goes on
   * @throws {ClosedError} `ERR_CLOSED` after `close()`, `ERR_RESET` when the peer vanished, `ERR_SLOW_CONSUMER`
   */
  send(message: Uint8Array | string): Promise<void> {
    if (this.#state !== "open" || this.#writesEnded) return handled(Promise.reject(this.#cannotSend()));
    try {
      const accepted = this.#queue.push(typeof message === "string" ? textEncoder.encode(message) : message);
      this.#messagesOut++;
      return accepted;
    } catch (error) {
      return handled(Promise.reject(error));
    }
  }

  /**
   * Resolves when all messages sent so far are handed to the kernel.
   *
   * @throws {ClosedError} when the connection ended before that, with the bytes that were not sent
   */
  flush(): Promise<void> {
    return this.#queue.flushed();
  }

  /**
   * Receives the next message: it is yours, and never overwritten later. `null` is the end of the peer's messages. A wait that
   * ends early loses nothing: the message goes to the next reader.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` after `timeoutMs`
   * @throws {FramingError} when the peer sent what is no message; the connection has ended then
   * @throws {ClosedError} `ERR_RESET` when the peer vanished
   * @throws {TypeError} when another reader waits already
   */
  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    return this.#inbox.receive(options);
  }

  /** Iterates over messages, to the end of the peer's; throws what {@linkcode receive} throws. Leaving the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    const inbox = this.#inbox;
    return {
      next: () => inbox.next(),
      return: () => Promise.resolve({ value: undefined, done: true }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Messages as a stream, read on demand. Cancelling it aborts the connection. */
  get readable(): ReadableStream<Uint8Array> {
    return this.#readable ??= messageReadable(this);
  }

  /** A stream that takes messages. Closing it ends our direction; aborting it aborts the connection. */
  get writable(): WritableStream<Uint8Array | string> {
    return this.#writable ??= messageWritable(this);
  }

  /**
   * Changes the framing of both directions, from the next message on: messages that were received or sent before keep
   * the old one.
   *
   * @throws {TypeError | RangeError} when the framing or its limit is wrong
   */
  setFraming(framing: Framing, options: Pick<ConnectionOptions, "maxMessageBytes"> = {}): void {
    const { maxMessageBytes = this.#options.maxMessageBytes } = options;
    checkInteger("Cannot change the framing", "maxMessageBytes", maxMessageBytes, 1, MAX_MESSAGE_BYTES);
    const encoder = framing.encoder({ maxMessageBytes });
    this.#inbox.setDecoder(framing.decoder({ maxMessageBytes }));
    this.#queue.setEncoder(encoder);
  }

  /**
   * Changes options of the socket.
   *
   * @throws {TypeError} when this kind of connection has no such option
   */
  tune(tuning: SocketTuning): void {
    if (this.#transport.tune === undefined) {
      throw new TypeError("Cannot tune the connection as its transport has no socket options");
    }
    this.#transport.tune(tuning);
  }

  /** Lets the process live while this connection is open (the default). */
  ref(): void {
    this.#transport.ref?.();
  }

  /** Lets the process end although this connection is open. */
  unref(): void {
    this.#transport.unref?.();
  }

  /**
   * Ends our direction once all that was sent is handed over; the peer reads to the end and can still send.
   *
   * @throws {ClosedError} when the connection ended before that
   */
  async closeWrite(): Promise<void> {
    if (this.#state !== "open" || this.#writesEnded) return;
    this.#writesEnded = true;
    await this.#queue.flushed();
    await this.#transport.closeWrite();
  }

  /**
   * Reads no further than to the end of the message that has begun: what was received is handed to the reader, then
   * its iteration ends. Sending goes on. {@linkcode draining} aborts. A draining server calls this on every connection.
   */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#inbox.drain();
    this.#drainingController?.abort(goingAway());
  }

  /**
   * Closes in order: hands over what was sent, says so to the peer, waits a moment for it to close its side. Messages
   * received so far can still be read. Idempotent.
   *
   * @throws {ClosedError | TimeoutError} when bytes that were accepted could not be handed over
   */
  close(): Promise<void> {
    return this.#closing ??= handled(this.#closeInOrder());
  }

  /** Ends the connection now: what waits to be read or sent is dropped, and pending calls reject with `reason`. */
  abort(reason?: unknown): void {
    const error = reason instanceof Error
      ? reason
      : new ClosedError("ERR_CLOSED", "The connection was aborted on this side", { cause: reason });
    this.#inbox.cut(reason === undefined ? error : reason);
    this.#finish(error);
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeInOrder(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#inbox.discard();
    const { closeTimeoutMs } = this.#options;
    const timer = setTimeout(() => this.#onCloseTimeout(), closeTimeoutMs);
    let lingerTimer: ReturnType<typeof setTimeout> | undefined;
    try {
      await this.#queue.flushed();
      if (!this.#writesEnded) await this.#transport.closeWrite();
      const lingered = new Promise<void>((resolve) => {
        lingerTimer = setTimeout(resolve, Math.min(LINGER_MS, closeTimeoutMs));
      });
      await Promise.race([this.#inputEnded.promise, lingered]);
      this.#finish(this.#error);
    } catch (error) {
      this.#finish(error as Error);
    } finally {
      clearTimeout(timer);
      clearTimeout(lingerTimer);
    }
    const { error, unsentBytes } = await this.closed;
    if (unsentBytes > 0 && error !== null) throw error;
  }

  #onCloseTimeout(): void {
    const { closeTimeoutMs } = this.#options;
    this.#finish(
      new TimeoutError(
        "ERR_WRITE_TIMEOUT",
        `Cannot close in order within ${closeTimeoutMs} ms: the peer did not take ${this.#queue.queuedBytes} bytes`,
        { cutConnections: 1, cutBytes: this.#queue.queuedBytes },
      ),
    );
  }

  /** No more input comes: the peer ended in order, vanished, or sent what is no message. */
  #onInputEnd(error: Error | null): void {
    this.#inputEnded.resolve();
    if (error === null || this.#state === "closed") return;
    if (error instanceof ClosedError) this.#finish(this.#error ?? error);
    else this.#failInOrder(error);
  }

  /** The connection cannot go on; what was sent before is still handed over. */
  #failInOrder(error: Error): void {
    this.#error ??= error;
    void this.close();
  }

  #onTimeout(error: Error): void {
    this.#inbox.end(error);
    if (error instanceof ClosedError) this.#finish(error);
    else this.#failInOrder(error);
  }

  /** Writing is over. The peer may have said why before it left, so reading goes on until it ends, or for a moment. */
  #onWriteError(error: Error): void {
    this.#error ??= error;
    if (error instanceof ClosedError && error.code === "ERR_SLOW_CONSUMER") {
      this.#inbox.end(error);
      this.#finish(error);
    } else {
      this.#queue.fail(this.#withUnsent(error));
      void this.#hearLastWords(error);
    }
  }

  async #hearLastWords(error: Error): Promise<void> {
    this.#state = "closing";
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lingered = new Promise<void>((resolve) => timer = setTimeout(resolve, LINGER_MS));
    await Promise.race([this.#inputEnded.promise, lingered]);
    clearTimeout(timer);
    this.#finish(error);
  }

  #withUnsent(error: Error): Error {
    if (!(error instanceof ClosedError) || error.unsentBytes > 0) return error;
    const { queuedBytes } = this.#queue;
    return new ClosedError(error.code as "ERR_RESET", error.message, {
      cause: error,
      unsentBytes: queuedBytes,
    });
  }

  #finish(error: Error | null): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#error = error;
    this.#unwatch();
    const unsentBytes = this.#queue.queuedBytes;
    this.#transport.close();
    this.#queue.fail(
      error ?? new ClosedError("ERR_CLOSED", "Cannot send as the connection is closed", { unsentBytes }),
    );
    this.#inbox.end(error);
    this.#tellTraffic();
    this.#closed.resolve({ error, unsentBytes });
  }

  #cannotSend(): Error {
    if (this.#error !== null) return this.#error;
    const why = this.#state === "open" ? "its writing side was closed" : "the connection is closed";
    return new ClosedError("ERR_CLOSED", `Cannot send as ${why}`);
  }

  /** Tells what moved since the last time; gives ms to wait before reading on. */
  #tellTraffic(): number {
    if (this.#onTraffic === undefined) return 0;
    const told = this.#told;
    const traffic = {
      bytesIn: this.#inbox.bytesIn - told.bytesIn,
      bytesOut: this.#queue.writtenBytes - told.bytesOut,
      messagesIn: this.#inbox.messagesIn - told.messagesIn,
      messagesOut: this.#messagesOut - told.messagesOut,
    };
    told.bytesIn += traffic.bytesIn;
    told.bytesOut += traffic.bytesOut;
    told.messagesIn += traffic.messagesIn;
    told.messagesOut += traffic.messagesOut;
    return this.#onTraffic(traffic);
  }
}

function goingAway(): ClosedError {
  return new ClosedError("ERR_GOING_AWAY", "The connection is draining");
}

/** Marks a rejection as one that may go unheard: the connection tells of its end in other ways too. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
