// chunked(): messages in chunks, whose total need not be known when they begin.
import { ChunkDecoder } from "./chunks.ts";
import { checkSendable } from "./prefixed.ts";
import type { FrameEncoder, Framing, FramingLimits } from "./types.ts";
import { MAX_VARINT_BYTES, varintBytes, writeVarint } from "./varint.ts";

/** Options of {@linkcode chunked}. */
export interface ChunkedOptions {
  /**
   * What each `send` is: a whole message, or a part of one. Parts become one chunk each, in the
   * order in which they are sent; an empty part ends the message. What is received are whole
   * messages in either case.
   *
   * @default {"messages"}
   */
  sends?: "messages" | "parts" | undefined;
}

/**
 * Messages in chunks: a message can begin before its length is known, as in the chunked transfer
 * coding of HTTP/1.1 (RFC 9112, section 7.1), with the lengths of protobuf.
 *
 * ```
 * message = *( length bytes ) 00        length: of the bytes that follow, 1 and more, an unsigned LEB128 varint in its shortest form
 * ```
 *
 * The receiver gets whole messages: `maxMessageBytes` limits the sum of the chunks, and is checked
 * before a chunk's bytes are held. Chunks of a few bytes each may take as much memory again for
 * their lengths, until the message is whole.
 *
 * A sender of whole messages writes one chunk for each. To send a message whose total is not known,
 * send its parts under `chunked({ sends: "parts" })`, and an empty one at its end: see the second
 * example. Nothing else can be sent in between.
 *
 * @throws {TypeError} when `sends` is neither `"messages"` nor `"parts"`
 *
 * @example
 * ```ts
 * import { chunked, FrameDecoderStream } from "@parley/parley/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = ReadableStream.from([new Uint8Array([2, 7, 8, 1]), new Uint8Array([9, 0, 0])]);
 * const messages = bytes.pipeThrough(new FrameDecoderStream(chunked()));
 * assertEquals(await Array.fromAsync(messages), [new Uint8Array([7, 8, 9]), new Uint8Array([])]);
 * ```
 *
 * @example A message of which only the parts are known, over a connection
 * ```ts
 * import { chunked, Connection, memoryPair } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * const [near, far] = memoryPair();
 * const [a, b] = [near, far].map((transport) => new Connection(transport, { framing: chunked() }));
 * a!.setFraming(chunked({ sends: "parts" }));
 * for (const part of ["as it ", "becomes ", "known"]) await a!.send(part); // no part may be empty
 * await a!.send(""); // the end of the message
 * a!.setFraming(chunked());
 * await a!.send("and a whole one");
 * assertEquals(new TextDecoder().decode((await b!.receive())!), "as it becomes known");
 * assertEquals(new TextDecoder().decode((await b!.receive())!), "and a whole one");
 * await Promise.all([a!.close(), b!.close()]);
 * ```
 */
export function chunked(options: ChunkedOptions = {}): Framing {
  const { sends = "messages" } = options;
  if (sends !== "messages" && sends !== "parts") {
    throw new TypeError(
      `Cannot make the framing: "sends" must be "messages" or "parts", current value is ${
        JSON.stringify(sends)
      }`,
    );
  }
  return {
    name: sends === "parts" ? "chunked(parts)" : "chunked",
    encoder: (limits) => sends === "parts" ? new PartEncoder(limits) : new ChunkedEncoder(limits),
    decoder: (limits) => new ChunkedDecoder(limits),
  } satisfies Framing;
}

/** One chunk for each message, if it has bytes, and the end. */
class ChunkedEncoder implements FrameEncoder {
  readonly maxOverhead = MAX_VARINT_BYTES + 1;
  readonly #limits: FramingLimits;

  constructor(limits: FramingLimits) {
    this.#limits = limits;
  }

  body(message: Uint8Array): Uint8Array {
    checkSendable(message, this.#limits.maxMessageBytes, `"maxMessageBytes" is`);
    return message;
  }

  writeHead(body: Uint8Array, into: Uint8Array, offset: number): number {
    return body.length === 0 ? offset : writeVarint(body.length, into, offset);
  }

  writeTail(_body: Uint8Array, into: Uint8Array, offset: number): number {
    into[offset] = 0;
    return offset + 1;
  }
}

/** One chunk for each part; the empty one is the end. */
class PartEncoder implements FrameEncoder {
  readonly maxOverhead = MAX_VARINT_BYTES;
  readonly #limits: FramingLimits;
  /** Bytes of the message so far. */
  #sum = 0;

  constructor(limits: FramingLimits) {
    this.#limits = limits;
  }

  body(part: Uint8Array): Uint8Array {
    const { maxMessageBytes } = this.#limits;
    checkSendable(
      part,
      maxMessageBytes - this.#sum,
      `"maxMessageBytes" is ${maxMessageBytes} and leaves`,
    );
    this.#sum = part.length === 0 ? 0 : this.#sum + part.length;
    return part;
  }

