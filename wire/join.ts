// join(): the joining side of the wire: one session with a server, kept up.
import { Backoff } from "../client/backoff.ts";
import { isFinal } from "../client/final_errors.ts";
import { resolveConnectOptions, type ResolvedConnectOptions } from "../client/options.ts";
import type { ClientStatus } from "../client/status.ts";
import { ClosedError, ParleyError, TimeoutError } from "../errors.ts";
import { checkFunction } from "../limits/check.ts";
import { dial } from "../net/dial.ts";
import { loadTelemetry, lookForTelemetry, serverLabels, telemetryOn } from "../stats/telemetry.ts";
import { resolveClientTls } from "../tls/load.ts";
import { timeLimit, withDeadline } from "./deadline.ts";
import { pause } from "../connection/pause.ts";
import { checkName, checkToken, type Control, type Open, type StreamRefusal } from "./frames.ts";
import { greet } from "./greeting.ts";
import { HANDLERS, HandlerTable } from "./handlers.ts";
import { Link, type LinkFacts, type LinkHost } from "./link.ts";
import { resolveWire } from "./mount_plan.ts";
import type { JoinOptions, OpenOptions, StreamHandler } from "./options.ts";
import { sessionEnded } from "./refusals.ts";
import { WireReporter } from "./reporter.ts";
import type { WireStats } from "../stats/snapshots.ts";
import { WireTally } from "./tally.ts";
import { OPEN_TIMEOUT_MS, openStream, type WireCloseOptions, type WireSession } from "./session.ts";
import type { WireStream } from "./stream.ts";
import { joinMeasured } from "./telemetry.ts";

/** Somebody else at the hub, whether there or not. */
export interface WirePeer {
  /** Who it is. */
  readonly identity: string;
  /**
   * Opens a stream to the peer's handler of this name, through the hub.
   *
   * @throws {RemoteError} `ERR_NO_PEER` when the peer is not there, and as {@linkcode WireSession.open} does
   */
  open(name: string, options?: OpenOptions): Promise<WireStream>;
}

const ACTION = "Cannot join";

/**
 * Joins a server that {@linkcode mount} or {@linkcode hub} made, and joins again when the session is lost. Returns at once:
 * `wire.ready` tells when the first session is open. Refused credentials end it, and so does a newer session with
 * the same ones, which takes the name over (`ERR_NAME_TAKEN`: else two processes would take it from each other for
 * ever). Nothing else does, unless `reconnect` says so.
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

/** The joining side of the wire; {@linkcode join} makes it. */
export class JoinedWire implements AsyncDisposable {
  /** Resolves when the first session is open; rejects when there will be none, with the reason. */
  readonly ready: Promise<void>;
  /** Resolves when all is over and the descriptor is free: with what ended it, `undefined` after `close`. Never rejects. */
  readonly closed: Promise<unknown>;
  readonly #options: JoinOptions;
  readonly #connect: ResolvedConnectOptions<unknown>;
  readonly #wire: ReturnType<typeof resolveWire>;
  readonly #backoff: Backoff | null;
  readonly #reporter: WireReporter;
  readonly #handlers = new HandlerTable(() => this.#link?.control.tellNames());
  readonly #peers = new Map<string, readonly string[]>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<unknown>();
  readonly #ending = new AbortController();
  #keeping: Promise<unknown>;
  /** Resolves when there is a session; rejects when there will be none any more. */
  #linkUp: PromiseWithResolvers<Link> = waiting();
  readonly #tally = new WireTally();
  #link: Link | null = null;
  #status: ClientStatus = "connecting";
  #closing: Promise<void> | undefined;
  /** Why the server ended the session for good. */
  #dismissed: ParleyError | undefined;

  /** @ignore use {@linkcode join} */
  constructor(options: JoinOptions) {
    const { identity, token = "", reconnect, signal } = options;
    this.#options = options;
    this.#connect = resolveConnectOptions(options);
    this.#wire = resolveWire(ACTION, options, "client");
    checkName(ACTION, "identity", identity);
    checkToken(ACTION, token);
    for (const name of ["authorize", "onRetry", "onPeers"] as const) {
      if (options[name] !== undefined) checkFunction(ACTION, name, options[name]);
    }
    this.#backoff = reconnect === false ? null : new Backoff(reconnect);
    this.#reporter = new WireReporter(options);
    for (const [name, handler] of Object.entries(options.handlers ?? {})) this.#handlers.set(name, handler);
    this.ready = this.#ready.promise;
    this.ready.catch(() => {});
    this.closed = this.#closed.promise;
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
    return this.#tally.snapshot({ role: "join", state: this.#status, address: null, links });
  }

