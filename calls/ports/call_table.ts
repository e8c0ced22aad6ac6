// CallTable: finds the answerer of a request by its name, where requests of all names come one way.
import type { CallAnswerer, CallHost, CallStream, IncomingCall } from "./port.ts";
import { type ReadHead, readHead } from "../protocol/head.ts";
import { encodeFailure } from "../protocol/reply.ts";

/** Where a request came from. */
export type RequestSource = Pick<IncomingCall, "peer" | "via" | "caller" | "maxReplyBytes">;

/** Answerers by name. */
export class CallTable implements CallHost {
  readonly #answerers = new Map<string, CallAnswerer>();
  /** Where the table finds what it does not have. */
  beyond: CallTable | undefined;

  /** Makes an empty table, which finds in `beyond` what it does not have. */
  constructor(beyond?: CallTable) {
    this.beyond = beyond;
  }

  add(name: string, answerer: CallAnswerer): void {
    if (this.#answerers.has(name)) {
      throw new TypeError(`Cannot answer "${name}": it is answered here already`);
    }
    this.#answerers.set(name, answerer);
  }

  remove(name: string): void {
    this.#answerers.delete(name);
  }

  /**
   * Answers a request of kind `"call"`. Never rejects.
   *
   * @param at where in `request` its head begins
   * @throws {ProtocolError} `ERR_CALL_FRAME` when the bytes are no request
   */
  ask(
    request: Uint8Array,
    source: RequestSource,
    at: number = 0,
  ): Uint8Array | Promise<Uint8Array> {
    const read = readHead(request, at);
    const answerer = this.#find(read.head.name);
    if (answerer === undefined) return unknownCall(read.head.name);
    return answerer.ask(incoming(read, request, source));
  }

  /**
   * Serves a request of another kind over its stream. Never rejects.
   *
   * @param request the first item of the stream
   */
  async stream(request: Uint8Array, stream: CallStream, source: RequestSource): Promise<void> {
    try {
      const read = readHead(request);
      const { kind, name } = read.head;
      const answerer = this.#find(name);
      if (answerer !== undefined && kind !== "call") {
        return await answerer.stream(incoming(read, request, source), stream);
      }
      const reply = answerer === undefined
        ? unknownCall(name)
        : await answerer.ask(incoming(read, request, source));
      await stream.writeItem(reply);
      await stream.close();
    } catch (error) {
      stream.abort(error);
    }
  }

  #find(name: string): CallAnswerer | undefined {
    const answerer = this.#answerers.get(name);
    if (answerer !== undefined || this.beyond === undefined) return answerer;
    return this.beyond.#find(name);
  }
}

function incoming(
  { head, end }: ReadHead,
  request: Uint8Array,
  { peer, via, caller, maxReplyBytes }: RequestSource,
): IncomingCall {
  return { head, request, inputAt: end, peer, via, caller, maxReplyBytes };
}

function unknownCall(name: string): Uint8Array {
  return encodeFailure({
    by: "parley",
    code: "ERR_UNKNOWN_CALL",
    message: `Cannot call "${name}": the peer has no such call`,
  });
}
