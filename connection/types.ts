// What a connection reports about itself, and what its creator passes to it.
import type { ConnectionOptions } from "./options.ts";
import type { Sweeper } from "../async/sweeper.ts";

/** How a connection ended. */
export interface ConnectionEnd {
  /** The error that ended it early; `null` after an orderly end. */
  readonly error: Error | null;
  /** Bytes that were accepted for sending and never written to the kernel. */
  readonly unsentBytes: number;
}

/** Options that the creator of a connection passes. */
export interface ConnectionSetup<Data> extends ConnectionOptions {
  /** Initial value of the connection's `data`. */
  data?: Data | undefined;
  /** Name in logs and statistics. @default {a random UUID} */
  id?: string | undefined;
  /**
   * Called with the error of a `send` that was refused for a mistake of the caller and whose
   * promise no code awaits, at most ten times for each connection.
   *
   * @default {the console}
   */
  onUnheard?: ((error: unknown) => void) | undefined;
  /**
   * Options that were checked before, in place of the others: for servers and clients that make
   * many connections.
   */
  resolved?:
    | { readonly [Name in keyof ConnectionOptions]-?: NonNullable<ConnectionOptions[Name]> }
    | undefined;
  /** Timer that checks the timeouts. @default {one for the process} */
  sweeper?: Sweeper | undefined;
  /** Called with the traffic since the last call. */
  onTraffic?: ((traffic: Traffic) => void) | undefined;
  /** Whether to call it after each read as well as once a second and at the end. @default {true} */
  tellEachRead?: boolean | undefined;
  /**
   * Called once when the connection is gone: like `closed`, and it costs an idle connection less.
   */
  onClosed?: ((end: ConnectionEnd) => void) | undefined;
  /** Asked before each message is delivered to the reader. @default {none} */
  rateGate?: MessageGate | undefined;
  /** Called when a message has to wait for the gate. */
  onRatePause?: (() => void) | undefined;
  /** Called for each message, to take its time; `serve` makes one. @default {none} */
  observer?: MessageObserver | undefined;
}

/**
 * Observes when messages of a connection come, are delivered and answered. It is called for each
 * message, so it must be fast.
 */
export interface MessageObserver {
  /** Bytes were read: so many in total. */
  arrived(endBytes: number): void;
  /**
   * `count` messages were decoded for delivery, which came with one read: so many of the bytes are
   * used in total.
   */
  taken(decodedBytes: number, count: number): void;
  /** The reader waits for what the peer has not sent yet. */
  waits(): void;
  /** A message, or a batch of them, was accepted for sending. */
  sent(): void;
  /** A wait for a message ends by this error when its time is over. */
  timedOut(error: unknown): void;
  /**
   * From here on messages and answers are told apart, by the two methods below, and counted by
   * these only.
   */
  tellsApart?(): void;
  /** The message that was taken last is a request. Returns when it came, in ms of `performance.now`. */
  requested?(): number;
  /** The answer to a request that came at `atMs` was sent. */
  answered?(atMs: number): void;
}

/**
 * Decides when messages of a connection may be delivered to its reader; `serve` makes one where it
 * has `rateLimits`. All times are in ms of one clock that does not go back.
 */
export interface MessageGate {
  /**
   * Set by the connection; called when a message that got `Infinity` should be asked for again, but
   * not during the call itself.
   */
  onTurn: () => void;
  /**
   * Asks for a message of so many bytes. Returns 0 when it may pass, and counts it; else the ms
   * after which to ask again, `Infinity` to wait for {@linkcode onTurn}.
   */
  ask(bytes: number, nowMs: number): number;
  /** The message that was asked for will not be delivered. */
  leave(): void;
  /** Returns the ms in which so much would pass if no other connection were waiting. */
  restMs(messages: number, bytes: number, nowMs: number): number;
  /** Lends bytes of read-ahead beyond `readAheadBytes`; `false` when there are none. */
  borrow(bytes: number): boolean;
  /** Takes borrowed bytes back. */
  giveBack(bytes: number): void;
}

/** The traffic of a connection since the last report. */
export interface Traffic {
  /** Bytes read. */
  readonly bytesIn: number;
  /** Bytes handed to the kernel. */
  readonly bytesOut: number;
  /** Messages handed to the reader. */
  readonly messagesIn: number;
  /** Messages accepted for sending. */
  readonly messagesOut: number;
}

/** Whether a link takes more messages at once, live: cheap to read for each message. */
export interface SendRoom {
  /** Whether a `send` would resolve at once: at most `highWaterBytes` are not yet in the kernel. */
  readonly hasRoom: boolean;
  /** Resolves when there is room again, or the link has ended. Never rejects. */
  whenRoom(): Promise<void>;
}

/**
 * How far the frames of a connection have come on their way out, in bytes since its beginning. They
 * are bytes of whole frames, head and tail included; what TLS adds is not among them.
 */
export interface SendProgress extends SendRoom {
  /** Accepted for sending: it grows by the size of the frame within `send`. */
  readonly pushedBytes: number;
  /** Given to the transport; what is above was never seen by it. */
  readonly startedBytes: number;
  /** Handed to the kernel, by writes that are finished. */
  readonly writtenBytes: number;
  /**
   * What {@linkcode writtenBytes} was when bytes last came from the peer. The peer was there after
   * these; that it has read them is likely, and not certain.
   */
  readonly heardBytes: number;
}
