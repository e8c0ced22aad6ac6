// Varints: lengths as unsigned LEB128, in the shortest form.

/** Five groups of seven bits hold every length up to 2^35. */
export const MAX_VARINT_BYTES = 5;

/** Writes a length below 2^31 at `offset`; returns the offset behind it. */
export function writeVarint(length: number, into: Uint8Array, offset: number): number {
  let rest = length;
  while (rest >= 0x80) {
    into[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[offset++] = rest;
  return offset;
}

/** Returns how many bytes a length below 2^31 takes. */
export function varintBytes(length: number): number {
  let bytes = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}
