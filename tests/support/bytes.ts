// Bytes for tests: made from text and hex, joined, and cut in every way.

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** UTF-8 of a text. */
export function utf8(text: string): Uint8Array {
  return textEncoder.encode(text);
}

/** The text that UTF-8 bytes hold. */
export function text(bytes: Uint8Array): string {
  return textDecoder.decode(bytes);
}

/** Bytes written as `"00 ff"`; blanks do not count. */
export function hex(digits: string): Uint8Array {
  return Uint8Array.fromHex(digits.replaceAll(" ", ""));
}

/** All parts, one after the other, in memory of their own. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

/** Copies of the pieces between the given offsets, which must not fall. */
export function cutAt(bytes: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const edges = [0, ...offsets, bytes.length];
  return edges.slice(1).map((end, i) => bytes.slice(edges[i]!, end));
}

/** Cuts into pieces of `size` bytes. */
export function cutEvery(bytes: Uint8Array, size: number): Uint8Array[] {
  const offsets: number[] = [];
  for (let at = size; at < bytes.length; at += size) offsets.push(at);
  return cutAt(bytes, offsets);
}

/** Up to this length every pair of cuts is tried as well. */
const PAIRS_UP_TO_BYTES = 40;

/** Whole, byte by byte, cut in two at every point, and (when short) cut in three at every pair of points. */
export function* everyCut(bytes: Uint8Array): Generator<Uint8Array[]> {
  yield [bytes.slice()];
  yield cutEvery(bytes, 1);
  for (let first = 0; first <= bytes.length; first++) {
    yield cutAt(bytes, [first]);
    if (bytes.length > PAIRS_UP_TO_BYTES) continue;
    for (let second = first; second <= bytes.length; second++) yield cutAt(bytes, [first, second]);
  }
}

/** `length` bytes that differ from their neighbours, the same at every call. */
export function pattern(length: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (start + i * 7 + (i >>> 8)) & 0xff;
  return bytes;
}
