// A simulated link between two transports: latency, chunking, stall, cut and corruption under a test's clock.
import { ClosedError } from "../../../errors.ts";
import type { Address, Transport } from "../../../net/transport/transport.ts";
import type { Resolved } from "../../../options/resolved.ts";
import type { Clock } from "../../../async/clock.ts";

/** Options of {@linkcode simLink}. */
export interface SimLinkOptions {
  clock: Clock;
  /** Randomness, 0 to 1. */
  random: () => number;
  /** One-way time, milliseconds. @default {1} */
  latencyMs?: number | undefined;
  /** Bytes under way in one direction before `write` waits. @default {65536} */
  bufferBytes?: number | undefined;
  /** Most bytes of one chunk that a read returns; sizes are drawn up to it. @default {65536} */
  maxChunkBytes?: number | undefined;
}

/** A link and the faults that a test can put on it. */
export interface SimLink {
  readonly left: Transport;
  readonly right: Transport;
  /** Nothing arrives in either direction until {@linkcode resume}. */
  stall(): void;
  resume(): void;
  /** Both ends find the connection reset. */
  cut(): void;
  /** Flips one bit of the next chunk that is written. */
  corrupt(): void;
}

/** Makes a link. */
export function simLink(options: SimLinkOptions): SimLink {
  const there = new Pipe(options);
  const back = new Pipe(options);
  const both = [there, back];
  return {
    left: new SimTransport(back, there),
    right: new SimTransport(there, back),
    stall: () => both.forEach((pipe) => pipe.stall()),
    resume: () => both.forEach((pipe) => pipe.resume()),
    cut: () =>
      both.forEach((pipe) =>
        pipe.fail(new ClosedError("ERR_RESET", "Cannot go on: the link was cut"))
      ),
    corrupt: () => there.corrupt(),
  };
}

/** One direction. `null` in the queue is the end. */
class Pipe {
  readonly #options: Resolved<SimLinkOptions>;
  #arrived: (Uint8Array | null)[] = [];
  #held: (() => void)[] | undefined;
  #inFlight = 0;
  #error: Error | undefined;
  #corrupt = false;
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  #writer: PromiseWithResolvers<void> | undefined;

  constructor(options: SimLinkOptions) {
    const { latencyMs = 1, bufferBytes = 65536, maxChunkBytes = 65536 } = options;
    this.#options = { ...options, latencyMs, bufferBytes, maxChunkBytes };
  }

  read(): Promise<Uint8Array | null> {
    if (this.#reader !== undefined) {
      return Promise.reject(new TypeError("Another read is under way"));
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const chunk = this.#arrived[0];
    if (chunk === null) return Promise.resolve(null);
    if (chunk !== undefined) {
      this.#arrived.shift();
      this.#landed(chunk.length);
      return Promise.resolve(chunk);
    }
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#writer !== undefined) throw new TypeError("Another write is under way");
    if (this.#error !== undefined) throw this.#error;
    const copy = bytes.slice();
    if (this.#corrupt && copy.length > 0) {
      this.#corrupt = false;
      const index = Math.floor(this.#options.random() * copy.length);
      copy[index] = (copy[index] ?? 0) ^ (1 << Math.floor(this.#options.random() * 8));
    }
    for (let offset = 0; offset < copy.length;) {
      const end = offset + 1 + Math.floor(this.#options.random() * this.#options.maxChunkBytes);
      const chunk = copy.subarray(offset, end);
      this.#inFlight += chunk.length;
      this.#send(() => this.#deliver(chunk));
      offset += chunk.length;
    }
    if (this.#inFlight <= this.#options.bufferBytes) return;
    this.#writer = Promise.withResolvers();
    await this.#writer.promise.finally(() => this.#writer = undefined);
  }

  end(): void {
    this.#send(() => this.#deliver(null));
  }

  stall(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const deliver of held) deliver();
  }

  corrupt(): void {
    this.#corrupt = true;
  }

  fail(error: Error): void {
    this.#error ??= error;
    this.#reader?.reject(error);
    this.#reader = undefined;
    this.#writer?.reject(error);
  }

  #send(deliver: () => void): void {
    this.#options.clock.after(
      this.#options.latencyMs,
      () => this.#held ? this.#held.push(deliver) : deliver(),
    );
  }

  #deliver(chunk: Uint8Array | null): void {
    if (this.#error !== undefined) return;
    if (this.#reader === undefined) return void this.#arrived.push(chunk);
    const reader = this.#reader;
    this.#reader = undefined;
    if (chunk === null) this.#arrived.push(null);
    else this.#landed(chunk.length);
    reader.resolve(chunk);
  }

  #landed(bytes: number): void {
    this.#inFlight -= bytes;
    if (this.#inFlight <= this.#options.bufferBytes) this.#writer?.resolve();
  }
}

class SimTransport implements Transport {
  readonly localAddr: Address = { transport: "memory", name: "sim" };
  readonly remoteAddr: Address = { transport: "memory", name: "sim" };
  readonly #in: Pipe;
  readonly #out: Pipe;
  #closed = false;

  constructor(incoming: Pipe, outgoing: Pipe) {
    this.#in = incoming;
    this.#out = outgoing;
  }

  read(): Promise<Uint8Array | null> {
    return this.#in.read();
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#out.write(bytes);
  }

  closeWrite(): Promise<void> {
    if (!this.#closed) this.#out.end();
    return Promise.resolve();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#out.end();
    this.#in.fail(new ClosedError("ERR_CLOSED", "Cannot use the link: it was closed on this side"));
  }
}
