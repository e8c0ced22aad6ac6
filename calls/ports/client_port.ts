// ClientCalls: calls over a client, from one link to the next.
import { rejected } from "../../async/rejections.ts";
import { SharedTimer } from "../../async/shared_timer.ts";
import type { Client } from "../../client.ts";
import { claimLinks, type LinkConsumer } from "../../client/claim.ts";
import type { Connection } from "../../connection.ts";
import { ClosedError, FramingError, ProtocolError } from "../../errors.ts";
import { CallTable } from "./call_table.ts";
import { ConnectionCalls } from "./connection_calls.ts";
import { noStreams } from "./connection_port.ts";
import { type CallHolder, type CallOwner, PendingCall } from "./pending_call.ts";
import type { CallHost, CallPort, CallStream, OutgoingCall } from "./port.ts";

/** Links that a server may break under one call: then the call ends, and does not try the next link. */
const MAX_FAULTS = 3;

/** The calls of each client that has any. */
const clients = new WeakMap<Client, ClientCalls>();

/**
 * Calls of one client, in both directions. Calls wait for a link within their time. When a link is
 * lost, those that the server has certainly not begun go out on the next one, and so do
 * idempotent ones; the others reject. Everything may be called at any time.
 */
class ClientCalls implements CallPort, LinkConsumer, CallOwner, CallHolder {
  readonly peer = "the server";
  readonly refusal =
    "Cannot receive: calls take every message of this client: use another client for messages of your own";
  /** Answers the calls of the server, on every link. */
  readonly table: CallTable = new CallTable();
  /** Calls that wait for a link. */
  readonly #waiting = new Set<PendingCall>();
  readonly #timer = new SharedTimer();
  #link: ConnectionCalls | null = null;
  #end: ClosedError | null = null;

  static of(client: Client): ClientCalls {
    let calls = clients.get(client);
    if (calls === undefined) {
      calls = new ClientCalls();
      claimLinks(client, calls);
      clients.set(client, calls);
    }
    return calls;
  }

  ask(call: OutgoingCall): Promise<unknown> {
    if (call.signal?.aborted) return rejected(call.explain(call.signal.reason));
    if (this.#end !== null) return rejected(call.explain(this.#end));
    const pending = new PendingCall(call, this, this.#timer, this.peer);
    this.#send(pending);
    return pending.outcome;
  }

  stream({ name, kind }: OutgoingCall): Promise<CallStream> {
    return rejected(noStreams(name, kind));
  }

  onLink(link: Connection): void {
    try {
      this.#link = ConnectionCalls.of(link);
      this.#link.table.beyond = this.table;
    } catch (mistake) {
      // `onConnect` has left a reader or calls of its own on the link.
      return link.abort(mistake);
    }
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) this.#send(call);
  }

  onClosing(): void {
    this.#refuse(null);
  }

  onEnd(error: unknown): void {
    this.#refuse(error);
    this.#timer.stop();
  }

  onLost(call: PendingCall, error: ClosedError, isUntouched: boolean): void {
    if (isBroken(error.cause)) call.faults++;
    if (!isUntouched && !call.call.isIdempotent) call.reject(error);
    else if (call.faults >= MAX_FAULTS) call.reject(error.cause);
    else if (this.#end !== null) call.reject(this.#end);
    else this.#send(call);
  }

  onGivenUp(call: PendingCall): void {
    this.#waiting.delete(call);
  }

  /** Takes no more calls, and lets none wait: there will be no other link. */
  #refuse(cause: unknown): void {
    const end = this.#end = new ClosedError("ERR_CLOSED", "The client is closed", { cause });
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) call.reject(end);
  }

  /** Passes a call to the link, or lets it wait for the next one. */
  #send(call: PendingCall): void {
    const link = this.#link;
    if (link !== null && link.outgoing.refusal === null) return link.outgoing.add(call);
    call.holder = this;
    call.hasWaited = true;
    this.#waiting.add(call);
  }
}

/** Whether a link ended because the server does not speak as it should. */
function isBroken(cause: unknown): boolean {
  return cause instanceof ProtocolError || cause instanceof FramingError;
}

/**
 * Carries calls to the server of `client`, whose only reader it is from now on.
 *
 * @throws {TypeError} when a reader waits on the client
 */
export function clientPort(client: Client): CallPort {
  return ClientCalls.of(client);
}

/**
 * Takes calls of the server of `client`, over every link.
 *
 * @throws {TypeError} when a reader waits on the client
 */
export function clientHost(client: Client): CallHost {
  return ClientCalls.of(client).table;
}