  bodies(parts: readonly Uint8Array[]): Uint8Array[] {
    const sum = this.#sum;
    try {
      return parts.map((part) => this.body(part));
    } catch (error) {
      this.#sum = sum;
      throw error;
    }
  }

  writeHead(part: Uint8Array, into: Uint8Array, offset: number): number {
    return writeVarint(part.length, into, offset);
  }

  writeTail(_part: Uint8Array, _into: Uint8Array, offset: number): number {
    return offset;
  }
}

/**
 * Finds messages. What is incomplete is kept as it came, lengths included, so that it can be given
 * up as it came.
 */
class ChunkedDecoder extends ChunkDecoder {
  readonly #maxMessageBytes: number;
  /** Chunks of the current message whose lengths are known, and their bytes together. */
  #chunks = 0;
  #sum = 0;
  /** Bytes that the last of them lacks; 0 while a length is read. */
  #missing = 0;
  /** The part of a length that has come, and how many bytes that took. */
  #length = 0;
  #lengthBytes = 0;

  constructor(limits: FramingLimits) {
    super();
    this.#maxMessageBytes = limits.maxMessageBytes;
  }

  protected decode(): Uint8Array | undefined {
    const { at: start, chunk, carry } = this;
    const isWhole = this.#scan(start);
    if (isWhole && carry.length === 0) return this.#finish(chunk.subarray(start, this.at), false);
    // The total is known as long as no other chunk has begun.
    const total = this.#chunks === 1 && this.#missing > 0
      ? varintBytes(this.#sum) + this.#sum + 1
      : 0;
    carry.append(chunk.subarray(start, this.at), total);
    return isWhole ? this.#finish(carry.take(carry.length), true) : undefined;
  }

  /**
   * Moves `at` to the end of the message, or of the input that is here: returns whether the message
   * is whole.
   */
  #scan(start: number): boolean {
    const { chunk } = this;
    while (this.at < chunk.length) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, chunk.length - this.at);
        this.at += taken;
        this.#missing -= taken;
      } else if (this.#readLength(chunk[this.at++]!, start)) {
        const length = this.#length;
        this.#length = this.#lengthBytes = 0;
        if (length === 0) return true;
        this.#sum += length;
        this.#chunks++;
        this.#missing = length;
        if (this.#sum > this.#maxMessageBytes) throw this.#tooLarge(start);
      }
    }
    return false;
  }

  /** Adds a byte to the length of the next chunk; returns whether it is complete. */
  #readLength(byte: number, start: number): boolean {
    this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes++;
    if (byte >= 0x80) {
      if (this.#lengthBytes < MAX_VARINT_BYTES) return false;
      throw this.#malformed(
        start,
        `the length of a chunk takes more than ${MAX_VARINT_BYTES} bytes`,
      );
    }
    if (byte === 0 && this.#lengthBytes > 1) {
      throw this.#malformed(start, "the length of a chunk is not in the shortest form");
    }
    return true;
  }

  /** Takes the lengths out of a whole message; `isOurs` says that its bytes may be moved. */
  #finish(raw: Uint8Array, isOurs: boolean): Uint8Array {
    const [chunks, sum] = [this.#chunks, this.#sum];
    this.#reset();
    if (chunks <= 1) {
      const start = chunks === 0 ? 0 : varintBytes(sum);
      return raw.subarray(start, start + sum);
    }
    const message = isOurs ? raw : new Uint8Array(sum);
    let end = 0;
    for (let at = 0; end < sum;) {
      let length = 0;
      for (let scale = 1;; scale *= 128) {
        const byte = raw[at++]!;
        length += (byte & 0x7f) * scale;
        if (byte < 0x80) break;
      }
      // What is moved goes to the left: nothing is overwritten that is still to be read.
      message.set(raw.subarray(at, at + length), end);
      end += length;
      at += length;
    }
    return message.subarray(0, sum);
  }

  protected override heldHead(): Uint8Array {
    this.#reset();
    return super.heldHead();
  }

  #reset(): void {
    this.#chunks =
      this.#sum =
      this.#missing =
      this.#length =
      this.#lengthBytes =
        0;
  }

  #tooLarge(start: number): Error {
    this.at = start;
    return this.fail(
      "ERR_FRAME_TOO_LARGE",
      `Cannot read the message: "maxMessageBytes" is ${this.#maxMessageBytes}: its ${this.#chunks} chunks so far tell ` +
        `${this.#sum} bytes`,
    );
  }

  #malformed(start: number, why: string): Error {
    this.at = start;
    return this.fail("ERR_FRAME_MALFORMED", `Cannot read the message: ${why}`);
  }

  protected wanted(): string {
    if (this.#missing > 0) return `its chunk ${this.#chunks} lacks ${this.#missing} bytes`;
    return `wanted another chunk or the end after ${this.#sum} bytes`;
  }
}
