// The outbound side of a session: control frames first, then slices of every ready stream in turn, joined.
import { HUGE_BYTES, LARGE_BYTES, returnBuffer, takeBuffer } from "../net/transport/buffers.ts";
import type { Transport } from "../net/transport/transport.ts";
import { HEADER_BYTES, writeHeader } from "./header.ts";
import type { FrameHeader } from "./header.ts";

/**
 * How much is joined into one write. Four slices fill a batch with their headers: a slice that is
 * cut at the end of a batch would cost its stream the next turn, time and again.
 */
interface BatchSize {
  /** Most bytes of the write. */
  readonly limitBytes: number;
  /** Most bytes of one stream before the next has its turn. */
  readonly sliceBytes: number;
}

/** On a slow link, or while nothing is known of it: what is in a batch delays whatever comes next. */
const CAREFUL: BatchSize = { limitBytes: LARGE_BYTES, sliceBytes: LARGE_BYTES / 4 - HEADER_BYTES };
/** On a fast link, where calls and frames cost more than bytes. */
const GENEROUS: BatchSize = { limitBytes: HUGE_BYTES, sliceBytes: 64 * 1024 };
/**
 * A link is fast when the kernel takes a well-filled batch within so many ms: 26 MB/s for a
 * generous one ...
 */
const FAST_MS = 10;
/** ... so many times in a row: room in its buffer alone makes one or two fast. */
const FAST_IN_A_ROW = 4;
/** Writes up to this size may go straight into the open batch, which keeps room for control frames. */
const MAX_DIRECT_BYTES = 4096;
const DIRECT_LIMIT_BYTES = 16384;
/** Less room than this is left for the next write, rather than filled with a scrap of a frame. */
const MIN_ROOM_BYTES = 1024;
/**
 * Turns of the microtask queue without a new frame that end this wait: from the ACK of a stream, through the
 * layers that look for its handler, to the answer of one that answers at once takes about ten. They cost
 * less than a microsecond, and the write that they save costs tens.
 */
const SETTLE_HOPS = 16;
const MAX_SETTLE_HOPS = 64;
/** Control frames that wait beyond the batches under way; with those, they take less than 256 KiB. */
const MAX_WAITING_CONTROL = 8192;
/** A write that waited so long, in ms, found a full buffer of the kernel, which the peer has made room in. */
const BLOCKED_MS = 100;
/** Waits of this kind for one batch. */
const MAX_ROUNDS = 8;

/** A stream as the writer sees it. */
export interface FrameSource {
  /** Next in the queue of ready sources; the writer's own. */
  nextReady: FrameSource | undefined;
  /** Whether it is in that queue; the writer's own. */
  isReady: boolean;
  /** Puts at most one frame into the batch; true when it has another one ready. */
  fill(batch: Batch): boolean;
}

const EMPTY = new Uint8Array(0);

/** Frames that go out in one write. */
export class Batch {
  #bytes: Uint8Array = EMPTY;
  #used = 0;
  #count = 0;
  /** How much may be in it. */
  size: BatchSize = CAREFUL;

  /** Bytes in it. */
  get used(): number {
    return this.#used;
  }

  /** Bytes of data that a frame put into it now may hold. */
  get room(): number {
    return this.size.limitBytes - this.#used - HEADER_BYTES;
  }

  /** Whether another header fits. */
  get hasRoom(): boolean {
    return this.#used + HEADER_BYTES <= this.size.limitBytes;
  }

  /** Frames put into it since the last reset. */
  get count(): number {
    return this.#count;
  }

