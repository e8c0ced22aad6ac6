// Options of the reading half of a connection.
import type { RateGate } from "../limits/rate_gate.ts";

/** Options of an {@linkcode Inbox}. */
export interface InboxOptions {
  /** Reads ahead until this many bytes wait to be taken. */
  readonly highWaterBytes: number;
  /** Called when the reader has nothing left to take: what was sent so far should go out now. */
  readonly onIdle: () => void;
  /** Called after each read. */
  readonly onRead: () => void;
  /** Called once, when the transport gives no more bytes: with `null` at an orderly end. */
  readonly onEnd: (error: Error | null) => void;
  /** Called once, when the bytes are no message, or may not be handed out. More may come, and are thrown away. */
  readonly onFault: (error: Error) => void;
  /** Asked before each message is handed out. @default {none} */
  readonly rateGate?: RateGate;
  /** Called when a message has to wait for it. */
  readonly onRatePause: () => void;
  /** Time in ms without traffic after which the connection ends; 0 is off. */
  readonly idleTimeoutMs: number;
}
