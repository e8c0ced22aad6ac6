// A simulated link as a kernel makes it: rate, latency, a bounded buffer, and what close() does to bytes
// under way.
import type { Resolved } from "../../../options/resolved.ts";
import type { Clock } from "../../../async/clock.ts";
import { ClosedError } from "../../../errors.ts";
import type { Address, Transport } from "../../../net/transport/transport.ts";
import type { Random } from "../random.ts";

/** Options of {@linkcode modelLink}. */
export interface ModelLinkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** One-way time in ms. @default {1} */
  readonly latencyMs?: number | undefined;
  /** Bytes per millisecond in each direction. @default {Infinity} */
  readonly bytesPerMs?: number | undefined;
  /** Bytes that are written and not read yet, before `write` waits. @default {65536} */
  readonly bufferBytes?: number | undefined;
  /** Most bytes of one chunk that arrives; sizes are drawn up to it. @default {65536} */
  readonly maxChunkBytes?: number | undefined;
}

/** Two ends, and the faults that a test can put between them. */
export interface ModelLink {
  readonly left: ModelTransport;
  readonly right: ModelTransport;
  /** Nothing arrives until {@linkcode resume}. */
  stall(): void;
  resume(): void;
  /** Both ends find the connection reset; what has not arrived is lost. */
  cut(): void;
}

/** Makes a link. */
export function modelLink(options: ModelLinkOptions): ModelLink {
  const there = new Pipe(options);
  const back = new Pipe(options);
  return {
    left: new ModelTransport(back, there),
    right: new ModelTransport(there, back),
    stall: () => (there.stall(), back.stall()),
    resume: () => (there.resume(), back.resume()),
    cut: () => (there.reset(), back.reset()),
  };
}

/** One direction; `null` among what has arrived is the end. */
class Pipe {
  readonly #options: Resolved<ModelLinkOptions>;
  #arrived: (Uint8Array | null)[] = [];
  #held: (() => void)[] | undefined;
  readonly #timers = new Set<() => void>();
  #inFlight = 0;
  /** The line is taken up until then. */
  #freeAtMs = 0;
  #error: Error | undefined;
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  #write:
    | { readonly bytes: Uint8Array; offset: number; readonly done: PromiseWithResolvers<void> }
    | undefined;
  /** The reading end is closed: answers bytes that come for it. */
  #onRefused: (() => void) | undefined;

  constructor(options: ModelLinkOptions) {
    const { clock, random, latencyMs = 1, bytesPerMs = Infinity } = options;
    const { bufferBytes = 65_536, maxChunkBytes = 65_536 } = options;
    this.#options = { clock, random, latencyMs, bytesPerMs, bufferBytes, maxChunkBytes };
  }

  get hasUnread(): boolean {
    return this.#arrived.some((chunk) => chunk !== null);
  }

  read(): Promise<Uint8Array | null> {
    if (this.#reader !== undefined) {
      return Promise.reject(new TypeError("Another read is under way"));
    }
    const chunk = this.#arrived[0];
    if (chunk === null) return Promise.resolve(null);
    if (chunk !== undefined) {
      this.#arrived.shift();
      this.#landed(chunk.length);
      return Promise.resolve(chunk);
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#write !== undefined) throw new TypeError("Another write is under way");
    if (this.#error !== undefined) throw this.#error;
    const write = this.#write = {
      bytes: bytes.slice(),
      offset: 0,
      done: Promise.withResolvers<void>(),
    };
    this.#pump();
    await write.done.promise;
  }

  /** FIN, behind what the buffer has taken. */
  end(): void {
    this.#stopWrite(
      new ClosedError("ERR_CLOSED", "Cannot write: the link was closed on this side"),
    );
    this.#send(0, () => this.#deliver(null));
  }

  /** RST: what has not arrived is lost. */
  reset(): void {
    this.fail(new ClosedError("ERR_RESET", "Cannot go on: the link was reset"));
  }

  /** The reading end is gone; the writer learns it from what comes back for its bytes. */
  abandon(error: Error, onRefused: () => void): void {
    this.#arrived = [];
    this.#reader?.reject(error);
    this.#reader = undefined;
    this.#onRefused = onRefused;
  }

  fail(error: Error): void {
    this.#error ??= error;
    this.#reader?.reject(error);
    this.#reader = undefined;
    this.#stopWrite(error);
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  stall(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const deliver of held) deliver();
  }

  #stopWrite(error: Error): void {
    const write = this.#write;
    this.#write = undefined;
    write?.done.reject(error);
  }

  /** Takes as much of the write under way as the buffer has room for. */
  #pump(): void {
    const { bufferBytes, maxChunkBytes, random } = this.#options;
    const write = this.#write;
    if (write === undefined) return;
    while (write.offset < write.bytes.length && this.#inFlight < bufferBytes) {
      const room = Math.min(bufferBytes - this.#inFlight, write.bytes.length - write.offset);
      const chunk = write.bytes.subarray(
        write.offset,
        write.offset + Math.min(room, random.int(1, maxChunkBytes)),
      );
      write.offset += chunk.length;
      this.#inFlight += chunk.length;
      this.#send(chunk.length, () => this.#deliver(chunk));
    }
    if (write.offset < write.bytes.length) return;
    this.#write = undefined;
    write.done.resolve();
  }

  #send(bytes: number, deliver: () => void): void {
    if (this.#error !== undefined) return;
    const { clock, bytesPerMs, latencyMs } = this.#options;
    const nowMs = clock.now();
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + bytes / bytesPerMs;
    const cancel = clock.after(this.#freeAtMs - nowMs + latencyMs, () => {
      this.#timers.delete(cancel);
      if (this.#held === undefined) deliver();
      else this.#held.push(deliver);
    });
    this.#timers.add(cancel);
  }

  #deliver(chunk: Uint8Array | null): void {
    if (this.#error !== undefined) return;
    if (this.#onRefused !== undefined) {
      if (chunk !== null) this.#onRefused();
      return;
    }
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader === undefined) return void this.#arrived.push(chunk);
    if (chunk === null) this.#arrived.push(null);
    else this.#landed(chunk.length);
    reader.resolve(chunk);
  }

  #landed(bytes: number): void {
    this.#inFlight -= bytes;
    this.#pump();
  }
}

/** One end of a link. */
export class ModelTransport implements Transport {
  readonly localAddr: Address = { transport: "memory", name: "model" };
  readonly remoteAddr: Address = { transport: "memory", name: "model" };
  readonly #in: Pipe;
  readonly #out: Pipe;
  #closed = false;

  constructor(incoming: Pipe, outgoing: Pipe) {
    this.#in = incoming;
    this.#out = outgoing;
  }

  read(): Promise<Uint8Array | null> {
    return this.#closed ? Promise.reject(closedHere()) : this.#in.read();
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#closed ? Promise.reject(closedHere()) : this.#out.write(bytes);
  }

  closeWrite(): Promise<void> {
    if (!this.#closed) this.#out.end();
    return Promise.resolve();
  }

  /** As a kernel does it: bytes that came and were not read, or come from now on, are answered with RST. */
  close(): void {
    this.#close(this.#in.hasUnread);
  }

  /** Closes with RST. */
  reset(): void {
    this.#close(true);
  }

  #close(withReset: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    const reset = () => {
      this.#out.reset();
      this.#in.reset();
    };
    this.#in.abandon(closedHere(), reset);
    if (withReset) reset();
    else this.#out.end();
  }
}

function closedHere(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot use the link: it was closed on this side");
}
