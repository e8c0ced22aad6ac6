// What an engine counts, what it calls, and the errors of streams and peers that are late.
import { type ParleyError, TimeoutError } from "../errors.ts";
import type { StreamCore } from "./stream_core.ts";

/** Counters of a session. */
export interface EngineCounters {
  /** Bytes read from the transport. */
  bytesIn: number;
  /** Bytes handed to the transport. */
  bytesOut: number;
  /** Frames that came. */
  framesIn: number;
  /** Frames that were sent. */
  framesOut: number;
  /** Streams that this side opened. */
  streamsOpened: number;
  /** Streams that the peer opened. */
  streamsAccepted: number;
  /** Streams of the peer's that were reset at once. */
  streamsRefused: number;
  /** Streams that the peer reset. */
  resetsIn: number;
}

/** What an {@linkcode Engine} calls. */
export interface EngineHooks {
  /** A stream waits to be accepted. */
  onIncoming(core: StreamCore): void;
  /** One of our streams was answered or ended: another may be opened. */
  onOpeningChanged(): void;
  /** The last stream is over. */
  onIdle(): void;
  /** The session has ended; called once, before the transport is closed. */
  onEnd(error: ParleyError): void;
}

/** The error of a stream whose opening or end is late. */
export function lateError(core: StreamCore, what: "open" | "halfClose"): ParleyError {
  const text = what === "open" ? "the peer did not answer it" : "the peer did not end it";
  const code = what === "open" ? "ERR_CONNECT_TIMEOUT" : "ERR_IDLE_TIMEOUT";
  return new TimeoutError(code, `Cannot go on with stream ${core.id} as ${text} in time`);
}

/** The error of a session whose peer answers no ping. */
export function deadError(timeoutMs: number): ParleyError {
  const text = `Cannot go on with the session as the peer did not answer a ping within ${timeoutMs} ms`;
  return new TimeoutError("ERR_KEEPALIVE_TIMEOUT", text);
}
