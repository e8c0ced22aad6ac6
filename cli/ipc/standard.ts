// Standard input and output of `parley ipc`: messages whole or in lines, with backpressure.
import { FramingError } from "../../errors.ts";
import { type Local, openPipes } from "../connect/local.ts";
import { pipeFraming } from "../flags/framing.ts";

/** Greatest message that any side can accept. */
const MOST_BYTES = 2 ** 30;

/** Opens standard input and output; `lines` makes a message of each line of input. */
export function openStandard({ lines }: { readonly lines: boolean }): Local {
  return openPipes({
    input: pipeFraming(lines ? "lines" : "raw"),
    output: pipeFraming("raw"),
    maxMessageBytes: MOST_BYTES,
    show: { hex: false, keepLines: true },
  });
}

/**
 * Reads standard input to its end.
 *
 * @throws {FramingError} `ERR_FRAME_TOO_LARGE` when it is longer than any message can be
 */
export async function readWhole(standard: Local): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of standard.input) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) {
      const text = `Cannot send standard input as one message as it has more than ${MOST_BYTES} bytes`;
      throw new FramingError("ERR_FRAME_TOO_LARGE", text);
    }
    chunks.push(chunk);
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
