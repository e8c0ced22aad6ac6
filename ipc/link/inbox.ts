// Inbox: holds received messages until they are read, and reads until a message comes.
import { systemClock } from "../../async/clock.ts";
import { watchWait } from "../../async/wait.ts";
import { checkReceiveBatch } from "../../connection/waiter.ts";
import { checkWaitNames } from "../../options/names.ts";
import { TimeoutError } from "../../errors.ts";
import { checkDurationMs } from "../../options/check.ts";
import { Fifo } from "../../collections/fifo.ts";

/** Bytes that a message counts beside its data, so that empty messages are bounded too. */
const MESSAGE_COST_BYTES = 64;
/**
 * Bytes beyond its mark that an inbox takes of a side that has gone: more than a socket's buffers
 * and one message hold. A side that sends more than that still lives.
 */
const LAST_WORDS_BYTES = 16 * 1024 * 1024;

/** How a wait for a message may end early. */
export interface IpcReceiveOptions {
  /** Ends the wait; it rejects with the signal's reason. No message is lost by it. */
  signal?: AbortSignal | undefined;
  /**
   * Longest wait in ms, 0 to not wait at all; then `ERR_READ_TIMEOUT`. No message is lost by it.
   *
   * @default {no limit}
   */
  timeoutMs?: number | undefined;
}

/** How a wait for a batch of messages may end early, and how large the batch may be. */
export interface IpcReceiveBatchOptions extends IpcReceiveOptions {
  /** Most messages in the batch, 1 and more. @default {Infinity: all that are here} */
  maxMessages?: number | undefined;
}

/** One wait. */
interface Waiter<T> {
  resolve(value: T | null): void;
  reject(error: unknown): void;
}

/**
 * Waits for values that come one at a time; the wait that began first gets the first value. Any
 * number may wait.
 */
export class WaitingReads<T> {
  /** In the order of the calls; a wait that ends early leaves at once. */
  readonly #waiting = new Set<Waiter<T>>();

  /** Waits under way. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Waits for a value. The caller has checked the options. */
  wait(options: IpcReceiveOptions): Promise<T | null> {
    const { signal, timeoutMs } = options;
    const { promise, resolve, reject } = Promise.withResolvers<T | null>();
    if (signal === undefined && timeoutMs === undefined) {
      this.#waiting.add({ resolve, reject });
      return promise;
    }
    const waiter: Waiter<T> = {
      resolve: (value) => (stop(), resolve(value)),
      reject: (error) => (stop(), reject(error)),
    };
    const cancel = (error: unknown) => {
      this.#waiting.delete(waiter);
      reject(error);
    };
    const stop = watchWait(options, { clock: systemClock, cancel, timeout: readTimeout });
    this.#waiting.add(waiter);
    return promise;
  }

  /** Hands `value` to the oldest wait; `false` when there is none. */
  deliver(value: T): boolean {
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter);
      waiter.resolve(value);
      return true;
    }
    return false;
  }

  /** Ends every wait, with `null` or an error. */
  end(error: unknown): void {
    for (const waiter of this.#waiting) {
      if (error === null) waiter.resolve(null);
      else waiter.reject(error);
    }
    this.#waiting.clear();
  }
}

/** What a link uses of the inbox that it fills. */
export interface MessageSink {
  /** Whether no more should be received for now. */
  readonly full: boolean;
  /** Whether it holds more than a side can have sent before it went. */
  readonly overfull: boolean;
  /** Called when it is no longer full: set by the link that fills it. */
  onRoom: () => void;
  /** Takes a message, full or not. The data belongs to the inbox from then on. */
  receive(type: number, data: Uint8Array): void;
}

/** A received message. */
export interface IpcMessage {
  /** Its type, 1 or more, as its sender chose. */
  readonly type: number;
  /** Its data; it belongs to the receiver and is never overwritten. */
  readonly data: Uint8Array;
}

/** Readers that take messages of many inboxes. */
export interface SharedReaders<T extends IpcMessage> {
  /** Hands a message to the read that waits longest; `false` when none waits. */
  deliver(message: T): boolean;
  /** Announces an inbox that was empty and has a message. */
  announce(inbox: Inbox<T>): void;
}

/** How an inbox works with its owner. */
export interface InboxOptions<T extends IpcMessage> {
  /** The inbox is full from this many bytes on; it still takes what comes. */
  readonly highWaterBytes: number;
  /** Makes the message that readers get. */
  readonly toMessage: (type: number, data: Uint8Array) => T;
  /**
   * Readers of this inbox and others. They get the messages that no read of this inbox waits for.
   */
  readonly shared?: SharedReaders<T> | undefined;
}

/**
 * Messages in the order they came. Any number of reads may wait; the first gets the first message.
 */
export class Inbox<T extends IpcMessage> implements MessageSink {
  /** Called when it is no longer full. Each link of the inbox sets its own. */
  onRoom: () => void = () => {};
  readonly #options: InboxOptions<T>;
  readonly #messages = new Fifo<T>();
  readonly #reads = new WaitingReads<T>();
  #bytes = 0;
  #end: { readonly error: unknown } | null = null;
  #some: PromiseWithResolvers<void> | null = null;

