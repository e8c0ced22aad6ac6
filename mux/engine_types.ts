// What an engine counts, what it calls, and the errors of streams and peers that are late.
import { ClosedError, type ParleyError, TimeoutError } from "../errors.ts";
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

/** Counters of a session that has done nothing yet. */
export function newCounters(): EngineCounters {
  return {
    bytesIn: 0,
    bytesOut: 0,
    framesIn: 0,
    framesOut: 0,
    streamsOpened: 0,
    streamsAccepted: 0,
    streamsRefused: 0,
    resetsIn: 0,
  };
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
export function streamTimeoutError(core: StreamCore, what: "open" | "halfClose"): ParleyError {
  const { id, sender: { pendingBytes } } = core;
  if (what === "open") {
    return new TimeoutError(
      "ERR_CONNECT_TIMEOUT",
      `Cannot open stream ${id}: the peer did not answer it in time`,
    );
  }
  if (pendingBytes === 0) {
    return new TimeoutError(
      "ERR_IDLE_TIMEOUT",
      `Cannot close stream ${id} in order: the peer did not end it in time`,
    );
  }
  const text =
    `Cannot close stream ${id} in order: the peer did not take ${pendingBytes} written bytes in time`;
  return new TimeoutError("ERR_WRITE_TIMEOUT", text, { cutBytes: pendingBytes });
}

/** The error of a session whose peer shows no sign of life. */
export function keepaliveError(timeoutMs: number): ParleyError {
  const text =
    `Cannot go on with the session: the peer did not answer a ping within ${timeoutMs} ms`;
  return new TimeoutError("ERR_KEEPALIVE_TIMEOUT", text);
}

/** The error of a session that was to end in order, and whose peer did not confirm that it has everything. */
export function unconfirmedError(cutBytes: number, timeoutMs: number): TimeoutError {
  const text =
    `Cannot close the session in order: the peer did not confirm within ${timeoutMs} ms that it has ` +
    `everything, and ${cutBytes} bytes were not sent`;
  return new TimeoutError("ERR_DRAIN_TIMEOUT", text, { cutBytes });
}

/** The error of a stream that was on its way to a peer which went away. */
export function goneError(id: number): ClosedError {
  return new ClosedError(
    "ERR_GOING_AWAY",
    `Cannot open stream ${id}: the peer went away before it saw it`,
  );
}
