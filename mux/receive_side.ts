// The inbound half of one stream: unread bytes, the reader that waits for them, and the credit they cost.
import { TimeoutError } from "../errors.ts";
import type { Clock } from "../async/clock.ts";
import type { SessionMemory } from "./memory.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { type WaitOptions, watchWait } from "../async/wait.ts";
import { ReceiveWindow } from "./credit_window.ts";

/** What a {@linkcode ReceiveSide} needs from its stream. */
export interface ReceiveHooks {
  readonly clock: Clock;
  readonly memory: SessionMemory;
  /** Round trip of the session, milliseconds. */
  rttMs(): number | undefined;
  /** The peer may send `delta` bytes more. */
  onCredit(delta: number): void;
  /** The last unread byte was taken or dropped. */
  onDrained(): void;
}

/** Where the inbound half stands. */
type ReceivePhase =
  | { readonly kind: "open" }
  /** FIN came: what is buffered can be read, then the end. */
  | { readonly kind: "ended" }
  /** No reader wants the bytes any more. */
  | { readonly kind: "discarding" }
  | { readonly kind: "failed"; readonly error: unknown };

/** What a read brings: a chunk, how many bytes were copied for the reader, or the end. */
type ReadResult = Uint8Array | number | null;

/** A read that waits. */
interface PendingRead {
  /** The reader's memory, which the bytes are copied to; absent where it gets a chunk. */
  readonly target: Uint8Array | undefined;
  readonly resolve: (result: ReadResult) => void;
  readonly reject: (error: unknown) => void;
}

/** What one stream has received. */
export class ReceiveSide {
  readonly #hooks: ReceiveHooks;
  readonly #window: ReceiveWindow;
  readonly #buffer = new ReceiveBuffer();
  #reader: PendingRead | undefined;
  #phase: ReceivePhase = { kind: "open" };
  #receivedBytes = 0;
  #discardedBytes = 0;
  #hasGivenUp = false;
  /** Bytes that this stream holds in the budget, and how many of them are growth. */
  #reserved: number;
  #grown = 0;

  /** `initialBytes` are reserved already. */
  constructor(maxWindowBytes: number, initialBytes: number, hooks: ReceiveHooks) {
    this.#hooks = hooks;
    this.#reserved = initialBytes;
    this.#window = new ReceiveWindow(maxWindowBytes, hooks.clock.now(), initialBytes);
  }

  /** Data bytes that came. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Bytes that came and were not taken. */
  get bufferedBytes(): number {
    return this.#buffer.bytes;
  }

  /** Bytes that the peer may still send. */
  get availableBytes(): number {
    return this.#window.available;
  }

  /** Size of the window. */
  get windowBytes(): number {
    return this.#window.size;
  }

  /** Bytes dropped because the application no longer wanted them. */
  get discardedBytes(): number {
    return this.#discardedBytes;
  }

  /** Bytes that the application took. */
  get takenBytes(): number {
    return this.#receivedBytes - this.#discardedBytes - this.#buffer.bytes;
  }

  /** True once a read ended by its `timeoutMs` or `signal`. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp;
  }

  /** True once FIN came: what is unread can be read, whatever follows. */
  get hasEnded(): boolean {
    return this.#phase.kind === "ended";
  }

  /** True while a read waits. */
  get hasReader(): boolean {
    return this.#reader !== undefined;
  }

  /**
   * Grows a window that started small, as far as memory goes; the result is the credit to announce
   * to the peer.
   */
  topUp(): number {
    return this.#phase.kind === "open" ? this.#window.topUp(this.#grow) : 0;
  }

  /** The sides agreed on another initial window before anything was read. */
  rebase(initialBytes: number): void {
    const before = this.#window.size;
    this.#window.rebase(initialBytes);
    const less = before - initialBytes;
    this.#reserved -= less;
    this.#hooks.memory.release(less, 0);
  }

  /** Judges the announced length of a frame. Throws as {@linkcode ReceiveWindow.receive} does. */
  announce(length: number): void {
    this.#window.receive(length);
  }

  /** Takes a part of the body; true when it keeps the bytes or has handed them out. */
  push(bytes: Uint8Array): boolean {
    this.#receivedBytes += bytes.length;
    if (this.#phase.kind !== "open") {
      this.#discardedBytes += bytes.length;
      return false;
    }
    const reader = this.#reader;
    if (reader === undefined) return this.#keep(bytes);
    this.#reader = undefined;
    const { target } = reader;
    if (target !== undefined) return this.#pushInto(target, reader, bytes);
    reader.resolve(bytes);
    this.#consumed(bytes.length);
    return true;
  }

