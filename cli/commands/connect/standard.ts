// Standard input and output of `parley ipc` and `parley call`: messages whole or in lines, with backpressure.
import { FramingError } from "../../../errors.ts";
import { type Local, openPipes } from "./local.ts";
import { showMessage } from "./show.ts";
import { pipeFraming } from "../../flags/framing.ts";

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
      const text =
        `Cannot send standard input as one message: it has more than ${MOST_BYTES} bytes`;
      throw new FramingError("ERR_FRAME_TOO_LARGE", text);
    }
    chunks.push(chunk);
  }
  return joined(chunks, bytes);
}

/** Bytes that wait for the reader of standard output; a writer waits while there are more. */
const MOST_WAITING = 256 * 1024;

/** Standard output: what comes while the system is busy goes out with one call. */
export class Output {
  /** Resolves when its reader has gone, as `head` does, or it failed. */
  readonly gone: Promise<void>;
  readonly #gone = Promise.withResolvers<void>();
  readonly #toPeople = Deno.stdout.isTerminal();
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #pumping: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;

  /** Writes nothing yet. */
  constructor() {
    this.gone = this.#gone.promise;
  }

  /**
   * Takes bytes, which go out as they are, or made visible on a terminal; resolves when there is room for
   * more.
   */
  async write(data: Uint8Array): Promise<void> {
    const bytes = this.#toPeople ? visible(data) : data;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#pumping ??= this.#pump();
    while (this.#waitingBytes > MOST_WAITING && this.#pumping !== null) await this.#pumping;
  }

  /**
   * Resolves when the system has taken everything.
   *
   * @throws what it failed with, such as that a disk is full
   */
  async flush(): Promise<void> {
    await this.#pumping;
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #pump(): Promise<void> {
    try {
      // Whatever is written in the same turn goes out together.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        const bytes = joined(this.#waiting, this.#waitingBytes);
        this.#waiting = [];
        this.#waitingBytes = 0;
        for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
      }
    } catch (error) {
      this.#waiting = [];
      this.#waitingBytes = 0;
      if (!(error instanceof Deno.errors.BrokenPipe)) this.#failure = { error };
      this.#gone.resolve();
    } finally {
      this.#pumping = null;
    }
  }
}

function visible(data: Uint8Array): Uint8Array {
  const text = showMessage(data, { hex: false, keepLines: true }).replace(/\n$/, "");
  return new TextEncoder().encode(`${text}\n`);
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
