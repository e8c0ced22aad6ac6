// IncomingMessages: one reader's view of the messages of one link after the other.
import { DeadlineSignal, unlessAborted } from "../async/deadline.ts";
import type { Connection, ReceiveBatchOptions, ReceiveOptions } from "../connection.ts";
import type { LinkConsumer } from "./claim.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import { TimeoutError } from "../errors.ts";
import { checkReceive, checkReceiveBatch, iteration } from "../connection/waiter.ts";

/** Reads from one link: a message, or a batch. */
type LinkRead<T> = (link: Connection, options: ReceiveBatchOptions) => Promise<T | null>;

const readMessage: LinkRead<Uint8Array> = (link, options) => link.receive(options);
const readBatch: LinkRead<Uint8Array[]> = (link, options) => link.receiveBatch(options);

/**
 * Reads the links of a client in order: the messages that a lost link had received come before
 * those of the next link. The end of a link ends nothing here; only {@linkcode end} does. One
 * reader at a time.
 */
export class IncomingMessages {
  readonly #maxHeldBytes: number;
  /** Links that may hold messages, the oldest first. */
  #links: Connection[] = [];
  /** The link that the reader waits on. */
  #current: Connection | null = null;
  #ended: { readonly error: unknown } | null = null;
  /** Wakes a reader that waits for a link. */
  #wake: (() => void) | null = null;
  #reading = false;
  /** Takes the links in place of a reader. */
  #consumer: LinkConsumer | null = null;

  /** Keeps up to `maxHeldBytes` of messages from links that have ended. */
  constructor(maxHeldBytes: number) {
    this.#maxHeldBytes = maxHeldBytes;
  }

