// A simulated TCP connection as a kernel makes it: two buffers in each direction, windows, FIN, RST, and what
// close() does to bytes under way.
import type { Resolved } from "../../../options/resolved.ts";
import type { Clock } from "../../../async/clock.ts";
import type { Random } from "../random.ts";

/** A receiver that has shown no room says so again once it has this much, or half of its buffer. */
const WINDOW_STEP_BYTES = 64 * 1024;

/** What a connection goes over. */
export interface KernelOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** One-way time in ms. @default {1} */
  readonly latencyMs?: number | undefined;
  /** Bytes per ms in each direction. @default {Infinity} */
  readonly bytesPerMs?: number | undefined;
  /** Bytes that the writing side's kernel takes before they are acknowledged. @default {65536} */
  readonly sendBytes?: number | undefined;
  /** Bytes that the reading side's kernel takes before they are read. @default {65536} */
  readonly receiveBytes?: number | undefined;
  /** Most bytes of one segment; sizes are drawn up to it. @default {65536} */
  readonly segmentBytes?: number | undefined;
}

/** A connection of a simulated network. */
export interface KernelLink {
  readonly near: KernelSocket;
  readonly far: KernelSocket;
  /** Both ends find the connection reset; what has not arrived is lost. */
  cut(): void;
  /** Nothing arrives any more, and neither end learns it. */
  stall(): void;
  /** The way between ends it in both directions, in order, as a balancer does after its own idle time. */
  expire(): void;
}

/** Makes a connection; `near` dialled. */
export function kernelLink(
  options: KernelOptions,
  near: Deno.NetAddr,
  far: Deno.NetAddr,
): KernelLink {
  const there = new Direction(options);
  const back = new Direction(options);
  return {
    near: new KernelSocket(back, there, near, far),
    far: new KernelSocket(there, back, far, near),
    cut: () => (there.reset(), back.reset()),
    stall: () => (there.stall(), back.stall()),
    expire: () => (there.end(), back.end()),
  };
}

/** One direction. */
class Direction {
  readonly #options: Resolved<KernelOptions>;
  /** In the sender's kernel, not yet on the way. */
  readonly #unsent: Uint8Array[] = [];
  /** In the receiver's kernel. */
  readonly #arrived: Uint8Array[] = [];
  readonly #timers = new Set<() => void>();
  #unacknowledged = 0;
  #unread = 0;
  #flying = 0;
  /** Room that the sender knows of. */
  #window: number;
  #freeAtMs = 0;
  /** When the last segment arrives. */
  #arrivesAtMs = 0;
  #hasEnded = false;
  #endFlies = false;
  #isStalled = false;
  #endArrived = false;
  #error: Error | undefined;
  #reader: PromiseWithResolvers<void> | undefined;
  #writer: PromiseWithResolvers<void> | undefined;
  /** The reading end is closed: answers what comes. */
  #onRefused: (() => void) | undefined;

  constructor(options: KernelOptions) {
    const { clock, random, latencyMs = 1, bytesPerMs = Infinity } = options;
    const { sendBytes = 65_536, receiveBytes = 65_536, segmentBytes = 65_536 } = options;
    this.#options = { clock, random, latencyMs, bytesPerMs, sendBytes, receiveBytes, segmentBytes };
    this.#window = receiveBytes;
  }

  get unacknowledgedBytes(): number {
    return this.#unacknowledged;
  }

  get hasUnread(): boolean {
    return this.#unread > 0;
  }

