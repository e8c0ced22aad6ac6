// WireSession: one peer, as the application sees it.
import { checkOptionNames } from "../limits/check_names.ts";
import type { ParleyError } from "../errors.ts";
import type { MuxSessionStats } from "../mux/session.ts";
import type { WaitOptions } from "../mux/wait.ts";
import { checkBoolean } from "../limits/check.ts";
import type { Address, TlsInfo } from "../net/transport.ts";
import type { WireCounters } from "../stats/counters.ts";
import { telemetryOn } from "../stats/telemetry.ts";
import { timeLeft, timeLimit } from "./deadline.ts";
import { checkMeta, checkName, type Meta } from "./frames.ts";
import { checkLifetime, Lifetime } from "./lifetime.ts";
import type { Link, OpenLimits } from "./link.ts";
import { OPEN_NAMES, type OpenOptions } from "./options.ts";
import { nameStream } from "./refusals.ts";
import { WireStream } from "./stream.ts";
import { openMeasured } from "./telemetry.ts";

/** Time that the far side has to answer an OPEN. */
export const OPEN_TIMEOUT_MS = 10_000;

/** Options of {@linkcode WireSession.close}. */
export interface WireCloseOptions {
  /** Time in ms for open streams and handlers to end by themselves. @default {10000} */
  timeoutMs?: number;
}

/**
 * A session with a peer: either side opens streams, by name, to the other. All methods may be called concurrently:
 * streams open in the order of the calls.
 *
 * ```text
 * HELLO ──▶ authorize ──▶ WELCOME ──▶ open ──▶ closing (streams finish) ──▶ closed
 *               └────────▶ REFUSED, closed, nothing registered
 * ```
 */
export class WireSession {
  readonly #link: Link;

  /** @ignore sessions come from `mount` and `join` */
  constructor(link: Link) {
    this.#link = link;
  }

  /** The id that the server made. */
  get id(): string {
    return this.#link.facts.id;
  }

  /** Who joined, as the server authenticated it. On the joined side that is ourselves. */
  get identity(): string {
    return this.#link.facts.identity;
  }

  /** Names that the peer handles now, as it says. */
  get offers(): readonly string[] {
    return this.#link.offers;
  }

  /** The far end. */
  get remoteAddr(): Address {
    return this.#link.facts.transport.remoteAddr;
  }

  /** What TLS told about the peer. */
  get tls(): TlsInfo | undefined {
    return this.#link.facts.transport.tls;
  }

  /** Resolves once the session is over: with `undefined` after an orderly end, else with what ended it. Never rejects. */
  get closed(): Promise<ParleyError | undefined> {
    return this.#link.closed;
  }

  /** Fires when the session is over, in order or not; the reason tells what ended it. */
  get signal(): AbortSignal {
    return this.#link.signal;
  }

  /**
   * Opens a stream to the peer's handler of this name; waits its turn where the peer takes no more streams
   * just now.
   *
   * @throws {TypeError | RangeError} when the name or an option is wrong, or `meta` is no JSON object, or too large
   * @throws {RemoteError} `ERR_NO_HANDLER` when the peer has none, `ERR_HANDLER` when it failed
   * @throws {RemoteError} `ERR_TARGET_REFUSED` or `ERR_TARGET_TIMEOUT` when the peer could not reach what is behind it
   * @throws {AuthError} `ERR_FORBIDDEN`
   * @throws {LimitError} `ERR_TOO_MANY_STREAMS` when the stream got no turn
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when the peer did not answer within `timeoutMs`
   * @throws {ClosedError} `ERR_GOING_AWAY` once either side is closing, `ERR_CLOSED` or `ERR_RESET` after the end
   */
  async open(name: string, options: OpenOptions = {}): Promise<WireStream> {
    return await openStream(() => this.#link, checkOpen(name, undefined, options));
  }

  /** Measures the round trip, in milliseconds. */
  async ping(options?: WaitOptions): Promise<number> {
    return await this.#link.facts.mux.ping(options);
  }

  /** Numbers of this session. */
  stats(): MuxSessionStats {
    return this.#link.facts.mux.stats();
  }

  /**
   * Ends the session in order: no new streams, open ones finish. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when streams were cut as the time ran out
   * @throws {ParleyError} what ended the session, when that came before everything was done
   */
  async close(options: WireCloseOptions = {}): Promise<void> {
    await this.#link.close(timeLimit("close the session", options, 10_000));
  }

  /** Ends the session now. */
  abort(reason?: unknown): void {
    this.#link.abort(reason);
  }
}

/** The stream that is wanted. */
export interface Wanted {
  readonly name: string;
  /** Which peer of the hub it is for. */
  readonly to?: string;
  readonly meta: Meta;
  /** The time that its caller set, in ms. */
  readonly timeoutMs: number;
  readonly options: OpenOptions;
  /** Counts what could not be had for want of a session. @default {nowhere} */
  readonly counters?: WireCounters;
}

/**
 * Checks what the caller of `open` wants, before any I/O.
 *
 * @throws {TypeError | RangeError} when something is wrong
 */
export function checkOpen(name: string, to: string | undefined, options: OpenOptions): Wanted {
  checkOptionNames("Cannot open a stream", options, OPEN_NAMES);
  const action = "Cannot open a stream";
  checkName(action, "name", name);
  const timeoutMs = timeLimit("open a stream", { timeoutMs: options.timeoutMs }, OPEN_TIMEOUT_MS);
  const { meta, lifetime, waitForPeer } = options;
  if (waitForPeer !== undefined) checkBoolean(action, "waitForPeer", waitForPeer);
  if (lifetime !== undefined) checkLifetime(action, lifetime);
  return {
    name,
    to,
    meta: meta === undefined ? NO_META : checkMeta(action, meta, { name, to }),
    timeoutMs,
    options,
  };
}

const NO_META: Meta = {};

/** Finds the session over which a stream will be opened; it may have to wait for one. */
export type FindLink = (limits: OpenLimits & { readonly givenMs: number }) => Link | Promise<Link>;

/** Finds the session; a stream for which there is none has failed, as one that its peer refuses. */
async function findCounted(
  find: FindLink,
  limits: Parameters<FindLink>[0],
  counters: WireCounters | undefined,
): Promise<Link> {
  try {
    return await find(limits);
  } catch (error) {
    if (counters !== undefined) counters.streamsFailed++;
    throw error;
  }
}

/** Opens a stream over a link, as soon as there is one. */
export async function openStream(find: FindLink, wanted: Wanted): Promise<WireStream> {
  const { name, to, meta, timeoutMs: givenMs, options } = wanted;
  const { waitForPeer, lifetime: over } = options;
  const startedMs = performance.now();
  const lifetime = over === undefined ? undefined : new Lifetime(over, options.signal);
  const limits = { signal: lifetime?.signal ?? options.signal, timeoutMs: givenMs, givenMs, waitForPeer };
  const open = { name, to, meta };
  try {
    const link = await findCounted(find, limits, wanted.counters);
    const left = { ...limits, timeoutMs: timeLeft(givenMs, startedMs) };
    const channel = await (telemetryOn()
      ? openMeasured(link.facts, open, (told) =>
        link.open(told, left))
      : link.open(open, left));
    lifetime?.cover(channel.mux);
    const label = nameStream(name, to ?? link.peer);
    return new WireStream(channel.mux, { name, from: undefined, meta }, channel.rest(), label);
  } catch (error) {
    lifetime?.end();
    throw error;
  }
}
