// WireSession: one peer, as the application sees it.
import { type CloseOptions, closeTimeout } from "../../options/close.ts";
import type { WaitOptions } from "../../async/wait.ts";
import type { ParleyError } from "../../errors.ts";
import type { MuxSessionStats } from "../../mux/session.ts";
import { type LinkStatus, sessionStatus } from "../../mux/state.ts";
import type { Address, TlsInfo } from "../../net/transport/transport.ts";
import {
  checkOpen,
  type OpenOptions,
  openStream,
  setRoute,
  type StreamOpener,
  type StreamRoute,
} from "./open_stream.ts";
import type { WireStream } from "./stream.ts";

/** The inner side of a {@linkcode WireSession}: `Link` is the only one. */
export interface SessionLink extends StreamOpener {
  /** Names that the peer handles now. */
  readonly offers: readonly string[];
  /** Resolves once the session is over, with what ended it. Never rejects. */
  readonly closed: Promise<ParleyError | undefined>;
  /** Fires when the session is over. */
  readonly signal: AbortSignal;
  /** Ends in order: streams and handlers get `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
  /** Ends now. */
  abort(reason?: unknown): void;
}

/**
 * A session with a peer: either side opens streams, by name, to the other. All methods may be
 * called concurrently: streams open in the order of the calls.
 *
 * ```text
 * HELLO ──▶ authorize ──▶ WELCOME ──▶ open ──▶ closing (streams finish) ──▶ closed
 *               └────────▶ REFUSED, closed, nothing registered
 * ```
 */
export class WireSession implements AsyncDisposable {
  readonly #link: SessionLink;
  readonly #route: StreamRoute;

  /** @ignore sessions come from `mount` and `join` */
  constructor(link: SessionLink) {
    this.#link = link;
    this.#route = { find: () => link, peer: link.established.peer };
    setRoute(this, this.#route);
  }

  /** The id that the server made. */
  get id(): string {
    return this.#link.established.id;
  }

  /** Who joined, as the server authenticated it. On the joined side that is ourselves. */
  get identity(): string {
    return this.#link.established.identity;
  }

  /** Names that the peer handles now, as it says. */
  get offers(): readonly string[] {
    return this.#link.offers;
  }

  /** The far end. */
  get remoteAddr(): Address {
    return this.#link.established.transport.remoteAddr;
  }

  /** What TLS knows about the peer. */
  get tls(): TlsInfo | undefined {
    return this.#link.established.transport.tls;
  }

  /** Where in its life the session is: `"closing"` once either side opens no more streams. */
  get status(): LinkStatus {
    return sessionStatus(this.#link.established.mux.status);
  }

  /**
   * Resolves once the session is over: with `undefined` after an orderly end, else with what ended
   * it. Never rejects.
   */
  get closed(): Promise<ParleyError | undefined> {
    return this.#link.closed;
  }

  /** Fires when the session is over, in order or not; the reason says what ended it. */
  get signal(): AbortSignal {
    return this.#link.signal;
  }

  /**
   * Opens a stream to the peer's handler of this name; waits its turn where the peer takes no more streams
   * just now.
   *
   * @throws {TypeError | RangeError} when the name or an option is wrong, or `meta` is no JSON
   * object, or too large
   * @throws {RemoteError} `ERR_NO_HANDLER` when the peer has none, `ERR_HANDLER` when it failed
   * @throws {RemoteError} `ERR_TARGET_REFUSED` or `ERR_TARGET_TIMEOUT` when the peer could not
   * reach what is behind it
   * @throws {AuthError} `ERR_FORBIDDEN`
   * @throws {LimitError} `ERR_TOO_MANY_STREAMS` when the stream got no turn
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when the peer did not answer within `timeoutMs`
   * @throws {ClosedError} `ERR_GOING_AWAY` once either side is closing, `ERR_CLOSED` or `ERR_RESET`
   * after the end
   */
  async open(name: string, options: OpenOptions = {}): Promise<WireStream> {
    return await openStream(this.#route, checkOpen(name, undefined, options));
  }

  /** Measures the round trip, in milliseconds. */
  async ping(options?: WaitOptions): Promise<number> {
    return await this.#link.established.mux.ping(options);
  }

  /** Numbers of this session. */
  stats(): MuxSessionStats {
    return this.#link.established.mux.stats();
  }

  /**
   * Ends the session in order: no new streams, open ones finish, within 10 s unless `timeoutMs` is
   * given. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when streams were cut as the time ran out
   * @throws {ParleyError} what ended the session, when that came before everything was done
   */
  async close(options: CloseOptions = {}): Promise<void> {
    await this.#link.close(closeTimeout("Cannot close the session", options, 10_000));
  }

  /** Ends the session now. */
  abort(reason?: unknown): void {
    this.#link.abort(reason);
  }

  /**
   * The same as {@linkcode close}; waits for {@linkcode closed} when the session has ended by
   * itself or by an abort.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.status === "closed" ? this.closed : this.close());
  }
}
