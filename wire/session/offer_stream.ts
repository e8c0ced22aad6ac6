// offerStream(): opens one stream of a session: a turn, OPEN with what goes behind it, and the answer.
import { timeLeft } from "../../async/deadline.ts";
import { ClosedError, TimeoutError } from "../../errors.ts";
import type { MuxSession } from "../../mux/session.ts";
import type { MuxStream } from "../../mux/stream.ts";
import { FrameChannel } from "../protocol/frame_stream.ts";
import { encodeFrame, readAnswer, type StreamRefusal } from "../protocol/frames.ts";
import { encodeOpen } from "../protocol/open_cache.ts";
import { openFailed, streamRefused, tooManyStreams } from "../protocol/refusals.ts";
import type { OpenLimits, OurOpen } from "./open_stream.ts";

/** Part of the time that is left for which a hub may hold a stream: the rest is for its answer. */
const HOLD_SHARE = 0.9;

/** The stream that is offered. */
export interface Offer extends OpenLimits {
  readonly open: OurOpen;
  /** How errors name it. */
  readonly label: string;
}

/**
 * Opens a stream, within the limits of the offer: waits for a turn, sends OPEN and what goes behind
 * it in one write, and waits for the answer. A stream that could not be opened is reset; one that was
 * refused ends in order, because resets count against their sender.
 *
 * @throws {LimitError} `ERR_TOO_MANY_STREAMS` when it got no turn
 * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when the peer did not answer in time
 * @throws what the peer refused it with, or what ended the session
 */
export async function offerStream(session: MuxSession, offer: Offer): Promise<FrameChannel> {
  const { label, timeoutMs, signal } = offer;
  signal?.throwIfAborted();
  const { startedMs = performance.now() } = offer;
  const mux = await getTurn(session, offer, startedMs);
  let code: StreamRefusal | undefined;
  try {
    const leftMs = timeoutMs === Infinity ? undefined : timeLeft(timeoutMs, startedMs);
    const channel = new FrameChannel(mux);
    send(mux, offer, leftMs);
    const answer = await channel.read({ signal, timeoutMs: leftMs });
    if (answer === null) {
      const text = `Cannot open ${label}: the peer ended it without an answer`;
      throw new ClosedError("ERR_RESET", text);
    }
    code = readAnswer(answer).code;
    if (code === undefined) return channel;
  } catch (error) {
    mux.reset(error);
    throw openFailed(isLate(error, signal) ? lateError(offer) : error, label);
  }
  mux.close().catch(ignore);
  throw streamRefused(code, label);
}

/** Waits until the peer takes another stream. */
async function getTurn(session: MuxSession, offer: Offer, startedMs: number): Promise<MuxStream> {
  const { label, signal, timeoutMs, turnMs = timeoutMs } = offer;
  const waitMs = Math.min(turnMs, timeLeft(timeoutMs, startedMs));
  try {
    return await session.openStream({
      signal,
      timeoutMs: waitMs === Infinity ? undefined : waitMs,
    });
  } catch (error) {
    if (error instanceof TimeoutError && !isReason(error, signal)) {
      throw tooManyStreams(label, error);
    }
    throw openFailed(error, label);
  }
}

/**
 * Sends OPEN and what goes behind it. Nothing waits for the peer to take it: the answer may come
 * before, because the peer reads what is behind OPEN only after that.
 */
function send(
  mux: MuxStream,
  { open, waitForPeer, early }: Offer,
  leftMs: number | undefined,
): void {
  const waitMs = waitForPeer && leftMs !== undefined ? Math.floor(leftMs * HOLD_SHARE) : undefined;
  const frame = waitMs === undefined ? encodeOpen(open) : encodeFrame({ ...open, waitMs });
  // What ends the stream ends the wait for the answer too.
  mux.write(frame).catch(ignore);
  if (early === undefined) return;
  mux.write(early.bytes).catch(ignore);
  if (early.isAll) mux.closeWrite().catch(ignore);
}

function ignore(): void {}

/** Whether a read of the answer ended by its time, and not by the caller's signal. */
function isLate(error: unknown, signal: AbortSignal | undefined): boolean {
  return error instanceof TimeoutError && error.code === "ERR_READ_TIMEOUT" &&
    !isReason(error, signal);
}

function isReason(error: unknown, signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && error === signal.reason;
}

function lateError({ label, timeoutMs, givenMs = timeoutMs }: Offer): TimeoutError {
  const text = `Cannot open ${label} within ${givenMs} ms: it did not answer`;
  return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
}
