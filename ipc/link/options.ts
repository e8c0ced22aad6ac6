// What an IpcLink is given by its owner, and what it tells.
import type { IpcAnswer } from "./incoming_queries.ts";
import type { MessageSink } from "./inbox.ts";
import type { IpcQueryContext } from "./query_context.ts";
import type { LinkWatchOptions } from "./watch.ts";

/** Limits of a link, checked. */
export interface LinkLimits extends LinkWatchOptions {
  /** Name of the channel, for telemetry. */
  readonly channel: string;
  readonly maxMessageBytes: number;
  readonly highWaterBytes: number;
  readonly maxQueuedBytes: number;
  readonly readAheadBytes: number;
  readonly maxQueriesInFlight: number;
  readonly maxQueriesRunning: number;
  readonly closeTimeoutMs: number;
}

/** How a link works with its owner. */
export interface LinkOptions extends LinkLimits {
  /** Answers the other side's queries. */
  readonly onQuery:
    | ((data: Uint8Array, context: IpcQueryContext) => IpcAnswer | Promise<IpcAnswer>)
    | undefined;
  /** Takes its messages. */
  readonly inbox: MessageSink;
  /** Told when a handler threw. */
  readonly onHandlerError: (error: unknown) => void;
}

/** How a link ended. */
export interface LinkOutcome {
  /** `null` after an orderly end, from either side. */
  readonly error: Error | null;
  /** Bytes that were accepted for writing and are not in the kernel. */
  readonly unsentBytes: number;
  /** Whether the other side's bytes ended inside a frame or a record. */
  readonly cutInside: boolean;
}