  /**
   * Passes the current link and all later ones to `consumer`.
   *
   * @throws {TypeError} when a reader waits, or there is a consumer
   */
  claim(consumer: LinkConsumer): void {
    if (this.#isTaken) throw this.#secondReader();
    this.#consumer = consumer;
    const link = this.#links.at(-1);
    this.#links = [];
    if (this.#ended !== null) consumer.onEnd(this.#ended.error);
    else if (link !== undefined && link.status !== "closed") consumer.onLink(link);
  }

  /** Adds a new link. */
  add(link: Connection): void {
    if (this.#consumer !== null) return this.#consumer.onLink(link);
    this.#links.push(link);
    this.#wake?.();
  }

  /**
   * Drops unread messages of the oldest links that have ended, where those hold too much in all.
   * Returns how many bytes it dropped.
   */
  dropExcess(): number {
    let held = 0;
    let dropped = 0;
    // From the newest on, so that the oldest lose theirs.
    this.#links = this.#links.reverse().filter((link) => {
      if (link.status !== "closed") return true;
      const { heldBytes } = link.stats();
      held += heldBytes;
      if (held <= this.#maxHeldBytes) return heldBytes > 0;
      dropped += heldBytes;
      return false;
    }).reverse();
    return dropped;
  }

  /** The client closes in order. */
  finish(): void {
    if (this.#ended === null) this.#consumer?.onClosing();
  }

  /**
   * Ends the messages: there will be no more links. `error` is thrown once all is read; `null` is
   * an orderly end.
   */
  end(error: unknown): void {
    if (this.#ended === null) this.#consumer?.onEnd(error);
    this.#ended ??= { error };
    this.#wake?.();
  }

  /** Receives the next message of any link; `null` once the client is closed and all is read. */
  receive(options: ReceiveOptions = {}): Promise<Uint8Array | null> {
    try {
      checkReceive(options);
    } catch (error) {
      return rejected(error);
    }
    if (options.signal !== undefined || (options.timeoutMs ?? Infinity) !== Infinity) {
      return ignoreRejection(this.#receiveInTime(readMessage, options));
    }
    if (this.#isTaken) return rejected(this.#secondReader());
    this.#reading = true;
    const link = this.#current = this.#links[0] ?? null;
    return ignoreRejection(
      link === null
        ? this.#readOn(readMessage, {})
        : link.receive().then(this.#onMessage, this.#onError),
    );
  }

  /** Receives all whole messages that the oldest link has, at least one; `null` as {@linkcode receive}. */
  receiveBatch(options: ReceiveBatchOptions = {}): Promise<Uint8Array[] | null> {
    try {
      checkReceiveBatch(options);
    } catch (error) {
      return rejected(error);
    }
    return ignoreRejection(this.#receiveInTime(readBatch, options));
  }

  /** Receives the next message for an iterator, at the cost of one promise more than that of the link. */
  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isTaken) return rejected(this.#secondReader());
    this.#reading = true;
    const link = this.#current = this.#links[0] ?? null;
    return ignoreRejection(
      link === null
        ? this.#readOn(readMessage, {}).then(iteration)
        : link.receive().then(this.#onNext, this.#onNextError),
    );
  }

  get #isTaken(): boolean {
    return this.#reading || this.#consumer !== null;
  }

  #secondReader(): TypeError {
    return this.#consumer === null ? secondReader() : new TypeError(this.#consumer.refusal);
  }

  readonly #onMessage = (
    message: Uint8Array | null,
  ): Uint8Array | null | Promise<Uint8Array | null> => {
    if (message === null) return this.#readOn(readMessage, {});
    this.#reading = false;
    return message;
  };

  readonly #onError = (error: unknown): Promise<Uint8Array | null> =>
    this.#readOn(readMessage, {}, error);

  readonly #onNext = (
    message: Uint8Array | null,
  ): IteratorResult<Uint8Array, undefined> | Promise<IteratorResult<Uint8Array, undefined>> => {
    if (message === null) return this.#readOn(readMessage, {}).then(iteration);
    this.#reading = false;
    return { value: message, done: false };
  };

  readonly #onNextError = (error: unknown): Promise<IteratorResult<Uint8Array, undefined>> =>
    this.#readOn(readMessage, {}, error).then(iteration);

  async #receiveInTime<T>(read: LinkRead<T>, options: ReceiveBatchOptions): Promise<T | null> {
    const { signal, timeoutMs = Infinity, ...rest } = options;
    signal?.throwIfAborted();
    if (this.#isTaken) throw this.#secondReader();
    this.#reading = true;
    this.#current = null;
    if (timeoutMs === 0) return await this.#readOn(read, { timeoutMs, ...rest });
    if (signal === undefined && timeoutMs === Infinity) return await this.#readOn(read, rest);
    // One deadline over links and the waits between them.
    using deadline = new DeadlineSignal({ signal, timeoutMs, late: readTimeout });
    return await this.#readOn(read, { signal: deadline.signal, ...rest });
  }

  /** Reads on when the current link has ended, by `error` or in order, or when there was none. */
  async #readOn<T>(
    read: LinkRead<T>,
    options: ReceiveBatchOptions,
    error?: unknown,
  ): Promise<T | null> {
    const { signal } = options;
    try {
      let failure = error;
      for (;;) {
        this.#leave(this.#current, failure, options);
        failure = undefined;
        const link = this.#current = this.#links[0] ?? null;
        if (link === null) {
          if (this.#ended?.error != null) throw this.#ended.error;
          if (this.#ended !== null) return null;
          if (options.timeoutMs === 0) throw readTimeout(0);
          await this.#nextLink(signal);
          continue;
        }
        try {
          const item = await read(link, options);
          if (item !== null) return item;
        } catch (error) {
          if (signal?.aborted) throw error;
          failure = error;
        }
      }
    } finally {
      this.#reading = false;
    }
  }

  /**
   * Goes on to the next link. The client's statuses report why a link ended; a mistake of the
   * caller is thrown.
   */
  #leave(link: Connection | null, error: unknown, options: ReceiveOptions): void {
    if (link === null) return;
    // Another reader reads from the link itself; or there is no message now, and the caller does not wait.
    const isCallers = error instanceof TypeError ||
      (options.timeoutMs === 0 && error instanceof TimeoutError);
    if (isCallers && link.status !== "closed") throw error;
    if (this.#links[0] === link) this.#links.shift();
  }

  async #nextLink(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    try {
      await unlessAborted(promise, signal);
    } finally {
      this.#wake = null;
    }
  }
}

function secondReader(): TypeError {
  return new TypeError("Cannot receive: another reader waits on this client: one reader at a time");
}

function readTimeout(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_READ_TIMEOUT",
    `Cannot receive: no message came within ${timeoutMs} ms`,
  );
}
