// CallSlot: the place where the handlers of calls over a channel are set, before or after it connects.
import type { MuxStream } from "../../mux/stream.ts";
import type { IpcAnswer, IpcQueryContext, IpcQueryHandler } from "./query_context.ts";

/**
 * First bytes of a query that is a call: 0x00 "call" 0x01. A text never begins like that, and such
 * a query never goes to the program's own handler.
 */
export const CALL_PREFIX: Uint8Array = Uint8Array.of(0x00, 0x63, 0x61, 0x6c, 0x6c, 0x01);

/** Whether the data of a query begin with {@linkcode CALL_PREFIX}. */
export function isCallQuery(data: Uint8Array): boolean {
  return data[0] === 0x00 && data[1] === 0x63 && data[2] === 0x61 && data[3] === 0x6c &&
    data[4] === 0x6c && data[5] === 0x01;
}

/** Answers the calls of a channel. `via` is the client or the channel over which they came. */
export interface CallHandlers {
  /** Answers a query that is a call; the request is what is behind the prefix. */
  ask(
    data: Uint8Array,
    context: IpcQueryContext,
    via: object,
  ): IpcAnswer | Promise<IpcAnswer>;
  /** Serves a stream that the other side opened. Never rejects. */
  stream(stream: MuxStream, via: object): Promise<void>;
}

/**
 * Holds the handlers of calls: one slot for each channel, which all its links share, and for each
 * client of a server, which falls back on the slot of its server.
 */
export class CallSlot {
  /** What was set last, or `undefined` before. */
  handlers: CallHandlers | undefined = undefined;
  /** What the handlers get as `via`: the owner of the slot, which sets itself before any link. */
  via: object = this;
  /** Where calls go that are not for this slot. */
  readonly beyond: CallSlot | undefined;

  /** Makes an empty slot, which falls back on `beyond`. */
  constructor(beyond?: CallSlot) {
    this.beyond = beyond;
  }

  /** The handlers that hold: its own, else those of the slot beyond. */
  get current(): CallHandlers | undefined {
    return this.handlers ?? this.beyond?.current;
  }

  /** Handles queries that are calls; `undefined` while no handlers are set. */
  get answer(): IpcQueryHandler | undefined {
    return this.current === undefined ? undefined : this.#answer;
  }

  /** Serves a stream, until its handler is done; `undefined` while no handlers are set. */
  serve(stream: MuxStream): Promise<void> | undefined {
    return this.current?.stream(stream, this.via);
  }

  readonly #answer: IpcQueryHandler = (data, context) => this.current?.ask(data, context, this.via);
}
