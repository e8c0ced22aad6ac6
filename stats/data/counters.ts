// Counters: what servers and clients count as they go, numbers that only grow.

/** What every link counts. */
export interface TrafficCounters {
  /** Bytes read from the transport, framing included. */
  bytesIn: number;
  /** Bytes handed to the transport, framing included. */
  bytesOut: number;
  /** Whole messages received. */
  messagesIn: number;
  /** Whole messages handed to the transport. */
  messagesOut: number;
}

/** What a server counts. */
export interface ServerCounters extends TrafficCounters {
  /** Connections whose handshake finished. */
  connectionsOpened: number;
  /** Connections that were open and have ended. */
  connectionsClosed: number;
  /** Connections refused before their handshake: caps, penalties, rates, drain. */
  connectionsRefused: number;
  /** Connections cut during their handshake to make room for newer ones. */
  connectionsReplaced: number;
  /** Handshakes that failed. */
  handshakeFailures: number;
  /** Handshakes that ran out of time. */
  handshakeTimeouts: number;
  /** Open connections that were lost: their peer vanished, or broke off. */
  connectionsLost: number;
  /**
   * Connections ended for being idle, for a message that was begun and never finished, or as the handler
   * passed on that its own wait for a message was over.
   */
  idleTimeouts: number;
  /** Connections ended because the peer did not read. */
  slowConsumers: number;
  /** Connections ended because the peer's bytes were no messages, or too large ones. */
  framingErrors: number;
  /**
   * Handlers that threw an error of their own: not how their connection, or their wait for a
   * message, ended.
   */
  handlerErrors: number;
  /** Times that a reader was paused by a rate limit. */
  rateLimitPauses: number;
  /**
   * Connections that lost messages of a peer that had left, because a rate limit would have delayed
   * them for too long.
   */
  rateLimitDrops: number;
}

/** What a client counts. */
export interface ClientCounters extends TrafficCounters {
  /** Times that it dialled. */
  connectAttempts: number;
  /** Times that dialling, TLS or anything before the link was up failed. */
  connectFailures: number;
  /** Links that came up. */
  connectionsOpened: number;
  /** Links that were up and have ended. */
  connectionsClosed: number;
  /** Links that were lost: the server vanished, or broke off. */
  connectionsLost: number;
  /** Links that ended because the peer's bytes were no messages, or too large ones. */
  framingErrors: number;
}

/** What either side of the wire counts; what its side cannot see stays 0. */
export interface WireCounters {
  /** Bytes read from the transports of all sessions, mux headers included. */
  bytesIn: number;
  /** Bytes handed to the transports, mux headers included. */
  bytesOut: number;
  /** Mux frames that came. */
  framesIn: number;
  /** Mux frames that were sent. */
  framesOut: number;
  /** Times that the joining side dialled. */
  connectAttempts: number;
  /** Times that dialling, TLS or the greeting failed on the joining side. */
  connectFailures: number;
  /** Sessions that were open once. */
  connectionsOpened: number;
  /** Sessions that were open and have ended. */
  connectionsClosed: number;
  /** Connections refused before their handshake. */
  connectionsRefused: number;
  /** Connections cut during their handshake to make room for newer ones. */
  connectionsReplaced: number;
  /** Handshakes that failed; refused credentials are among them. */
  handshakeFailures: number;
  /** Handshakes that ran out of time. */
  handshakeTimeouts: number;
  /** Streams that this side opened and the peer took. */
  streamsOpened: number;
  /**
   * Streams that this side wanted to open in vain: refused, too late, or for a peer or a server
   * that was not there.
   */
  streamsFailed: number;
  /** Streams of peers that a handler of this side got. */
  streamsServed: number;
  /**
   * Streams that a hub brought from one peer to another: each counts once, and neither as opened nor as
   * served.
   */
  streamsRelayed: number;
  /** Streams of peers that were refused. */
  streamsRefused: number;
  /**
   * Streams of peers that broke before they were done: the peer reset it, was silent for too long, did not
   * say what it wanted, or the session was lost.
   */
  streamsBroken: number;
  /** Streams of peers whose handler threw an error of its own: not how its stream ended. */
  streamErrors: number;
}

/** What goes over one IPC connection. */
export interface IpcTraffic {
  /** Messages received. */
  messagesIn: number;
  /** Messages accepted for writing. */
  messagesOut: number;
  /** Queries received. */
  queriesIn: number;
  /** Queries asked. */
  queriesOut: number;
  /** Bytes of frames received. */
  bytesIn: number;
  /** Bytes of data accepted for writing. */
  bytesOut: number;
}

