// connectionPort() and connectionHost(): calls over one connection.
import { rejected } from "../../async/rejections.ts";
import type { Connection } from "../../connection.ts";
import { ConnectionCalls } from "./connection_calls.ts";
import { PendingCall, REJECT_LOST } from "./pending_call.ts";
import type { CallHost, CallPort, CallStream, OutgoingCall } from "./port.ts";

/** Calls to the other side of a connection. */
class ConnectionPort implements CallPort {
  readonly peer = "the peer";
  readonly #engine: ConnectionCalls;

  constructor(engine: ConnectionCalls) {
    this.#engine = engine;
  }

  ask(call: OutgoingCall): Promise<unknown> {
    const { outgoing, timer } = this.#engine;
    if (call.signal?.aborted) return rejected(call.explain(call.signal.reason));
    if (outgoing.refusal !== null) return rejected(call.explain(outgoing.refusal));
    const pending = new PendingCall(call, REJECT_LOST, timer, this.peer);
    outgoing.add(pending);
    return pending.outcome;
  }

  stream({ name, kind }: OutgoingCall): Promise<CallStream> {
    return rejected(noStreams(name, kind));
  }
}

/** The error of a call with many values on a carrier of messages. */
export function noStreams(name: string, kind: string): TypeError {
  return new TypeError(
    `Cannot call "${name}": a connection of messages carries only calls of one value in and one out: ` +
      `use a wire or IPC for a ${kind}`,
  );
}

/**
 * Carries calls to the other side of `conn`, whose only reader it is from now on.
 *
 * @throws {TypeError} when a reader waits on the connection, or it belongs to a pool
 */
export function connectionPort(conn: Connection): CallPort {
  return new ConnectionPort(ConnectionCalls.of(conn));
}

/**
 * Takes calls of the other side of `conn`, whose only reader it is from now on.
 *
 * It finds before the server or client of the connection what both answer.
 *
 * @throws {TypeError} when a reader waits on the connection, or it belongs to a pool
 */
export function connectionHost(conn: Connection): CallHost {
  return ConnectionCalls.of(conn).table;
}