  /** FIN came. */
  end(): void {
    if (this.#phase.kind === "open") this.#phase = { kind: "ended" };
    this.#settleReservation();
    this.#reader?.resolve(null);
    this.#reader = undefined;
  }

  /** Returns the next bytes, or `null` at the end; what waits is joined up to `joinBytes`. */
  read(options?: WaitOptions, joinBytes = 0): Promise<Uint8Array | null> {
    if (this.#reader !== undefined) return Promise.reject(busyError());
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    const chunk = joinBytes === 0 ? this.#buffer.shift() : this.#buffer.shiftJoined(joinBytes);
    if (chunk !== undefined) {
      this.#taken(chunk.length);
      return Promise.resolve(chunk);
    }
    return this.#wait(undefined, options) as Promise<Uint8Array | null>;
  }

  /** As {@linkcode read}, with the bytes copied to `target`; the result is how many. */
  readInto(target: Uint8Array, options?: WaitOptions): Promise<number | null> {
    if (this.#reader !== undefined) return Promise.reject(busyError());
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#buffer.bytes > 0) {
      const count = this.#buffer.shiftInto(target);
      this.#taken(count);
      return Promise.resolve(count);
    }
    return this.#wait(target, options) as Promise<number | null>;
  }

  /**
   * Puts back the last bytes that {@linkcode read} returned, or the end of them: the next read
   * returns them first.
   */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#reader !== undefined) {
      throw new TypeError("Cannot put bytes back: a read is under way");
    }
    if (this.#phase.kind !== "open" && this.#phase.kind !== "ended") {
      // What was unread when the stream ended was dropped.
      this.#discardedBytes += bytes.length;
      return;
    }
    this.#buffer.unshift(bytes);
    this.#window.unconsume(bytes.length);
    this.#hooks.memory.hold(bytes.length);
    // The read has released what it took off a stream that gets no more bytes.
    const missing = this.#buffer.bytes - this.#reserved;
    if (missing <= 0) return;
    this.#hooks.memory.restore(missing);
    this.#reserved += missing;
  }

  /** Drops what came and what will come; the peer gets no more credit. A read that waits returns `null`. */
  discard(): void {
    if (this.#phase.kind === "open") this.#phase = { kind: "discarding" };
    this.#drop();
    this.#settleReservation();
    this.#reader?.resolve(null);
    this.#reader = undefined;
  }

  /** Ends with an error; after FIN what is buffered stays readable unless `drop` is set. */
  fail(error: unknown, drop: boolean): void {
    if (this.#phase.kind === "ended" && !drop) return;
    if (this.#phase.kind !== "failed") this.#phase = { kind: "failed", error };
    this.#drop();
    this.#settleReservation();
    this.#reader?.reject(error);
    this.#reader = undefined;
  }

  #keep(bytes: Uint8Array): boolean {
    this.#hooks.memory.hold(bytes.length);
    return this.#buffer.push(bytes);
  }

  #pushInto(target: Uint8Array, reader: PendingRead, bytes: Uint8Array): boolean {
    const count = Math.min(target.length, bytes.length);
    if (count === 0) {
      reader.reject(
        new TypeError("Cannot read from the stream: the memory to read into was transferred"),
      );
      return this.#keep(bytes);
    }
    const isWhole = count === bytes.length;
    target.set(isWhole ? bytes : bytes.subarray(0, count));
    reader.resolve(count);
    this.#consumed(count);
    return !isWhole && this.#keep(bytes.subarray(count));
  }

  /** The application took bytes that had waited. */
  #taken(count: number): void {
    this.#hooks.memory.free(count);
    this.#consumed(count);
    if (this.#phase.kind !== "open") this.#settleReservation();
    if (this.#buffer.bytes === 0) this.#hooks.onDrained();
  }

  #wait(target: Uint8Array | undefined, options: WaitOptions = {}): Promise<ReadResult> {
    if (this.#phase.kind === "failed") return Promise.reject(this.#phase.error);
    if (this.#phase.kind !== "open") return Promise.resolve(null);
    const { promise, resolve, reject } = Promise.withResolvers<ReadResult>();
    if (options.signal === undefined && options.timeoutMs === undefined) {
      this.#reader = { target, resolve, reject };
      return promise;
    }
    const stop = watchWait(options, {
      clock: this.#hooks.clock,
      cancel: (error) => {
        this.#reader = undefined;
        this.#hasGivenUp = true;
        reject(error);
      },
      timeout: (ms) =>
        new TimeoutError(
          "ERR_READ_TIMEOUT",
          `Cannot read from the stream: nothing came in ${ms} ms`,
        ),
    });
    this.#reader = {
      target,
      resolve: (result) => (stop(), resolve(result)),
      reject: (error) => (stop(), reject(error)),
    };
    return promise;
  }

  #consumed(count: number): void {
    if (!this.#window.consume(count) || this.#phase.kind !== "open") return;
    const delta = this.#window.update({
      now: this.#hooks.clock.now(),
      rttMs: this.#hooks.rttMs(),
      reserve: this.#grow,
    });
    this.#hooks.onCredit(delta);
  }

  readonly #grow = (bytes: number): boolean => {
    if (!this.#hooks.memory.grow(bytes)) return false;
    this.#reserved += bytes;
    this.#grown += bytes;
    return true;
  };

  #drop(): void {
    const bytes = this.#buffer.clear();
    this.#discardedBytes += bytes;
    if (bytes === 0) return;
    this.#hooks.memory.free(bytes);
    this.#hooks.onDrained();
  }

  /** No more bytes will be kept: only those that wait to be read stay reserved. */
  #settleReservation(): void {
    const less = this.#reserved - this.#buffer.bytes;
    if (less <= 0) return;
    // What waits unread counts as growth: the windows that every stream starts with are for those to come.
    const grown = Math.min(this.#grown, this.#buffer.bytes);
    this.#hooks.memory.release(less, this.#grown - grown);
    this.#reserved -= less;
    this.#grown = grown;
  }
}

function busyError(): TypeError {
  return new TypeError("Cannot read from the stream: another read is under way");
}