  /** Bytes into `target`, or `null` at the end. */
  async read(target: Uint8Array): Promise<number | null> {
    for (;;) {
      const chunk = this.#arrived[0];
      if (chunk !== undefined) return this.#take(chunk, target);
      if (this.#error !== undefined) throw this.#error;
      if (this.#endArrived) return null;
      this.#reader ??= Promise.withResolvers();
      await this.#reader.promise;
    }
  }

  #take(chunk: Uint8Array, target: Uint8Array): number {
    const part = chunk.subarray(0, target.length);
    target.set(part);
    if (part.length === chunk.length) this.#arrived.shift();
    else this.#arrived[0] = chunk.subarray(part.length);
    this.#unread -= part.length;
    const { receiveBytes } = this.#options;
    const room = receiveBytes - this.#unread - this.#flying;
    // Small windows are not announced, or there would be small segments for ever.
    if (
      room - this.#window >= Math.min(WINDOW_STEP_BYTES, receiveBytes / 2) || this.#unread === 0
    ) {
      this.#window = room;
      this.#transmit();
    }
    return part.length;
  }

  /**
   * Takes as much as there is room for, once there is any. A full buffer is shown as writable when
   * a third is free.
   */
  async write(bytes: Uint8Array): Promise<number> {
    const { sendBytes } = this.#options;
    if (this.#unacknowledged >= sendBytes) {
      this.#writer ??= Promise.withResolvers();
      await this.#writer.promise;
    }
    if (this.#error !== undefined) throw this.#error;
    if (this.#hasEnded) throw new Deno.errors.BrokenPipe("The direction has ended");
    const part = bytes.slice(0, sendBytes - this.#unacknowledged);
    this.#unacknowledged += part.length;
    this.#unsent.push(part);
    this.#transmit();
    return part.length;
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#writer?.resolve();
    this.#transmit();
  }

  /** RST: what has not been read is lost for its receiver. */
  reset(): void {
    if (this.#error !== undefined) return;
    this.#error = new Deno.errors.ConnectionReset("The connection was reset");
    this.#arrived.length = this.#unread = 0;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#reader?.resolve();
    this.#writer?.resolve();
  }

  stall(): void {
    this.#isStalled = true;
  }

  /** The reading end is gone. */
  abandon(onRefused: () => void): void {
    this.#onRefused = onRefused;
    this.#arrived.length = this.#unread = 0;
    this.#error ??= new Deno.errors.BadResource("The socket was closed");
    this.#reader?.resolve();
  }

  #transmit(): void {
    const { random, segmentBytes } = this.#options;
    while (this.#window > 0) {
      const chunk = this.#unsent[0];
      if (chunk === undefined) break;
      const part = chunk.subarray(0, Math.min(this.#window, random.int(1, segmentBytes)));
      if (part.length === chunk.length) this.#unsent.shift();
      else this.#unsent[0] = chunk.subarray(part.length);
      this.#window -= part.length;
      this.#flying += part.length;
      this.#fly(part.length, () => this.#arrive(part));
    }
    if (!this.#hasEnded || this.#unsent.length > 0 || this.#endFlies) return;
    this.#endFlies = true;
    this.#fly(0, () => {
      this.#endArrived = true;
      this.#wakeReader();
    });
  }

  #fly(bytes: number, arrive: () => void): void {
    const { clock, bytesPerMs, latencyMs } = this.#options;
    const nowMs = clock.now();
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + bytes / bytesPerMs;
    // Rounding must not let a segment overtake the one before it, whatever fraction of a millisecond it is.
    this.#arrivesAtMs = Math.max(
      this.#arrivesAtMs,
      nowMs + Math.ceil(this.#freeAtMs - nowMs) + latencyMs,
    );
    const cancel = clock.after(this.#arrivesAtMs - nowMs, () => {
      this.#timers.delete(cancel);
      if (!this.#isStalled) arrive();
    });
    this.#timers.add(cancel);
  }

  #arrive(part: Uint8Array): void {
    this.#flying -= part.length;
    if (this.#onRefused !== undefined) return this.#onRefused();
    this.#unread += part.length;
    this.#arrived.push(part);
    this.#unacknowledged -= part.length;
    if (this.#unacknowledged <= this.#options.sendBytes * 2 / 3) {
      this.#writer?.resolve();
      this.#writer = undefined;
    }
    this.#wakeReader();
  }

  #wakeReader(): void {
    this.#reader?.resolve();
    this.#reader = undefined;
  }
}

/** One end of a connection, as a socket of the platform. */
export class KernelSocket implements Deno.TcpConn {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  readonly #in: Direction;
  readonly #out: Direction;
  #isClosed = false;

  constructor(
    incoming: Direction,
    outgoing: Direction,
    localAddr: Deno.NetAddr,
    remoteAddr: Deno.NetAddr,
  ) {
    this.#in = incoming;
    this.#out = outgoing;
    this.localAddr = localAddr;
    this.remoteAddr = remoteAddr;
  }

  /** Its descriptor is free. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes that this side's kernel holds until the other's has them. */
  get unacknowledgedBytes(): number {
    return this.#out.unacknowledgedBytes;
  }

  async read(target: Uint8Array): Promise<number | null> {
    this.#checkOpen();
    return await this.#in.read(target);
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.#checkOpen();
    return await this.#out.write(bytes);
  }

  // deno-lint-ignore require-await -- the interface is asynchronous
  async closeWrite(): Promise<void> {
    this.#checkOpen();
    this.#out.end();
  }

  /** Bytes that came and were not read, or come from now on, are answered with RST. */
  close(): void {
    this.#checkOpen();
    this.#close(this.#in.hasUnread);
  }

  /** Closes with RST, as a program does that sets SO_LINGER to 0. */
  reset(): void {
    if (!this.#isClosed) this.#close(true);
  }

  #close(withReset: boolean): void {
    this.#isClosed = true;
    const reset = () => (this.#out.reset(), this.#in.reset());
    this.#in.abandon(reset);
    if (withReset) reset();
    else this.#out.end();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource("The socket is closed");
  }

  get readable(): never {
    throw new TypeError("Not simulated");
  }

  get writable(): never {
    throw new TypeError("Not simulated");
  }

  setNoDelay(): void {}
  setKeepAlive(): void {}
  ref(): void {}
  unref(): void {}

  [Symbol.dispose](): void {
    if (!this.#isClosed) this.close();
  }
}
