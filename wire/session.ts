// WireSession: one peer, as the application sees it.
import type { ParleyError } from "../errors.ts";
import type { MuxSessionStats } from "../mux/session.ts";
import type { WaitOptions } from "../mux/wait.ts";
import type { Address, TlsInfo } from "../net/transport.ts";
import { telemetryOn } from "../stats/telemetry.ts";
import { timeLimit } from "./deadline.ts";
import { checkName } from "./frames.ts";
import type { Link } from "./link.ts";
import type { OpenOptions } from "./options.ts";
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
 * A session with a peer: either side opens streams, by name, to the other.
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

  /**
   * Opens a stream to the peer's handler of this name.
   *
   * @throws {RemoteError} `ERR_NO_HANDLER` when the peer has none, `ERR_HANDLER` when it failed
   * @throws {AuthError} `ERR_FORBIDDEN`
   * @throws {LimitError} `ERR_TOO_MANY_STREAMS` when the peer is busy
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it did not answer within `timeoutMs`
   * @throws {ClosedError} `ERR_GOING_AWAY` once either side is closing, `ERR_CLOSED` or `ERR_RESET` after the end
   */
  async open(name: string, options: OpenOptions = {}): Promise<WireStream> {
    return await openStream(this.#link, { name }, options);
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
   */
  async close(options: WireCloseOptions = {}): Promise<void> {
    await this.#link.close(timeLimit("close the session", options, 10_000));
  }

  /** Ends the session now. */
  abort(reason?: unknown): void {
    this.#link.abort(reason);
  }
}

/** Opens a stream over a link, for whoever faces it. */
export async function openStream(
  link: Link,
  where: { readonly name: string; readonly to?: string },
  options: OpenOptions,
): Promise<WireStream> {
  const { name, to } = where;
  const { meta = {}, signal } = options;
  checkName("Cannot open a stream", "name", name);
  const timeoutMs = timeLimit("open a stream", options, OPEN_TIMEOUT_MS);
  const open = { name, to, meta };
  const limits = { signal, timeoutMs };
  const { channel, rest } =
    await (telemetryOn()
      ? openMeasured(link.facts, open, (told) => link.open(told, limits))
      : link.open(open, limits));
  return new WireStream(channel.mux, { name, from: undefined, meta }, rest);
}
