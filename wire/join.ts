// join(): the joining side of the wire: one session with a server, kept up.
import { type CloseOptions, closeTimeout } from "../options/close.ts";
import { Backoff } from "../async/backoff.ts";
import { keepConnected, type LinkEnd, type Retry } from "../async/keep_connected.ts";
import { checkDialOptions } from "../client/check_dial.ts";
import { resolveConnectOptions } from "../client/options.ts";
import { isPermanentFailure } from "../client/permanent_failure.ts";
import type { ClientStatus } from "../client/status.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { checkFunction } from "../options/check.ts";
import { checkName, checkToken } from "./protocol/frames.ts";
import type { EstablishedSession } from "./session/established.ts";
import { HandlerTable, type StreamHandler } from "./session/handlers.ts";
import { attemptJoin, type JoinAttempt } from "./join_attempt.ts";
import { JoinHost } from "./join_host.ts";
import { Link } from "./session/link.ts";
import { MAX_STREAMS, resolveWire } from "./plan.ts";
import type { JoinOptions } from "./options.ts";
import { PeerList } from "./peer_list.ts";
import { nameStream } from "./protocol/refusals.ts";
import { WireReporter } from "./observe/reporter.ts";
import type { WireStats } from "../stats/data/snapshots.ts";
import { WireTally } from "./observe/tally.ts";
import {
  checkOpen,
  type FindLink,
  type OpenOptions,
  openStream,
  type OurOpen,
  setRoute,
  type StreamRoute,
} from "./session/open_stream.ts";
import { WirePeer } from "./peer.ts";
import type { WireSession } from "./session/session.ts";
import type { WireStream } from "./session/stream.ts";
import { Waiters } from "../async/waiters.ts";
import type { WaitOptions } from "../async/wait.ts";

const ACTION = "Cannot join";

/** Time that open streams and handlers get by default, in ms. */
const CLOSE_MS = 10_000;

/** Most streams that a hub can have this side take: what one session can serve. */
const MAX_PAIR_STREAMS = 1 << 16;

/**
 * Joins a server that {@linkcode mount} or {@linkcode hub} made, and joins again when the session
 * is lost. Returns at once: `wire.ready` resolves when the first session is open. Refused
 * credentials end it, and so does a newer session with the same credentials, which takes the name
 * over (`ERR_NAME_TAKEN`: else two processes would take it from each other for ever). Nothing else
 * does, unless `reconnect` says so.
 *
 * @throws {TypeError | RangeError} when an option is wrong
 *
 * @example A client behind NAT that answers its server
 * ```ts
 * import { join, mount } from "@parley/parley/wire";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = mount({ insecureAnyone: true });
 * server.handle("upper", async (stream) => {
 *   const text = await new Response(stream.readable).text();
 *   await stream.write(text.toUpperCase());
 * });
 * await server.ready;
 *
 * await using wire = join({ ...server.addr, identity: "me" });
 * const stream = await wire.open("upper");
 * await stream.write("hi");
 * await stream.closeWrite();
 * assertEquals(await new Response(stream.readable).text(), "HI");
 * ```
 */
export function join(options: JoinOptions): JoinedWire {
  return new JoinedWire(options);
}

