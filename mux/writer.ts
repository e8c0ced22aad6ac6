// The outbound side of a session: control frames first, then slices of every ready stream in turn, joined.
import type { Transport } from "../net/transport.ts";
import { HEADER_BYTES, writeHeader } from "./header.ts";
import type { FrameHeader } from "./header.ts";

/** Most bytes joined into one write. */
const BATCH_BYTES = 65536;
/** Most bytes of one stream before the next has its turn: four slices with their headers fill a batch exactly. */
export const MAX_SLICE_BYTES: number = BATCH_BYTES / 4 - HEADER_BYTES;
/** Writes up to this size may go straight into the open batch, which keeps room for control frames. */
const MAX_DIRECT_BYTES = 4096;
const DIRECT_LIMIT_BYTES = 16384;
const FIRST_BATCH_BYTES = 2048;
/** Less room than this is left for the next write, rather than filled with a scrap of a frame. */
const MIN_ROOM_BYTES = 1024;
/** A batch with less than this waits for whoever wakes in this turn. */
const SETTLE_BELOW_BYTES = 32768;
/** Turns of the microtask queue without a new frame that end this wait. */
const SETTLE_HOPS = 3;
const MAX_SETTLE_HOPS = 64;

/** A stream as the writer sees it. */
export interface FrameSource {
  /** Next in the queue of ready sources; the writer's own. */
  nextReady: FrameSource | undefined;
  /** Whether it is in that queue; the writer's own. */
  isReady: boolean;
  /** Puts at most one frame into the batch; true when it has another one ready. */
  fill(batch: Batch): boolean;
}

/** Frames that go out in one write. */
export class Batch {
  #bytes = new Uint8Array(0);
  #used = 0;
  #count = 0;

  /** Bytes in it. */
  get used(): number {
    return this.#used;
  }

  /** Bytes of data that a frame put into it now may hold. */
  get room(): number {
    return BATCH_BYTES - this.#used - HEADER_BYTES;
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

  /** Forgets the frames; a large buffer is kept only if `keep` is set. */
  reset(keep: boolean): void {
    this.#used = 0;
    this.#count = 0;
    if (!keep) this.#bytes = new Uint8Array(0);
  }

  #reserve(count: number): void {
    const wanted = this.#used + count;
    if (wanted <= this.#bytes.length) return;
    let size = Math.max(FIRST_BATCH_BYTES, this.#bytes.length);
    while (size < wanted) size *= 2;
    const grown = new Uint8Array(Math.min(size, BATCH_BYTES));
    grown.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = grown;
  }
}

/** How a {@linkcode FrameWriter} tells of its work. */
export interface FrameWriterHooks {
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
  #idleWaiters: (() => void)[] = [];

  /** Makes a writer for `transport`, which nobody else may write to. */
  constructor(transport: Transport, hooks: FrameWriterHooks) {
    this.#transport = transport;
    this.#hooks = hooks;
  }

  /** Queues a frame without a body; it goes before all data that is not in a batch yet. */
  control(header: FrameHeader): void {
    if (this.#stopped) return;
    this.#queued += 1;
    if (this.#control.length === 0 && this.#open.used + HEADER_BYTES <= BATCH_BYTES) {
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
    if (!fits || this.#stopped || this.#firstReady !== undefined || this.#control.length > 0) return false;
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
    this.#open.reset(false);
  }

  #kick(): void {
    if (this.#running) return;
    this.#running = true;
    this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped) {
        this.#assemble();
        if (this.#open.used <= SETTLE_BELOW_BYTES) {
          await this.#settle();
          this.#assemble();
        }
        const batch = this.#open;
        if (batch.used === 0) break;
        const { used, count } = batch;
        this.#open = this.#spare;
        this.#spare = batch;
        await this.#transport.write(batch.bytes);
        batch.reset(used >= BATCH_BYTES / 2);
        this.#hooks.onWritten(used, count);
      }
    } catch (error) {
      this.stop();
      this.#hooks.onError(error);
    } finally {
      this.#running = false;
      this.#open.reset(false);
      this.#spare.reset(false);
      const waiters = this.#idleWaiters;
      this.#idleWaiters = [];
      for (const resolve of waiters) resolve();
    }
  }

  /** Lets everybody who wakes in this turn add to the batch, instead of a small write each. */
  async #settle(): Promise<void> {
    let seen = this.#queued;
    let quiet = 0;
    for (let hop = 0; hop < MAX_SETTLE_HOPS && quiet < SETTLE_HOPS; hop++) {
      await undefined;
      quiet = seen === this.#queued ? quiet + 1 : 0;
      seen = this.#queued;
    }
  }

  #assemble(): void {
    const batch = this.#open;
    let taken = 0;
    while (taken < this.#control.length && batch.used + HEADER_BYTES <= BATCH_BYTES) {
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
