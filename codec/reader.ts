// MessageReader: the one reader of a typed link; it decodes messages in order and survives bad ones.
import { DeadlineSignal, unlessAborted } from "../async/deadline.ts";
import { ignoreRejection } from "../async/rejections.ts";
import { Fifo } from "../collections/fifo.ts";
import {
  checkReceive,
  checkReceiveBatch,
  iterate,
  iteration,
  readTimeout,
  type ReceiveBatchOptions,
  type ReceiveOptions,
} from "../connection/waiter.ts";
import { SchemaError } from "../errors.ts";
import { isPromise } from "./schema.ts";

/** Where messages come from: a link. */
export interface MessageSource<Raw> {
  /** Waits for the next message; `null` at the end. */
  receive(options?: ReceiveOptions): Promise<Raw | null>;
  /** Waits for all messages that are here, at least one; `null` at the end. @default {one at a time} */
  receiveBatch?(options?: ReceiveBatchOptions): Promise<Raw[] | null>;
}

/** Makes values of messages. */
export interface MessageDecoder<Raw, T> {
  /** Returns the value, at once or as a promise. Throws what is wrong with the message. */
  decode(message: Raw): T | Promise<T>;
}

/**
 * Takes a message that does not decode. Reading goes on with the next message once it has returned,
 * or its promise has resolved; what it throws, the read rejects with.
 *
 * @param message the message as it was received
 */
export type InvalidHandler<Raw> = (error: SchemaError, message: Raw) => void | Promise<void>;

/** A value that was read, or the end. Any value may be read, `null` too. */
type Read<T> = IteratorResult<T, undefined>;

/** A message, and what came of decoding it. */
interface DecodedMessage<Raw, T> {
  readonly message: Raw;
  readonly read: Read<T> | SchemaError | Promise<Read<T> | SchemaError>;
}

const END = { value: undefined, done: true } as const;

/**
 * Reads one message after the other. A read that ends early loses nothing: a message whose
 * validation is under way goes to the next read. Not for concurrent use: a second read beside one
 * that waits is rejected.
 */
export class MessageReader<Raw, T> {
  readonly #source: MessageSource<Raw>;
  readonly #decoder: MessageDecoder<Raw, T>;
  readonly #onInvalid: InvalidHandler<Raw> | undefined;
  #isReading = false;
  /** Messages that were taken off the link with others, behind the one that is held. */
  readonly #rest: Fifo<Raw> = new Fifo();
  /** A message that was taken off the link, and its value to come. */
  #held: { readonly message: Raw; readonly value: Promise<T> } | null = null;

  /** Makes the reader of a link. */
  constructor(
    source: MessageSource<Raw>,
    decoder: MessageDecoder<Raw, T>,
    onInvalid: InvalidHandler<Raw> | undefined,
  ) {
    this.#source = source;
    this.#decoder = decoder;
    this.#onInvalid = onInvalid;
  }

  /** Waits for the next value; `null` at the end. A value that is `null` counts as invalid. */
  receive(options: ReceiveOptions = {}): Promise<T | null> {
    return ignoreRejection(
      this.#read(options, true).then((read) => read.done ? null : read.value),
    );
  }

  /**
   * Waits for values of all messages that are here, at least one; `null` at the end. Values before a
   * message that is not valid come first: the next read finds that message.
   */
  receiveBatch(options: ReceiveBatchOptions = {}): Promise<T[] | null> {
    return ignoreRejection(this.#readBatch(options));
  }

  /** Iterates over batches to the end. */
  batches(): AsyncIterableIterator<T[], undefined> {
    return iterate(() => ignoreRejection(this.receiveBatch().then(iteration)));
  }

  /** Waits for the next value of an iteration. */
  next(): Promise<Read<T>> {
    if (this.#isReading || this.#held !== null || this.#rest.size > 0) {
      return ignoreRejection(this.#read({}, false));
    }
    // The usual way, at the cost of one promise more than that of the link.
    this.#isReading = true;
    return ignoreRejection(this.#source.receive().then(this.#onMessage, this.#onFailed));
  }

  readonly #onMessage = (message: Raw | null): Read<T> | Promise<Read<T>> => {
    const read = message === null ? END : this.#decode(message, undefined, undefined);
    if (message !== null && (isPromise(read) || read instanceof SchemaError)) {
      return this.#finish({ message, read });
    }
    this.#isReading = false;
    return read as Read<T>;
  };

  readonly #onFailed = (error: unknown): never => {
    this.#isReading = false;
    throw error;
  };

  /** Goes on with a message that is not valid, or not validated yet. */
  async #finish(first: DecodedMessage<Raw, T>): Promise<Read<T>> {
    try {
      return await this.#readValid({}, false, first);
    } finally {
      this.#isReading = false;
    }
  }

  /** Iterates to the end; leaving the loop ends nothing, and another one goes on. */
  iterate(): AsyncIterableIterator<T, undefined> {
    return iterate(() => this.next());
  }

  /** Values as a stream, read on demand. */
  readable(cancel: (reason: unknown) => void | Promise<void>): ReadableStream<T> {
    return new ReadableStream<T>({
      pull: async (controller) => {
        const read = await this.next();
        if (read.done) controller.close();
        else controller.enqueue(read.value);
      },
      cancel,
    }, { highWaterMark: 0 });
  }

