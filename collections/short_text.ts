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
const BYTE_ORDER_MARK = 0xfeff;

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

/** Returns a text as UTF-8, in an array like those of {@linkcode takeBytes}. */
export function takeText(text: string): Uint8Array {
  const maxBytes = text.length * 3;
  if (maxBytes > MAX_SHARED_BYTES) return encoder.encode(text);
  if (slabAt + maxBytes > slab.length) renewSlab();
  const { written } = encoder.encodeInto(text, slab.subarray(slabAt));
  slabAt += written;
  return slab.subarray(slabAt - written, slabAt);
}

/**
 * Returns the text that bytes are. What is long, no UTF-8 or begins with a byte order mark is left to
 * `decoder`, which costs five times as much for few bytes.
 */
export function decodeText(bytes: Uint8Array, decoder: TextDecoder): string {
  const { buffer, byteOffset, length } = bytes;
  if (length > MAX_SHORT_TEXT) return decoder.decode(bytes);
  const text = Buffer.from(buffer, byteOffset, length).toString("utf8");
  // What is no UTF-8 becomes this character, which may be in the text as well.
  const isPlain = !text.includes("\ufffd") && text.charCodeAt(0) !== BYTE_ORDER_MARK;
  return isPlain ? text : decoder.decode(bytes);
}

function renewSlab(): void {
  slab = new Uint8Array(SLAB_BYTES);
  slabAt = 0;
}
