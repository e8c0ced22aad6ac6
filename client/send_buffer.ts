// Outbox: messages of a Client that are not yet in the kernel, so that a lost link loses as few
// messages as possible.
import type { Connection } from "../connection.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import { ClosedError, LimitError, TimeoutError } from "../errors.ts";
import type { SendProgress } from "../connection/types.ts";
import type { FrameEncoder } from "../framing.ts";

/** What it costs to keep a message beside its bytes, in bytes (measured): empty ones must not be free. */
const KEEPING_BYTES = 640;

/** A message that the kernel does not have yet. */
interface Entry {
  readonly message: Uint8Array;
  /** Whether its `send` has resolved, because a link has accepted it. */
  accepted: boolean;
  /** The caller that waits until a link accepts it. */
  taken: PromiseWithResolvers<void> | null;
  /** Where its frame begins and ends in the bytes of the current link; only for messages on that link. */
  start: number;
  end: number;
}

const ACCEPTED: Promise<void> = Promise.resolve();

/**
 * What became of the messages of a link that was lost. Each message is in one of four counts. TCP
 * does not report what has reached the peer's program: a sender that must know needs an answer from
 * the peer.
 */
export interface LinkLoss {
  /**
   * Messages that were completely in the kernel, after bytes last came from the server: it may or
   * may not have read them. These and the {@linkcode uncertainMessages} may be lost.
   */
  readonly handedMessages: number;
  /** Messages of which a part was in the kernel; they are not sent again. */
  readonly uncertainMessages: number;
  /**
   * Messages that no link has begun to write: they leave first on the next link. When the client is
   * closed, they are dropped.
   */
  readonly keptMessages: number;
  /**
   * Messages that were completely in the kernel before bytes last came from the server: it has most
   * likely read them. A message that crossed those bytes, or that the server left unread while it
   * sent other messages, may still be lost.
   */
  readonly earlierMessages: number;
}

/** Options of an {@linkcode SendBuffer}. */
export interface SendBufferOptions {
  /** The link takes messages until this many bytes of it are not in the kernel. */
  readonly highWaterBytes: number;
  /** Bytes of messages that may wait for a link, or for room on it. */
  readonly maxQueuedBytes: number;
  /**
   * Makes what decides whether messages may be sent at all. A new one each time: it sees only some of
   * the messages, and one that keeps a sum of parts would miss their end.
   */
  readonly newEncoder: () => FrameEncoder;
  /** Makes the rejection of what the caller should not have sent. */
  readonly refuse: (error: unknown) => Promise<never>;
}

/**
 * Keeps what was sent until the kernel has it.
 *
 * ```text
 *  entries:  … written │ given to the link │ waiting …
 *                    #head               #next
 * ```
 *
 * When the link is lost, messages that its transport never saw go out first on the next link; those
 * that were under way are reported as uncertain and never sent twice.
 *
 * Everything may be called at any time, and concurrently: messages leave in the order of the calls
 * of {@linkcode push}.
 */
export class SendBuffer {
  readonly #options: SendBufferOptions;
  #link: Connection | null = null;
  #entries: Entry[] = [];
  #head = 0;
  #next = 0;
  /** Cost of what was given and is not written, and of what waits. */
  #givenCost = 0;
  #waitingCost = 0;
  /**
   * Messages of the current link that the kernel got before the server was last heard, as far as
   * looked at.
   */
  #earlier = 0;
  /** Messages of the current link that the kernel has beside those. */
  #handed = 0;
  /** Where the last of them ends. */
  #handedEnd = 0;
  /** Messages that the current link's framing refused, although they had been accepted. */
  #refused = 0;
  /** Why nothing more is given just now, though the link is open. */
  #pause: "none" | "full" | "unanswered" = "none";
  /** Ends each {@linkcode flush} that waits for its messages to be taken. */
  readonly #flushes = new Set<(error: Error) => void>();

  constructor(options: SendBufferOptions) {
    this.#options = options;
  }

  /** Bytes of messages that a link accepted and the kernel does not have. */
  get unsentBytes(): number {
    this.trim();
    let bytes = 0;
    for (let i = this.#head; i < this.#entries.length; i++) {
      const { accepted, message } = this.#entries[i]!;
      if (accepted) bytes += message.length;
    }
    return bytes;
  }

