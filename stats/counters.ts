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
  /** Connections ended for being idle, or for a message that was begun and never finished. */
  idleTimeouts: number;
  /** Connections ended because the peer did not read. */
  slowConsumers: number;
  /** Connections ended because the peer's bytes were no messages, or too large ones. */
  framingErrors: number;
  /** Handlers that threw. */
  handlerErrors: number;
  /** Times that a reader was paused by a rate limit. */
  rateLimitPauses: number;
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
  /** Links that ended because the peer's bytes were no messages, or too large ones. */
  framingErrors: number;
}

/** A record whose members are all numbers. */
export type NumericRecord<Counters> = { [Name in keyof Counters]: number };

/**
 * Makes the counters of a link, all 0. Hot paths count with `++` and `+=` on them.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const counters = newTrafficCounters();
 * counters.messagesIn++;
 * counters.bytesIn += 512;
 * assertEquals(counters, { bytesIn: 512, bytesOut: 0, messagesIn: 1, messagesOut: 0 });
 * ```
 */
export function newTrafficCounters(): TrafficCounters {
  return { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0 };
}

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
    idleTimeouts: 0,
    slowConsumers: 0,
    framingErrors: 0,
    handlerErrors: 0,
    rateLimitPauses: 0,
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
    framingErrors: 0,
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
  for (const name of Object.keys(addend) as (keyof Counters)[]) target[name] += factor * addend[name];
}
