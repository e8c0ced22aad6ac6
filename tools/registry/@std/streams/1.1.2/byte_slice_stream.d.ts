/** Passes on the bytes from `start` to `end`, as `slice` would. */
export class ByteSliceStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(start?: number, end?: number);
}