  /**
   * Sends on the link, or waits for one. Resolves when a link has accepted the message.
   *
   * @throws {FramingError} when the framing refuses the message
   * @throws {LimitError} `ERR_QUEUE_FULL` when too many bytes wait already
   */
  push(message: Uint8Array): Promise<void> {
    return this.#pushNow(message) ?? this.#keep(message);
  }

  /** Sends a message on the link; returns `null` when it has to wait. */
  #pushNow(message: Uint8Array): Promise<void> | null {
    const link = this.#link;
    if (link === null || this.#next < this.#entries.length || !this.#hasRoom(link)) return null;
    const start = link.sending.pushedBytes;
    const accepted = link.send(message);
    const end = link.sending.pushedBytes;
    // Nothing was added: the framing refused the message, or it has no bytes.
    if (end === start) return accepted;
    this.#entries.push({ message, accepted: true, taken: null, start, end });
    this.#next++;
    this.#givenCost += costOf(message);
    return ACCEPTED;
  }

  /**
   * The same for messages that follow each other, all or none. Resolves when a link has accepted all
   * of them.
   *
   * @throws {FramingError} when the framing refuses one of them
   * @throws {LimitError} `ERR_QUEUE_FULL` when too many bytes wait already
   */
  pushBatch(messages: readonly Uint8Array[]): Promise<void> {
    const refusal = this.#refusal(messages);
    if (refusal !== null) return this.#options.refuse(refusal);
    const waits: Promise<void>[] = [];
    for (const message of messages) {
      const accepted = this.#pushNow(message) ?? this.#line(message);
      if (accepted !== ACCEPTED) waits.push(accepted);
    }
    return waits.length === 0 ? ACCEPTED : ignoreRejection(Promise.all(waits).then(() => {}));
  }

  /** Passes what waits to a new link. */
  attach(link: Connection): void {
    this.#link = link;
    this.#earlier = 0;
    this.#handed = 0;
    this.#handedEnd = 0;
    this.#refused = 0;
    this.#pump();
  }

