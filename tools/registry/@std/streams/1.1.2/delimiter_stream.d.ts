/** Where the delimiter goes: the end of the chunk, the start of the next, or nowhere. */
export type DelimiterDisposition = "suffix" | "prefix" | "discard";

/** Options for {@linkcode DelimiterStream}. */
export interface DelimiterStreamOptions {
  /** Where the delimiter goes. @default {"discard"} */
  disposition?: DelimiterDisposition;
}

/** Cuts bytes at a delimiter. */
export class DelimiterStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(delimiter: Uint8Array, options?: DelimiterStreamOptions);
}
