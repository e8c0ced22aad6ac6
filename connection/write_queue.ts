// WriteQueue: one connection's pending frames, in order, bounded in bytes, joined into few writes.
import { ClosedError } from "../errors.ts";
import type { FrameEncoder } from "../framing.ts";
import { bufferGone } from "../net/transport/faults.ts";
import type { Transport } from "../net/transport/transport.ts";
import type { SendProgress } from "./types.ts";
import { LARGE_BYTES, returnBuffer, SMALL_BYTES, takeBuffer } from "../collections/buffers.ts";
import { ignoreRejection, rejected } from "../async/rejections.ts";
import { atTurnEnd, type TurnEnd } from "./turns.ts";

/** Most bytes of a large message that go out in one write. */
const SLICE_BYTES = 256 * 1024;

/** The same to a peer that is slow, so that what it takes shows soon even where a transport reports whole writes only. */
const SLOW_SLICE_BYTES = 16 * 1024;

/** From this size on a message that goes out as it is costs less as a write of its own than as a copy. */
const DIRECT_BYTES = 16 * 1024;

/** What every send below the high-water mark returns: one promise for all of them. */
const ACCEPTED: Promise<void> = Promise.resolve();

/** Bytes that wait for their write. */
interface Segment {
  readonly bytes: Uint8Array;
  /** How many they are. The bytes of a sender that transfers its buffer too early become none. */
  readonly length: number;
  /** Buffer to return once they are written; `null` when the bytes are the sender's own. */
  readonly buffer: Uint8Array | null;
}

/** Stands where a segment was taken out: a queue that is never empty must not hold on to what it has written. */
const TAKEN: Segment = { bytes: new Uint8Array(0), length: 0, buffer: null };

/** Segments taken out after which their places are given up. */
const COMPACT_AT = 64;

/** Options of a {@linkcode WriteQueue}. */
export interface WriteQueueOptions {
  /** `push` makes its caller wait above this. */
  readonly highWaterBytes: number;
  /** Above this the connection ends: its peer is too slow. */
  readonly maxQueuedBytes: number;
  /** Called once, when a write fails or the queue overflows. */
  readonly onError: (error: Error) => void;
}

/** A wait until `offset` bytes are written. */
interface FlushWait extends PromiseWithResolvers<void> {
  readonly offset: number;
}

/**
 * Collects frames and writes them in order. Small frames are copied into one buffer that goes out in one write; what
 * comes while a write is under way joins the next one.
 */
export class WriteQueue implements SendProgress, TurnEnd {
  readonly #transport: Transport;
  readonly #options: WriteQueueOptions;
  #encoder: FrameEncoder;
  /** Full buffers and large bodies, in order; `#head` is the first. */
  #segments: Segment[] = [];
  #head = 0;
  /** The buffer being filled, behind all segments. */
  #fill: Uint8Array | null = null;
  #filled = 0;
  #writing: Segment | null = null;
  #ended = false;
  /** Why the queue has ended; made only when it is asked for where the end was in order. */
  #failure: Error | null = null;
  #unsentBytes = 0;
  /** Whether the peer takes little at a time. */
  #isSlow = false;
  #scheduled = false;
  #belowHighWater: PromiseWithResolvers<void> | null = null;
  #flushes: FlushWait[] = [];
  /** Bytes of all frames ever pushed. */
  pushedBytes = 0;
  /** Bytes given to the transport; `writtenBytes` of them are in the kernel. */
  startedBytes = 0;
  /** Bytes that the kernel has. */
  writtenBytes = 0;
  /** Those of {@linkcode writtenBytes} that the kernel had when the peer was last heard. */
  heardBytes = 0;

  constructor(transport: Transport, encoder: FrameEncoder, options: WriteQueueOptions) {
    this.#transport = transport;
    this.#encoder = encoder;
    this.#options = options;
  }

  /** Bytes accepted and not yet in the kernel. */
  get queuedBytes(): number {
    return this.pushedBytes - this.takenBytes;
  }

