// LinkOptions: limits of a link, and what its owner passes to it.
import type { CallSlot } from "./call_slot.ts";
import type { MessageSink } from "./inbox.ts";
import type { IpcQueryHandler } from "./query_context.ts";
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

/** What the owner of a link passes to it. */
export interface LinkOptions {
  /** Shared by all links of a server, a client or a pair. */
  readonly limits: LinkLimits;
  /** Answers the other side's queries. */
  readonly onQuery: IpcQueryHandler | undefined;
  /** Answers its calls, once a handler of them is set. @default {none ever is} */
  readonly calls?: CallSlot | undefined;
  /** Takes its messages. */
  readonly inbox: MessageSink;
  /** Called with what a handler threw. */
  readonly onHandlerError: (error: unknown) => void;
}