  /** Makes an empty inbox. */
  constructor(options: InboxOptions<T>) {
    this.#options = options;
  }

  /** Messages that wait to be read. */
  get size(): number {
    return this.#messages.size;
  }

  /** Whether no more should be received for now. */
  get full(): boolean {
    return this.#bytes >= this.#options.highWaterBytes;
  }

  /** Whether it holds more than a side can have sent before it went. */
  get overfull(): boolean {
    return this.#bytes - this.#options.highWaterBytes > LAST_WORDS_BYTES;
  }

  /** Whether no more messages come. */
  get ended(): boolean {
    return this.#end !== null;
  }

  /** Hands a message to the read that waits longest, or keeps it until it is read. */
  receive(type: number, data: Uint8Array): void {
    if (this.#end !== null) return;
    const { toMessage, shared } = this.#options;
    const message = toMessage(type, data);
    if (this.#reads.size > 0 && this.#reads.deliver(message)) return;
    if (this.#messages.size === 0 && shared?.deliver(message)) return;
    this.#messages.push(message);
    this.#bytes += message.data.length + MESSAGE_COST_BYTES;
    if (this.#messages.size > 1) return;
    this.#some?.resolve();
    shared?.announce(this);
  }

  /** Resolves when there is a message, or when no more come. It takes nothing. */
  whenSome(): Promise<void> {
    if (this.#messages.size > 0 || this.#end !== null) return Promise.resolve();
    if (this.#some === null) {
      this.#some = Promise.withResolvers();
      void this.#some.promise.then(() => this.#some = null);
    }
    return this.#some.promise;
  }

  /** The next message, if there is one. */
  take(): T | undefined {
    const message = this.#messages.shift();
    if (message === undefined) return undefined;
    const wasFull = this.full;
    this.#bytes -= message.data.length + MESSAGE_COST_BYTES;
    if (wasFull && !this.full) this.onRoom();
    return message;
  }

  /** Waits for the next message; `null` at the end. */
  read(options: IpcReceiveOptions = {}): Promise<T | null> {
    const refused = refuseWait(options);
    if (refused !== null) return refused;
    const message = this.take();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#end !== null) {
      return this.#end.error === null ? Promise.resolve(null) : Promise.reject(this.#end.error);
    }
    if (options.timeoutMs === 0) return Promise.reject(readTimeout(0));
    return this.#reads.wait(options);
  }

  /** Waits for messages and takes all that are here; `null` at the end. */
  readBatch(options?: IpcReceiveBatchOptions): Promise<T[] | null> {
    return receiveBatch(this, options);
  }

  /**
   * No more messages come: once those here are read, readers get `error`, or the end for `null`.
   */
  end(error: unknown): void {
    if (this.#end !== null) return;
    this.#end = { error };
    this.#some?.resolve();
    this.#reads.end(error);
  }

  /** Iterates over the messages to the end. */
  iterate(): AsyncIterableIterator<T, undefined> {
    return iterate(() => this.read());
  }
}

/** Messages that can be waited for, and taken while there are some. */
interface MessageQueue<T extends IpcMessage> {
  /** Waits for the next message; `null` at the end. */
  read(options: IpcReceiveOptions): Promise<T | null>;
  /** The next message, if there is one. */
  take(): T | undefined;
}

/**
 * Waits for a message as any other read, and takes with it what is behind it. The link passes all
 * messages of a chunk before a wait goes on that the first of them ended.
 */
export async function receiveBatch<T extends IpcMessage>(
  queue: MessageQueue<T>,
  options: IpcReceiveBatchOptions = {},
): Promise<T[] | null> {
  checkReceiveBatch(options);
  const { maxMessages = Infinity, ...wait } = options;
  const first = await queue.read(wait);
  if (first === null) return null;
  const batch: T[] = [first];
  while (batch.length < maxMessages) {
    const message = queue.take();
    if (message === undefined) break;
    batch.push(message);
  }
  return batch;
}

/** Iterates by reading until `null`. */
export function iterate<T>(read: () => Promise<T | null>): AsyncIterableIterator<T, undefined> {
  let left = false;
  const step = (value: T | null): IteratorResult<T, undefined> =>
    value === null ? { value: undefined, done: true } : { value, done: false };
  return {
    next: () => left ? Promise.resolve(step(null)) : read().then(step),
    return() {
      left = true;
      return Promise.resolve(step(null));
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Refuses a wait whose options are wrong, or that has been aborted already. */
export function refuseWait(options: IpcReceiveOptions): Promise<never> | null {
  const { signal, timeoutMs } = options;
  try {
    checkWaitNames("Cannot receive", options);
    if (timeoutMs !== undefined) {
      checkDurationMs("Cannot receive", "timeoutMs", timeoutMs, { minMs: 0 });
    }
  } catch (error) {
    return Promise.reject(error);
  }
  return signal?.aborted ? Promise.reject(signal.reason) : null;
}

/** The error of a read for which no message came in time. */
export function readTimeout(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_READ_TIMEOUT",
    `Cannot receive: no message came within ${timeoutMs} ms`,
  );
}