  async #read(options: ReceiveOptions, refusesNull: boolean): Promise<Read<T>> {
    checkReceive(options);
    return await this.#inTime(options, (wait) => this.#readValid(wait, refusesNull));
  }

  async #readBatch(options: ReceiveBatchOptions): Promise<T[] | null> {
    checkReceiveBatch(options);
    const { maxMessages = Infinity } = options;
    return await this.#inTime(options, (wait) => this.#readValues(wait, maxMessages));
  }

  /** Reads as the one reader, within the time of the caller's wait. */
  async #inTime<R>(
    { signal, timeoutMs = Infinity }: ReceiveOptions,
    read: (wait: ReceiveOptions) => Promise<R>,
  ): Promise<R> {
    signal?.throwIfAborted();
    if (this.#isReading) throw secondReader();
    this.#isReading = true;
    try {
      if (timeoutMs === 0) return await read({ signal, timeoutMs });
      if (signal === undefined && timeoutMs === Infinity) return await read({});
      // One deadline over all messages that are read until one is valid, and over their validation.
      using deadline = new DeadlineSignal({ signal, timeoutMs, late: readTimeout });
      return await read({ signal: deadline.signal });
    } finally {
      this.#isReading = false;
    }
  }

  async #readValues(wait: ReceiveOptions, most: number): Promise<T[] | null> {
    for (;;) {
      if (this.#held === null && this.#rest.size === 0) {
        const batch = await this.#receiveRaw({ ...wait, maxMessages: most });
        if (batch === null) return null;
        for (const message of batch) this.#rest.push(message);
      }
      const values = await this.#decodeRest(most, wait.signal);
      if (values.length > 0) return values;
    }
  }

  async #receiveRaw(wait: ReceiveBatchOptions): Promise<Raw[] | null> {
    if (this.#source.receiveBatch !== undefined) return await this.#source.receiveBatch(wait);
    const message = await this.#source.receive({ signal: wait.signal, timeoutMs: wait.timeoutMs });
    return message === null ? null : [message];
  }

  /** Returns the values of messages that were taken off the link, up to one that is not valid. */
  async #decodeRest(most: number, signal: AbortSignal | undefined): Promise<T[]> {
    const values: T[] = [];
    while (values.length < most && (this.#held !== null || this.#rest.size > 0)) {
      const pending = this.#held?.value;
      const message = this.#held?.message ?? this.#rest.shift()!;
      let read = this.#decode(message, pending, signal);
      if (isPromise(read)) {
        try {
          read = await read;
        } catch (error) {
          // The wait ends early: what is valid goes out, and the message stays for the next read.
          if (values.length === 0) throw error;
          return values;
        }
      }
      if (!(read instanceof SchemaError)) values.push(read.value as T);
      else if (values.length > 0) {
        this.#held = { message, value: ignoreRejection(Promise.reject(read)) };
        return values;
      } else {
        if (this.#onInvalid === undefined) throw read;
        await this.#onInvalid(read, message);
      }
    }
    return values;
  }

  async #readValid(
    wait: ReceiveOptions,
    refusesNull: boolean,
    first: DecodedMessage<Raw, T> | null = null,
  ): Promise<Read<T>> {
    for (let known = first;; known = null) {
      const held = this.#held;
      const message = (known ?? held)?.message ?? this.#rest.shift() ??
        await this.#source.receive(wait);
      if (message === null) return END;
      const read = await (known?.read ?? this.#decode(message, held?.value, wait.signal));
      if (!(read instanceof SchemaError)) {
        if (!refusesNull || read.value !== null) return read;
      }
      const error = read instanceof SchemaError ? read : nullMessage();
      if (this.#onInvalid === undefined) throw error;
      await this.#onInvalid(error, message);
    }
  }

  /** Returns the value of a message, or what is wrong with it. Throws when the wait ends early. */
  #decode(
    message: Raw,
    pending: Promise<T> | undefined,
    signal: AbortSignal | undefined,
  ): Read<T> | SchemaError | Promise<Read<T> | SchemaError> {
    try {
      const value = pending ?? this.#decoder.decode(message);
      return isPromise(value) ? this.#settle(message, value, signal) : { value, done: false };
    } catch (error) {
      return asSchemaError(error);
    }
  }

  async #settle(
    message: Raw,
    value: Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<Read<T> | SchemaError> {
    this.#held = { message, value };
    const outcome = value.then((value): Read<T> => ({ value, done: false }), asSchemaError);
    const read = await unlessAborted(outcome, signal);
    this.#held = null;
    return read;
  }
}

/** What a codec threw, as the error of a message: a codec that fails otherwise is a cause of it. */
function asSchemaError(error: unknown): SchemaError {
  if (error instanceof SchemaError) return error;
  const text = "Cannot read the message: its codec failed";
  return new SchemaError("ERR_MESSAGE_MALFORMED", text, { cause: error });
}

function nullMessage(): SchemaError {
  const text = "Cannot receive: the value is null, which is the end to receive(): iterate instead";
  return new SchemaError("ERR_MESSAGE_INVALID", text);
}

function secondReader(): TypeError {
  return new TypeError("Cannot receive: another reader waits on this link: one reader at a time");
}
