// WriteQueue: one connection's pending frames, in order, bounded in bytes, joined into few writes.
import { ClosedError, FramingError } from "../errors.ts";
import type { FrameEncoder } from "../framing.ts";
import { bufferGone } from "../net/transport/faults.ts";
import { writeFor } from "../net/transport/handover.ts";
import type { ChunkWriter, Transport } from "../net/transport/transport.ts";
import type { SendProgress } from "./types.ts";
import { LARGE_BYTES, returnBuffer } from "../net/transport/buffers.ts";
import { PendingBytes, type Segment } from "../net/transport/pending_bytes.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import { atTurnEnd, type TurnEnd } from "./turns.ts";

/**
 * Most bytes that go out in one write to a peer that is slow, so that what it takes shows soon even
 * where a transport reports whole writes only.
 */
const SLOW_SLICE_BYTES = 16 * 1024;

/** From this size on a message that goes out as it is costs less as a write of its own than as a copy. */
const DIRECT_BYTES = 16 * 1024;

/** Every byte, and common delimiters of more than one. */
const ALL_BYTES = new Uint8Array([
  ...Array.from({ length: 256 }, (_, i) => i),
  ...[13, 10, 13, 10, 10, 10, 0, 0],
]);

/** What every send below the high-water mark returns: one promise for all of them. */
const ACCEPTED: Promise<void> = Promise.resolve();

/** Options of a {@linkcode WriteQueue}. */
export interface WriteQueueOptions {
  /** `push` makes its caller wait above this. */
  readonly highWaterBytes: number;
  /** Above this the connection ends: its peer is too slow. */
  readonly maxQueuedBytes: number;
}

/** Learns that writing is over. */
export interface WriteListener {
  /** Called once, when a write fails or the queue overflows. */
  onWriteError(error: Error): void;
}

/** A wait until `offset` bytes are written. */
interface FlushWait extends PromiseWithResolvers<void> {
  readonly offset: number;
}

/**
 * Collects frames and writes them in order. Small frames are copied into one buffer that goes out
 * in one write; what comes while a write is under way joins the next one.
 *
 * Everything may be called at any time, and concurrently: frames leave in the order of the calls of
 * {@linkcode push}.
 */
export class WriteQueue implements SendProgress, TurnEnd, ChunkWriter {
  readonly #transport: Transport;
  readonly #options: WriteQueueOptions;
  readonly #listener: WriteListener;
  #encoder: FrameEncoder;
  readonly #pending = new PendingBytes();
  #writing: Segment | null = null;
  #ended = false;
  /** Why the queue has ended; made only when it is asked for where the end was in order. */
  #failure: Error | null = null;
  #unsentBytes = 0;
  /** Whether the peer takes little at a time. */
  #isSlow = false;
  #scheduled = false;
  #belowHighWater: PromiseWithResolvers<void> | null = null;
  #flushes: FlushWait[] | null = null;
  /** Messages that were accepted. */
  messagesOut = 0;
  /** Bytes of all frames ever pushed. */
  pushedBytes = 0;
  /** Bytes given to the transport; `writtenBytes` of them are in the kernel. */
  startedBytes = 0;
  /** Bytes that the kernel has. */
  writtenBytes = 0;
  /** Those of {@linkcode writtenBytes} that the kernel had when the peer was last heard. */
  heardBytes = 0;

  constructor(
    transport: Transport,
    encoder: FrameEncoder,
    options: WriteQueueOptions,
    listener: WriteListener,
  ) {
    this.#transport = transport;
    this.#encoder = encoder;
    this.#options = options;
    this.#listener = listener;
  }

  /** Bytes accepted and not yet in the kernel. */
  get queuedBytes(): number {
    return this.pushedBytes - this.takenBytes;
  }

