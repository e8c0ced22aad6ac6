// PoolPort: calls over a pool: each leases a connection, and has it for itself.
import { DeadlineSignal } from "../../async/deadline.ts";
import { pause } from "../../async/pause.ts";
import { rejected } from "../../async/rejections.ts";
import { AddressError, ClosedError, FramingError, TimeoutError } from "../../errors.ts";
import type { Connection } from "../../connection.ts";
import type { Pool, Work, WorkContext } from "../../pool.ts";
import {
  badFrame,
  CallFrame,
  FRAME_HEAD_BYTES,
  frameId,
  frameType,
  isAfter,
  replyFrame,
  writeFrameHead,
} from "../protocol/call_frames.ts";
import { CallTable } from "./call_table.ts";
import { noStreams } from "./connection_port.ts";
import type { CallPort, CallStream, OutgoingCall } from "./port.ts";

/**
 * How often a call is done again that a backend has failed, if it is idempotent, or has not begun:
 * on another backend if there is one, as the budget of the pool allows.
 */
const RETRIES = 2;

/** Time in ms before a call goes to another backend, because one had no connection for it. */
const DIAL_PAUSE_MS = 10;

/** Errors of requests that were not sent at all, because the connection had ended already. */
const unsent = new WeakSet<object>();

/** Refuses calls of backends: a connection of a pool belongs to one lease after the other. */
const NOTHING = new CallTable();

/** A request that cannot be sent, which is no fault of the backend. */
class Unsendable {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** Carries calls to whichever backend the pool chooses. All methods may be called concurrently. */
class PoolPort implements CallPort {
  readonly peer = "the backend";
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async ask(call: OutgoingCall): Promise<unknown> {
    let reply: Uint8Array;
    try {
      reply = await this.#exchange(call);
    } catch (error) {
      throw call.explain(error);
    }
    return call.read(reply);
  }

  /** Sends a request to a backend, and resolves with the reply. */
  async #exchange(call: OutgoingCall): Promise<Uint8Array> {
    call.signal?.throwIfAborted();
    let lastFailure: unknown;
    using deadline = new DeadlineSignal({
      signal: call.signal,
      timeoutMs: call.timeoutMs,
      late: (timeoutMs) =>
        new TimeoutError("ERR_CALL_TIMEOUT", `Cannot call "${call.name}" within ${timeoutMs} ms`, {
          cause: lastFailure,
        }),
    });
    const { signal } = deadline;
    const work: Work<Uint8Array | Unsendable> = async (conn, context) => {
      try {
        return await askOn(conn, call, context);
      } catch (error) {
        if (!signal.aborted) lastFailure = error;
        throw error;
      }
    };
    const options = {
      signal,
      retries: RETRIES,
      ...!call.isIdempotent && { isRetriable: isUntouched },
    };
    for (let dials = 0;; dials++) {
      try {
        const outcome = await this.#pool.use(work, options);
        if (outcome instanceof Unsendable) throw outcome.error;
        return outcome;
      } catch (error) {
        // A backend that has just gone: the pool knows that now, and has others.
        if (dials === RETRIES || signal.aborted || !isRefusedDial(error)) throw error;
        lastFailure = error;
        await pause(DIAL_PAUSE_MS, signal);
      }
    }
  }

  stream({ name, kind }: OutgoingCall): Promise<CallStream> {
    return rejected(noStreams(name, kind));
  }
}

/** Makes one call on a connection that is leased for it. */
async function askOn(
  conn: Connection,
  call: OutgoingCall,
  { signal, lease }: WorkContext,
): Promise<Uint8Array | Unsendable> {
  // Ids must grow over all leases of the connection, and so does this.
  const { pushedBytes } = conn.sending;
  const id = (pushedBytes + 1) >>> 0;
  try {
    await conn.send(writeFrameHead(call.request(FRAME_HEAD_BYTES), CallFrame.request, id));
  } catch (error) {
    if (error instanceof FramingError) return new Unsendable(error);
    if (conn.sending.pushedBytes === pushedBytes) unsent.add(error as object);
    throw error;
  }
  for (let isLeaving = false;;) {
    const frame = await conn.receive({ signal });
    if (frame === null) throw lostReply();
    switch (frameType(frame)) {
      case CallFrame.reply:
        if (frameId(frame) !== id) throw badFrame("it is a reply to another call");
        // The backend closes it soon: no one else should have it.
        if (isLeaving) lease.discard();
        return frame.subarray(FRAME_HEAD_BYTES);
      case CallFrame.request:
        await refuse(conn, frame);
        break;
      case CallFrame.goingAway:
        isLeaving = true;
        break;
      case CallFrame.limit:
        break;
      case CallFrame.last:
        isLeaving = true;
        if (isAfter(id, frameId(frame))) await notBegun(conn, signal);
    }
  }
}

/** Refuses a call of the backend. */
async function refuse(conn: Connection, frame: Uint8Array): Promise<void> {
  const request = frame.subarray(FRAME_HEAD_BYTES);
  const source = { peer: undefined, via: conn, caller: { signal: conn.signal } };
  await conn.send(replyFrame(frameId(frame), await NOTHING.ask(request, source)));
  // The pool uses a connection again only if nothing waits to be sent on it.
  await conn.flush();
}

/** Waits for the end in order that follows, which is no failure of the backend; then throws. */
async function notBegun(conn: Connection, signal: AbortSignal): Promise<never> {
  await conn.receive({ signal }).catch(() => null);
  signal.throwIfAborted();
  throw new ClosedError("ERR_GOING_AWAY", "The backend is going away, and has not begun the call");
}

function lostReply(): ClosedError {
  return new ClosedError(
    "ERR_RESET",
    "The backend ended the connection before the reply: the call may have been done",
  );
}

/** Whether no connection was had, because no program listens there. */
function isRefusedDial(error: unknown): boolean {
  return error instanceof AddressError && error.code === "ERR_CONNECT_REFUSED";
}

/** Whether the error says that the backend has certainly not begun the call. */
function isUntouched(error: unknown): boolean {
  return error instanceof ClosedError &&
    (error.code === "ERR_GOING_AWAY" || unsent.has(error));
}

/** Carries calls to the backends of `pool`. */
export function poolPort(pool: Pool): CallPort {
  return new PoolPort(pool);
}
