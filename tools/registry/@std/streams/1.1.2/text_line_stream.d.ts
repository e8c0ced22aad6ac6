/** Options for {@linkcode TextLineStream}. */
export interface TextLineStreamOptions {
  /** Whether a lone CR ends a line too. @default {false} */
  allowCR?: boolean;
}

/** Cuts text into lines without their ends. */
export class TextLineStream extends TransformStream<string, string> {
  constructor(options?: TextLineStreamOptions);
}
