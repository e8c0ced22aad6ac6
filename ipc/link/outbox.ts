// Outbox: frames on their way out, in order, bounded in bytes, joined into few writes.
import { HUGE_BYTES, LARGE_BYTES, returnBuffer } from "../../net/transport/buffers.ts";
import { ignoreRejection, rejected } from "../../async/rejections.ts";
import { ClosedError } from "../../errors.ts";
import { Fifo } from "../../collections/fifo.ts";
import type { SendRoom } from "../../connection/types.ts";
import { PendingBytes, type Segment } from "../../net/transport/pending_bytes.ts";
import { FRAME_HEAD_BYTES, type FrameKind, writeFrameHead } from "../protocol/frames.ts";
import type { FrameLink } from "../secure/frame_link.ts";

/**
 * Data up to this size is copied and joined with its neighbours. Larger data is sent from where it
 * lies, but where records have a size: there all is copied, as a full record is worth more than a
 * copy costs.
 */
const JOINED_BYTES = 16 * 1024;
/** Turns of the microtask queue without a new frame, after which what is there goes out. */
const QUIET_TURNS = 4;

/** What every push below the high-water mark returns: one promise for all. */
const ACCEPTED: Promise<void> = Promise.resolve();

/** What a frame of a message says. */
export interface FrameContent {
  /** Type of the message. */
  readonly type: number;
  readonly data: Uint8Array;
}

/** How an outbox works with its owner. */
export interface OutboxOptions {
  /** A push waits above this many bytes. */
  readonly highWaterBytes: number;
  /** Above this, only who never waits gets there: the link ends. */
  readonly maxQueuedBytes: number;
  /** Called once, when a write fails or the outbox overflows. */
  readonly onError: (error: Error) => void;
  /** Called after writes that bring the outbox to its high-water mark or below. */
  readonly onRoom: () => void;
}

/** The writing half of a link. */
export class Outbox implements SendRoom {
  readonly #link: FrameLink;
  readonly #options: OutboxOptions;
  readonly #pending = new PendingBytes();
  /** Segments being written, in order. */
  readonly #writes = new Fifo<Segment>();
  readonly #writeBytes: number | null;
  #failure: Error | null = null;
  #room: PromiseWithResolvers<void> | null = null;
  /** The wait of callers that only look on. */
  #lookers: PromiseWithResolvers<void> | null = null;
  #empty: PromiseWithResolvers<void> | null = null;
  #scheduled = false;
  #quietTurns = 0;
  #seenBytes = 0;
  /** Bytes of all frames ever pushed. */
  pushedBytes = 0;
  /** Bytes that the kernel has, of all ever pushed. */
  writtenBytes = 0;
  /** Bytes of stream frames that are queued: whose share is bounded, and no writer's to answer for. */
  streamBytes = 0;
  /** Called after every write. The streams of the link set theirs. */
  onWritten: () => void = () => {};

  /** Makes an empty outbox. */
  constructor(link: FrameLink, options: OutboxOptions) {
    this.#link = link;
    this.#options = options;
    this.#writeBytes = link.writeBytes === null ? null : Math.min(link.writeBytes, HUGE_BYTES);
  }

  /** Bytes accepted and not yet in the kernel. */
  get queuedBytes(): number {
    return this.pushedBytes - this.writtenBytes;
  }

  /** Whether a push would have to wait. */
  get full(): boolean {
    return this.queuedBytes > this.#options.highWaterBytes;
  }

  /** The opposite of {@linkcode full}. */
  get hasRoom(): boolean {
    return !this.full;
  }

