/** Options for {@linkcode LimitedTransformStream}. */
export interface LimitedTransformStreamOptions {
  /** Whether to raise an error at the limit, not just to end. @default {false} */
  error?: boolean;
}

/** Passes on at most `size` chunks. */
export class LimitedTransformStream<T> extends TransformStream<T, T> {
  constructor(size: number, options?: LimitedTransformStreamOptions);
}
