// Framings as a user would write them: COBS and SLIP, whose bodies differ from the message.
import { FramingError } from "../../../errors.ts";
import type { FrameDecoder, FrameEncoder, Framing, FramingLimits } from "../../../framing.ts";
import { concat } from "../bytes.ts";

/** An encoder that changes the message's bytes and ends it with one byte. */
class EscapingEncoder implements FrameEncoder {
  readonly maxOverhead = 1;

  readonly escape: (message: Uint8Array) => Uint8Array;
  readonly end: number;
  readonly limits: FramingLimits;

  constructor(escape: (message: Uint8Array) => Uint8Array, end: number, limits: FramingLimits) {
    this.escape = escape;
    this.end = end;
    this.limits = limits;
  }

  body(message: Uint8Array): Uint8Array {
    if (message.length > this.limits.maxMessageBytes) {
      throw new FramingError("ERR_FRAME_TOO_LARGE", `Cannot send ${message.length} bytes`);
    }
    return this.escape(message);
  }

  writeHead(_body: Uint8Array, _into: Uint8Array, offset: number): number {
    return offset;
  }

  writeTail(_body: Uint8Array, into: Uint8Array, offset: number): number {
    into[offset] = this.end;
    return offset + 1;
  }
}

/** A decoder that looks for the byte that ends a message. Simple, and slow. */
class EscapingDecoder implements FrameDecoder {
  #held = new Uint8Array(0);
  #failure: FramingError | undefined;

  readonly unescape: (body: Uint8Array) => Uint8Array | undefined;
  readonly endByte: number;
  readonly limits: FramingLimits;

  constructor(
    unescape: (body: Uint8Array) => Uint8Array | undefined,
    endByte: number,
    limits: FramingLimits,
  ) {
    this.unescape = unescape;
    this.endByte = endByte;
    this.limits = limits;
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  push(chunk: Uint8Array): void {
    this.#held = new Uint8Array(concat([this.#held, chunk]));
  }

  next(): Uint8Array | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const end = this.#held.indexOf(this.endByte);
    if (end === -1) {
      if (this.#held.length > 2 * this.limits.maxMessageBytes + 2) {
        throw this.#fail("ERR_FRAME_TOO_LARGE");
      }
      return undefined;
    }
    const message = this.unescape(this.#held.subarray(0, end));
    if (message === undefined) throw this.#fail("ERR_FRAME_MALFORMED");
    this.#held = this.#held.slice(end + 1);
    return message;
  }

  end(): void {
    if (this.#held.length > 0) throw this.#fail("ERR_FRAME_TRUNCATED");
  }

  takeRest(): Uint8Array {
    const rest = this.#held;
    this.#held = new Uint8Array(0);
    return rest;
  }

  #fail(code: "ERR_FRAME_TOO_LARGE" | "ERR_FRAME_MALFORMED" | "ERR_FRAME_TRUNCATED"): FramingError {
    return this.#failure = new FramingError(code, "Cannot read the message");
  }
}

function stuff(message: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at <= message.length;) {
    const zero = message.indexOf(0, at);
    const end = Math.min(zero === -1 ? message.length : zero, at + 254);
    out.push(end - at + 1, ...message.subarray(at, end));
    if (end === message.length) {
      // A full group at the very end needs no group behind it.
      return new Uint8Array(out);
    }
    at = end - at === 254 ? end : end + 1;
  }
  return new Uint8Array(out);
}

function unstuff(body: Uint8Array): Uint8Array | undefined {
  const out: number[] = [];
  for (let at = 0; at < body.length;) {
    const code = body[at]!;
    if (code === 0 || at + code > body.length) return undefined;
    out.push(...body.subarray(at + 1, at + code));
    at += code;
    if (code < 255 && at < body.length) out.push(0);
  }
  return new Uint8Array(out);
}

/** Consistent overhead byte stuffing: no zero in a body, a zero behind it. */
export const cobs: Framing = {
  name: "cobs",
  encoder: (limits) => new EscapingEncoder(stuff, 0, limits),
  decoder: (limits) => new EscapingDecoder(unstuff, 0, limits),
};

const END = 0xc0;
const ESC = 0xdb;

function escape(message: Uint8Array): Uint8Array {
  return new Uint8Array(
    [...message].flatMap((byte) =>
      byte === END ? [ESC, 0xdc] : byte === ESC ? [ESC, 0xdd] : [byte]
    ),
  );
}

function unescape(body: Uint8Array): Uint8Array | undefined {
  const out: number[] = [];
  for (let at = 0; at < body.length; at++) {
    if (body[at] !== ESC) out.push(body[at]!);
    else if (body[++at] === 0xdc) out.push(END);
    else if (body[at] === 0xdd) out.push(ESC);
    else return undefined;
  }
  return new Uint8Array(out);
}

/** SLIP (RFC 1055), with an end byte behind each message only. */
export const slip: Framing = {
  name: "slip",
  encoder: (limits) => new EscapingEncoder(escape, END, limits),
  decoder: (limits) => new EscapingDecoder(unescape, END, limits),
};