  /** The link is gone: counts what became of its messages. Returns `null` when there was no link. */
  detach(): LinkLoss | null {
    const link = this.#link;
    if (link === null) return null;
    this.trim();
    this.#link = null;
    this.#pause = "none";
    const { startedBytes } = link.sending;
    const given = this.#entries.slice(this.#head, this.#next);
    const underWay = given.filter(({ start }) => start < startedBytes).length;
    const kept = this.#entries.slice(this.#head + underWay);
    this.#entries = kept;
    this.#head = 0;
    this.#next = 0;
    this.#givenCost = 0;
    this.#waitingCost = kept.reduce((sum, { message }) => sum + costOf(message), 0);
    for (const reject of this.#flushes) reject(noLink());
    this.#flushes.clear();
    return {
      handedMessages: this.#handed,
      uncertainMessages: underWay + this.#refused,
      keptMessages: kept.length,
      earlierMessages: this.#earlier,
    };
  }

  /** Forgets messages that the kernel has by now. */
  trim(): void {
    if (this.#link !== null) this.#forgetWritten(this.#link.sending);
  }

  /**
   * Resolves when all that was pushed so far is in the kernel.
   *
   * @throws {ClosedError} when there is no link, or it is lost before that
   */
  flush(): Promise<void> {
    const link = this.#link;
    if (link === null) return rejected(noLink());
    const last = this.#entries.at(-1);
    if (last === undefined || this.#next === this.#entries.length) return link.flush();
    last.taken ??= withHandledRejection();
    const { promise, resolve, reject } = withHandledRejection();
    this.#flushes.add(reject);
    const settled = () => this.#flushes.delete(reject);
    void last.taken.promise.then(() => link.flush()).then(resolve, reject).then(settled);
    return promise;
  }

  /** Drops everything; sends that still wait reject with `error`. There must be no link. */
  fail(error: Error): void {
    for (const { taken } of this.#entries) taken?.reject(error);
    this.#entries = [];
    this.#waitingCost = 0;
  }

  #keep(message: Uint8Array): Promise<void> {
    const refusal = this.#refusal([message]);
    return refusal === null ? this.#line(message) : this.#options.refuse(refusal);
  }

  /** Returns why messages may not wait; `null` when they may. */
  #refusal(messages: readonly Uint8Array[]): unknown {
    const { maxQueuedBytes } = this.#options;
    try {
      const encoder = this.#options.newEncoder();
      if (encoder.bodies !== undefined) encoder.bodies(messages);
      else for (const message of messages) encoder.body(message);
    } catch (error) {
      return error;
    }
    // Messages larger than the bound may wait alone.
    if (this.#waitingCost === 0) return null;
    const cost = messages.reduce((sum, message) => sum + costOf(message), this.#waitingCost);
    if (cost <= maxQueuedBytes) return null;
    return new LimitError(
      "ERR_QUEUE_FULL",
      `Cannot send: "maxQueuedBytes" is ${maxQueuedBytes}: ${this.#waitingCost} bytes wait to be sent already. ` +
        `Wait for each send to resolve before the next`,
    );
  }

  /** Lines up a message that may wait. */
  #line(message: Uint8Array): Promise<void> {
    const taken = withHandledRejection();
    this.#entries.push({ message, accepted: false, taken, start: 0, end: 0 });
    this.#waitingCost += costOf(message);
    this.#pump();
    return taken.promise;
  }

  /** Whether the link may get more messages. */
  #hasRoom(link: Connection): boolean {
    if (this.#pause !== "none" || !isOpen(link)) return false;
    this.#forgetWritten(link.sending);
    return this.#givenCost < this.#options.highWaterBytes;
  }

  /**
   * Passes waiting messages to the link, as far as it has room, and goes on when the link has
   * written them.
   */
  #pump(): void {
    const link = this.#link;
    if (link === null) return;
    while (this.#next < this.#entries.length && this.#hasRoom(link)) this.#give(link);
    if (this.#next === this.#entries.length || this.#pause !== "none" || !isOpen(link)) return;
    this.#pause = "full";
    // When it fails, the link is lost, and `detach` does the rest.
    link.flush().then(() => this.#resume(link), () => {});
  }

  #resume(link: Connection): void {
    if (this.#link !== link) return;
    this.#pause = "none";
    this.#pump();
  }

  /** Passes the first waiting message to the link. */
  #give(link: Connection): void {
    const entry = this.#entries[this.#next]!;
    entry.start = link.sending.pushedBytes;
    const accepted = link.send(entry.message);
    entry.end = link.sending.pushedBytes;
    if (entry.end > entry.start) return this.#onTaken(entry);
    // Nothing was added: whether that was right shows in a moment.
    this.#pause = "unanswered";
    accepted.then(() => {
      if (this.#link !== link) return;
      this.#onTaken(entry);
      this.#resume(link);
    }, (error) => this.#onRefused(link, error));
  }

  #onTaken(entry: Entry): void {
    const cost = costOf(entry.message);
    this.#next++;
    this.#waitingCost -= cost;
    this.#givenCost += cost;
    entry.accepted = true;
    entry.taken?.resolve();
    entry.taken = null;
  }

  /**
   * The link's framing was changed to one that refuses the message; or nothing more can be sent on
   * this link.
   */
  #onRefused(link: Connection, error: unknown): void {
    if (this.#link !== link) return;
    if (error instanceof ClosedError || error instanceof TimeoutError) return;
    const [entry] = this.#entries.splice(this.#next, 1);
    this.#waitingCost -= costOf(entry!.message);
    if (entry!.accepted) this.#refused++;
    entry!.taken?.reject(error);
    this.#resume(link);
  }

  #forgetWritten({ writtenBytes, heardBytes }: SendProgress): void {
    const entries = this.#entries;
    // The server was heard since: at that moment the kernel had all that was looked at before.
    if (heardBytes >= this.#handedEnd) {
      this.#earlier += this.#handed;
      this.#handed = 0;
    }
    while (this.#head < this.#next && entries[this.#head]!.end <= writtenBytes) {
      const { end, message } = entries[this.#head]!;
      this.#givenCost -= costOf(message);
      this.#head++;
      if (end <= heardBytes) this.#earlier++;
      else {
        this.#handed++;
        this.#handedEnd = end;
      }
    }
    if (this.#head === entries.length) entries.length = 0;
    else if (this.#head < 1024 || this.#head * 2 < entries.length) return;
    else entries.splice(0, this.#head);
    this.#next -= this.#head;
    this.#head = 0;
  }
}

function costOf(message: Uint8Array): number {
  return message.length + KEEPING_BYTES;
}

function isOpen({ status: state }: Connection): boolean {
  return state === "open" || state === "draining";
}

function noLink(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot flush: there is no link, or it was lost");
}

function withHandledRejection(): PromiseWithResolvers<void> {
  const resolvers = Promise.withResolvers<void>();
  ignoreRejection(resolvers.promise);
  return resolvers;
}
