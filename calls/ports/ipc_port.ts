// IpcPort and ipcHost(): calls over a channel of IPC: one call is a query, the others are streams.
import { ClosedError, RemoteError, TimeoutError } from "../../errors.ts";
import { type CallLine, callLineOf, type CallSender } from "../../ipc/call_line.ts";
import { CALL_PREFIX, type CallHandlers, type CallSlot } from "../../ipc/link/call_slot.ts";
import { type IpcQueryContext, QueryContext } from "../../ipc/link/query_context.ts";
import type { AnswerReader } from "../../ipc/link/outgoing_queries.ts";
import type { MuxStream } from "../../mux/stream.ts";
import { CallTable } from "./call_table.ts";
import { ItemStream, MAX_ITEM_BYTES, requestItem } from "./item_stream.ts";
import type { CallHost, CallLink, CallPort, CallStream, OutgoingCall } from "./port.ts";

/** The name under which errors speak of the other side: a shared key names no one. */
const PEER = "the other process";

/** Reads the answer of a query that is a call. */
class CallReader implements AnswerReader {
  readonly #call: OutgoingCall;

  constructor(call: OutgoingCall) {
    this.#call = call;
  }

  read(answer: Uint8Array): unknown {
    return this.#call.read(answer);
  }

  explain(error: unknown): unknown {
    return this.#call.explain(explain(error));
  }
}

/** Calls over one `IpcClient`, `IpcPeer` or `IpcServerClient`, to the other process. */
export class IpcPort implements CallPort {
  readonly peer: string = PEER;
  readonly #sender: CallSender;
  readonly #slot: CallSlot;

  /** Makes it for a channel, or a client of a server. */
  constructor({ slot }: CallLine, sender: CallSender) {
    this.#slot = slot;
    this.#sender = sender;
  }

  ask(call: OutgoingCall): Promise<unknown> {
    const request = call.request(CALL_PREFIX.length);
    request.set(CALL_PREFIX);
    return this.#sender.call(request, call.timeoutMs, call.signal, new CallReader(call));
  }

  async stream(call: OutgoingCall): Promise<CallStream> {
    // Streams come back where streams go out: what the other side calls gets an answer.
    tableOf(this.#slot);
    const request = requestItem(call);
    const { signal, timeoutMs } = call;
    const stream = await this.#sender.openStream({ signal, timeoutMs });
    const items = new ItemStream(stream);
    try {
      // It leaves with the frame that opens the stream, and waits for the other side only when it
      // is larger than the first window.
      await stream.write(request, timeoutMs === Infinity ? { signal } : { signal, timeoutMs });
    } catch (error) {
      stream.reset(error);
      throw error;
    }
    return items;
  }
}

/** Answers the calls of a channel by a table. */
class IpcAnswerer implements CallHandlers {
  readonly table: CallTable;

  constructor(table: CallTable) {
    this.table = table;
  }

  ask(
    data: Uint8Array,
    caller: IpcQueryContext,
    via: CallLink,
  ): Uint8Array | Promise<Uint8Array> {
    const maxReplyBytes = caller instanceof QueryContext ? caller.maxAnswerBytes : undefined;
    const source = { peer: undefined, via, caller, maxReplyBytes };
    return this.table.ask(data, source, CALL_PREFIX.length);
  }

  async stream(stream: MuxStream, via: CallLink): Promise<void> {
    const items = new ItemStream(stream);
    try {
      const request = await items.readItem();
      if (request === null) return await items.close();
      const maxReplyBytes = MAX_ITEM_BYTES;
      const source = { peer: undefined, via, caller: stream, maxReplyBytes };
      await this.table.stream(request, items, source);
    } catch (error) {
      stream.reset(error);
    }
  }
}

/** The port of an `IpcClient`, `IpcPeer` or `IpcServerClient`; `undefined` for anything else. */
export function ipcPort(via: object): CallPort | undefined {
  const line = callLineOf(via);
  return line?.sender && new IpcPort(line, line.sender);
}

/**
 * The host of an `IpcServer`, `IpcServerClient`, `IpcClient` or `IpcPeer`; `undefined` for anything
 * else. What a client of a server does not answer, its server may.
 */
export function ipcHost(target: object): CallHost | undefined {
  const line = callLineOf(target);
  return line && tableOf(line.slot);
}

/** The table of a slot, made when it is first asked for. */
function tableOf(slot: CallSlot): CallTable {
  if (slot.handlers === undefined) {
    slot.handlers = new IpcAnswerer(new CallTable(slot.beyond && tableOf(slot.beyond)));
  }
  return (slot.handlers as IpcAnswerer).table;
}

/** Ends of the connection that are time limits, and not those of a call. */
const LOSSES: ReadonlySet<string> = new Set(["ERR_KEEPALIVE_TIMEOUT", "ERR_DRAIN_TIMEOUT"]);

/** Returns what an error of a query means for a call. */
function explain(error: unknown): unknown {
  if (error instanceof RemoteError && error.code === "ERR_NO_HANDLER") {
    const text = `Cannot call: ${PEER} answers no calls`;
    return new RemoteError("ERR_UNKNOWN_CALL", text, { cause: error });
  }
  if (error instanceof TimeoutError && LOSSES.has(error.code)) {
    const text = "Cannot call: the connection was lost";
    return new ClosedError("ERR_RESET", text, { cause: error });
  }
  return error;
}
