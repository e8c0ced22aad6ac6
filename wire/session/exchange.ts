// exchange(): one request and one answer over a stream of its own, in one round trip.
import { timeLeft } from "../../async/deadline.ts";
import { FramingError } from "../../errors.ts";
import type { MuxStream } from "../../mux/stream.ts";
import { openChannel, type StreamRoute } from "./open_stream.ts";

/** What is asked. */
export interface ExchangeRequest {
  /** Name of the stream. */
  readonly name: string;
  /** All that the handler gets. */
  readonly bytes: Uint8Array;
  /** Gives up. */
  readonly signal: AbortSignal | undefined;
  /** Time for all of it, in ms; `Infinity` for no limit. */
  readonly timeoutMs: number;
  /** Longest answer that is taken. */
  readonly maxAnswerBytes: number;
}

/**
 * Sends a request with the OPEN of its stream, and returns all that the handler answers. Nothing is left of
 * the stream then: it is over in order, or reset.
 *
 * @throws {FramingError} `ERR_FRAME_TOO_LARGE` when the answer is longer than wanted
 * @throws as `WireSession.open` and `WireStream.read` do
 */
export async function exchange(route: StreamRoute, wanted: ExchangeRequest): Promise<Uint8Array> {
  const { name, bytes, signal, timeoutMs } = wanted;
  const startedMs = performance.now();
  const early = { bytes, isAll: true };
  const limits = { signal, timeoutMs, startedMs, givenMs: timeoutMs, early };
  const { channel: { mux } } = await openChannel(route, { name, to: route.to }, limits);
  try {
    return await readAll(mux, wanted, startedMs);
  } catch (error) {
    mux.reset(error);
    throw error;
  }
}

/** Reads an answer to its end, joined. */
async function readAll(
  mux: MuxStream,
  { signal, timeoutMs, maxAnswerBytes }: ExchangeRequest,
  startedMs: number,
): Promise<Uint8Array> {
  const read = () => {
    if (timeoutMs === Infinity && signal === undefined) return mux.read();
    const leftMs = timeoutMs === Infinity ? undefined : timeLeft(timeoutMs, startedMs);
    return mux.read({ signal, timeoutMs: leftMs });
  };
  const first = await read();
  if (first === null) return EMPTY;
  const chunks = [first];
  let bytes = first.length;
  for (let chunk = await read(); chunk !== null; chunk = await read()) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxAnswerBytes) {
      const text = `Cannot take an answer: the most is ${maxAnswerBytes} bytes`;
      throw new FramingError("ERR_FRAME_TOO_LARGE", text);
    }
  }
  return chunks.length === 1 ? first : concat(chunks, bytes);
}

const EMPTY = new Uint8Array(0);

function concat(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const all = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}
