// Frames of OPEN that come again and again: calls open a stream of the same name each time.
import { encodeFrame, type Open, readOpen } from "./frames.ts";

/** Frames that are kept, each way. */
const MAX_KEPT = 256;

/** Longest frame that is kept, in bytes of its text. */
const MAX_KEPT_BYTES = 256;

const encoded = new Map<string, Uint8Array>();

/** Encodes an OPEN of ours; the result must not be changed. @throws {RangeError} as `encodeFrame` does */
export function encodeOpen(open: Partial<Open> & { readonly name: string }): Uint8Array {
  const { name, to = "", from, meta, waitMs } = open;
  if (from !== undefined || waitMs !== undefined || !isEmpty(meta)) return encodeFrame(open);
  const key = `${name} ${to}`;
  const known = encoded.get(key);
  if (known !== undefined) return known;
  const frame = encodeFrame(open);
  if (encoded.size === MAX_KEPT) encoded.clear();
  if (key.length <= MAX_KEPT_BYTES) encoded.set(key, frame);
  return frame;
}

function isEmpty(meta: object | undefined): boolean {
  return meta === undefined || Object.keys(meta).length === 0;
}

/** A frame that was read before. */
interface Read {
  readonly text: Uint8Array;
  readonly open: Open;
}

/** Frames by a hash of their text: one that is new takes the place of an older one. */
const read: (Read | undefined)[] = new Array(MAX_KEPT).fill(undefined);

/** As `readOpen`, which need not read again what is known. @throws as `readOpen` does */
export function readKnownOpen(text: Uint8Array): Open {
  if (text.length > MAX_KEPT_BYTES) return readOpen(text);
  let hash = text.length;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text[at]!) | 0;
  const slot = hash & (MAX_KEPT - 1);
  const known = read[slot];
  // What a handler does to its meta is its own affair, so that each gets one of its own.
  if (known !== undefined && isSame(known.text, text)) return { ...known.open, meta: {} };
  const open = readOpen(text);
  if (isEmpty(open.meta)) read[slot] = { text: text.slice(), open };
  return open;
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}
