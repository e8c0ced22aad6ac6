// Calls over the wire: a stream for each call, whose name is the call's, in one round trip.
import {
  AuthError,
  type AuthErrorCode,
  FramingError,
  LimitError,
  type LimitErrorCode,
  ProtocolError,
  RemoteError,
  type RemoteErrorCode,
} from "../../errors.ts";
import { JoinedWire } from "../../wire/join.ts";
import { MountedWire } from "../../wire/mount.ts";
import { WirePeer } from "../../wire/peer.ts";
import { checkName } from "../../wire/protocol/frames.ts";
import { nameStream } from "../../wire/protocol/refusals.ts";
import { exchange } from "../../wire/session/exchange.ts";
import { handlersOf } from "../../wire/session/handlers.ts";
import { openStream, routeOf, type StreamRoute } from "../../wire/session/open_stream.ts";
import { WireSession } from "../../wire/session/session.ts";
import type { WireStream } from "../../wire/session/stream.ts";
import { readHead } from "../protocol/head.ts";
import { ItemStream, LENGTH_BYTES, MAX_ITEM_BYTES, requestItem } from "./item_stream.ts";
import type { CallAnswerer, CallHost, CallPort, CallStream, OutgoingCall } from "./port.ts";

/** What calls can be made over. */
export type WireVia = WireSession | JoinedWire | WirePeer;

/** What calls can be answered over. */
export type WireTarget = MountedWire | JoinedWire | WireSession;

/** Longest wait for the next bytes of a request, in ms: its caller has sent it with OPEN. */
const REQUEST_MS = 10_000;

/** Whether calls can be made over `value`. */
export function isWireVia(value: unknown): value is WireVia {
  return value instanceof WireSession || value instanceof JoinedWire || value instanceof WirePeer;
}

/** Whether calls can be answered over `value`. */
export function isWireTarget(value: unknown): value is WireTarget {
  return value instanceof MountedWire || value instanceof JoinedWire ||
    value instanceof WireSession;
}

/** Carries calls to the peer of a wire. */
export class WirePort implements CallPort {
  readonly peer: string;
  readonly #route: StreamRoute;

  /** Makes the port of a session, a joined wire, or a peer behind a hub. */
  constructor(via: WireVia) {
    const route = this.#route = routeOf(via)!;
    this.peer = route.peer === undefined ? "the server" : `"${route.peer}"`;
  }

  async ask(call: OutgoingCall): Promise<unknown> {
    let reply: Uint8Array;
    try {
      reply = await this.#exchange(call);
    } catch (error) {
      throw call.explain(this.#named(error, call));
    }
    return call.read(reply);
  }

  /** Sends a request, and resolves with the reply. */
  async #exchange(call: OutgoingCall): Promise<Uint8Array> {
    const { name, signal, timeoutMs } = call;
    checkName("Cannot call", "name", name);
    const bytes = requestItem(call);
    const maxAnswerBytes = MAX_ITEM_BYTES + LENGTH_BYTES;
    const wanted = { name, bytes, signal, timeoutMs, maxAnswerBytes };
    return onlyItem(await exchange(this.#route, wanted));
  }

  async stream(call: OutgoingCall): Promise<CallStream> {
    const { name, kind, signal, timeoutMs } = call;
    checkName("Cannot call", "name", name);
    // A feed says all that it wants with its request.
    const early = { bytes: requestItem(call), isAll: kind === "feed" };
    try {
      const wanted = { name, meta: {}, timeoutMs, options: { signal }, early };
      return new ItemStream(await openStream(this.#route, wanted));
    } catch (error) {
      throw this.#named(error, call);
    }
  }

  /** What an opening came to, with the name of the call in place of the stream's. */
  #named(error: unknown, { name, signal }: OutgoingCall): unknown {
    if (!(error instanceof Error) || (signal?.aborted && error === signal.reason)) return error;
    const call = `Cannot call "${name}" of ${this.peer}`;
    const message = error.message.replace(
      `Cannot open ${nameStream(name, this.#route.peer)}`,
      () => call,
    );
    const { cause } = error;
    if (error instanceof RemoteError) {
      if (error.code === "ERR_NO_HANDLER") {
        return new RemoteError("ERR_UNKNOWN_CALL", `${call}: it has no such call`, {
          cause: error,
        });
      }
      return new RemoteError(error.code as RemoteErrorCode, message, { cause });
    }
    if (error instanceof AuthError) {
      return new AuthError(error.code as AuthErrorCode, message, { cause });
    }
    if (error instanceof LimitError) {
      return new LimitError(error.code as LimitErrorCode, message, { cause });
    }
    return error;
  }
}

/** Takes calls from the peers of a wire, or from the peer of one session. */
export class WireHost implements CallHost {
  readonly #target: WireTarget;

  /** Makes the host of a wire, or of one session. */
  constructor(target: WireTarget) {
    this.#target = target;
  }

  add(name: string, answerer: CallAnswerer): void {
    const handlers = handlersOf(this.#target);
    if (handlers.get(name) !== undefined) {
      throw new TypeError(`Cannot answer "${name}": it is handled here already`);
    }
    handlers.set(name, (stream, session) => serve(answerer, stream, session));
  }

  remove(name: string): void {
    handlersOf(this.#target).delete(name);
  }
}

/** Answers a call over its stream. Rejects when the caller sends what is no call. */
async function serve(
  answerer: CallAnswerer,
  stream: WireStream,
  session: WireSession,
): Promise<void> {
  const items = new ItemStream(stream);
  const request = await readRequest(items);
  const { head, end } = readHead(request);
  // `authorize` has seen the name of the stream.
  if (head.name !== stream.name) throw malformed(`its request is for "${head.name}"`);
  const call = {
    head,
    request,
    inputAt: end,
    peer: stream.from,
    via: session,
    caller: stream,
    maxReplyBytes: MAX_ITEM_BYTES,
  };
  if (head.kind !== "call") return await answerer.stream(call, items);
  const reply = await answerer.ask(call);
  try {
    await items.writeItem(reply);
  } catch (error) {
    // Its caller has given up meanwhile, which is no fault.
    if (stream.status !== "closed") throw error;
  }
}

/** Waits for the request. @throws {ProtocolError} `ERR_CALL_FRAME` when it is none */
async function readRequest(items: ItemStream): Promise<Uint8Array> {
  try {
    const request = await items.readItem({ timeoutMs: REQUEST_MS });
    if (request !== null) return request;
  } catch (error) {
    throw error instanceof FramingError ? malformed("its request is no item", error) : error;
  }
  throw malformed("it has no request");
}

/** The item that an answer consists of. */
function onlyItem(bytes: Uint8Array): Uint8Array {
  let length = 0;
  let at = 0;
  for (let scale = 1; at < LENGTH_BYTES; scale *= 128) {
    const byte = bytes[at++] ?? 0;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  if (bytes.length > 0 && at + length === bytes.length) return bytes.subarray(at);
  throw new ProtocolError("ERR_CALL_FRAME", "Cannot read the answer of a call: it is cut");
}

function malformed(why: string, cause?: unknown): ProtocolError {
  return new ProtocolError("ERR_CALL_FRAME", `Cannot answer a call: ${why}`, { cause });
}
