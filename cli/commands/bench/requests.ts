// Requests: the messages that a load sends over and over, put into frames once.
import type { FrameEncoder } from "../../../framing.ts";

/** Most different messages: enough that an answer to another request is told apart. */
const MOST_REQUESTS = 1024;

/** Memory that they may take, in bytes; two are made however large they are. */
const MOST_BYTES = 2 ** 20;

/** Characters of which a message is made: no framing has one of them as a delimiter. */
const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Most bytes of one write, unless one frame is larger. */
const WRITE_BYTES = 256 * 1024;

/** Frames to be written together. */
export interface Batch {
  /** Never changed: no copy is needed. */
  readonly bytes: Uint8Array;
  /** How many frames they are. */
  readonly count: number;
}

/** A circle of messages of one size: request `n` is the one at `n` modulo its length. */
export class Requests {
  /** All frames, one behind the other. */
  readonly frames: Uint8Array;
  /** Size of each frame, in bytes. */
  readonly frameBytes: number;
  /** Size of each message, in bytes. */
  readonly messageBytes: number;
  readonly #messages: readonly Uint8Array[];

  /**
   * Puts messages of one size into frames; they are of one size too.
   *
   * @throws {FramingError} when the framing refuses one
   */
  constructor(messages: readonly Uint8Array[], encoder: FrameEncoder) {
    this.messageBytes = messages[0]?.length ?? 0;
    const frames = new Uint8Array(messages.length * (this.messageBytes + encoder.maxOverhead));
    let end = 0;
    for (const message of messages) {
      const body = encoder.body(message);
      const start = encoder.writeHead(body, frames, end);
      frames.set(body, start);
      end = encoder.writeTail(body, frames, start + body.length);
    }
    this.frames = frames.subarray(0, end);
    this.frameBytes = end / messages.length;
    this.#messages = messages;
  }

  /** Messages of random characters, the same ones each time. */
  static ofSize(size: number, encoder: FrameEncoder): Requests {
    const length = Math.max(2, Math.min(MOST_REQUESTS, Math.floor(MOST_BYTES / size)));
    let state = 0x9e3779b9;
    const messages = Array.from({ length }, () => {
      const message = new Uint8Array(size);
      for (let i = 0; i < size; i++) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        message[i] = CHARACTERS.charCodeAt(state & 63);
      }
      return message;
    });
    return new Requests(messages, encoder);
  }

  /** A message, without what the framing adds. */
  message(number: number): Uint8Array {
    return this.#messages[number % this.#messages.length]!;
  }

  /** Frames from request `number` on: as many of `count` as one write should take. */
  batch(number: number, count: number): Batch {
    const { frameBytes } = this;
    const from = number % this.#messages.length;
    const inOneWrite = Math.max(1, Math.floor(WRITE_BYTES / frameBytes));
    const taken = Math.min(count, inOneWrite, this.#messages.length - from);
    return {
      bytes: this.frames.subarray(from * frameBytes, (from + taken) * frameBytes),
      count: taken,
    };
  }
}