  /** Bytes that the kernel has, those of a write under way included as far as the transport reports them. */
  get takenBytes(): number {
    return this.writtenBytes + (this.#writing === null ? 0 : this.#transport.takenBytes ?? 0);
  }

  /** Whether a push would resolve at once. */
  get hasRoom(): boolean {
    return this.pushedBytes - this.writtenBytes <= this.#options.highWaterBytes;
  }

  /** Resolves when there is room again, or the queue has ended. Never rejects. */
  whenRoom(): Promise<void> {
    if (this.#ended || this.hasRoom) return ACCEPTED;
    this.#belowHighWater ??= Promise.withResolvers<void>();
    return this.#belowHighWater.promise.catch(() => {});
  }

  /**
   * Whether messages of any bytes can be sent, each as one of its own: not with delimiters, and not
   * where nothing stands between messages. Longer delimiters than those tried here are not found.
   */
  get carriesAnyBytes(): boolean {
    const encoder = this.#encoder;
    if (encoder.maxOverhead === 0) return false;
    try {
      encoder.body(ALL_BYTES);
      return true;
    } catch (error) {
      return error instanceof FramingError && error.code === "ERR_FRAME_TOO_LARGE";
    }
  }

  /** Whether a write is under way. */
  get writing(): boolean {
    return this.#writing !== null;
  }

  /** Encodes what is pushed from now on with another encoder. */
  setEncoder(encoder: FrameEncoder): void {
    this.#encoder = encoder;
  }

  /**
   * Adds a message; the promise resolves once the queue is below its high-water mark.
   *
   * @throws {FramingError} when the framing refuses the message; nothing was added
   */
  push(message: Uint8Array): Promise<void> {
    if (this.#ended) return rejected(this.#refusal());
    const body = this.#encoder.body(message);
    this.#pushBody(body);
    return this.#accepted(body.length);
  }

  /**
   * Adds messages, all or none; the promise is like that of {@linkcode push} for one message of
   * their size.
   *
   * @throws {FramingError} when the framing refuses one of them; nothing was added
   */
  pushBatch(messages: readonly Uint8Array[]): Promise<void> {
    if (this.#ended) return rejected(this.#refusal());
    const encoder = this.#encoder;
    const bodies = encoder.bodies?.(messages) ?? messages.map((message) => encoder.body(message));
    if (bodies.length === 0) return ACCEPTED;
    const before = this.pushedBytes;
    for (const body of bodies) {
      this.#pushBody(body);
      // What is full goes out while the rest is added.
      if (this.pushedBytes - this.writtenBytes >= LARGE_BYTES) this.flush();
      if (this.#ended) return rejected(this.#refusal());
    }
    return this.#accepted(this.pushedBytes - before);
  }

  #pushBody(body: Uint8Array): void {
    const size = body.length + this.#encoder.maxOverhead;
    if (size === body.length && size >= DIRECT_BYTES) this.#pushDirect(body);
    else if (size <= LARGE_BYTES) this.#pushJoined(body, size);
    else this.#pushLarge(body);
    this.messagesOut++;
  }

  /** Messages of so many bytes were added: returns what their sender waits for. */
  #accepted(bytes: number): Promise<void> {
    const queued = this.pushedBytes - this.writtenBytes;
    if (queued >= LARGE_BYTES || queued > this.#options.highWaterBytes) this.flush();
    // The flush itself ends the queue where the first bytes to go are gone.
    if (this.#ended) return rejected(this.#refusal());
    if (queued > this.#options.highWaterBytes) return this.#waitForRoom(queued, bytes);
    if (queued < LARGE_BYTES && !this.#scheduled && this.#writing === null) this.#schedule();
    return ACCEPTED;
  }

  /** Starts to write now what has been pushed, unless a write is under way: then it joins the next one. */
  flush(): void {
    this.#scheduled = false;
    if (this.#writing === null && !this.#ended) this.#writeNext();
  }

  /** Whether something waits to be written for no more than the end of the turn. */
  get needsTurnEnd(): boolean {
    return this.#scheduled;
  }

  /** Takes note that the peer is slow: until the queue is empty, less goes out in one write. */
  slowDown(): void {
    this.#isSlow = true;
  }

  /**
   * Resolves when all that was pushed before is in the kernel. After an end by an error it rejects
   * in any case.
   */
  flushed(): Promise<void> {
    if (this.#failure !== null) return rejected(this.#failure);
    if (this.pushedBytes === this.writtenBytes) return ACCEPTED;
    this.flush();
    // The flush itself ends the queue where the first bytes to go are gone.
    if (this.#ended) return rejected(this.#refusal());
    const last = this.#flushes?.at(-1);
    if (last?.offset === this.pushedBytes) return last.promise;
    const wait: FlushWait = { offset: this.pushedBytes, ...Promise.withResolvers<void>() };
    (this.#flushes ??= []).push(wait);
    return ignoreRejection(wait.promise);
  }

  /**
   * Ends the queue: drops what is not written and settles every wait with `error`, which is `null`
   * at an end in order.
   */
  end(error: Error | null): void {
    if (this.#ended) return;
    this.#unsentBytes = this.queuedBytes;
    this.#ended = true;
    this.#failure = error;
    this.#pending.drop(null);
    this.#belowHighWater?.reject(this.#refusal());
    for (const wait of this.#flushes ?? []) wait.reject(this.#refusal());
    this.#flushes = null;
  }

  /** Why nothing is taken any more. */
  #refusal(): Error {
    return this.#failure ?? new ClosedError("ERR_CLOSED", "Cannot send: the connection is closed", {
      unsentBytes: this.#unsentBytes,
    });
  }

  #pushJoined(body: Uint8Array, size: number): void {
    const pending = this.#pending;
    const fill = pending.room(size);
    const from = pending.filled;
    const start = this.#encoder.writeHead(body, fill, from);
    fill.set(body, start);
    const end = this.#encoder.writeTail(body, fill, start + body.length);
    this.pushedBytes += end - from;
    pending.filled = end;
  }

  /** A body that nothing is added to goes out from where it lies: a proxy's chunks are not copied. */
  #pushDirect(body: Uint8Array): void {
    if (this.#pending.filled > 0) this.#pending.seal();
    this.#pending.pushOwn(body, 0);
    this.pushedBytes += body.length;
  }

  /**
   * The head and the first bytes of a large body go out with what waits before it; the rest from
   * where it lies. So no write is tiny, and at most 64 KiB are copied.
   */
  #pushLarge(body: Uint8Array): void {
    const pending = this.#pending;
    const { maxOverhead } = this.#encoder;
    const fill = pending.room(maxOverhead);
    const from = pending.filled;
    const start = this.#encoder.writeHead(body, fill, from);
    const copied = Math.min(body.length, fill.length - start);
    fill.set(body.subarray(0, copied), start);
    pending.filled = start + copied;
    pending.seal();
    pending.pushOwn(body, copied);
    const tailBytes = this.#encoder.writeTail(body, pending.room(maxOverhead), 0);
    pending.filled = tailBytes;
    this.pushedBytes += start - from + body.length + tailBytes;
  }

  #waitForRoom(queued: number, length: number): Promise<void> {
    // A message larger than the whole queue may go alone: `maxMessageBytes` bounds it; so may a batch,
    // which its sender holds anyway.
    if (queued > this.#options.maxQueuedBytes && queued - length > this.#options.highWaterBytes) {
      const error = new ClosedError(
        "ERR_SLOW_CONSUMER",
        `Cannot send: "maxQueuedBytes" is ${this.#options.maxQueuedBytes}: ${queued} bytes wait for a peer that does not ` +
          `read. Wait for each send to resolve before the next`,
        { unsentBytes: queued },
      );
      this.#listener.onWriteError(error);
      return rejected(error);
    }
    this.#belowHighWater ??= Promise.withResolvers<void>();
    return ignoreRejection(this.#belowHighWater.promise);
  }

  /** Writes at the end of this turn of the event loop, so that all that is sent in it goes out together. */
  #schedule(): void {
    this.#scheduled = true;
    atTurnEnd(this);
  }

  /** The turn is over. */
  onTurnEnd(): void {
    if (this.#scheduled) this.flush();
  }

  #writeNext(): void {
    const segment = this.#isSlow ? this.#takeSlice() : this.#pending.takeNext();
    if (segment === undefined) {
      this.#isSlow = false;
      return this.#pending.release();
    }
    // A write of no bytes would never end on some transports, and on others count as one of all.
    if (segment.bytes.length !== segment.length) return this.#listener.onWriteError(bufferGone());
    this.#writing = segment;
    this.startedBytes += segment.length;
    writeFor(this.#transport, segment.bytes, this);
  }

  #takeSlice(): Segment | undefined {
    if (this.#pending.size === 0 && this.#pending.filled > 0) this.#pending.seal();
    return this.#pending.takeAtMost(SLOW_SLICE_BYTES);
  }

  /** The write is over. */
  onWritten(): void {
    const { length, buffer } = this.#writing!;
    this.#writing = null;
    if (buffer !== null) returnBuffer(buffer);
    if (this.#ended) return;
    this.writtenBytes += length;
    if (this.#flushes !== null) this.#settleFlushes(this.#flushes);
    if (this.#belowHighWater !== null && this.hasRoom) {
      const wait = this.#belowHighWater;
      this.#belowHighWater = null;
      wait.resolve();
    }
    this.#writeNext();
  }

  /** The write failed. */
  onWriteFailed(error: Error): void {
    this.#writing = null;
    if (!this.#ended) this.#listener.onWriteError(error);
  }

  #settleFlushes(flushes: FlushWait[]): void {
    while (flushes.length > 0 && flushes[0]!.offset <= this.writtenBytes) {
      flushes.shift()!.resolve();
    }
    if (flushes.length === 0) this.#flushes = null;
  }
}
