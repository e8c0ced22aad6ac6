// Standard input and output of `parley ipc`: messages whole or in lines, with backpressure.
import { FramingError } from "../../errors.ts";
import { type Local, openPipes } from "../connect/local.ts";
import { showMessage } from "../connect/show.ts";
import { pipeFraming } from "../flags/framing.ts";

/** Greatest message that any side can accept. */
const MOST_BYTES = 2 ** 30;

/** Opens standard input; `lines` makes a message of each of its lines. */
export function openInput({ lines }: { readonly lines: boolean }): Local {
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
export async function readWhole(input: Local): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of input.input) {
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

/**
 * Writes bytes to standard output, as they are or made visible on a terminal; resolves when the system has taken all of them.
 * Gives `false` when whoever read it has gone, as `head` does.
 */
export async function writeOut(data: Uint8Array): Promise<boolean> {
  const bytes = Deno.stdout.isTerminal()
    ? new TextEncoder().encode(`${showMessage(data, { hex: false, keepLines: true }).replace(/\n$/, "")}\n`)
    : data;
  try {
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return false;
    throw error;
  }
}