  /** The joined frames, to be written before anything is added again. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#used);
  }

  /** Adds a header. */
  header(header: FrameHeader): void {
    this.#reserve(HEADER_BYTES);
    writeHeader(this.#bytes, this.#used, header);
    this.#used += HEADER_BYTES;
    this.#count += 1;
  }

  /** Adds bytes of a body, by copy. */
  body(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Forgets the frames. */
  reset(): void {
    this.#used = 0;
    this.#count = 0;
  }

  /** Forgets the frames and returns the buffer; nothing may be writing it. */
  release(): void {
    this.reset();
    if (this.#bytes !== EMPTY) returnBuffer(this.#bytes);
    this.#bytes = EMPTY;
  }

  #reserve(count: number): void {
    const wanted = this.#used + count;
    if (wanted <= this.#bytes.length) return;
    const grown = takeBuffer(wanted);
    grown.set(this.#bytes.subarray(0, this.#used));
    if (this.#bytes !== EMPTY) returnBuffer(this.#bytes);
    this.#bytes = grown;
  }
}

/** How a {@linkcode FrameWriter} reports its work. */
export interface FrameWriterHooks {
  /** Time, milliseconds. */
  nowMs(): number;
  /** A write reached the kernel. */
  onWritten(bytes: number, frames: number): void;
  /** The transport failed; nothing more will be written. */
  onError(error: unknown): void;
}

/** Writes the frames of one session. */
export class FrameWriter {
  readonly #transport: Transport;
  readonly #hooks: FrameWriterHooks;
  #open = new Batch();
  #spare = new Batch();
  #control: FrameHeader[] = [];
  #firstReady: FrameSource | undefined;
  #lastReady: FrameSource | undefined;
  #running = false;
  #stopped = false;
  #queued = 0;
  #size = CAREFUL;
  #fastInARow = 0;
  #underWay = 0;
  #unblocked = 0;
  #idleWaiters: (() => void)[] = [];

  /** Makes a writer for `transport`, which no other code may write to. */
  constructor(transport: Transport, hooks: FrameWriterHooks) {
    this.#transport = transport;
    this.#hooks = hooks;
  }

  /**
   * Bytes of frames that are queued and that the kernel has not taken, without the data that
   * streams still hold.
   */
  get queuedBytes(): number {
    return this.#underWay + this.#open.used + this.#control.length * HEADER_BYTES;
  }

  /** True when the peer causes frames and takes none. */
  get isOverloaded(): boolean {
    return this.#control.length > MAX_WAITING_CONTROL;
  }

  /** Writes that were blocked and went on: each shows that the peer still takes bytes. */
  get unblockedWrites(): number {
    return this.#unblocked;
  }

  /** Queues a frame without a body; it goes before all data that is not in a batch yet. */
  control(header: FrameHeader): void {
    if (this.#stopped) return;
    this.#queued += 1;
    if (this.#control.length === 0 && this.#open.hasRoom) {
      this.#open.header(header);
    } else this.#control.push(header);
    this.#kick();
  }

  /**
   * Puts a small data frame into the open batch, if nothing else waits; false when it must queue instead.
   * The caller has checked the stream's window and order.
   */
  direct(header: FrameHeader, body: Uint8Array): boolean {
    const fits = body.length <= MAX_DIRECT_BYTES && this.#open.used <= DIRECT_LIMIT_BYTES;
    if (!fits || this.#stopped || this.#firstReady !== undefined || this.#control.length > 0) {
      return false;
    }
    this.#queued += 1;
    this.#open.header(header);
    this.#open.body(body);
    this.#kick();
    return true;
  }

  /** Puts a stream that has something to send at the end of the round. */
  ready(source: FrameSource): void {
    if (source.isReady || this.#stopped) return;
    source.isReady = true;
    if (this.#lastReady === undefined) this.#firstReady = source;
    else this.#lastReady.nextReady = source;
    this.#lastReady = source;
    this.#queued += 1;
    this.#kick();
  }

  /** Resolves once everything queued and ready has reached the kernel, or never will. */
  idle(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Drops all data that waits; control frames may still be written. */
  dropData(): void {
    for (let source = this.#firstReady; source !== undefined;) {
      const next: FrameSource | undefined = source.nextReady;
      source.nextReady = undefined;
      source.isReady = false;
      source = next;
    }
    this.#firstReady = undefined;
    this.#lastReady = undefined;
  }

  /** Ends all writing. */
  stop(): void {
    this.#stopped = true;
    this.#control = [];
    this.dropData();
    this.#open.release();
  }

  #kick(): void {
    if (this.#running) return;
    this.#running = true;
    this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped) {
        await this.#gather();
        // A caller in the very turn in which that ended has found a writer at work, and nothing
        // would wake it again.
        this.#assemble();
        const batch = this.#open;
        if (batch.used === 0) break;
        const { used, count } = batch;
        this.#open = this.#spare;
        this.#spare = batch;
        const startMs = this.#hooks.nowMs();
        this.#underWay = used;
        await this.#transport.write(batch.bytes);
        this.#underWay = 0;
        batch.reset();
        const tookMs = this.#hooks.nowMs() - startMs;
        if (tookMs > BLOCKED_MS) this.#unblocked += 1;
        // A small batch says nothing about the link: its time is that of a call.
        if (used * 2 >= LARGE_BYTES) this.#adapt(tookMs);
        this.#hooks.onWritten(used, count);
      }
    } catch (error) {
      // The transport may still read from what it failed to write: that buffer must not be used for
      // anything else.
      this.#spare = new Batch();
      this.stop();
      this.#hooks.onError(error);
    } finally {
      this.#running = false;
      this.#open.release();
      this.#spare.release();
      const waiters = this.#idleWaiters;
      this.#idleWaiters = [];
      for (const resolve of waiters) resolve();
    }
  }

  /** Fills the open batch. Taking a write over wakes its writer, who may have more. */
  async #gather(): Promise<void> {
    this.#assemble();
    for (
      let round = 0;
      round < MAX_ROUNDS && this.#open.used * 2 <= this.#size.limitBytes;
      round++
    ) {
      await this.#settle();
      if (this.#firstReady === undefined && this.#control.length === 0) return;
      this.#assemble();
    }
  }

  /** Lets every writer that wakes in this turn add to the batch, instead of a small write each. */
  async #settle(): Promise<void> {
    let seen = this.#queued;
    let quiet = 0;
    for (let hop = 0; hop < MAX_SETTLE_HOPS && quiet < SETTLE_HOPS; hop++) {
      await undefined;
      quiet = seen === this.#queued ? quiet + 1 : 0;
      seen = this.#queued;
    }
  }

  /** Finds out how much may be joined, from the time that a well-filled batch took. */
  #adapt(tookMs: number): void {
    this.#fastInARow = tookMs > FAST_MS ? 0 : this.#fastInARow + 1;
    this.#size = this.#fastInARow < FAST_IN_A_ROW ? CAREFUL : GENEROUS;
    this.#open.size = this.#spare.size = this.#size;
  }

  #assemble(): void {
    const batch = this.#open;
    let taken = 0;
    while (taken < this.#control.length && batch.hasRoom) {
      batch.header(this.#control[taken] as FrameHeader);
      taken += 1;
    }
    if (taken === this.#control.length) this.#control = [];
    else this.#control.splice(0, taken);
    while (this.#firstReady !== undefined && batch.room >= MIN_ROOM_BYTES) {
      const source: FrameSource = this.#firstReady;
      this.#firstReady = source.nextReady;
      if (this.#firstReady === undefined) this.#lastReady = undefined;
      source.nextReady = undefined;
      source.isReady = false;
      if (source.fill(batch)) this.ready(source);
    }
  }
}
