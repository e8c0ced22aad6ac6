// What a connection tells of itself, and what its maker tells it.
import type { ConnectionOptions } from "./options.ts";
import type { Sweeper } from "./sweeper.ts";

/** How a connection ended. */
export interface ConnectionEnd {
  /** Why it ended early; `null` when it ended in order. */
  readonly error: Error | null;
  /** Bytes that were accepted for sending and never handed to the kernel. */
  readonly unsentBytes: number;
}

/** What whoever makes a connection adds to it. */
export interface ConnectionSetup<Data> extends ConnectionOptions {
  /** Value that the connection's `data` begins with. */
  data?: Data;
  /** Name in logs and statistics. @default {a random UUID} */
  id?: string;
  /**
   * Called with the error of a `send` that was refused for a mistake of the caller's and whose promise nothing waits for, at most ten
   * times for each connection.
   *
   * @default {the console}
   */
  onUnheard?: (error: unknown) => void;
  /** Timer that looks after the timeouts. @default {one for the process} */
  sweeper?: Sweeper;
  /** Called with what moved since the last call; gives ms to wait before reading on. */
  onTraffic?: (traffic: Traffic) => number;
  /** Whether to call it after each read too, and not only once a second and at the end. @default {true} */
  tellEachRead?: boolean;
}

/** What moved on a connection since it was last told. */
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

/**
 * How far the frames of a connection have come on their way out, in bytes since its beginning. They are bytes of whole frames, head and
 * tail included; what TLS adds is not among them.
 */
export interface SendProgress {
  /** Accepted for sending: it grows by the size of the frame within `send`. */
  readonly pushedBytes: number;
  /** Given to the transport; what is above was never seen by it. */
  readonly startedBytes: number;
  /** Handed to the kernel, by writes that are finished. */
  readonly writtenBytes: number;
}
