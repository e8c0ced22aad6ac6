// Unread bytes of one stream: views where they are worth it, joined copies where they are not.
import { Fifo } from "../collections/fifo.ts";

/**
 * A view keeps the whole buffer of the read it came from alive. So a part that is smaller than a
 * fifth of that buffer is copied: else one byte held could cost 64 KiB. A fifth, because our own
 * slices are a little less than a quarter of a full read.
 */
const MIN_SHARE = 5;
const FIRST_TAIL_BYTES = 256;
const MAX_TAIL_BYTES = 8192;

/** A queue of bytes in order. */
export class ReceiveBuffer {
  readonly #chunks = new Fifo<Uint8Array>();
  #bytes = 0;
  #tail: Uint8Array | undefined;
  #tailStart = 0;
  #tailEnd = 0;

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes bytes. True when it keeps them themselves: the caller must not change them any more then. */
  push(bytes: Uint8Array): boolean {
    this.#bytes += bytes.length;
    if (bytes.length * MIN_SHARE >= bytes.buffer.byteLength) {
      this.#chunks.push(bytes);
      this.#tail = undefined;
      return true;
    }
    let offset = 0;
    while (offset < bytes.length) {
      const tail = this.#openTail(bytes.length - offset);
      const count = Math.min(bytes.length - offset, tail.length - this.#tailEnd);
      tail.set(bytes.subarray(offset, offset + count), this.#tailEnd);
      this.#tailEnd += count;
      offset += count;
      this.#chunks.replaceLast(tail.subarray(this.#tailStart, this.#tailEnd));
    }
    return false;
  }

  /** Puts bytes that were taken last back in front; the caller must not change them any more. */
  unshift(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    const isWorthKeeping = bytes.length * MIN_SHARE >= bytes.buffer.byteLength;
    this.#chunks.unshift(isWorthKeeping ? bytes : bytes.slice());
  }

  /** Returns the next bytes, which belong to the caller from then on. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#bytes -= chunk.length;
    if (this.#chunks.size === 0) this.#tail = undefined;
    return chunk;
  }

  /** As {@linkcode shift}, with what follows joined to it as far as both fit in `limitBytes`. */
  shiftJoined(limitBytes: number): Uint8Array | undefined {
    const first = this.shift();
    if (first === undefined) return undefined;
    let total = first.length;
    for (let i = 0; i < this.#chunks.size; i++) {
      const next = total + this.#chunks.at(i)!.length;
      if (next > limitBytes) break;
      total = next;
    }
    if (total === first.length) return first;
    const joined = new Uint8Array(total);
    joined.set(first);
    for (let offset = first.length; offset < total;) {
      const chunk = this.shift()!;
      joined.set(chunk, offset);
      offset += chunk.length;
    }
    return joined;
  }

  /** Copies the next bytes to `target`, as many as fit; the result is how many. */
  shiftInto(target: Uint8Array): number {
    let copied = 0;
    for (let chunk = this.#chunks.peek(); chunk !== undefined; chunk = this.#chunks.peek()) {
      const count = Math.min(chunk.length, target.length - copied);
      if (count < chunk.length) {
        target.set(chunk.subarray(0, count), copied);
        this.#chunks.replaceFirst(chunk.subarray(count));
        // What comes next must not bring the copied bytes back.
        if (this.#chunks.size === 1) this.#tail = undefined;
        copied += count;
        break;
      }
      target.set(chunk, copied);
      copied += count;
      this.#chunks.shift();
    }
    if (this.#chunks.size === 0) this.#tail = undefined;
    this.#bytes -= copied;
    return copied;
  }

  /** Drops everything; the result is how many bytes that were. */
  clear(): number {
    const bytes = this.#bytes;
    this.#chunks.clear();
    this.#bytes = 0;
    this.#tail = undefined;
    return bytes;
  }

  /** The open tail is always the last chunk; a new one twice as large follows a full one. */
  #openTail(wanted: number): Uint8Array {
    if (this.#tail !== undefined && this.#tailEnd < this.#tail.length) return this.#tail;
    const doubled = this.#tail === undefined ? FIRST_TAIL_BYTES : this.#tail.length * 2;
    this.#tail = new Uint8Array(Math.min(MAX_TAIL_BYTES, Math.max(doubled, wanted)));
    this.#tailStart = 0;
    this.#tailEnd = 0;
    this.#chunks.push(this.#tail);
    return this.#tail;
  }
}