  /** Names that this side handles. */
  get handlers(): readonly string[] {
    return this.#handlers.names;
  }

  /** Who else is at the hub and what they handle, as far as the hub lets us see. */
  get peers(): ReadonlyMap<string, readonly string[]> {
    return this.#peers;
  }

  /** @ignore for tunnels */
  get [HANDLERS](): HandlerTable {
    return this.#handlers;
  }

  /** Sets the handler of a name; it stays across sessions. @throws {TypeError | RangeError} when it cannot be one */
  handle(name: string, handler: StreamHandler): void {
    this.#handlers.set(name, handler);
  }

  /** Removes a handler; streams that it serves go on. `false` when there was none. */
  unhandle(name: string): boolean {
    return this.#handlers.delete(name);
  }

  /** Opens a stream to the server's handler of this name; waits for a session. @throws as {@linkcode WireSession.open} does */
  async open(name: string, options: OpenOptions = {}): Promise<WireStream> {
    return await this.#open({ name }, options);
  }

  /** Somebody else at the hub. @throws {TypeError} when `identity` cannot be one */
  peer(identity: string): WirePeer {
    checkName("Cannot reach a peer", "identity", identity);
    return {
      identity,
      open: async (name, options = {}) => await this.#open({ name, to: identity }, options),
    };
  }

