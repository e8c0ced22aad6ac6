// Requests: the messages that a load sends over and over, put into frames once, and how to know their answers.
import { Buffer } from "node:buffer";
import type { FrameEncoder } from "../../framing.ts";

/** Most different messages: enough that an answer to another request is told apart. */
const MOST_REQUESTS = 1024;

/** Memory that they may take, in bytes; two are made however large they are. */
const MOST_BYTES = 2 ** 20;

/** Characters of which a message is made: no framing has one of them as a delimiter. */
const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** A circle of messages: request `n` is the one at `n` modulo its length. */
export class Requests {
  readonly #messages: readonly Uint8Array[];
  /** All frames, one behind the other. */
  readonly #frames: Uint8Array;
  /** Where each frame begins, and where the last one ends. */
  readonly #offsets: readonly number[];

  /**
   * Puts messages into frames.
   *
   * @throws {FramingError} when the framing refuses one
   */
  constructor(messages: readonly Uint8Array[], encoder: FrameEncoder) {
    const room = messages.reduce((sum, { length }) => sum + 2 * length + encoder.maxOverhead, 0);
    const frames = new Uint8Array(room);
    const offsets = [0];
    let end = 0;
    for (const message of messages) {
      const body = encoder.body(message);
      const start = encoder.writeHead(body, frames, end);
      frames.set(body, start);
      end = encoder.writeTail(body, frames, start + body.length);
      offsets.push(end);
    }
    this.#messages = messages;
    this.#frames = frames.subarray(0, end);
    this.#offsets = offsets;
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

  /** Size of the largest frame, in bytes. */
  get frameBytes(): number {
    return this.#offsets.reduce((most, end, i) => Math.max(most, end - (this.#offsets[i - 1] ?? 0)), 0);
  }

  /** A message, without what the framing adds. */
  message(number: number): Uint8Array {
    return this.#messages[number % this.#messages.length]!;
  }

  /**
   * The frames of `count` requests from `number` on, in as few pieces as the circle allows. They are never changed: no
   * copy is needed.
   */
  *frames(number: number, count: number): Generator<Uint8Array> {
    const { length } = this.#messages;
    for (let left = count, from = number % length; left > 0; from = 0) {
      const to = Math.min(length, from + left);
      yield this.#frames.subarray(this.#offsets[from], this.#offsets[to]);
      left -= to - from;
    }
  }

  /** Whether `answer` is request `number`. */
  isEcho(number: number, answer: Uint8Array): boolean {
    return Buffer.compare(this.message(number), answer) === 0;
  }
}