/** The joining side of the wire; {@linkcode join} makes it. All methods may be called concurrently. */
export class JoinedWire implements AsyncDisposable {
  /** Resolves when the first session is open; rejects when there will be none, with the reason. */
  readonly ready: Promise<void>;
  /** Resolves when all is over: with the error that ended it, `undefined` after `close`. Never rejects. */
  readonly closed: Promise<unknown>;
  readonly #options: JoinOptions;
  readonly #attempt: JoinAttempt;
  readonly #backoff: Backoff | null;
  readonly #reporter: WireReporter;
  readonly #handlers = new HandlerTable(this, {
    onChange: () => this.#link?.control.announceNames(),
    onCut: (told, all) => this.#reporter.namesCut(told, all),
  });
  readonly #peers = new PeerList();
  readonly #ready = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<unknown>();
  readonly #ending = new AbortController();
  #keeping: Promise<unknown>;
  /** Those that wait for a session. */
  readonly #linkUp = new Waiters<Link>();
  /** Why there will be no session any more. */
  #over: { readonly reason: unknown } | undefined;
  readonly #host: JoinHost;
  readonly #tally = new WireTally();
  readonly #route: StreamRoute = {
    find: (limits, open) => this.#find(limits, open),
    peer: undefined,
    counters: this.#tally.counters,
  };
  #link: Link | null = null;
  #status: ClientStatus = "connecting";
  #closing: Promise<void> | undefined;
  /** The session that a close waits for, also for the handlers of one that is over. */
  #closingLink: Link | null = null;

  /** @ignore use {@linkcode join} */
  constructor(options: JoinOptions) {
    const { identity, token = "", reconnect, signal } = options;
    this.#options = options;
    setRoute(this, this.#route);
    const connect = resolveConnectOptions(options);
    const wire = resolveWire(ACTION, options, "client");
    this.#attempt = { connect, wire, identity, token, names: () => this.#handlers.announced };
    checkName(ACTION, "identity", identity);
    checkToken(ACTION, token);
    for (const name of ["authorize", "onRetry", "onPeers"] as const) {
      if (options[name] !== undefined) checkFunction(ACTION, name, options[name]);
    }
    this.#backoff = reconnect === false ? null : new Backoff(reconnect);
    this.#reporter = new WireReporter(options);
    for (const [name, handler] of Object.entries(options.handlers ?? {})) {
      this.#handlers.set(name, handler);
    }
    this.#host = new JoinHost({
      options,
      handlers: this.#handlers,
      maxHandlers: wire.maxHandlers,
      tally: this.#tally,
      reporter: this.#reporter,
      peers: this.#peers,
    });
    this.ready = this.#ready.promise;
    this.ready.catch(() => {});
    this.closed = this.#closed.promise;
    const { signal: ending } = this.#ending;
    ending.addEventListener("abort", () => this.#peers.stop(ending.reason), { once: true });
    if (signal?.aborted) this.#ending.abort(signal.reason);
    else signal?.addEventListener("abort", this.#onSignal, { once: true });
    this.#keeping = this.#keepUp();
  }

  /** Whether there is a session now. */
  get status(): ClientStatus {
    return this.#status;
  }

  /** Who we are. */
  get identity(): string {
    return this.#options.identity;
  }

  /** The present session, `null` while there is none. */
  get session(): WireSession | null {
    return this.#link?.session ?? null;
  }

  /** Sessions that are open: one or none. */
  get sessions(): WireSession[] {
    return this.#link === null ? [] : [this.#link.session];
  }

  /** What it has done so far, over all sessions and by day. */
  stats(): WireStats {
    const links = this.#link === null ? [] : [this.#link];
    const { recent } = this.#reporter;
    return this.#tally.snapshot({
      role: "join",
      state: this.#status,
      address: null,
      links,
      recent,
    });
  }

  /** Names that this side handles. */
  get handlers(): readonly string[] {
    return this.#handlers.names;
  }

  /** Who else is at the hub and what they handle, as far as the hub lets us see. */
  get peers(): ReadonlyMap<string, readonly string[]> {
    return this.#peers.peers;
  }

  /**
   * Sets the handler of a name; it stays across sessions. @throws {TypeError | RangeError} when it
   * cannot be one
   */
  handle(name: string, handler: StreamHandler): void {
    this.#handlers.set(name, handler);
  }

  /** Removes a handler; streams that it serves go on. `false` when there was none. */
  unhandle(name: string): boolean {
    return this.#handlers.delete(name);
  }

  /** Opens a stream to the server's handler of a name. @throws as {@linkcode WireSession.open} does */
  async open(name: string, options: OpenOptions = {}): Promise<WireStream> {
    return await openStream(this.#route, checkOpen(name, undefined, options));
  }

  /**
   * Waits until a peer is at the hub, as far as the hub lets us see (its `presence`), and returns it; at
   * once when it is there.
   *
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it was not there within `timeoutMs`
   * @throws {ParleyError} what ended this wire
   */
  async waitFor(identity: string, options: WaitOptions = {}): Promise<WirePeer> {
    const peer = this.peer(identity);
    if (this.#over !== undefined) throw this.#over.reason;
    this.#ending.signal.throwIfAborted();
    await this.#peers.waitFor(identity, options);
    return peer;
  }

  /** Another peer at the hub. @throws {TypeError} when `identity` cannot be one */
  peer(identity: string): WirePeer {
    checkName("Cannot reach a peer", "identity", identity);
    return new WirePeer(identity, { ...this.#route, peer: identity, to: identity });
  }

  /**
   * Ends in order: open streams and handlers finish. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when streams were cut as the time ran out
   * @throws {ParleyError} what ended the session, when that came before everything was done
   */
  close(options: CloseOptions = {}): Promise<void> {
    const timeoutMs = closeTimeout("Cannot close the wire", options, CLOSE_MS);
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** Ends now. */
  abort(reason?: unknown): void {
    this.#closing?.catch(() => {});
    this.#ending.abort(reason ?? closedError());
    (this.#link ?? this.#closingLink)?.abort(reason);
  }

  /**
   * Closes as {@linkcode close} does, and does not wait for streams that this side opened and nothing
   * uses: those are reset after half a second. What could not end in order is reported: it must not hide
   * the error by which the block was left.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const leaving = this.#link?.leave(CLOSE_MS).catch(() => {});
    await this.close().catch((error) => this.#reporter.report(error, { phase: "session" }));
    await leaving;
  }

  readonly #onSignal = (): void => {
    this.close().catch((error) => this.#reporter.report(error, { phase: "session" }));
  };

  /** The session for a stream to open, as soon as there is one. */
  #find(
    { signal, timeoutMs, givenMs }: Parameters<FindLink>[0],
    { name, to }: OurOpen,
  ): Link | Promise<Link> {
    if (this.#over !== undefined) throw this.#over.reason;
    return this.#link ?? this.#linkUp.wait({ signal, timeoutMs }, () => {
      const stream = nameStream(name, to);
      const text = `Cannot open ${stream} within ${givenMs} ms: there is no session`;
      return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
    });
  }

  async #close(timeoutMs: number): Promise<void> {
    await Promise.resolve();
    this.#ending.abort(closedError());
    try {
      this.#closingLink = this.#link;
      await this.#link?.close(timeoutMs);
    } finally {
      await this.#keeping;
    }
  }

  /** Keeps a session up, and then ends. Never rejects. */
  async #keepUp(): Promise<void> {
    await Promise.resolve();
    const { signal } = this.#ending;
    this.#tally.start();
    const error = await this.#runConnectLoop();
    this.#options.signal?.removeEventListener("abort", this.#onSignal);
    this.#status = "closed";
    this.#tally.stop();
    const reason = signal.aborted ? signal.reason : error ?? closedError();
    this.#over = { reason };
    this.#linkUp.reject(reason);
    this.#peers.stop(reason);
    this.#ready.reject(reason);
    this.#closed.resolve(signal.aborted ? undefined : error);
  }

  /** Joins, and joins again. Returns why the last session or attempt ended. Never rejects. */
  async #runConnectLoop(): Promise<unknown> {
    const { signal } = this.#ending;
    try {
      await checkDialOptions(this.#attempt.connect);
    } catch (mistake) {
      this.#reporter.report(mistake, { phase: "connect" });
      return mistake;
    }
    // As it came: `undefined` when the server ended the session in order.
    let lastError: unknown;
    const end = await keepConnected<EstablishedSession>({
      signal,
      backoff: this.#backoff,
      connect: () => this.#establish(),
      discard: ({ mux }) => (mux.abort(signal.reason), mux.closed),
      use: (established) => this.#use(established),
      classify: ({ error }) => {
        lastError = error;
        return {
          error: error ?? new ClosedError("ERR_CLOSED", "The server closed the session"),
          isPermanent: this.#host.dismissed !== undefined || isPermanentFailure(error),
        };
      },
      onRetry: (retry) => this.#announceRetry(retry),
    });
    if (end.kind === "policyFailed") this.#reporter.report(end.mistake, { phase: "hook" });
    return end.kind === "notRetried" ? end.error : lastError;
  }

  /** Makes one attempt to join; counts and reports it when it fails. */
  async #establish(): Promise<EstablishedSession> {
    const { signal } = this.#ending;
    const startedMs = performance.now();
    this.#tally.counters.connectAttempts++;
    try {
      const established = await attemptJoin(this.#attempt, signal);
      this.#tally.handshakes.add(performance.now() - startedMs);
      return established;
    } catch (error) {
      if (!signal.aborted) {
        this.#tally.counters.connectFailures++;
        this.#reporter.report(error, { phase: "connect" });
      }
      throw error;
    }
  }

  /** Uses a session until it ends. */
  async #use(established: EstablishedSession): Promise<LinkEnd> {
    const link = this.#link = new Link(established, this.#host);
    const closed = this.#tally.opened(link);
    this.#status = "connected";
    const running = link.run();
    this.#fit(link);
    this.#linkUp.resolve(link);
    this.#ready.resolve();
    this.#reporter.opened(link.session);
    this.#reporter.guard(() => this.#options.onOpen?.(link.session));
    await running;
    const error = await link.closed;
    const wasUsed = closed();
    this.#link = null;
    this.#status = "reconnecting";
    if (this.#peers.clear()) this.#host.announcePeers();
    this.#reporter.closed(link.session, error);
    this.#reporter.guard(() => this.#options.onClose?.(link.session, error));
    return { error, wasUsed };
  }

  #announceRetry(retry: Retry): void {
    const fields = { ...retry };
    this.#reporter.events.tell({ level: "warn", kind: "retry", message: "Joining again", fields });
    this.#reporter.guard(() => this.#options.onRetry?.(retry));
  }

  /** A hub that allows a pair more streams than this side takes by default: takes as many. */
  #fit(link: Link): void {
    const { mux, maxHandlers } = this.#options;
    const most = Math.min(link.established.limits.maxStreamsPerPair ?? 0, MAX_PAIR_STREAMS);
    if (most <= MAX_STREAMS) return;
    link.raise({
      maxStreams: mux?.maxStreams === undefined ? most : undefined,
      maxHandlers: maxHandlers === undefined ? most : undefined,
    });
  }
}

function closedError(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot go on: the wire was closed on this side");
}
