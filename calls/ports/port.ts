// CallPort and CallHost: what calls need of the connection that carries them; one pair for each carrier.
import type { Connection } from "../../connection.ts";
import type { IpcChannel } from "../../ipc/channel.ts";
import type { IpcServerClient } from "../../ipc/server_client.ts";
import type { WireSession } from "../../wire/session/session.ts";
import type { WaitOptions } from "../../async/wait.ts";
import type { CallHead, CallKind } from "../protocol/head.ts";

/** A call on its way to the answerer. */
export interface OutgoingCall {
  /** How many values go in and come out. */
  readonly kind: CallKind;
  /** The whole name: of the contract and of the call. */
  readonly name: string;
  /**
   * The head and, for kinds with one input, the input behind it, in one array of the port's own:
   * what {@linkcode readHead} reads at the other side. `leadBytes` bytes before it are free. It is made in
   * `into` if it fits in there, for ports that copy it at once. `leftMs` is what is left of the time, where
   * the call has waited before.
   */
  request(leadBytes: number, into?: Uint8Array, leftMs?: number): Uint8Array;
  /** The caller's own signal: it gives up. */
  readonly signal: AbortSignal | undefined;
  /** Time for all of it, in ms; `Infinity` for no limit. */
  readonly timeoutMs: number;
  /** Whether it may be done twice without harm. */
  readonly isIdempotent: boolean;
  /** Returns the value of the reply, or a promise of it. @throws what the call rejects with */
  read(reply: Uint8Array): unknown;
  /** Returns what an error means for the caller. */
  explain(error: unknown): unknown;
}

/** Carries calls to the other side. */
export interface CallPort {
  /** How errors name the other side: `the server`, `"alice"`. */
  readonly peer: string;
  /**
   * Sends a call of kind `"call"`, and resolves with what its `read` makes of the reply, as
   * {@linkcode CallAnswerer.ask} returned it. Rejects with what its `explain` makes of the signal's
   * reason, of a `TimeoutError` when the time is over, and of what ended the connection.
   */
  ask(call: OutgoingCall): Promise<unknown>;
  /**
   * Opens a stream for a call of another kind; the request goes with it, before the other side
   * has accepted it. Follows `signal` and `timeoutMs` until the stream is accepted, and no longer.
   *
   * @throws {TypeError} where the carrier has no streams
   */
  stream(call: OutgoingCall): Promise<CallStream>;
}

/**
 * A stream of items, both ways, with backpressure. An item is a reply: a byte that says what it is,
 * and data.
 */
export interface CallStream {
  /** Waits for the next item; `null` once the other side has ended its direction in order. */
  readItem(options?: WaitOptions): Promise<Uint8Array | null>;
  /** Sends an item; resolves when the window has taken it. `bytes` are not changed afterwards. */
  writeItem(bytes: Uint8Array): Promise<void>;
  /** Ends our direction, in order. */
  closeWrite(): Promise<void>;
  /** Ends in order after what was written, and reads no more. Resolves when the stream is over. */
  close(): Promise<void>;
  /** Ends both directions now. */
  abort(reason?: unknown): void;
  /** Fires when the stream ends other than in order: the other side gave up, or is gone. */
  readonly signal: AbortSignal;
}

/** What a call came over, at its answerer. */
export type CallLink = WireSession | IpcChannel | IpcServerClient | Connection;

/** A call that has come. */
export interface IncomingCall {
  /** What the caller says before the input. */
  readonly head: CallHead;
  /** The bytes that came. */
  readonly request: Uint8Array;
  /** Where in them the input begins, for kinds that have one: behind the head. */
  readonly inputAt: number;
  /** Who calls, as authenticated; `undefined` where the carrier knows no names. */
  readonly peer: string | undefined;
  /** What it came over. */
  readonly via: CallLink;
  /** Most bytes of one reply that the way to the caller takes. @default {no limit} */
  readonly maxReplyBytes?: number | undefined;
  /** Its signal, made when it is first asked for, fires when the caller gives up or is gone. */
  readonly caller: { readonly signal: AbortSignal };
}

/** Answers the calls of one name. */
export interface CallAnswerer {
  /** Returns the reply to a call of kind `"call"`. Never throws, never rejects. */
  ask(call: IncomingCall): Uint8Array | Promise<Uint8Array>;
  /** Serves a call of another kind; settles when it is over, its stream too. Never rejects. */
  stream(call: IncomingCall, stream: CallStream): Promise<void>;
}

/** Takes calls from the other side. */
export interface CallHost {
  /** Adds the answerer of a name. @throws {TypeError} when the name is taken */
  add(name: string, answerer: CallAnswerer): void;
  /** Removes it; calls under way go on. */
  remove(name: string): void;
}
