// Short texts and small arrays, for which an allocation or a call into the runtime costs more than the work.
import { Buffer } from "node:buffer";

/** Larger arrays have a buffer of their own. */
const MAX_SHARED_BYTES = 512;
/**
 * Size of the buffers that small arrays share. One array keeps all of its buffer alive, so that this is
 * what a call under way may cost whose request its caller still holds.
 */
const SLAB_BYTES = 4 * 1024;
/** Longer texts are not worth a way of their own. */
const MAX_SHORT_TEXT = 512;
/** Texts up to this length are written by a loop, which costs less than a call into the runtime. */
const MAX_LOOP_CHARACTERS = 128;
const BYTE_ORDER_MARK = 0xfeff;

const toText = Buffer.prototype.toString;
const encoder = new TextEncoder();
let slab = new Uint8Array(0);
let slabAt = 0;

/**
 * Returns an array of zeros. A small one shares its buffer with others: for bytes that are soon
 * sent, and that no user gets.
 */
export function takeBytes(length: number): Uint8Array {
  if (length > MAX_SHARED_BYTES) return new Uint8Array(length);
  if (slabAt + length > slab.length) renewSlab();
  slabAt += length;
  return slab.subarray(slabAt - length, slabAt);
}

/**
 * Returns a text as UTF-8, in an array like those of {@linkcode takeBytes}. The first `leadBytes` of it
 * are zeros.
 */
export function takeText(text: string, leadBytes: number = 0): Uint8Array {
  const maxBytes = leadBytes + text.length * 3;
  if (maxBytes > MAX_SHARED_BYTES) return encodeLong(text, leadBytes);
  if (slabAt + maxBytes > slab.length) renewSlab();
  const start = slabAt;
  const textAt = start + leadBytes;
  slabAt = textAt + writeAscii(text, textAt);
  // What is no ASCII begins anew, over what was written of it.
  if (slabAt < textAt + text.length) {
    slabAt = textAt + encoder.encodeInto(text, slab.subarray(textAt)).written;
  }
  return slab.subarray(start, slabAt);
}

/** Writes the ASCII that a short text begins with at `at`; returns how much that was. */
function writeAscii(text: string, at: number): number {
  if (text.length > MAX_LOOP_CHARACTERS) return 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return index;
    slab[at + index] = unit;
  }
  return text.length;
}

function encodeLong(text: string, leadBytes: number): Uint8Array {
  const encoded = encoder.encode(text);
  if (leadBytes === 0) return encoded;
  const bytes = takeBytes(leadBytes + encoded.length);
  bytes.set(encoded, leadBytes);
  return bytes;
}

/**
 * Returns the text that the bytes from `start` on are. What is long, no UTF-8 or begins with a byte
 * order mark is left to `decoder`, which costs five times as much for few bytes.
 */
export function decodeText(bytes: Uint8Array, decoder: TextDecoder, start: number = 0): string {
  const { length } = bytes;
  if (length - start > MAX_SHORT_TEXT) return decoder.decode(bytes.subarray(start));
  // It takes any array: making a Buffer of it would cost as much again.
  const text: string = toText.call(bytes as Buffer, "utf8", start, length);
  // What is no UTF-8 becomes this character, which may be in the text as well.
  const isPlain = !text.includes("\ufffd") && text.charCodeAt(0) !== BYTE_ORDER_MARK;
  return isPlain ? text : decoder.decode(bytes.subarray(start));
}

function renewSlab(): void {
  slab = new Uint8Array(SLAB_BYTES);
  slabAt = 0;
}
