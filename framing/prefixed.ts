// PrefixedDecoder: what length-prefixed and varint-prefixed framing have in common.
import { FramingError } from "../errors.ts";
import { ChunkDecoder, EMPTY, view } from "./chunks.ts";

/** A prefix that is not complete yet. */
export const INCOMPLETE = -1;

/**
 * A decoder of messages that begin with their length. The length is judged before any byte of the body is
 * held. A subclass reads the prefix.
 */
export abstract class PrefixedDecoder extends ChunkDecoder {
  protected readonly maxMessageBytes: number;
  /** What the message that began in an earlier chunk lacks. */
  #lacks: "nothing" | "prefix" | "body" = "nothing";
  /** A prefix that began in an earlier chunk. */
  #prefix: Uint8Array = EMPTY;
  #prefixBytes = 0;
  /** Length of the message whose body is not complete. */
  #length = 0;
  /** The prefix of that message, kept for a change of framing in its middle. */
  #prefixTaken: Uint8Array = EMPTY;
  /** Bytes of the prefix that was read last; set by `readPrefix`. */
  protected prefixLength = 0;

  readonly #maxPrefixBytes: number;

  constructor(maxPrefixBytes: number, maxMessageBytes: number) {
    super();
    this.#maxPrefixBytes = maxPrefixBytes;
    this.maxMessageBytes = maxMessageBytes;
  }

  /**
   * Reads the prefix in `bytes` at `at`: returns the body's length and sets `prefixLength`, or
   * returns `INCOMPLETE`.
   *
   * @throws {FramingError} `ERR_FRAME_MALFORMED` by `fail`
   */
  protected abstract readPrefix(bytes: Uint8Array, at: number, end: number): number;

  override get heldBytes(): number {
    return super.heldBytes + this.#prefixBytes + this.#prefixTaken.length;
  }

  protected decode(): Uint8Array | undefined {
    if (this.#lacks !== "nothing") return this.#continue();
    const { chunk, at } = this;
    const length = this.readPrefix(chunk, at, chunk.length);
    const start = at + this.prefixLength;
    const end = start + length;
    if (length >= 0 && end <= chunk.length && length <= this.maxMessageBytes) {
      this.at = end;
      return view(chunk, start, length);
    }
    return this.#begin(length);
  }

  /** Holds the beginning of a message whose end is not in this chunk. */
  #begin(length: number): undefined {
    const { chunk, at } = this;
    if (length === INCOMPLETE) {
      if (this.#prefix === EMPTY) this.#prefix = new Uint8Array(this.#maxPrefixBytes);
      this.#prefix.set(chunk.subarray(at));
      this.#prefixBytes = chunk.length - at;
      this.#lacks = "prefix";
      this.at = chunk.length;
      return;
    }
    this.#beginBody(length, chunk.slice(at, at + this.prefixLength));
    this.at = at + this.prefixLength;
  }

  #beginBody(length: number, prefix: Uint8Array): void {
    if (length > this.maxMessageBytes) throw this.#tooLarge(length);
    this.#length = length;
    this.#prefixTaken = prefix;
    this.#lacks = "body";
  }

  #continue(): Uint8Array | undefined {
    return this.#lacks === "body" ? this.#continueBody() : this.#continuePrefix();
  }

  /** Adds one byte after the other to a prefix that is split over chunks: it is at most eight bytes long. */
  #continuePrefix(): Uint8Array | undefined {
    while (this.at < this.chunk.length) {
      this.#prefix[this.#prefixBytes++] = this.chunk[this.at++]!;
      const length = this.readPrefix(this.#prefix, 0, this.#prefixBytes);
      if (length === INCOMPLETE) continue;
      this.#beginBody(length, this.#prefix.slice(0, this.#prefixBytes));
      this.#prefixBytes = 0;
      return this.#continueBody();
    }
    return undefined;
  }

  #continueBody(): Uint8Array | undefined {
    const { chunk, at, carry } = this;
    const missing = this.#length - carry.length;
    const available = chunk.length - at;
    if (available < missing) {
      if (available > 0) carry.append(chunk.subarray(at), this.#length);
      this.at = chunk.length;
      return undefined;
    }
    this.at = at + missing;
    this.#lacks = "nothing";
    this.#prefixTaken = EMPTY;
    if (carry.length === 0) return chunk.subarray(at, this.at);
    carry.append(chunk.subarray(at, this.at), this.#length);
    return carry.take(this.#length);
  }

  protected override heldHead(): Uint8Array {
    const prefix = this.#lacks === "body"
      ? this.#prefixTaken
      : this.#prefix.slice(0, this.#prefixBytes);
    const body = super.heldHead();
    this.#lacks = "nothing";
    this.#prefixBytes = 0;
    this.#prefixTaken = EMPTY;
    const head = new Uint8Array(prefix.length + body.length);
    head.set(prefix);
    head.set(body, prefix.length);
    return head;
  }

  #tooLarge(length: number): FramingError {
    return this.fail(
      "ERR_FRAME_TOO_LARGE",
      `Cannot read the message: "maxMessageBytes" is ${this.maxMessageBytes}: its prefix says ${length} bytes`,
    );
  }

  protected wanted(): string {
    if (this.#lacks !== "body") return `wanted its length, got ${this.#prefixBytes} bytes of it`;
    return `wanted ${this.#length} bytes, got ${this.carry.length}`;
  }
}

/**
 * Refuses a message that is too large to be sent.
 *
 * @throws {FramingError} `ERR_FRAME_TOO_LARGE`
 */
export function checkSendable(message: Uint8Array, maxBytes: number, why: string): void {
  if (message.length <= maxBytes) return;
  throw new FramingError(
    "ERR_FRAME_TOO_LARGE",
    `Cannot send the message: ${why} ${maxBytes}, it has ${message.length} bytes`,
  );
}
