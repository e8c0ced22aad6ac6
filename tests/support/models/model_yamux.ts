// A legal yamux peer written from the specification alone, with the habits of Go programs: nothing of ours
// but the errors.
import type { Clock } from "../../../async/clock.ts";
import { ClosedError, LimitError, ParleyError } from "../../../errors.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import type { ModelStream } from "./model_actor.ts";
import type { Random } from "../random.ts";

const DATA = 0, WINDOW = 1, PING = 2, GO_AWAY = 3;
const SYN = 1, ACK = 2, FIN = 4, RST = 8;
const WINDOW_BYTES = 256 * 1024;
/** Time after which a closed stream whose other half stays open is reset, as Go's `StreamCloseTimeout`. */
const CLOSE_TIMEOUT_MS = 300_000;

/** Options of {@linkcode YamuxPeer}. */
export interface YamuxPeerOptions {
  readonly role: "client" | "server";
  readonly clock: Clock;
  readonly random: Random;
  /**
   * A stream's id is taken up to so many ms before its SYN goes, as goroutines do: ids come out of order.
   * @default {0}
   */
  readonly reorderMs?: number | undefined;
}

/** One side of a session. */
export class YamuxPeer {
  readonly closed: Promise<ParleyError | undefined>;
  readonly #transport: Transport;
  readonly #options: YamuxPeerOptions;
  readonly #streams = new Map<number, YamuxStream>();
  readonly #backlog: YamuxStream[] = [];
  readonly #closing = Promise.withResolvers<ParleyError | undefined>();
  readonly #pings = new Map<number, PromiseWithResolvers<void>>();
  #acceptors: (() => void)[] = [];
  #outbox: Uint8Array[] = [];
  #flushing: Promise<void> | undefined;
  #nextId: number;
  #nextPing = 1;
  #input = new Uint8Array(0);
  #wentAway = false;
  #peerWentAway = false;
  #isOver = false;
  /** Our direction of the connection is closed: nothing can be said any more. */
  #hasEnded = false;
  #wake = Promise.withResolvers<void>();

  constructor(transport: Transport, options: YamuxPeerOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#nextId = options.role === "client" ? 1 : 2;
    this.closed = this.#closing.promise;
    void this.#read();
  }

  get isGoingAway(): boolean {
    return this.#wentAway || this.#peerWentAway;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get random(): Random {
    return this.#options.random;
  }

