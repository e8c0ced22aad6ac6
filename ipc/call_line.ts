// CallLine: what the layer of calls finds behind each end of a channel.
import type { CallSlot } from "./link/call_slot.ts";
import type { AnswerReader } from "./link/outgoing_queries.ts";
import type { MuxStream } from "../mux/stream.ts";
import type { WaitOptions } from "../async/wait.ts";

/** Carries calls to the other side: an `IpcLink`, or the `CurrentLink` of a channel. */
export interface CallSender {
  /**
   * Sends a query that is a call, and resolves with what `reader` makes of its answer. `data` begins
   * with the prefix of calls. `timeoutMs` may be `Infinity`. Every error goes through `reader` once.
   */
  call(
    data: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    reader: AnswerReader,
  ): Promise<unknown>;
  /** Opens a stream to the other side. */
  openStream(options: WaitOptions): Promise<MuxStream>;
}

/** Both directions of the calls over one end of a channel. */
export interface CallLine {
  /** Where the handlers of calls are set. */
  readonly slot: CallSlot;
  /** Sends calls; `undefined` for a server, because it has many clients. */
  readonly sender: CallSender | undefined;
}

const LINES = new WeakMap<object, CallLine>();

/** Makes a line known as that of an end. For use inside this module. */
export function setCallLine(end: object, line: CallLine): void {
  LINES.set(end, line);
}

/**
 * Returns the line of an `IpcServer`, `IpcServerClient`, `IpcClient` or `IpcPeer`, and `undefined`
 * for every other object. For use inside this module.
 */
export function callLineOf(end: object): CallLine | undefined {
  return LINES.get(end);
}