  /**
   * As {@linkcode waitForRoom}, but it resolves at the end too. Never rejects. It is a wait of its own:
   * a caller that only looks on is no writer that has to wait.
   */
  whenRoom(): Promise<void> {
    if (this.#failure !== null || !this.full) return ACCEPTED;
    this.#lookers ??= Promise.withResolvers();
    return this.#lookers.promise;
  }

  /** Whether a write is under way. */
  get writing(): boolean {
    return this.#writes.size > 0;
  }

  /** Adds a frame, whatever is queued. Large data must not be changed before its bytes are written. */
  add(kind: FrameKind, tag: number, data: Uint8Array): void {
    if (this.#failure === null) this.#add(kind, tag, data);
  }

  /**
   * Adds a frame. Resolves once `data` may be changed again and the outbox is at its high-water
   * mark or below.
   *
   * @throws {ClosedError} `ERR_SLOW_CONSUMER` when more than `maxQueuedBytes` are queued
   */
  push(kind: FrameKind, tag: number, data: Uint8Array): Promise<void> {
    const refused = this.#refuse(data.length);
    return refused === null ? this.#accepted(this.#add(kind, tag, data)) : rejected(refused);
  }

  /**
   * Adds frames of one kind, one after the other. Waits as {@linkcode push} does for one frame of their
   * size.
   *
   * @throws {ClosedError} `ERR_SLOW_CONSUMER` when more than `maxQueuedBytes` are queued
   */
  pushBatch(kind: FrameKind, frames: readonly FrameContent[]): Promise<void> {
    const refused = this.#refuse(frames.reduce((bytes, { data }) => bytes + data.length, 0));
    if (refused !== null) return rejected(refused);
    let written: Promise<void> | null = null;
    // They are written in order: the last one that is sent from where it lies is written last.
    for (const { type, data } of frames) written = this.#add(kind, type, data) ?? written;
    return this.#accepted(written);
  }

  /** Returns why `bytes` more are not taken, or `null`. */
  #refuse(bytes: number): Error | null {
    if (this.#failure !== null) return this.#failure;
    const before = this.queuedBytes;
    const { maxQueuedBytes } = this.#options;
    // A message larger than the whole outbox may go alone: the peer's limit bounds it. Queries and
    // answers that are queued are not the writer's, nor are streams: it has waited for its own.
    if (this.#room === null || before - this.streamBytes + bytes <= maxQueuedBytes) return null;
    const error = slowConsumer(before, maxQueuedBytes);
    this.#options.onError(error);
    return error;
  }

  /** What a push waits for, once its data is added and `written` says when its bytes may change. */
  #accepted(written: Promise<void> | null): Promise<void> {
    if (!this.full) return written ?? ACCEPTED;
    const room = this.waitForRoom();
    return written === null ? room : ignoreRejection(Promise.all([written, room]).then(() => {}));
  }

  /** Resolves when a push would not have to wait. */
  waitForRoom(): Promise<void> {
    if (this.#failure !== null) return rejected(this.#failure);
    if (!this.full) return ACCEPTED;
    this.#room ??= settledQuietly();
    return this.#room.promise;
  }

  /** Starts to write now, unless a write is under way: then what is here joins the next one. */
  flush(): void {
    if (this.#writes.size === 0 && this.#failure === null) this.#writeNext();
  }

  /** Resolves when the kernel has everything. */
  emptied(): Promise<void> {
    if (this.#failure !== null) return rejected(this.#failure);
    if (this.queuedBytes === 0) return ACCEPTED;
    this.flush();
    this.#empty ??= settledQuietly();
    return this.#empty.promise;
  }

  /** Drops what is not written and settles every wait with `error`. */
  fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (let next = this.#writes.shift(); next !== undefined; next = this.#writes.shift()) {
      next.written?.reject(error);
    }
    this.#pending.drop(error);
    this.#lookers?.resolve();
    this.#room?.reject(error);
    this.#empty?.reject(error);
  }

  /** Adds a frame; returns a promise where its data is not copied. */
  #add(kind: FrameKind, tag: number, data: Uint8Array): Promise<void> | null {
    const joined = data.length <= JOINED_BYTES;
    const size = FRAME_HEAD_BYTES + (joined ? data.length : 0);
    const pending = this.#pending;
    if (this.#writeBytes !== null) {
      this.#startRecord(FRAME_HEAD_BYTES + data.length, this.#writeBytes);
    }
    const fill = pending.room(size);
    writeFrameHead(fill, pending.filled, { kind, tag, dataBytes: data.length });
    if (joined) fill.set(data, pending.filled + FRAME_HEAD_BYTES);
    pending.filled += size;
    this.pushedBytes += FRAME_HEAD_BYTES + data.length;
    let written: Promise<void> | null = null;
    if (!joined && this.#writeBytes === null) written = this.#addLarge(data);
    else if (!joined) this.#copyLarge(data, this.#writeBytes!);
    if (pending.size > 0 || pending.filled >= LARGE_BYTES / 2) this.#writeNext();
    else if (this.#writes.size === 0 && !this.#scheduled) this.#schedule();
    return written;
  }

  /**
   * A frame that a record can hold goes whole into one: the other side then reads it where it lies.
   * Makes room for it, or for the start of a longer one.
   */
  #startRecord(frameBytes: number, writeBytes: number): void {
    const pending = this.#pending;
    const left = writeBytes - pending.filled;
    const part = Math.min(frameBytes, left);
    const isCut = frameBytes > left && (frameBytes <= writeBytes || left <= 0);
    const needsBuffer = pending.filled + part > LARGE_BYTES && !pending.hasRoom(part);
    if (pending.filled > 0 && (isCut || needsBuffer)) pending.seal();
    pending.room(Math.min(frameBytes, writeBytes - pending.filled));
  }

  /** Copies data into one buffer after the other, each as full as a record may be. */
  #copyLarge(data: Uint8Array, writeBytes: number): void {
    const pending = this.#pending;
    for (let at = 0; at < data.length;) {
      if (pending.filled >= writeBytes) pending.seal();
      const count = Math.min(data.length - at, writeBytes - pending.filled);
      pending.room(count).set(data.subarray(at, at + count), pending.filled);
      pending.filled += count;
      at += count;
    }
  }

  #addLarge(data: Uint8Array): Promise<void> {
    const written = settledQuietly();
    this.#pending.seal();
    this.#pending.pushOwn(data, 0, written);
    return written.promise;
  }

  /**
   * Writes once a few turns of the microtask queue brought no new frame: a program that reads and
   * answers in a loop gets its answers joined, and no timer is involved.
   */
  #schedule(): void {
    this.#scheduled = true;
    this.#quietTurns = 0;
    this.#seenBytes = this.pushedBytes;
    queueMicrotask(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    if (this.#writes.size > 0 || this.#failure !== null) {
      this.#scheduled = false;
      return;
    }
    if (this.#seenBytes !== this.pushedBytes) {
      this.#seenBytes = this.pushedBytes;
      this.#quietTurns = 0;
    } else if (++this.#quietTurns >= QUIET_TURNS) {
      this.#scheduled = false;
      this.flush();
      return;
    }
    queueMicrotask(this.#onTurn);
  };

  /**
   * Writes what is complete, as many at a time as the link takes; what is being filled only when
   * nothing else is under way.
   */
  #writeNext(): void {
    while (this.#writes.size < this.#link.maxWrites) {
      if (this.#pending.size === 0) {
        if (this.#writes.size > 0 || this.#pending.filled === 0) return;
        this.#pending.seal();
      }
      const segment = this.#pending.take()!;
      this.#writes.push(segment);
      this.#link.write(segment.bytes).then(this.#onWritten, this.#onFailed);
    }
  }

  readonly #onWritten = (): void => {
    if (this.#failure !== null) return;
    const { bytes, buffer, written } = this.#writes.shift()!;
    if (buffer !== null) returnBuffer(buffer);
    const wasFull = this.full;
    this.writtenBytes += bytes.length;
    written?.resolve();
    this.#writeNext();
    this.onWritten();
    if (this.full) return;
    this.#lookers?.resolve();
    this.#lookers = null;
    this.#room?.resolve();
    this.#room = null;
    if (wasFull) this.#options.onRoom();
    if (this.#empty !== null && this.queuedBytes === 0) {
      this.#empty.resolve();
      this.#empty = null;
    }
  };

  readonly #onFailed = (error: Error): void => {
    if (this.#failure === null) this.#options.onError(error);
  };
}

/** A promise whose rejection may go unheard: the link reports its end in other ways too. */
function settledQuietly(): PromiseWithResolvers<void> {
  const waiting = Promise.withResolvers<void>();
  ignoreRejection(waiting.promise);
  return waiting;
}

function slowConsumer(queued: number, maxQueuedBytes: number): ClosedError {
  return new ClosedError(
    "ERR_SLOW_CONSUMER",
    `Cannot send: "maxQueuedBytes" is ${maxQueuedBytes}: ${queued} bytes wait for a process that does not read. ` +
      `Wait for each write to resolve before the next`,
    { unsentBytes: queued },
  );
}
