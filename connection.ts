// Connection: one peer; messages in, messages out, and an end in order.
import { ClosedError, ParleyError } from "./errors.ts";
import { type Framing, MAX_MESSAGE_BYTES } from "./framing.ts";
import type { Address, SocketTuning, TlsInfo, Transport } from "./net/transport/transport.ts";
import { checkInteger } from "./options/check.ts";
import { Ending, goingAway } from "./connection/ending.ts";
import { Inbox, type ReceiveOptions } from "./connection/inbox.ts";
import { toBytes } from "./connection/message_bytes.ts";
import {
  checkFraming,
  type ConnectionOptions,
  type ResolvedConnectionOptions,
} from "./connection/options.ts";
import { Refusals, rejected } from "./async/rejections.ts";
import { resolveSetup } from "./connection/setup.ts";
import { messageReadable, messageWritable } from "./connection/streams.ts";
import { sharedSweeper, type Sweeper } from "./async/sweeper.ts";
import { TimeoutWatch } from "./connection/timeout_watch.ts";
import type { ConnectionEnd, ConnectionSetup, MessageObserver, SendProgress } from "./connection/types.ts";
import { TrafficReport } from "./connection/traffic_report.ts";
import type { ConnectionState, ConnectionStats } from "./stats/data/snapshots.ts";
import { iterate } from "./connection/waiter.ts";
import { WriteQueue } from "./connection/write_queue.ts";

export type { ConnectionOptions } from "./connection/options.ts";
export type { ReceiveOptions } from "./connection/inbox.ts";
export type { Sweep, Sweeper } from "./async/sweeper.ts";
export type {
  ConnectionEnd,
  ConnectionSetup,
  MessageGate,
  MessageObserver,
  SendProgress,
  Traffic,
} from "./connection/types.ts";

/**
 * A connection that carries whole messages. `serve` passes it to a handler, `connect` returns it.
 *
 * To read, iterate, call {@linkcode receive}, or use {@linkcode readable}. To write, call {@linkcode send}
 * or use {@linkcode writable}. Messages sent in one turn of the event loop leave in one write.
 *
 * One reader at a time; `send` may be called concurrently, and messages leave in the order of the calls.
 *
 * @example Over a pair of transports in memory
 * ```ts
 * import { Connection, memoryPair } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * const [near, far] = memoryPair();
 * const [a, b] = [new Connection(near), new Connection(far)];
 * await a.send("Hi!");
 * assertEquals(await b.receive(), new TextEncoder().encode("Hi!"));
 * await Promise.all([a.close(), b.close()]);
 * ```
 *
 * @template Data what {@linkcode data} holds
 */
