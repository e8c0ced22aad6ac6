// Connection: one peer; messages in, messages out, and an end in order.
import { type CloseOptions, closeTimeout } from "./options/close.ts";
import { ClosedError } from "./errors.ts";
import type { Framing } from "./framing.ts";
import type { Address, SocketTuning, TlsInfo, Transport } from "./net/transport/transport.ts";
import { provideClaims } from "./connection/claim.ts";
import { ConnectionLifecycle, goingAway } from "./connection/lifecycle.ts";
import type { ReceiveQueue } from "./connection/receive_queue.ts";
import type { ReceiveBatchOptions, ReceiveOptions } from "./connection/waiter.ts";
import { allToBytes, toBytes } from "./connection/message_bytes.ts";
import {
  checkFramingChange,
  type ConnectionOptions,
  type ResolvedConnectionOptions,
} from "./connection/options.ts";
import { Refusals, rejected } from "./async/rejections.ts";
import { resolveSetup } from "./connection/setup.ts";
import { connectionStats } from "./connection/snapshot.ts";
import { messageReadable, messageWritable } from "./connection/streams.ts";
import type {
  ConnectionEnd,
  ConnectionSetup,
  MessageObserver,
  SendProgress,
} from "./connection/types.ts";
import type { ConnectionState, ConnectionStats } from "./stats/data/snapshots.ts";
import { iterate } from "./connection/waiter.ts";
import type { WriteQueue } from "./connection/write_queue.ts";