  /**
   * Ends in order: open streams and handlers finish. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when streams were cut as the time ran out
   */
  close(options: WireCloseOptions = {}): Promise<void> {
    const timeoutMs = timeLimit("close the wire", options, 10_000);
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** Ends now. */
  abort(reason?: unknown): void {
    this.#ending.abort(reason ?? closedError());
    this.#link?.abort(reason);
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #onSignal = (): void => {
    this.close().catch((error) => this.#reporter.report(error, { phase: "session" }));
  };

  async #open(
    where: { readonly name: string; readonly to?: string },
    options: OpenOptions,
  ): Promise<WireStream> {
    const { signal } = options;
    const timeoutMs = timeLimit("open a stream", options, OPEN_TIMEOUT_MS);
    const late = (ms: number) =>
      new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot open a stream within ${ms} ms as there is no session`);
    const startMs = performance.now();
    const link = this.#link ?? await withDeadline({ signal, timeoutMs, late }, () => this.#linkUp.promise);
    const leftMs = Math.max(1, timeoutMs - (performance.now() - startMs));
    return await openStream(link, where, { ...options, timeoutMs: leftMs });
  }

  async #close(timeoutMs: number): Promise<void> {
    await Promise.resolve();
    this.#ending.abort(closedError());
    try {
      await this.#link?.close(timeoutMs);
    } finally {
      await this.#keeping;
    }
  }

  /** Joins, waits for the end of the session, and joins again. Never rejects. */
  async #keepUp(): Promise<void> {
    await Promise.resolve();
    const { signal } = this.#ending;
    this.#tally.start();
    this.#backoff?.started(performance.now());
    let error: unknown;
    while (!signal.aborted) {
      error = await this.#runSession();
      const delayMs = this.#decide(error);
      if (delayMs === null) break;
      await pause(delayMs, signal);
    }
    this.#options.signal?.removeEventListener("abort", this.#onSignal);
    this.#status = "closed";
    this.#tally.stop();
    const reason = signal.aborted ? signal.reason : error ?? closedError();
    this.#linkUp.reject(reason);
    this.#ready.reject(reason);
    this.#closed.resolve(signal.aborted ? undefined : error);
  }

  /** Milliseconds before the next attempt, `null` when there is to be none. */
  #decide(error: unknown): number | null {
    if (this.#ending.signal.aborted || this.#backoff === null || this.#dismissed !== undefined) return null;
    const why = error ?? new ClosedError("ERR_CLOSED", "The server closed the session");
    if (isFinal(why) || (why instanceof ParleyError && why.code === "ERR_WIRE_VERSION")) return null;
    try {
      const delayMs = this.#backoff.failed(why, performance.now(), Math.random());
      if (delayMs === null || this.#ending.signal.aborted) return null;
      const attempt = this.#backoff.attempts;
      const fields = { attempt, delayMs, error: why };
      this.#reporter.events.tell({ level: "warn", kind: "retry", message: "Joining again", fields });
      this.#reporter.guard(() => this.#options.onRetry?.({ attempt, delayMs, error: why }));
      return delayMs;
    } catch (mistake) {
      this.#reporter.report(mistake, { phase: "hook" });
      return null;
    }
  }

  /** One session, from dialling to its end. Gives why it could not be had or was lost. */
  async #runSession(): Promise<unknown> {
    const { signal } = this.#ending;
    let facts: LinkFacts;
    const startedMs = performance.now();
    this.#tally.counters.connectAttempts++;
    try {
      if (lookForTelemetry()) await loadTelemetry();
      const { target } = this.#connect;
      const join = () => this.#join(signal);
      facts = await (telemetryOn() ? joinMeasured(serverLabels(target), this.identity, join) : join());
      this.#tally.handshakes.add(performance.now() - startedMs);
    } catch (error) {
      if (signal.aborted) return error;
      this.#tally.counters.connectFailures++;
      this.#reporter.report(error, { phase: "connect" });
      return error;
    }
    if (signal.aborted) {
      facts.mux.abort(signal.reason);
      await facts.mux.closed;
      return signal.reason;
    }
    const link = this.#link = new Link(facts, this.#host);
    const closed = this.#tally.opened(link);
    this.#status = "connected";
    this.#backoff?.connected(performance.now());
    const running = link.run();
    this.#linkUp.resolve(link);
    this.#ready.resolve();
    this.#reporter.opened(link.session);
    this.#reporter.guard(() => this.#options.onOpen?.(link.session));
    await running;
    const error = await link.closed;
    closed();
    this.#link = null;
    this.#linkUp = waiting();
    this.#status = "reconnecting";
    if (this.#peers.size > 0) {
      this.#peers.clear();
      this.#reporter.guard(() => this.#options.onPeers?.(this.#peers));
    }
    this.#reporter.closed(link.session, error);
    this.#reporter.guard(() => this.#options.onClose?.(link.session, error));
    return error;
  }

  async #join(signal: AbortSignal): Promise<LinkFacts> {
    const { target, targetText, timeoutMs, noDelay, keepAlive, given } = this.#connect;
    const { identity, token = "" } = this.#options;
    const late = (ms: number) =>
      new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot join ${targetText} within ${ms} ms`);
    return await withDeadline({ signal, timeoutMs, late }, async (signal) => {
      const tls = given.tls === undefined ? undefined : await resolveClientTls(given.tls);
      const transport = await dial({ ...target, tls }, { signal, noDelay, keepAlive });
      if (signal.aborted) {
        transport.close();
        throw signal.reason;
      }
      const streams = this.#handlers.names;
      return await greet(transport, { identity, token, streams }, { mux: this.#wire.mux, signal });
    });
  }

  get #host(): LinkHost {
    return {
      counters: this.#tally.counters,
      handlers: this.#handlers,
      maxHandlers: this.#wire.maxHandlers,
      judge: (link: Link, open: Open): Promise<StreamRefusal | undefined> => this.#judge(link, open),
      // Nobody is behind a joined side.
      route: () => Promise.resolve("ERR_NO_PEER"),
      opener: () => undefined,
      onControl: (link: Link, control: Control): void => this.#onControl(link, control),
      onStreamError: (link: Link, error: unknown): void =>
        this.#reporter.report(error, { phase: "stream", session: link.session }),
    };
  }

  async #judge(link: Link, { name, from }: Open): Promise<StreamRefusal | undefined> {
    const { authorize, identity } = this.#options;
    if (authorize === undefined) return undefined;
    const { remoteAddr, tls } = link.session;
    const request = { kind: "stream" as const, identity: from ?? "", token: "", name, from, to: identity };
    return await authorize({ ...request, remoteAddr, tls }) === true ? undefined : "ERR_FORBIDDEN";
  }

  #onControl(link: Link, { streams, peers, gone, ended }: Control): void {
    if (ended !== undefined) {
      this.#dismissed = sessionEnded(ended);
      this.#reporter.report(this.#dismissed, { phase: "session", session: link.session });
      return link.abort(this.#dismissed);
    }
    if (streams !== undefined) {
      link.offers = streams;
      this.#reporter.guard(() => this.#options.onOffers?.(link.session));
    }
    if (peers.length + gone.length === 0) return;
    for (const { identity, streams } of peers) this.#peers.set(identity, streams);
    for (const identity of gone) this.#peers.delete(identity);
    this.#reporter.guard(() => this.#options.onPeers?.(this.#peers));
  }
}

function waiting(): PromiseWithResolvers<Link> {
  const result = Promise.withResolvers<Link>();
  result.promise.catch(() => {});
  return result;
}

function closedError(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot go on as the wire was closed on this side");
}