/** What an IPC server, client or peer counts; what its side cannot see stays 0. */
export interface IpcCounters extends IpcTraffic {
  /** Connections whose handshake finished. */
  connectionsOpened: number;
  /** Connections that were open and have ended. */
  connectionsClosed: number;
  /** Connections refused before their handshake, or because the server was full. */
  connectionsRefused: number;
  /** Handshakes that failed on the listening side. */
  handshakeFailures: number;
  /**
   * Connections ended because the other side broke the protocol: a frame that does not exist or is
   * too large, a record that was changed on the way or sealed by another provider, an end inside a
   * message.
   */
  protocolErrors: number;
  /** Queries of the other side whose handler threw, and clients whose hook `onClient` threw. */
  handlerErrors: number;
}

/** A record whose members are all numbers. */
export type NumericRecord<Counters> = { [Name in keyof Counters]: number };

/**
 * Makes the counters of a server, all 0.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(newServerCounters().connectionsRefused, 0);
 * ```
 */
export function newServerCounters(): ServerCounters {
  return {
    bytesIn: 0,
    bytesOut: 0,
    messagesIn: 0,
    messagesOut: 0,
    connectionsOpened: 0,
    connectionsClosed: 0,
    connectionsRefused: 0,
    connectionsReplaced: 0,
    handshakeFailures: 0,
    handshakeTimeouts: 0,
    connectionsLost: 0,
    idleTimeouts: 0,
    slowConsumers: 0,
    framingErrors: 0,
    handlerErrors: 0,
    rateLimitPauses: 0,
    rateLimitDrops: 0,
  };
}

/**
 * Makes the counters of a client, all 0.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(newClientCounters().connectAttempts, 0);
 * ```
 */
export function newClientCounters(): ClientCounters {
  return {
    bytesIn: 0,
    bytesOut: 0,
    messagesIn: 0,
    messagesOut: 0,
    connectAttempts: 0,
    connectFailures: 0,
    connectionsOpened: 0,
    connectionsClosed: 0,
    connectionsLost: 0,
    framingErrors: 0,
  };
}

/**
 * Makes the counters of a wire, all 0.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(newWireCounters().streamsOpened, 0);
 * ```
 */
export function newWireCounters(): WireCounters {
  return {
    bytesIn: 0,
    bytesOut: 0,
    framesIn: 0,
    framesOut: 0,
    connectAttempts: 0,
    connectFailures: 0,
    connectionsOpened: 0,
    connectionsClosed: 0,
    connectionsRefused: 0,
    connectionsReplaced: 0,
    handshakeFailures: 0,
    handshakeTimeouts: 0,
    streamsOpened: 0,
    streamsFailed: 0,
    streamsServed: 0,
    streamsRelayed: 0,
    streamsRefused: 0,
    streamsBroken: 0,
    streamErrors: 0,
  };
}

/**
 * Makes the counters of an IPC connection, all 0.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(newIpcTraffic().queriesIn, 0);
 * ```
 */
export function newIpcTraffic(): IpcTraffic {
  return { messagesIn: 0, messagesOut: 0, queriesIn: 0, queriesOut: 0, bytesIn: 0, bytesOut: 0 };
}

/**
 * Makes the counters of an IPC server, client or peer, all 0.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(newIpcCounters().connectionsOpened, 0);
 * ```
 */
export function newIpcCounters(): IpcCounters {
  return {
    ...newIpcTraffic(),
    connectionsOpened: 0,
    connectionsClosed: 0,
    connectionsRefused: 0,
    handshakeFailures: 0,
    protocolErrors: 0,
    handlerErrors: 0,
  };
}

/**
 * Adds the members of `addend` to those of `sum`, times `factor`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const sum = { messagesIn: 5 };
 * addCounters(sum, { messagesIn: 2 });
 * assertEquals(sum, { messagesIn: 7 });
 * ```
 */
export function addCounters<Counters extends NumericRecord<Counters>>(
  sum: Counters,
  addend: Readonly<Counters>,
  factor: 1 | -1 = 1,
): void {
  const target: NumericRecord<Counters> = sum;
  for (const name of Object.keys(addend) as (keyof Counters)[]) {
    target[name] += factor * addend[name];
  }
}
