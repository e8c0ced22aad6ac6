import type { DelimiterStreamOptions } from "./delimiter_stream.d.ts";

/** Cuts text at a delimiter. */
export class TextDelimiterStream extends TransformStream<string, string> {
  constructor(delimiter: string, options?: DelimiterStreamOptions);
}
