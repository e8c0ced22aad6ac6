// Chunks: the bytes a decoder holds; whole messages leave as views, split ones are joined once.
import { Fifo } from "../collections/fifo.ts";
import { FramingError, type FramingErrorCode } from "../errors.ts";
import type { FrameDecoder } from "./types.ts";

/**
 * Views a part of a chunk, from `start` on: what `subarray` does, which also looks up the class of
 * the chunk and costs half as much again.
 */
export function view(chunk: Uint8Array, start: number, length: number): Uint8Array {
  return new Uint8Array(chunk.buffer, chunk.byteOffset + start, length);
}

/** No bytes. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * Up to this size a message's memory is taken as soon as its length is known; beyond, it grows with
 * the bytes that really came, so that a length alone costs a peer's word and not our memory.
 */
const TRUSTED_BYTES = 65536;

/** The beginning of a message whose end is in a later chunk. */
export class Carry {
  #buffer = EMPTY;
  /** Bytes held. */
  length = 0;

  /** Appends bytes; `target` is the final length when it is known, else 0. */
  append(bytes: Uint8Array, target: number): void {
    const needed = this.length + bytes.length;
    if (needed > this.#buffer.length) this.#grow(needed, target);
    this.#buffer.set(bytes, this.length);
    this.length = needed;
  }

  /** Views the last `count` bytes. */
  tail(count: number): Uint8Array {
    return this.#buffer.subarray(Math.max(0, this.length - count), this.length);
  }

  /** Returns the first `length` bytes and forgets the rest. */
  take(length: number): Uint8Array {
    const message = this.#buffer.subarray(0, length);
    this.#buffer = EMPTY;
    this.length = 0;
    return message;
  }

  #grow(needed: number, target: number): void {
    const doubled = Math.max(needed, 2 * this.#buffer.length, 256);
    const trusted = target <= TRUSTED_BYTES || 4 * needed >= target;
    const capacity = target === 0 ? doubled : trusted ? target : Math.min(doubled, target);
    const grown = new Uint8Array(capacity);
    grown.set(this.#buffer.subarray(0, this.length));
    this.#buffer = grown;
  }
}

/**
 * Chunks below this size are copied together while they wait: a peer that sends single bytes must
 * not cost objects.
 */
const TINY_BYTES = 256;

/** Room that tiny chunks are copied into. */
const GATHER_BYTES = 4096;

/** Chunks that wait their turn. A chunk that was taken is let go at once. */
class ChunkQueue {
  readonly #chunks = new Fifo<Uint8Array>();
  /**
   * What the last chunk is a view of when tiny ones were copied together; the part behind the view
   * is free.
   */
  #gather = EMPTY;
  /** Memory of the chunks that were copied together. */
  #gathers: Set<ArrayBufferLike> | null = null;
  /** Whether the chunk that was taken last is several, copied together. */
  isGathered = false;
  /** Bytes in all. */
  length = 0;

  push(chunk: Uint8Array): void {
    this.length += chunk.length;
    if (chunk.length < TINY_BYTES) this.#pushTiny(chunk);
    else this.#append(chunk, EMPTY);
  }

  /** The first chunk, or `undefined`. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.length -= chunk.length;
    this.isGathered = this.#gathers?.delete(chunk.buffer) === true;
    if (this.#chunks.size === 0) this.#gather = EMPTY;
    return chunk;
  }

  #pushTiny(chunk: Uint8Array): void {
    const used = this.#gather.length === 0
      ? GATHER_BYTES
      : this.#chunks.at(this.#chunks.size - 1)!.length;
    if (used + chunk.length > GATHER_BYTES) {
      const gather = new Uint8Array(GATHER_BYTES);
      gather.set(chunk);
      (this.#gathers ??= new Set()).add(gather.buffer);
      this.#append(gather.subarray(0, chunk.length), gather);
      return;
    }
    this.#gather.set(chunk, used);
    this.#chunks.replaceLast(this.#gather.subarray(0, used + chunk.length));
  }

  #append(chunk: Uint8Array, gather: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#gather = gather;
  }
}

/**
 * The base of the built-in decoders: keeps pushed chunks in order and shows them one at a time. A
 * decoder takes whole messages as views out of `chunk` and puts what is incomplete at its end into
 * `carry`.
 */
export abstract class ChunkDecoder implements FrameDecoder {
  /** The chunk being decoded. */
  protected chunk: Uint8Array = EMPTY;
  /** Where the undecoded part of `chunk` begins. */
  protected at = 0;
  /** The beginning of the current message, from earlier chunks. */
  protected readonly carry: Carry = new Carry();
  /** Whether `chunk` came in several pushes. */
  #isGathered = false;
  /** Later chunks; made when some wait: most decoders take one chunk after the other. */
  #waiting: ChunkQueue | null = null;
  #failure: FramingError | undefined;

  get heldBytes(): number {
    const waiting = this.#waiting === null ? 0 : this.#waiting.length;
    return this.carry.length + this.chunk.length - this.at + waiting;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const waiting = this.#waiting;
    if (this.at === this.chunk.length && (waiting === null || waiting.length === 0)) {
      this.chunk = chunk;
      this.at = 0;
      this.#isGathered = false;
    } else {
      (this.#waiting ??= new ChunkQueue()).push(chunk);
    }
  }

  next(): Uint8Array | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    while (this.at < this.chunk.length || this.#advance()) {
      const message = this.decode();
      if (message !== undefined) return message;
    }
    return undefined;
  }

  nextInto(messages: Uint8Array[], most: number): void {
    const first = this.next();
    if (first === undefined) return;
    messages.push(first);
    // Only messages of one push go together: those of another came at another time.
    if (most === 1 || this.at === this.chunk.length || this.#isGathered) return;
    this.decodeMore(messages, most - 1);
  }

  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.heldBytes > 0) {
      throw this.fail(
        "ERR_FRAME_TRUNCATED",
        `Cannot read the message: the input ended inside it: ${this.wanted()}`,
      );
    }
  }

  takeRest(): Uint8Array {
    const parts = [this.heldHead(), this.chunk.subarray(this.at)];
    for (let part = this.#waiting?.shift(); part !== undefined; part = this.#waiting?.shift()) {
      parts.push(part);
    }
    this.#waiting = null;
    this.chunk = EMPTY;
    this.at = 0;
    const filled = parts.filter((part) => part.length > 0);
    if (filled.length === 1) return filled[0]!;
    const rest = new Uint8Array(filled.reduce((sum, part) => sum + part.length, 0));
    let offset = 0;
    for (const part of filled) {
      rest.set(part, offset);
      offset += part.length;
    }
    return rest;
  }

  /**
   * Takes one message out of `carry` and `chunk`, or uses `chunk` up and returns `undefined`.
   * Called only with at least one undecoded byte.
   */
  protected abstract decode(): Uint8Array | undefined;

  /**
   * Appends whole messages out of `chunk`, from `at` on: at most `most`, and up to what is left to
   * `decode`, such as the beginning of a message, or what is none. Called only at the beginning of a
   * message, with an undecoded byte. Does not throw.
   */
  protected decodeMore(_messages: Uint8Array[], _most: number): void {}

  /** Returns the text of an error: what was wanted and what there was. */
  protected abstract wanted(): string;

  /** Returns the bytes of a message begun in earlier chunks, as they came, and forgets them. */
  protected heldHead(): Uint8Array {
    return this.carry.take(this.carry.length);
  }

  /** Poisons the decoder. */
  protected fail(code: FramingErrorCode, message: string): FramingError {
    return this.#failure = new FramingError(code, message);
  }

  #advance(): boolean {
    const waiting = this.#waiting;
    const chunk = waiting?.shift();
    this.chunk = chunk ?? EMPTY;
    this.at = 0;
    this.#isGathered = waiting !== null && waiting.isGathered;
    return chunk !== undefined;
  }
}