export class Connection<Data = unknown> implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Name in logs and statistics, made on this side. */
  readonly id: string;
  /** Whatever belongs to this connection: set it, read it; Parley does not touch it. */
  data: Data;
  /** Resolves when no more bytes come from the peer: it ended its direction, or is gone. Never rejects. */
  readonly inputEnded: Promise<void>;
  /** Resolves when the connection is gone and its descriptor is free. Never rejects. */
  readonly closed: Promise<ConnectionEnd>;

  readonly #transport: Transport;
  readonly #options: ResolvedConnectionOptions;
  readonly #inbox: Inbox;
  readonly #queue: WriteQueue;
  readonly #openedAtMs = Date.now();
  readonly #watch: TimeoutWatch;
  readonly #sweeper: Sweeper;
  readonly #traffic: TrafficReport | undefined;
  readonly #ending: Ending;
  #draining = false;
  #drainingController: AbortController | undefined;
  #leavingController: AbortController | undefined;
  #refusals: Refusals | undefined;
  readonly #onUnheard: ConnectionSetup<Data>["onUnheard"];
  readonly #observer: MessageObserver | undefined;
  #messagesOut = 0;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array | string> | undefined;

  /**
   * Takes over a transport and begins to read. `serve` and `connect` do this for you.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  constructor(transport: Transport, setup: ConnectionSetup<Data> = {}) {
    const options = resolveSetup(setup);
    this.#transport = transport;
    this.#options = options;
    this.id = setup.id ?? crypto.randomUUID();
    this.data = setup.data as Data;
    this.#traffic = setup.onTraffic && new TrafficReport(setup.onTraffic);
    this.#onUnheard = setup.onUnheard;
    this.#observer = setup.observer;
    this.#queue = new WriteQueue(transport, options.framing.encoder(options), {
      highWaterBytes: options.highWaterBytes,
      maxQueuedBytes: options.maxQueuedBytes,
      onError: (error) => this.#ending.onWriteError(error),
    });
    this.#inbox = new Inbox(transport, () => options.framing.decoder(options), {
      highWaterBytes: options.readAheadBytes,
      idleTimeoutMs: options.idleTimeoutMs,
      rateGate: setup.rateGate,
      onRatePause: setup.onRatePause,
      observer: setup.observer,
      onIdle: () => this.#queue.flush(),
      onRead: () => {
        this.#queue.heardBytes = this.#queue.writtenBytes;
        if (setup.tellEachRead !== false) this.#tellTraffic();
      },
      onEnd: (error) => this.#ending.onInputEnd(error),
      onFault: (error) => this.#ending.failInOrder(error),
    });
    const watch = this.#watch = new TimeoutWatch(options, {
      transport,
      inbox: this.#inbox,
      queue: this.#queue,
      onTimeout: (error) => this.#ending.onTimeout(error),
    });
    this.#sweeper = setup.sweeper ?? sharedSweeper;
    const unwatch = this.#sweeper.add((nowMs) => {
      this.#tellTraffic();
      watch.sweep(nowMs, this.#ending.state === "open");
    }, watch.shortestMs);
    this.#ending = new Ending({
      transport,
      inbox: this.#inbox,
      queue: this.#queue,
      closeTimeoutMs: options.closeTimeoutMs,
      onClosed: () => {
        unwatch();
        this.#tellTraffic();
      },
    });
    this.closed = this.#ending.closed;
    this.inputEnded = this.#ending.inputEnded;
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

  /** Facts of the TLS handshake; `undefined` without TLS. */
  get tls(): TlsInfo | undefined {
    return this.#transport.tls;
  }

  /** Whether a peer can tell a break from an orderly end: TLS of node, memory, TCP with `canReset`. */
  get marksEnds(): boolean {
    return this.#transport.unsign !== undefined;
  }

  /** Aborts when {@linkcode drain} is called, as a draining server does: time to say goodbye. */
  get draining(): AbortSignal {
    this.#drainingController ??= new AbortController();
    if (this.#draining) this.#drainingController.abort(goingAway());
    return this.#drainingController.signal;
  }

  /** Bytes that may have arrived before {@linkcode drain} and were dropped, because its time was over. */
  get leftBytes(): number {
    return this.#inbox.leftBytes;
  }

  /**
   * Aborts when the peer has left: it ended its direction, or the connection is gone. The reason is
   * a `ClosedError`, or the error of the end. Earlier messages can still be received. The end is
   * noticed when it is read: not while `readAheadBytes` wait for a reader that pauses.
   */
  get signal(): AbortSignal {
    if (this.#leavingController === undefined) {
      const controller = this.#leavingController = new AbortController();
      const leave = () => controller.abort(this.#ending.departure());
      if (this.#ending.hasInputEnded) leave();
      else void this.inputEnded.then(leave);
    }
    return this.#leavingController.signal;
  }

  /** How far sending has come, in bytes on the wire, live: cheap to read for each message. */
  get sending(): SendProgress {
    return this.#queue;
  }

  /** Where in its life the connection is. */
  get status(): ConnectionState {
    const { state } = this.#ending;
    return state === "open" && this.#draining ? "draining" : state;
  }

  /** Counters as they are now. */
  stats(): ConnectionStats {
    this.#tellTraffic();
    const nowMs = Date.now();
    const { tls } = this.#transport;
    const { closedAtMs, error } = this.#ending;
    return {
      id: this.id,
      state: this.status,
      localAddr: this.localAddr,
      remoteAddr: this.remoteAddr,
      tls: tls === undefined ? null : { backend: tls.backend, protocol: tls.protocol },
      openedAtMs: this.#openedAtMs,
      closedAtMs,
      onlineMs: Math.max(0, (closedAtMs ?? nowMs) - this.#openedAtMs),
      idleMs: this.#watch.idleMs(this.#sweeper.nowMs()),
      bytesIn: this.#inbox.bytesIn,
      bytesOut: this.#queue.writtenBytes,
      messagesIn: this.#inbox.messagesIn,
      messagesOut: this.#messagesOut,
      heldBytes: this.#inbox.heldBytes,
      queuedBytes: this.#queue.queuedBytes,
      errorCode: error instanceof ParleyError ? error.code : null,
    };
  }

  /**
   * Sends one message; a string goes as UTF-8. Resolves when it is accepted and less than
   * `highWaterBytes` wait: await it to keep memory bounded. Messages leave in order. Do not change
   * the bytes, or transfer their buffer, until {@linkcode flush} resolves. A rejection that no code
   * handles is logged to the console, unless {@linkcode closed} reports it.
   *
   * @throws {FramingError} when the framing refuses the message; nothing was sent, the connection goes on
   * @throws {ClosedError} `ERR_CLOSED` after `close()`, `ERR_RESET` when the peer vanished, `ERR_SLOW_CONSUMER`
   */
  send(message: Uint8Array | string): Promise<void> {
    const ending = this.#ending;
    if (!ending.sendable) {
      return ending.isCallersFault ? this.#refuse(ending.refusal()) : rejected(ending.refusal());
    }
    try {
      const accepted = this.#queue.push(toBytes(message));
      this.#messagesOut++;
      this.#observer?.sent();
      return accepted;
    } catch (error) {
      return this.#refuse(error);
    }
  }

  /** Rejects for a mistake of the caller's, who may have forgotten to wait for it. */
  #refuse(error: unknown): Promise<never> {
    return (this.#refusals ??= new Refusals(this.#onUnheard)).reject(error);
  }

  /**
   * Resolves when all messages sent so far are handed to the kernel.
   *
   * @throws {ClosedError} when the connection ended before that, or by an error since; it counts unsent bytes
   */
  flush(): Promise<void> {
    return this.#queue.flushed();
  }

  /**
   * Receives the next message, which belongs to the caller; `null` at the end of the messages. A wait
   * that ends early loses nothing: the message goes to the next reader.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` after `timeoutMs`
   * @throws {FramingError} when the peer sent what is no message; the connection has ended then
   * @throws {ClosedError} `ERR_RESET` when the peer vanished
   * @throws {TypeError} when another reader waits already
   */
  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    return this.#inbox.receive(options);
  }

  /** Iterates over messages to their end; throws as {@linkcode receive} does. Leaving it closes nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    const inbox = this.#inbox;
    return iterate(() => inbox.next());
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
   * Changes the framing of both directions, from the next message on: messages that were received or
   * sent before keep the old framing.
   *
   * @throws {TypeError | RangeError} when the framing or its limit is wrong
   */
  setFraming(framing: Framing, options: Pick<ConnectionOptions, "maxMessageBytes"> = {}): void {
    const { maxMessageBytes = this.#options.maxMessageBytes } = options;
    checkFraming("Cannot change the framing", framing);
    checkInteger("Cannot change the framing", "maxMessageBytes", maxMessageBytes, 1, MAX_MESSAGE_BYTES);
    const encoder = framing.encoder({ maxMessageBytes });
    this.#inbox.setDecoder(() => framing.decoder({ maxMessageBytes }));
    this.#queue.setEncoder(encoder);
  }

  /**
   * Changes options of the socket.
   *
   * @throws {TypeError} when this kind of connection has no such option
   */
  tune(tuning: SocketTuning): void {
    if (this.#transport.tune === undefined) {
      throw new TypeError("Cannot tune the connection: its transport has no socket options");
    }
    this.#transport.tune(tuning);
  }

  /** Lets the process live while this connection is open (the default). */
  ref(): void {
    this.#transport.ref?.();
    this.#inbox.setReferenced(true);
  }

  /** Lets the process end although this connection is open. */
  unref(): void {
    this.#transport.unref?.();
    this.#inbox.setReferenced(false);
  }

  /**
   * Ends our direction once all sent messages are written; the peer reads to the end and can still send.
   *
   * @throws {ClosedError} when the connection ended before that, or ends by an error
   */
  closeWrite(): Promise<void> {
    return this.#ending.closeWrite();
  }

  /**
   * Reads what has arrived, even in the kernel: until a read has waited for 20 ms; if the peer goes on
   * sending, until reads have waited for 200 ms in all (one second if large chunks come), or 8 MiB came,
   * more than a kernel holds. Then it reads to the end of the current message, delivers what it has, and
   * its iteration ends. Sending goes on; {@linkcode draining} aborts at once. A server drains with this.
   */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#inbox.drain();
    this.#drainingController?.abort(goingAway());
  }

  /**
   * Closes in order: writes what was sent, ends our direction, waits a moment for the peer to close its
   * side. Messages received so far can still be read. Idempotent.
   *
   * @throws {ClosedError | TimeoutError} when bytes that were accepted could not be written
   */
  close(): Promise<void> {
    return this.#ending.close();
  }

  /** Ends the connection now: what waits to be sent is dropped; what was received can still be read. */
  closeNow(): void {
    this.#ending.closeNow();
  }

  /**
   * Ends the connection now: drops what waits to be read or sent, and rejects pending calls with
   * `reason`, or with a `ClosedError` caused by it when it is no `Error`.
   */
  abort(reason?: unknown): void {
    const error = reason instanceof Error
      ? reason
      : new ClosedError("ERR_CLOSED", "The connection was aborted on this side", { cause: reason });
    this.#ending.abort(error);
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Reports what moved since the last time. */
  #tellTraffic(): void {
    this.#traffic?.tell({
      bytesIn: this.#inbox.bytesIn,
      bytesOut: this.#queue.writtenBytes,
      messagesIn: this.#inbox.messagesIn,
      messagesOut: this.#messagesOut,
    });
  }
}
