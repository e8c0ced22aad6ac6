// Answers: counts the answers in the bytes of one connection, and compares them with the requests.
import { Buffer } from "node:buffer";
import type { FrameDecoder } from "../../../framing.ts";
import type { Requests } from "./requests.ts";
import type { Tally } from "./tally.ts";

/** The answers of one connection, which come in the order of the requests. */
export class Answers {
  /** How many have come. */
  count = 0;
  /** Their bytes, without what the framing adds. */
  bytes = 0;
  readonly #requests: Requests;
  readonly #decoder: FrameDecoder;
  readonly #verify: boolean;
  readonly #tally: Tally;
  /**
   * While every byte that comes is the byte that was sent, whole chunks are compared and nothing is decoded.
   * From the first that differs on, each message is.
   */
  #echoing: boolean;
  /** Bytes that came while they were echoed. */
  #echoed = 0;

  constructor(requests: Requests, decoder: FrameDecoder, verify: boolean, tally: Tally) {
    this.#requests = requests;
    this.#decoder = decoder;
    this.#verify = verify;
    this.#tally = tally;
    this.#echoing = verify;
  }

  /**
   * Takes the next bytes.
   *
   * @throws {FramingError} when they are no answers
   */
  take(chunk: Uint8Array): void {
    if (this.#echoing && this.#takeEcho(chunk)) return;
    const decoder = this.#decoder;
    decoder.push(chunk);
    for (let answer = decoder.next(); answer !== undefined; answer = decoder.next()) {
      if (this.#verify) this.#compare(answer);
      this.count++;
      this.bytes += answer.length;
    }
  }

  /** Takes a chunk; returns whether it held just the bytes that were sent. */
  #takeEcho(chunk: Uint8Array): boolean {
    const { frames, frameBytes, messageBytes } = this.#requests;
    let from = this.#echoed % frames.length;
    for (let at = 0; at < chunk.length;) {
      const length = Math.min(chunk.length - at, frames.length - from);
      const [wanted, got] = [frames.subarray(from, from + length), chunk.subarray(at, at + length)];
      if (Buffer.compare(wanted, got) !== 0) {
        this.#decodeFromHere();
        return false;
      }
      at += length;
      from = 0;
    }
    this.#echoed += chunk.length;
    const count = Math.floor(this.#echoed / frameBytes);
    this.bytes += (count - this.count) * messageBytes;
    this.count = count;
    return true;
  }

  /** The message that has begun was echoed so far: the decoder gets that part first. */
  #decodeFromHere(): void {
    this.#echoing = false;
    const { frames, frameBytes } = this.#requests;
    const begun = this.#echoed % frameBytes;
    const end = this.#echoed % frames.length;
    if (begun > 0) this.#decoder.push(frames.slice(end - begun, end));
  }

  #compare(answer: Uint8Array): void {
    const wanted = this.#requests.message(this.count);
    if (Buffer.compare(wanted, answer) !== 0) this.#tally.countMismatch(wanted, answer);
  }
}
