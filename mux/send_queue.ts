// The outbound half of one stream: writes that wait for window and turn, in order, then FIN.
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Clock } from "../async/clock.ts";
import { FrameType } from "./header.ts";
import { type WaitOptions, watchWait } from "../async/wait.ts";
import { SendWindow } from "./credit_window.ts";
import type { Batch, FrameSource, FrameWriter } from "./writer.ts";

const DONE = Promise.resolve();

/** A write that has not been taken over whole. */
interface PendingWrite {
  readonly bytes: Uint8Array;
  offset: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What a {@linkcode SendQueue} needs from its stream. */
export interface SendHooks {
  /** Everything was sent: FIN must go now, behind it. */
  sendFin(): void;
  /** A write ended early after a part of it went: the flow has a hole, and the stream must be reset. */
  onBroken(reason: unknown): void;
}

/** What a {@linkcode SendQueue} works with. */
export interface SendQueueParts {
  readonly writer: FrameWriter;
  readonly clock: Clock;
  readonly hooks: SendHooks;
}

/** Where a queue stands. */
type SendPhase =
  | { readonly kind: "open" }
  | { readonly kind: "finishing"; readonly done: PromiseWithResolvers<void> }
  | { readonly kind: "finished"; readonly done: Promise<void> }
  | { readonly kind: "failed"; readonly error: unknown };

/** What one stream still has to send. */
export class SendQueue implements FrameSource {
  nextReady: FrameSource | undefined;
  isReady = false;
  readonly #streamId: number;
  readonly #writer: FrameWriter;
  readonly #clock: Clock;
  readonly #hooks: SendHooks;
  readonly #window: SendWindow;
  #hasGivenUp = false;
  #writes: PendingWrite[] = [];
  #pendingBytes = 0;
  #sentBytes = 0;
  #phase: SendPhase = { kind: "open" };

  constructor(streamId: number, initialBytes: number, { writer, clock, hooks }: SendQueueParts) {
    this.#streamId = streamId;
    this.#window = new SendWindow(initialBytes);
    this.#writer = writer;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  /** Data bytes that went. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Data bytes that wait. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** True once a write ended by its `timeoutMs` or `signal`. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp;
  }

  /** The peer agreed on another initial window before anything was sent. */
  rebase(fromBytes: number, toBytes: number): void {
    this.#window.rebase(fromBytes, toBytes);
  }

  /** Takes bytes to send; resolves when they have been copied, and only then may they be changed. */
  write(bytes: Uint8Array, options?: WaitOptions): Promise<void> {
    if (this.#phase.kind !== "open") return Promise.reject(this.#refusal());
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (bytes.length === 0) return DONE;
    if (this.#pendingBytes === 0 && bytes.length <= this.#window.credit) {
      const header = {
        type: FrameType.data,
        flags: 0,
        streamId: this.#streamId,
        length: bytes.length,
      };
      if (this.#writer.direct(header, bytes)) {
        this.#window.take(bytes.length);
        this.#sentBytes += bytes.length;
        return DONE;
      }
    }
    return this.#queue(bytes, options);
  }

  /** Sends FIN after everything queued; resolves when it is on its way. */
  finish(): Promise<void> {
    if (this.#phase.kind === "open") {
      this.#phase = { kind: "finishing", done: Promise.withResolvers() };
      this.#phase.done.promise.catch(() => {});
      if (this.#pendingBytes === 0) this.#sendFin();
    }
    switch (this.#phase.kind) {
      case "finishing":
        return this.#phase.done.promise;
      case "finished":
        return this.#phase.done;
      default:
        return Promise.reject(this.#refusal());
    }
  }

  /** Adds credit from the peer. Throws as {@linkcode SendWindow.grant} does. */
  grant(delta: number): void {
    this.#window.grant(delta);
    if (this.#pendingBytes > 0 && delta > 0) this.#writer.ready(this);
  }

  /** Rejects everything that waits, and all later calls. */
  fail(error: unknown): void {
    const phase = this.#phase;
    if (phase.kind === "failed") return;
    this.#phase = { kind: "failed", error };
    const writes = this.#writes;
    this.#writes = [];
    this.#pendingBytes = 0;
    for (const write of writes) write.reject(error);
    if (phase.kind === "finishing") phase.done.reject(error);
  }

  /** The stream is over in order, with nothing waiting: later writes find the writing side closed. */
  stop(): void {
    if (this.#phase.kind === "open") this.#phase = { kind: "finished", done: DONE };
  }

  fill(batch: Batch): boolean {
    const length = Math.min(
      batch.size.sliceBytes,
      this.#window.credit,
      this.#pendingBytes,
      batch.room,
    );
    if (length > 0) {
      batch.header({ type: FrameType.data, flags: 0, streamId: this.#streamId, length });
      this.#copy(batch, length);
      this.#window.take(length);
      this.#sentBytes += length;
    }
    if (this.#pendingBytes > 0) return this.#window.credit > 0;
    if (this.#phase.kind === "finishing") this.#sendFin();
    return false;
  }

  #queue(bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = watchWait(options, {
      clock: this.#clock,
      cancel: (error) => this.#cancel(write, error),
      timeout: (ms) =>
        new TimeoutError("ERR_WRITE_TIMEOUT", `Cannot write to the stream within ${ms} ms`),
    });
    const write: PendingWrite = {
      bytes,
      offset: 0,
      resolve: () => (stop(), resolve()),
      reject: (error) => (stop(), reject(error)),
    };
    this.#writes.push(write);
    this.#pendingBytes += bytes.length;
    if (this.#window.credit > 0) this.#writer.ready(this);
    return promise;
  }

  #cancel(write: PendingWrite, error: unknown): void {
    const index = this.#writes.indexOf(write);
    if (index < 0) return;
    this.#writes.splice(index, 1);
    this.#pendingBytes -= write.bytes.length - write.offset;
    this.#hasGivenUp = true;
    write.reject(error);
    if (write.offset > 0) this.#hooks.onBroken(error);
    else if (this.#pendingBytes === 0 && this.#phase.kind === "finishing") this.#sendFin();
  }

  #copy(batch: Batch, length: number): void {
    let done = 0;
    while (length > 0) {
      const write = this.#writes[done] as PendingWrite;
      const count = Math.min(length, write.bytes.length - write.offset);
      batch.body(write.bytes.subarray(write.offset, write.offset + count));
      write.offset += count;
      length -= count;
      this.#pendingBytes -= count;
      if (write.offset === write.bytes.length) {
        done += 1;
        write.resolve();
      }
    }
    if (done === this.#writes.length) this.#writes = [];
    else if (done > 0) this.#writes.splice(0, done);
  }

  #sendFin(): void {
    const done = this.#phase.kind === "finishing" ? this.#phase.done : undefined;
    this.#phase = { kind: "finished", done: done?.promise ?? DONE };
    done?.resolve();
    this.#hooks.sendFin();
  }

  #refusal(): unknown {
    if (this.#phase.kind === "failed") return this.#phase.error;
    return new ClosedError("ERR_CLOSED", "Cannot write to the stream: its writing side was closed");
  }
}