  async openStream(_options: { timeoutMs?: number | undefined } = {}): Promise<ModelStream> {
    this.#checkOpen();
    const stream = new YamuxStream(this.#nextId, this, false);
    this.#nextId += 2;
    // The id is taken; others may overtake on the way to the connection.
    const { reorderMs = 0, random, clock } = this.#options;
    if (reorderMs > 0) {
      await new Promise<void>((resolve) => clock.after(random.int(0, reorderMs), resolve));
    }
    this.#checkOpen();
    this.#streams.set(stream.id, stream);
    this.frame(WINDOW, SYN, stream.id, 0);
    return stream;
  }

  async acceptStream(): Promise<ModelStream | null> {
    while (this.#backlog.length === 0) {
      if (this.#isOver) return null;
      await new Promise<void>((resolve) => this.#acceptors.push(resolve));
    }
    const stream = this.#backlog.shift()!;
    this.frame(WINDOW, ACK, stream.id, 0);
    return stream;
  }

  async ping(): Promise<void> {
    if (this.#isOver) throw new ClosedError("ERR_CLOSED", "The raw session is over");
    const value = this.#nextPing++;
    const waiting = Promise.withResolvers<void>();
    waiting.promise.catch(() => {});
    this.#pings.set(value, waiting);
    this.frame(PING, SYN, 0, value);
    await waiting.promise;
  }

  goAway(): void {
    if (this.#wentAway || this.#isOver) return;
    this.#wentAway = true;
    this.frame(GO_AWAY, 0, 0, 0);
  }

  /** Go-away, waits for its streams, and closes the connection. */
  async close(): Promise<void> {
    this.goAway();
    while (this.#streams.size > 0 && !this.#isOver) {
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
    if (this.#isOver) return;
    while (this.#outbox.length > 0 || this.#flushing !== undefined) await this.#flush();
    this.#hasEnded = true;
    await this.#transport.closeWrite();
    const cancel = this.#options.clock.after(60_000, () => this.#end(undefined));
    await this.closed;
    cancel();
  }

  abort(): void {
    this.#end(new ClosedError("ERR_CLOSED", "The raw session was aborted"));
  }

  /** Queues a frame. What is queued is bounded by the windows. */
  frame(type: number, flags: number, id: number, length: number, body?: Uint8Array): void {
    if (this.#isOver || this.#hasEnded) return;
    const bytes = new Uint8Array(12 + (body?.length ?? 0));
    const view = new DataView(bytes.buffer);
    view.setUint8(1, type);
    view.setUint16(2, flags);
    view.setUint32(4, id);
    view.setUint32(8, length);
    if (body !== undefined) bytes.set(body, 12);
    this.#outbox.push(bytes);
    void this.#flush();
  }

  /** Both sides have ended it: late frames for it are no fault. */
  forget(stream: YamuxStream): void {
    this.#streams.delete(stream.id);
    this.#wake.resolve();
  }

  #checkOpen(): void {
    if (this.#isOver) throw new ClosedError("ERR_CLOSED", "The raw session is over");
    if (this.isGoingAway) throw new ClosedError("ERR_GOING_AWAY", "The raw session is going away");
  }

  #flush(): Promise<void> {
    return this.#flushing ??= (async () => {
      try {
        while (this.#outbox.length > 0 && !this.#isOver) {
          await this.#transport.write(this.#outbox.shift()!);
        }
      } catch (error) {
        this.#lose(error);
      }
      this.#flushing = undefined;
    })();
  }

  async #read(): Promise<void> {
    try {
      for (
        let chunk = await this.#transport.read();
        chunk !== null;
        chunk = await this.#transport.read()
      ) {
        this.#take(chunk);
      }
      this.#end(
        this.#streams.size === 0
          ? undefined
          : new ClosedError("ERR_RESET", "The raw session was lost"),
      );
    } catch (error) {
      this.#lose(error);
    }
  }

  #lose(cause: unknown): void {
    this.#end(
      cause instanceof ParleyError
        ? cause
        : new ClosedError("ERR_RESET", "The raw peer failed", { cause }),
    );
  }

  #take(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.#input.length + chunk.length);
    joined.set(this.#input);
    joined.set(chunk, this.#input.length);
    let at = 0;
    while (joined.length - at >= 12) {
      const view = new DataView(joined.buffer, at, 12);
      const [type, flags, id, length] = [
        view.getUint8(1),
        view.getUint16(2),
        view.getUint32(4),
        view.getUint32(8),
      ];
      const end = at + 12 + (type === DATA ? length : 0);
      if (end > joined.length) break;
      this.#onFrame(type, flags, id, length, joined.subarray(at + 12, end));
      at = end;
    }
    this.#input = joined.slice(at);
  }

  #onFrame(type: number, flags: number, id: number, length: number, body: Uint8Array): void {
    if (type === PING) {
      if (flags & SYN) this.frame(PING, ACK, 0, length);
      else this.#pings.get(length)?.resolve();
      return;
    }
    if (type === GO_AWAY) {
      this.#peerWentAway = true;
      if (length !== 0) {
        throw new ClosedError("ERR_RESET", `The raw peer was told of go-away ${length}`);
      }
      return;
    }
    if (flags & SYN) {
      if (this.#wentAway) return this.frame(WINDOW, RST, id, 0);
      const stream = new YamuxStream(id, this, true);
      this.#streams.set(id, stream);
      this.#backlog.push(stream);
      this.#acceptors.shift()?.();
    }
    // Frames for streams that are gone are dropped, as all programs do.
    this.#streams.get(id)?.onFrame(type, flags, length, body);
  }

  #end(error: ParleyError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#transport.close();
    const why = error ?? new ClosedError("ERR_CLOSED", "The raw session is over");
    for (const stream of [...this.#streams.values()]) stream.fail(why);
    for (const ping of this.#pings.values()) ping.reject(why);
    for (const wake of this.#acceptors.splice(0)) wake();
    this.#wake.resolve();
    this.#closing.resolve(error);
  }
}

/** One stream of a {@linkcode YamuxPeer}. */
class YamuxStream implements ModelStream {
  readonly id: number;
  readonly closed: Promise<Error | undefined>;
  readonly #peer: YamuxPeer;
  readonly #closing = Promise.withResolvers<Error | undefined>();
  #credit = WINDOW_BYTES;
  #recvWindow = WINDOW_BYTES;
  #taken = 0;
  #chunks: Uint8Array[] = [];
  #answered: boolean;
  #finSent = false;
  #finCame = false;
  #error: Error | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(id: number, peer: YamuxPeer, isIncoming: boolean) {
    this.id = id;
    this.#peer = peer;
    this.#answered = isIncoming;
    this.closed = this.#closing.promise;
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#giveBack(chunk.length);
        return chunk;
      }
      if (this.#finCame) return null;
      if (this.#error !== undefined) throw this.#error;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    let offset = 0;
    while (offset < bytes.length) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#finSent) throw new ClosedError("ERR_CLOSED", "The raw stream has ended");
      const length = Math.min(
        this.#credit,
        bytes.length - offset,
        this.#peer.random.pick([1000, 40_000, WINDOW_BYTES]),
      );
      if (length === 0) {
        await new Promise<void>((resolve) => this.#wakeWriter = resolve);
        continue;
      }
      this.#credit -= length;
      this.#peer.frame(DATA, 0, this.id, length, bytes.subarray(offset, offset + length));
      offset += length;
    }
  }

  // deno-lint-ignore require-await -- the interface is asynchronous
  async closeWrite(): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    if (this.#finSent) return;
    this.#finSent = true;
    this.#peer.frame(WINDOW, FIN, this.id, 0);
    this.#checkOver();
  }

  async close(): Promise<void> {
    await this.closeWrite();
    const cancel = this.#peer.clock.after(CLOSE_TIMEOUT_MS, () => this.abort());
    void this.closed.then(cancel);
  }

  abort(_reason?: unknown): void {
    if (this.#error !== undefined || (this.#finSent && this.#finCame)) return;
    this.#peer.frame(WINDOW, RST, this.id, 0);
    this.fail(new ClosedError("ERR_RESET", "The raw stream was reset on this side"));
  }

  fail(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#chunks = [];
    this.#finCame = false;
    this.#peer.forget(this);
    this.#closing.resolve(error);
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  onFrame(type: number, flags: number, length: number, body: Uint8Array): void {
    if (type === WINDOW) {
      this.#credit += length;
      if (length > 0) this.#wakeWriter?.();
    } else if (body.length > 0) {
      if (body.length > this.#recvWindow) {
        throw new ClosedError("ERR_RESET", "The peer of a raw peer passed its window");
      }
      this.#recvWindow -= body.length;
      this.#chunks.push(body.slice());
      this.#wakeReader?.();
    }
    const refused = !this.#answered && (flags & RST) !== 0;
    if (flags & ACK) this.#answered = true;
    if (flags & FIN) {
      this.#finCame = true;
      this.#wakeReader?.();
      this.#checkOver();
    }
    if (flags & RST) {
      this.fail(
        refused ? this.#refusal() : new ClosedError("ERR_RESET", "The peer reset the raw stream"),
      );
    }
  }

  #refusal(): Error {
    return this.#peer.isGoingAway
      ? new ClosedError("ERR_GOING_AWAY", "The raw stream came too late")
      : new LimitError("ERR_TOO_MANY_STREAMS", "The raw stream was refused");
  }

  /** As Go programs do it: half a window at a time, and after the peer's FIN as well. */
  #giveBack(bytes: number): void {
    this.#taken += bytes;
    if (this.#taken * 2 < WINDOW_BYTES || this.#error !== undefined) return;
    this.#peer.frame(WINDOW, 0, this.id, this.#taken);
    this.#recvWindow += this.#taken;
    this.#taken = 0;
  }

  #checkOver(): void {
    if (!this.#finSent || !this.#finCame || this.#error !== undefined) return;
    this.#peer.forget(this);
    this.#closing.resolve(undefined);
  }
}