export type { ConnectionOptions } from "./connection/options.ts";
export type { ReceiveBatchOptions, ReceiveOptions } from "./connection/waiter.ts";
export type { Sweeper, Swept } from "./async/sweeper.ts";
export type {
  ConnectionEnd,
  ConnectionSetup,
  MessageGate,
  MessageObserver,
  SendProgress,
  SendRoom,
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
  /** Value of the application's: Parley neither reads nor changes it. */
  data: Data;

  readonly #transport: Transport;
  readonly #options: ResolvedConnectionOptions;
  readonly #receiveQueue: ReceiveQueue;
  readonly #writeQueue: WriteQueue;
  readonly #openedAtMs = Date.now();
  readonly #lifecycle: ConnectionLifecycle;
  #draining = false;
  #drainingController: AbortController | undefined;
  #leavingController: AbortController | undefined;
  #refusals: Refusals | undefined;
  readonly #onUnheard: ConnectionSetup<Data>["onUnheard"];
  readonly #observer: MessageObserver | undefined;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array | string> | undefined;

  static {
    provideClaims((connection, consumer) => {
      if (!(#receiveQueue in connection)) {
        throw new TypeError(
          "Cannot use a leased connection for calls: use the pool itself, which leases one for each call",
        );
      }
      if (consumer.sendsAnyBytes && !connection.#writeQueue.carriesAnyBytes) {
        throw new TypeError(
          "Cannot use the connection for calls: its framing cannot carry all bytes: use lengthPrefixed()",
        );
      }
      connection.#receiveQueue.reader.claim(consumer);
      return connection.#lifecycle;
    });
  }

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
    this.#onUnheard = setup.onUnheard;
    this.#observer = setup.observer;
    const lifecycle = this.#lifecycle = new ConnectionLifecycle(transport, options, setup);
    this.#receiveQueue = lifecycle.receiveQueue;
    this.#writeQueue = lifecycle.writeQueue;
    lifecycle.start();
  }

  /** Resolves when no more bytes come from the peer: it ended its direction, or is gone. Never rejects. */
  get inputEnded(): Promise<void> {
    return this.#lifecycle.inputEnded;
  }

  /** Resolves when the connection is gone and its descriptor is free. Never rejects. */
  get closed(): Promise<ConnectionEnd> {
    return this.#lifecycle.closed;
  }

  /** Address of this side. */
  get localAddr(): Address {
    return this.#transport.localAddr;
  }

  /** Address of the peer. */
  get remoteAddr(): Address {
    return this.#transport.remoteAddr;
  }

  /** Result of the TLS handshake; `undefined` without TLS. */
  get tls(): TlsInfo | undefined {
    return this.#transport.tls;
  }

  /**
   * Whether the peer can distinguish an early end from an end in order: with TLS of node, in
   * memory, and over TCP with `canReset`.
   */
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
    return this.#receiveQueue.leftBytes;
  }

  /**
   * Aborts when the peer has left: it ended its direction, or the connection is gone. The reason is
   * a `ClosedError`, or the error of the end. Earlier messages can still be received. The end is
   * noticed when it is read: not while `readAheadBytes` wait for a reader that pauses.
   */
  get signal(): AbortSignal {
    if (this.#leavingController !== undefined) return this.#leavingController.signal;
    const controller = this.#leavingController = new AbortController();
    const leave = () => controller.abort(this.#lifecycle.departure());
    if (this.#lifecycle.hasInputEnded) leave();
    else void this.inputEnded.then(leave);
    return controller.signal;
  }

  /** How far sending has come, in bytes on the wire, live: cheap to read for each message. */
  get sending(): SendProgress {
    return this.#writeQueue;
  }

  /** Current state of the connection. */
  get status(): ConnectionState {
    const { state, isFinishing } = this.#lifecycle;
    if (state !== "open") return state;
    return isFinishing ? "closing" : this.#draining ? "draining" : "open";
  }

  /** Returns the current counters. */
  stats(): ConnectionStats {
    return connectionStats(this, this.#lifecycle, this.#openedAtMs);
  }

  /**
   * Sends one message; a string goes as UTF-8. Resolves when it is accepted and less than
   * `highWaterBytes` wait: await it to keep memory bounded. Messages leave in order. Do not change
   * the bytes, or transfer their buffer, until {@linkcode flush} resolves. A rejection that no code
   * handles is logged to the console, unless {@linkcode closed} reports it.
   *
   * @throws {FramingError} when the framing refuses the message; nothing was sent, the connection goes on
   * @throws {ClosedError} `ERR_CLOSED` after `close()`, `ERR_RESET` when the peer vanished,
   * `ERR_SLOW_CONSUMER`
   */
  send(message: Uint8Array | string): Promise<void> {
    if (!this.#lifecycle.sendable) return this.#refuseToSend();
    try {
      const accepted = this.#writeQueue.push(toBytes(message));
      this.#observer?.sent();
      return accepted;
    } catch (error) {
      return this.#refuse(error);
    }
  }

  /**
   * Sends messages one after the other, all or none. Waits and throws as {@linkcode send} does for one
   * message of their size, so a batch may be larger than `maxQueuedBytes`.
   */
  sendBatch(messages: Iterable<Uint8Array | string>): Promise<void> {
    try {
      const all = allToBytes(messages);
      if (!this.#lifecycle.sendable) return this.#refuseToSend();
      const accepted = this.#writeQueue.pushBatch(all);
      if (all.length > 0) this.#observer?.sent();
      return accepted;
    } catch (error) {
      return this.#refuse(error);
    }
  }

  #refuseToSend(): Promise<never> {
    const lifecycle = this.#lifecycle;
    const refusal = lifecycle.refusal();
    return lifecycle.isCallersFault ? this.#refuse(refusal) : rejected(refusal);
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
    return this.#writeQueue.flushed();
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
    return this.#receiveQueue.reader.receive(options);
  }

  /**
   * Receives all whole messages that are here, as many as one turn of the event loop allows: at least
   * one, in order, each a view of its own; `null` at the end. Waits, ends and rejects as
   * {@linkcode receive} does, once the messages before an error were delivered.
   *
   * @throws as {@linkcode receive} does
   */
  receiveBatch(options?: ReceiveBatchOptions): Promise<Uint8Array[] | null> {
    return this.#receiveQueue.reader.receiveBatch(options);
  }

  /** Iterates over batches to the end of the messages; throws as {@linkcode receiveBatch} does. */
  batches(): AsyncIterableIterator<Uint8Array[], undefined> {
    return iterate(() => this.#receiveQueue.reader.nextBatch());
  }

  /** Iterates over messages to their end; throws as {@linkcode receive} does. Leaving it closes nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    const { reader } = this.#receiveQueue;
    return iterate(() => reader.next());
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
    const limits = { maxMessageBytes: options.maxMessageBytes ?? this.#options.maxMessageBytes };
    checkFramingChange(framing, limits);
    const encoder = framing.encoder(limits);
    this.#receiveQueue.setFraming(framing, limits);
    this.#writeQueue.setEncoder(encoder);
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

  /** Keeps the process alive while this connection is open (the default). */
  ref(): void {
    this.#transport.ref?.();
    this.#receiveQueue.setReferenced(true);
  }

  /** Lets the process end although this connection is open. */
  unref(): void {
    this.#transport.unref?.();
    this.#receiveQueue.setReferenced(false);
  }

  /**
   * Ends our direction once all sent messages are written; the peer reads to the end and can still send.
   *
   * @throws {ClosedError} when the connection ended before that, or ends by an error
   */
  closeWrite(): Promise<void> {
    return this.#lifecycle.closeWrite();
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
    this.#receiveQueue.drain();
    this.#drainingController?.abort(goingAway());
  }

  /**
   * Closes in order within `timeoutMs` (`closeTimeoutMs` unless it is given): lets the calls under way end,
   * of both directions, writes what was sent, ends our direction, waits a moment for the peer to close its
   * side. Messages received so far can still be read. Idempotent: a later call shares the first one's time
   * and outcome.
   *
   * @throws {ClosedError | TimeoutError} when bytes that were accepted could not be written, or
   * (`ERR_DRAIN_TIMEOUT`) calls were under way when the time was over
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   */
  close(options?: CloseOptions): Promise<void> {
    if (options === undefined) return this.#lifecycle.close();
    try {
      const { closeTimeoutMs } = this.#options;
      return this.#lifecycle.close(closeTimeout("Cannot close", options, closeTimeoutMs));
    } catch (mistake) {
      return rejected(mistake);
    }
  }

  /** Ends the connection now: what waits to be sent is dropped; what was received can still be read. */
  closeNow(): void {
    this.#lifecycle.closeNow();
  }

  /**
   * Ends the connection now: drops what waits to be read or sent, and rejects pending calls with
   * `reason`, or with a `ClosedError` caused by it when it is no `Error`.
   */
  abort(reason?: unknown): void {
    const error = reason instanceof Error
      ? reason
      : new ClosedError("ERR_CLOSED", "The connection was aborted on this side", { cause: reason });
    this.#lifecycle.abort(error);
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
