// Received: the bytes that were read, and the messages in them, up to the end of a drain.
import type { FrameDecoder, Framing, FramingLimits } from "../framing.ts";
import type { MessageObserver } from "./types.ts";
import { explainFirstBytes, FIRST_BYTES } from "../net/transport/first_bytes.ts";

/** Messages that are not handed out yet, and their bytes. */
export interface Rest {
  readonly messages: number;
  readonly bytes: number;
}

/**
 * What a connection has received and not handed out. Not for concurrent use: it belongs to one
 * receive queue.
 */
export class Received {
  /** What decoders are made of: a function that makes them would cost each connection more. */
  #framing: Framing;
  #limits: FramingLimits;
  #decoder: FrameDecoder;
  /** Bytes given to the decoder. */
  #pushedBytes = 0;
  /** Only messages that begin before this byte of the input are decoded. */
  #endOffset = Infinity;
  /** The first bytes that came, until they have been a message; `null` before and after that. */
  #firstBytes: Uint8Array | null = null;

  readonly #observer: MessageObserver | undefined;

  constructor(framing: Framing, limits: FramingLimits, observer?: MessageObserver) {
    this.#observer = observer;
    this.#framing = framing;
    this.#limits = limits;
    this.#decoder = framing.decoder(limits);
  }

  /** Bytes that are not decoded. */
  get heldBytes(): number {
    return this.#decoder.heldBytes;
  }

  /** Bytes that were decoded. */
  get decodedBytes(): number {
    return this.#pushedBytes - this.#decoder.heldBytes;
  }

  /** Whether {@linkcode endHere} was called. */
  get hasEnd(): boolean {
    return this.#endOffset !== Infinity;
  }

  /** Whether all was decoded that began before {@linkcode endHere} was called. */
  get isOver(): boolean {
    return this.#endOffset !== Infinity && this.decodedBytes >= this.#endOffset;
  }

  /** Takes what was read. */
  push(chunk: Uint8Array): void {
    if (this.#pushedBytes === 0) this.#firstBytes = chunk.slice(0, FIRST_BYTES);
    this.#pushedBytes += chunk.length;
    this.#decoder.push(chunk);
    this.#observer?.arrived(this.#pushedBytes);
  }

  /**
   * Says in the error of a first message that is none what the peer speaks, where its first bytes
   * show it.
   */
  explain(error: Error): void {
    if (this.#firstBytes !== null) explainFirstBytes(error, this.#firstBytes);
  }

  /**
   * Decodes the next message; `undefined` when there is none, or it began too late. Throws what the
   * decoder throws.
   */
  next(): Uint8Array | undefined {
    if (this.isOver) return undefined;
    const message = this.#decoder.next();
    if (message === undefined) return undefined;
    this.#firstBytes = null;
    this.#observer?.taken(this.decodedBytes, 1);
    return message;
  }

  /**
   * Appends the next messages to `batch`, at most `most`, all of which ended in one chunk; none when
   * there is none, or it began too late. Throws what the decoder throws.
   */
  nextInto(batch: Uint8Array[], most: number): void {
    const decoder = this.#decoder;
    // At the end of a drain each message is asked whether it began before it.
    if (this.hasEnd || decoder.nextInto === undefined) {
      const message = this.next();
      if (message !== undefined) batch.push(message);
      return;
    }
    const before = batch.length;
    decoder.nextInto(batch, most);
    const count = batch.length - before;
    if (count === 0) return;
    this.#firstBytes = null;
    this.#observer?.taken(this.decodedBytes, count);
  }

  /** Throws when the input, of which no more comes, ended inside a message. */
  checkWhole(): void {
    this.#decoder.end();
  }

  /** Messages that begin behind what was pushed so far are not decoded. */
  endHere(): void {
    this.#endOffset = this.#pushedBytes;
  }

  /** Decodes from the next message on by another framing. */
  setFraming(framing: Framing, limits: FramingLimits): void {
    const decoder = framing.decoder(limits);
    decoder.push(this.#decoder.takeRest());
    this.#framing = framing;
    this.#limits = limits;
    this.#decoder = decoder;
  }

  /** Counts the whole messages that are held, up to what is none: the reader will find that. */
  count(): Rest {
    const rest = this.#decoder.takeRest();
    let messages = 0;
    let bytes = 0;
    const decoder = this.#framing.decoder(this.#limits);
    try {
      // A decoder owns what it is given, and may write to it.
      decoder.push(rest.slice());
      for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
        messages++;
        bytes += message.length;
      }
    } catch {
      // What follows is no message.
    }
    this.#decoder.push(rest);
    return { messages, bytes };
  }
}
