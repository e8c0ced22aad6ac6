// Options and states of the reading half of a connection.
import type { MessageGate, MessageObserver } from "./types.ts";

/** Options of an {@linkcode Inbox}. */
export interface InboxOptions {
  /** Reads ahead until this many bytes wait to be taken. */
  readonly highWaterBytes: number;
  /** Called when the reader has nothing left to take: what was sent so far should go out now. */
  readonly onIdle: () => void;
  /** Called after each read. */
  readonly onRead: () => void;
  /** Called once, when the transport has no more bytes: with `null` at an orderly end. */
  readonly onEnd: (error: Error | null) => void;
  /** Called once, when the bytes are no message, or may not be handed out. More may come, and are thrown away. */
  readonly onFault: (error: Error) => void;
  /** Asked before each message is handed out. @default {none} */
  readonly rateGate?: MessageGate | undefined;
  /** Called when a message has to wait for it. */
  readonly onRatePause?: (() => void) | undefined;
  /** Called for each message. */
  readonly observer?: MessageObserver | undefined;
  /** Time in ms without traffic after which the connection ends; 0 is off. */
  readonly idleTimeoutMs: number;
}

/**
 * ```
 * reading ──discard()──▶ discarding ──▶ ended      no more bytes come
 *    └────────────────────────────────────▲└─▶ cut   what was received is dropped as well
 * ```
 */
export type InboxState =
  | { readonly kind: "reading" }
  /** What was received is handed out; what comes now is read and thrown away, so that the peer is not reset. */
  | { readonly kind: "discarding" }
  /** No more bytes come; what was received is handed out, then the error or the end. */
  | { readonly kind: "ended"; readonly error: Error | null; readonly truncatable: boolean }
  /** Nothing is handed out any more. */
  | { readonly kind: "cut"; readonly error: Error };
