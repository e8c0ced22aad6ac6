// The inbound half of one stream: unread bytes, the reader that waits for them, and the credit they cost.
import { TimeoutError } from "../errors.ts";
import type { Clock } from "../clock.ts";
import type { SessionMemory } from "./memory.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { type WaitOptions, watchWait } from "./wait.ts";
import { ReceiveWindow } from "./window.ts";

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
  /** Nobody wants the bytes any more. */
  | { readonly kind: "discarding" }
  | { readonly kind: "failed"; readonly error: unknown };

/** A read that waits. */
interface PendingRead {
  readonly resolve: (chunk: Uint8Array | null) => void;
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
  #growthHeld = true;

  constructor(maxWindowBytes: number, hooks: ReceiveHooks) {
    this.#hooks = hooks;
    this.#window = new ReceiveWindow(maxWindowBytes, hooks.clock.now());
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

  /** Bytes dropped as nobody wanted them. */
  get discardedBytes(): number {
    return this.#discardedBytes;
  }

  /** True while a read waits. */
  get hasReader(): boolean {
    return this.#reader !== undefined;
  }

  /** Judges the announced length of a frame. Throws as {@linkcode ReceiveWindow.receive} does. */
  announce(length: number): void {
    this.#window.receive(length);
  }

  /** Takes a part of the body. */
  push(bytes: Uint8Array): void {
    this.#receivedBytes += bytes.length;
    if (this.#phase.kind !== "open") {
      this.#discardedBytes += bytes.length;
      return;
    }
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve(bytes);
      this.#consumed(bytes.length);
      return;
    }
    this.#buffer.push(bytes);
    this.#hooks.memory.hold(bytes.length);
  }

  /** FIN came. */
  end(): void {
    if (this.#phase.kind === "open") this.#phase = { kind: "ended" };
    this.#releaseGrowth();
    this.#reader?.resolve(null);
    this.#reader = undefined;
  }

  /** Gives the next bytes, or `null` at the end. */
  read(options?: WaitOptions): Promise<Uint8Array | null> {
    if (this.#reader !== undefined) {
      return Promise.reject(new TypeError("Cannot read from the stream as another read is under way"));
    }
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    const chunk = this.#buffer.shift();
    if (chunk !== undefined) {
      this.#hooks.memory.free(chunk.length);
      this.#consumed(chunk.length);
      if (this.#buffer.bytes === 0) this.#hooks.onDrained();
      return Promise.resolve(chunk);
    }
    if (this.#phase.kind === "failed") return Promise.reject(this.#phase.error);
    if (this.#phase.kind !== "open") return Promise.resolve(null);
    return this.#wait(options);
  }

  /** Drops what came and what will come; the peer gets no more credit. A read that waits gives `null`. */
  discard(): void {
    if (this.#phase.kind === "open") this.#phase = { kind: "discarding" };
    this.#discardedBytes += this.#drop();
    this.#reader?.resolve(null);
    this.#reader = undefined;
  }

  /** Ends with an error; after FIN what is buffered stays readable unless `drop` is set. */
  fail(error: unknown, drop: boolean): void {
    if (this.#phase.kind === "ended" && !drop) return;
    if (this.#phase.kind !== "failed") this.#phase = { kind: "failed", error };
    this.#drop();
    this.#releaseGrowth();
    this.#reader?.reject(error);
    this.#reader = undefined;
  }

  #wait(options: WaitOptions = {}): Promise<Uint8Array | null> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    if (options.signal === undefined && options.timeoutMs === undefined) {
      this.#reader = { resolve, reject };
      return promise;
    }
    const stop = watchWait(options, {
      clock: this.#hooks.clock,
      cancel: (error) => {
        this.#reader = undefined;
        reject(error);
      },
      timeout: (ms) =>
        new TimeoutError("ERR_READ_TIMEOUT", `Cannot read from the stream: nothing came in ${ms} ms`),
    });
    this.#reader = {
      resolve: (chunk) => (stop(), resolve(chunk)),
      reject: (error) => (stop(), reject(error)),
    };
    return promise;
  }

  #consumed(count: number): void {
    if (!this.#window.consume(count) || this.#phase.kind !== "open") return;
    const delta = this.#window.update({
      now: this.#hooks.clock.now(),
      rttMs: this.#hooks.rttMs(),
      reserve: (bytes) => this.#hooks.memory.grow(bytes),
    });
    this.#hooks.onCredit(delta);
  }

  #drop(): number {
    const bytes = this.#buffer.clear();
    if (bytes > 0) {
      this.#hooks.memory.free(bytes);
      this.#hooks.onDrained();
    }
    return bytes;
  }

  /** Nothing more can come, so nothing need be reserved. */
  #releaseGrowth(): void {
    if (!this.#growthHeld) return;
    this.#growthHeld = false;
    this.#hooks.memory.shrink(this.#window.grownBytes);
  }
}