  /** Bytes that the kernel has, those of a write under way included as far as the transport reports them. */
  get takenBytes(): number {
    return this.writtenBytes + (this.#writing === null ? 0 : this.#transport.takenBytes ?? 0);
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
    const size = body.length + this.#encoder.maxOverhead;
    if (size === body.length && size >= DIRECT_BYTES) this.#pushDirect(body);
    else if (size <= LARGE_BYTES) this.#pushJoined(body, size);
    else this.#pushLarge(body);
    const queued = this.pushedBytes - this.writtenBytes;
    if (queued >= LARGE_BYTES || queued > this.#options.highWaterBytes) this.flush();
    // The flush itself ends the queue where the first bytes to go are gone.
    if (this.#ended) return rejected(this.#refusal());
    if (queued > this.#options.highWaterBytes) return this.#waitForRoom(queued, body.length);
    if (queued < LARGE_BYTES && !this.#scheduled && this.#writing === null) this.#schedule();
    return ACCEPTED;
  }

  /** Starts to write now what has been pushed, unless a write is under way: then it joins the next one. */
  flush(): void {
    if (this.#writing === null && !this.#ended) this.#writeNext();
  }

  /** Takes note that the peer is slow: until the queue is empty, less goes out in one write. */
  slowDown(): void {
    this.#isSlow = true;
  }

  /** Resolves when all that was pushed before is in the kernel. After an end by an error it rejects in any case. */
  flushed(): Promise<void> {
    if (this.#failure !== null) return rejected(this.#failure);
    if (this.pushedBytes === this.writtenBytes) return ACCEPTED;
    this.flush();
    // The flush itself ends the queue where the first bytes to go are gone.
    if (this.#ended) return rejected(this.#refusal());
    const last = this.#flushes.at(-1);
    if (last?.offset === this.pushedBytes) return last.promise;
    const wait: FlushWait = { offset: this.pushedBytes, ...Promise.withResolvers<void>() };
    this.#flushes.push(wait);
    return ignoreRejection(wait.promise);
  }

  /** Ends the queue: drops what is not written and settles every wait with `error`, which is `null` at an end in order. */
  end(error: Error | null): void {
    if (this.#ended) return;
    this.#unsentBytes = this.queuedBytes;
    this.#ended = true;
    this.#failure = error;
    this.#segments = [];
    this.#head = 0;
    this.#fill = null;
    this.#filled = 0;
    this.#belowHighWater?.reject(this.#refusal());
    for (const wait of this.#flushes) wait.reject(this.#refusal());
    this.#flushes = [];
  }

  /** Why nothing is taken any more. */
  #refusal(): Error {
    return this.#failure ?? new ClosedError("ERR_CLOSED", "Cannot send: the connection is closed", {
      unsentBytes: this.#unsentBytes,
    });
  }

  #pushJoined(body: Uint8Array, size: number): void {
    let fill = this.#fill;
    if (fill === null || this.#filled + size > fill.length) fill = this.#makeRoom(size);
    const start = this.#encoder.writeHead(body, fill, this.#filled);
    fill.set(body, start);
    const end = this.#encoder.writeTail(body, fill, start + body.length);
    this.pushedBytes += end - this.#filled;
    this.#filled = end;
  }

  /** Returns a buffer with room for `size` more bytes: the small one grows once, then full ones line up. */
  #makeRoom(size: number): Uint8Array {
    const old = this.#fill;
    if (old !== null && old.length === SMALL_BYTES && this.#filled + size <= LARGE_BYTES) {
      this.#fill = takeBuffer(LARGE_BYTES);
      this.#fill.set(old.subarray(0, this.#filled));
      returnBuffer(old);
      return this.#fill;
    }
    this.#seal();
    return this.#fill = takeBuffer(size);
  }

  /** Closes the buffer being filled. */
  #seal(): void {
    const fill = this.#fill;
    if (fill === null) return;
    this.#segments.push({ bytes: fill.subarray(0, this.#filled), length: this.#filled, buffer: fill });
    this.#fill = null;
    this.#filled = 0;
  }

  /** A body that nothing is added to goes out from where it lies: a proxy's chunks are not copied. */
  #pushDirect(body: Uint8Array): void {
    if (this.#filled > 0) this.#seal();
    this.#pushSlices(body, 0);
    this.pushedBytes += body.length;
  }

  /** Lines up the sender's own bytes, from `start` on. */
  #pushSlices(body: Uint8Array, start: number): void {
    for (let at = start; at < body.length; at += SLICE_BYTES) {
      const bytes = body.subarray(at, at + SLICE_BYTES);
      this.#segments.push({ bytes, length: bytes.length, buffer: null });
    }
  }

  /**
   * The head and the first bytes of a large body go out with what waits before it; the rest from where it lies. So no
   * write is tiny, and at most 64 KiB are copied.
   */
  #pushLarge(body: Uint8Array): void {
    const { maxOverhead } = this.#encoder;
    let fill = this.#fill;
    if (fill === null || this.#filled + maxOverhead > fill.length) fill = this.#makeRoom(maxOverhead);
    const from = this.#filled;
    const start = this.#encoder.writeHead(body, fill, from);
    const copied = Math.min(body.length, fill.length - start);
    fill.set(body.subarray(0, copied), start);
    this.#filled = start + copied;
    this.#seal();
    this.#pushSlices(body, copied);
    const tail = this.#fill = takeBuffer(maxOverhead);
    this.#filled = this.#encoder.writeTail(body, tail, 0);
    this.pushedBytes += start - from + body.length + this.#filled;
  }

  #waitForRoom(queued: number, length: number): Promise<void> {
    // A message larger than the whole queue may go alone: `maxMessageBytes` bounds it.
    if (queued > this.#options.maxQueuedBytes && queued - length > this.#options.highWaterBytes) {
      const error = new ClosedError(
        "ERR_SLOW_CONSUMER",
        `Cannot send: "maxQueuedBytes" is ${this.#options.maxQueuedBytes}: ${queued} bytes wait for a peer that does not ` +
          `read. Wait for each send to resolve before the next`,
        { unsentBytes: queued },
      );
      this.#options.onError(error);
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
    this.#scheduled = false;
    this.flush();
  }

  #writeNext(): void {
    if (this.#head === this.#segments.length) {
      this.#segments.length = 0;
      this.#head = 0;
      if (this.#filled === 0) {
        this.#isSlow = false;
        this.#releaseFill();
        return;
      }
      this.#seal();
    }
    const segment = this.#isSlow ? this.#takeLittle() : this.#take();
    // A write of no bytes would never end on some transports, and on others count as one of all.
    if (segment.bytes.length !== segment.length) return this.#options.onError(bufferGone());
    this.#writing = segment;
    this.startedBytes += segment.length;
    this.#transport.write(segment.bytes).then(this.#onWritten, this.#onFailed);
  }

  /** Takes out the first segment. */
  #take(): Segment {
    const segment = this.#segments[this.#head]!;
    this.#segments[this.#head++] = TAKEN;
    if (this.#head === COMPACT_AT) {
      this.#segments.splice(0, this.#head);
      this.#head = 0;
    }
    return segment;
  }

  /** Takes out the first bytes of the first segment. */
  #takeLittle(): Segment {
    const { bytes, length, buffer } = this.#segments[this.#head]!;
    if (length <= SLOW_SLICE_BYTES || bytes.length !== length) return this.#take();
    const rest = bytes.subarray(SLOW_SLICE_BYTES);
    this.#segments[this.#head] = { bytes: rest, length: rest.length, buffer };
    return { bytes: bytes.subarray(0, SLOW_SLICE_BYTES), length: SLOW_SLICE_BYTES, buffer: null };
  }

  readonly #onWritten = (): void => {
    const { length, buffer } = this.#writing!;
    this.#writing = null;
    if (buffer !== null) returnBuffer(buffer);
    if (this.#ended) return;
    this.writtenBytes += length;
    if (this.#flushes.length > 0) this.#settleFlushes();
    if (
      this.#belowHighWater !== null && this.pushedBytes - this.writtenBytes <= this.#options.highWaterBytes
    ) {
      const wait = this.#belowHighWater;
      this.#belowHighWater = null;
      wait.resolve();
    }
    this.#writeNext();
  };

  readonly #onFailed = (error: Error): void => {
    this.#writing = null;
    if (!this.#ended) this.#options.onError(error);
  };

  #settleFlushes(): void {
    while (this.#flushes.length > 0 && this.#flushes[0]!.offset <= this.writtenBytes) {
      this.#flushes.shift()!.resolve();
    }
  }

  #releaseFill(): void {
    if (this.#fill === null) return;
    returnBuffer(this.#fill);
    this.#fill = null;
  }
}
