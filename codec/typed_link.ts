// TypedLink: what typed connections, clients and streams have in common.
import type { CloseOptions } from "../options/close.ts";
import type { ReceiveBatchOptions, ReceiveOptions } from "../connection/waiter.ts";
import { checkIterable } from "../options/check.ts";
import { Refusals } from "../async/rejections.ts";
import { type Codec, decodeReceived } from "./codec.ts";
import { type InvalidHandler, MessageReader, type MessageSource } from "./reader.ts";

/** Options of `typed`. */
export interface TypedOptions<Raw = Uint8Array> {
  /**
   * Takes each message that does not decode, and reading goes on with the next one: in `receive`, in loops
   * and in `readable`. What it throws, the read rejects with.
   *
   * @default {none: `receive` rejects with the `SchemaError`, a loop throws it, `readable` fails with it}
   */
  onInvalid?: InvalidHandler<Raw> | undefined;
}

/** What a typed link needs of the link that it uses. */
export interface BaseLink {
  /** Current state of the link. */
  readonly status: string;
  /** Resolves when the link is gone. */
  readonly closed: Promise<unknown>;
  /** Closes in order. */
  close(options?: CloseOptions): Promise<void>;
  /** Ends the link now. */
  abort(reason?: unknown): void;
  /** Closes in order, or waits for the end after an abort. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What sends and receives the messages of a link. */
export interface MessageCarrier extends MessageSource<Uint8Array> {
  /** Sends one message. */
  send(message: Uint8Array): Promise<void>;
  /** Sends messages, all or none. */
  sendBatch(messages: readonly Uint8Array[]): Promise<void>;
}

/**
 * A link whose messages are values. One reader at a time; `send` may be called concurrently, and messages
 * leave in the order of the calls. A received message that does not decode costs that one message: `receive`
 * and loops throw a `SchemaError`, and the next read returns the next message.
 *
 * @template T what is received
 * @template In what is sent
 * @template Link the link beneath
 */
export abstract class TypedLink<T, In, Link extends BaseLink>
  implements AsyncIterable<T>, AsyncDisposable {
  /** The link beneath, with all that it can do. Reading from both at a time divides the messages. */
  readonly link: Link;
  /** Makes bytes of values, and values of bytes. */
  readonly codec: Codec<T, In>;
  readonly #carrier: MessageCarrier;
  readonly #reader: MessageReader<Uint8Array, T>;
  #refusals: Refusals | undefined;
  #readable: ReadableStream<T> | undefined;
  #writable: WritableStream<In> | undefined;

  /** @ignore use `typed` */
  constructor(link: Link, codec: Codec<T, In>, carrier: MessageCarrier, options: TypedOptions) {
    this.link = link;
    this.codec = codec;
    this.#carrier = carrier;
    const decoder = { decode: (message: Uint8Array) => decodeReceived(codec, message) };
    this.#reader = new MessageReader(carrier, decoder, options.onInvalid);
  }

  /** Current state of the link. */
  get status(): Link["status"] {
    return this.link.status;
  }

  /** Resolves when the link is gone, as its own `closed` does. Never rejects. */
  get closed(): Link["closed"] {
    return this.link.closed;
  }

  /**
   * Sends one value. Resolves when the link has accepted it: await it to keep memory bounded. A rejection
   * for a value that has no encoding, and that no code handles, is logged to the console.
   *
   * @throws {TypeError} when the codec cannot encode the value; nothing is sent then
   * @throws what the link throws
   */
  send(value: In): Promise<void> {
    let message: Uint8Array;
    try {
      message = this.codec.encode(value);
    } catch (error) {
      return (this.#refusals ??= new Refusals()).reject(error);
    }
    return this.#carrier.send(message);
  }

  /**
   * Sends values one after the other, all or none.
   *
   * @throws {TypeError} when the codec cannot encode one of them; nothing is sent then
   * @throws what the link throws
   */
  sendBatch(values: Iterable<In>): Promise<void> {
    let messages: Uint8Array[];
    try {
      checkIterable("Cannot send", "values", values);
      messages = Array.from(values, (value) => this.codec.encode(value));
    } catch (error) {
      return (this.#refusals ??= new Refusals()).reject(error);
    }
    return this.#carrier.sendBatch(messages);
  }

  /**
   * Waits for the next value; `null` at the end. A wait that ends early loses nothing. A message that is
   * itself `null` is refused as invalid, because it would look like the end: iterate where `null` is a value.
   *
   * @throws {SchemaError} when the message does not decode; it is consumed, and the link goes on
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` after `timeoutMs`
   * @throws {TypeError} when another reader waits already
   * @throws what the link throws
   */
  receive(options?: ReceiveOptions): Promise<T | null> {
    return this.#reader.receive(options);
  }

  /**
   * Waits for the values of all whole messages that are here, at least one; `null` at the end. Values before
   * a message that does not decode come first, in a batch of their own. A value in a batch may be `null`.
   *
   * @throws as {@linkcode receive} does
   */
  receiveBatch(options?: ReceiveBatchOptions): Promise<T[] | null> {
    return this.#reader.receiveBatch(options);
  }

  /** Iterates over batches to the end. Throws as {@linkcode receiveBatch} does; another loop goes on. */
  batches(): AsyncIterableIterator<T[], undefined> {
    return this.#reader.batches();
  }

  /**
   * Iterates to the end. Throws a `SchemaError` for a message that does not decode, unless `onInvalid` takes
   * it; another loop then goes on with the next message. Leaving the loop closes nothing.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    return this.#reader.iterate();
  }

  /**
   * Values as a stream, read on demand. A message that does not decode ends the stream with a `SchemaError`,
   * unless `onInvalid` takes it. Cancelling it does as the link's own `readable` does, or aborts a link
   * without one.
   */
  get readable(): ReadableStream<T> {
    return this.#readable ??= this.#reader.readable((reason) => this.cancelRead(reason));
  }

  /** A stream that takes values. Closing it ends our direction where the link has two; aborting it aborts. */
  get writable(): WritableStream<In> {
    return this.#writable ??= new WritableStream<In>({
      write: (value) => this.send(value),
      close: () => this.endWrite(),
      abort: (reason) => this.abort(reason),
    });
  }

  /** Closes in order, as the link does. */
  close(options?: CloseOptions): Promise<void> {
    return this.link.close(options);
  }

  /** Ends the link now, as its own `abort` does. */
  abort(reason?: unknown): void {
    this.link.abort(reason);
  }

  /** The same as the link's own disposal. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.link[Symbol.asyncDispose]();
  }

  /** @ignore what closing {@linkcode writable} does */
  protected abstract endWrite(): Promise<void>;

  /** @ignore what cancelling {@linkcode readable} does */
  protected cancelRead(reason: unknown): void | Promise<void> {
    this.abort(reason);
  }
}
