// mount(): the server side of the wire: lets peers join, lists their sessions, ends them in order.
import { type CloseOptions, closeTimeout } from "../options/close.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import type { WaitOptions } from "../async/wait.ts";
import type { RefusalReason, SharedConnections } from "../limits/admission.ts";
import { pause } from "../async/pause.ts";
import { isOpenToOthers } from "../limits/source_key.ts";
import type { Address } from "../net/transport/transport.ts";
import { Door } from "../accept/door.ts";
import type { ServerState } from "../accept/server_state.ts";
import { callerOf, noAddress, Outcome, pointToCaller } from "../server/outcome.ts";
import type { WireStats } from "../stats/data/snapshots.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import { certificateStats } from "../tls/expiry.ts";
import { checkName } from "./protocol/frames.ts";
import { HandlerTable, type StreamHandler } from "./session/handlers.ts";
import type { Link } from "./session/link.ts";
import { type MakeRouter, MountHost, type Router } from "./mount_host.ts";
import { CLOSE_MS, closeLinks } from "./mount_end.ts";
import { MountHandshake } from "./mount_handshake.ts";
import { type MountPlan, resolveMount } from "./plan.ts";
import type { MountOptions } from "./options.ts";
import { nameStream, streamRefused } from "./protocol/refusals.ts";
import { Registry, type SharedNames } from "./session/registry.ts";
import { WireReporter } from "./observe/reporter.ts";
import { checkOpen, type FindLink, type OpenOptions, openStream } from "./session/open_stream.ts";
import type { WireSession } from "./session/session.ts";
import type { WireStream } from "./session/stream.ts";
import { type WireBooks, WireTally } from "./observe/tally.ts";
import { observeMount } from "./session/telemetry.ts";

/**
 * Listens for peers that {@linkcode join}. Returns at once: `wire.ready` resolves when it listens.
 *
 * @throws {TypeError | RangeError} when an option is wrong, or `authorize` and `insecureAnyone` are missing
 *
 * @example The server calls a client that no connection can reach
 * ```ts
 * import { join, mount, sameToken } from "@parley/parley/wire";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = mount({ authorize: ({ token }) => sameToken(token, "our secret") });
 * await server.ready;
 *
 * await using client = join({ ...server.addr, identity: "sensor-7", token: "our secret" });
 * client.handle("temperature", async (stream) => await stream.write("21.5"));
 * await client.ready;
 *
 * const stream = await server.open("sensor-7", "temperature");
 * assertEquals(await new Response(stream.readable).text(), "21.5");
 * ```
 */
export function mount(options: MountOptions): MountedWire {
  return new MountedWire(resolveMount(options), null);
}

/** What a mounted wire shares with those of other threads on the same port. */
export interface SharedMountParts {
  /** Where it counts. */
  readonly books?: WireBooks | undefined;
  /** The count of connections that `maxConnections` limits. */
  readonly connections?: SharedConnections | undefined;
  /** Where refusals are counted by reason. */
  readonly refused?: Record<RefusalReason, number> | undefined;
  /** Makes the names that are claimed over all threads. */
  readonly names?: ((registry: Registry) => SharedNames) | undefined;
}

/**
 * The server side of the wire; {@linkcode mount} and {@linkcode hub} make it.
 *
 * All methods may be called concurrently: streams to one peer open in the order of the calls.
 */
export class MountedWire implements AsyncDisposable {
  /** Resolves when all is over and the descriptors are free. Never rejects. */
  readonly finished: Promise<void>;
  readonly #plan: MountPlan;
  readonly #registry = new Registry();
  readonly #router: Router | null;
  readonly #reporter: WireReporter;
  readonly #handlers = new HandlerTable(this, {
    onChange: () => {
      for (const link of this.#registry.links) link.control.announceNames();
    },
    onCut: (told, all) => this.#reporter.namesCut(told, all),
  });
  readonly #door: Door<Link>;
  readonly #tally: WireTally;
  readonly #stopping = new AbortController();
  readonly #ready = new Outcome();
  /** Where in the program it was made. */
  readonly #caller = callerOf(MountedWire);
  /** Ends the delay before the end. */
  readonly #hurry = new AbortController();
  #leaving: Promise<void> | undefined;
  readonly #finished = Promise.withResolvers<void>();
  #state: ServerState = "created";
  #closing: Promise<void> | undefined;
  /** Sessions that a close waits for, also for handlers of those that are over. */
  #closingLinks: readonly Link[] = [];

  /** @ignore use {@linkcode mount} or {@linkcode hub} */
  constructor(plan: MountPlan, makeRouter: MakeRouter | null, shared: SharedMountParts = {}) {
    const { given } = this.#plan = plan;
    this.finished = this.#finished.promise;
    const reporter = this.#reporter = new WireReporter(given);
    const tally = this.#tally = new WireTally(shared.books);
    this.#router = makeRouter?.({ registry: this.#registry, tally, reporter }) ?? null;
    const [handlers, registry] = [this.#handlers, this.#registry];
    const { signal: stopping } = this.#stopping;
    const host = new MountHost({ plan, tally, reporter, handlers, router: this.#router, stopping });
    for (const [name, handler] of Object.entries(given.handlers ?? {})) {
      this.#handlers.set(name, handler);
    }
    const { admission, listen: { handshakeTimeoutMs } } = plan;
    this.#door = new Door({
      admission,
      penalties: given.penalties,
      exemptions: given,
      handshakeTimeoutMs,
    }, {
      handshake: new MountHandshake({ plan, host, registry, names: shared.names?.(registry) }),
      reporter,
      tally,
      serve: (link) => this.#serve(link),
      shared: shared.connections,
      refused: shared.refused,
    });
    given.signal?.addEventListener("abort", this.#onSignal, { once: true });
    queueMicrotask(() => void this.#start());
  }

  /** Resolves when it listens; rejects when it cannot. */
  get ready(): Promise<void> {
    return this.#ready.ask();
  }

  /** Where in its life it is. */
  get state(): ServerState {
    return this.#state;
  }

  /** Where it listens, with the real port. Known once {@linkcode ready} has resolved. */
  get addr(): Address {
    const { addr } = this.#door;
    if (addr !== null) return addr;
    throw noAddress("wire", this.#state);
  }

  /** Sessions that are open, the oldest first. */
  get sessions(): WireSession[] {
    return [...this.#registry.links].map((link) => link.session);
  }

  /** What it has done so far, over all and by day. */
  stats(): WireStats {
    const stats = this.#tally.snapshot({
      role: this.#router === null ? "mount" : "hub",
      state: this.#state,
      address: this.#door.addr,
      links: this.#registry.links,
      admission: this.#door.admission,
      recent: this.#reporter.recent,
    });
    return Object.freeze({ ...stats, ...certificateStats(this.#door.credentials) });
  }

  /** Names that this side handles. */
  get handlers(): readonly string[] {
    return this.#handlers.names;
  }

  /** A session by its id or by who joined; `undefined` when there is none. */
  session(idOrIdentity: string): WireSession | undefined {
    return this.#registry.find(idOrIdentity)?.session;
  }

  /**
   * Opens a stream to a peer that joined: `session(idOrIdentity).open(name)`.
   *
   * @throws {RemoteError} `ERR_NO_PEER` when the peer is not there, and as {@linkcode WireSession.open} does
   */
  async open(idOrIdentity: string, name: string, options: OpenOptions = {}): Promise<WireStream> {
    const wanted = checkOpen(name, undefined, options);
    checkName("Cannot open a stream", "idOrIdentity", idOrIdentity);
    const noPeer = () => streamRefused("ERR_NO_PEER", nameStream(name, idOrIdentity));
    const find: FindLink = async (limits) => {
      const link = this.#registry.find(idOrIdentity);
      if (
        link !== undefined &&
        (link.established.mux.status === "open" || limits.waitForPeer !== true)
      ) {
        return link;
      }
      if (limits.waitForPeer !== true) throw noPeer();
      try {
        return await this.#registry.waitFor(idOrIdentity, limits);
      } catch (error) {
        throw error instanceof TimeoutError ? noPeer() : error;
      }
    };
    return await openStream({ find, peer: idOrIdentity, counters: this.#tally.counters }, wanted);
  }

  /**
   * Waits until a peer has joined, and returns its session; at once when it is there.
   *
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it did not join within `timeoutMs`
   * @throws {ClosedError} `ERR_CLOSED` when this wire is closed
   */
  async waitFor(identity: string, options: WaitOptions = {}): Promise<WireSession> {
    checkName("Cannot wait for a peer", "identity", identity);
    this.#stopping.signal.throwIfAborted();
    return (await this.#registry.waitFor(identity, options)).session;
  }

  /**
   * Sets the handler of a name, for open sessions too. @throws {TypeError | RangeError} when it
   * cannot be one
   */
  handle(name: string, handler: StreamHandler): void {
    this.#handlers.set(name, handler);
  }

  /** Removes a handler; streams that it serves go on. `false` when there was none. */
  unhandle(name: string): boolean {
    return this.#handlers.delete(name);
  }

  /** Lets the process live while it listens (the default). */
  ref(): void {
    this.#door.ref();
  }

  /** Lets the process end although it listens. Connected peers keep it alive. */
  unref(): void {
    this.#door.unref();
  }

  /**
   * Ends in order, after `drainDelayMs` if there is any: no peer joins any more, open streams and handlers
   * finish, on all sessions at once. Idempotent.
   *
   * @throws {AggregateError} with the error of every session that could not end in order
   */
  shutdown(options: CloseOptions = {}): Promise<void> {
    const timeoutMs = closeTimeout("Cannot close the wire", options, CLOSE_MS);
    this.#closing ??= this.#leave().then(() => this.#close(timeoutMs));
    return this.#closing;
  }

  /** Ends now: every session is cut. */
  abort(reason?: unknown): void {
    this.#stopListening();
    for (const link of [...this.#closingLinks, ...this.#registry.links]) link.abort(reason);
    this.#closing ??= this.#close(1);
    this.#closing.catch(() => {});
  }

  /**
   * Shuts down as {@linkcode shutdown} does, and does not wait for streams that this side opened and nothing
   * uses: those are reset after half a second. What could not end in order is reported: it must not hide
   * the error by which the block was left.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave();
    const links = [...this.#registry.links];
    const leaving = Promise.allSettled(links.map((link) => link.leave(CLOSE_MS)));
    await this.shutdown().catch((error) => this.#reporter.report(error, { phase: "session" }));
    await leaving;
  }

  readonly #onSignal = (): void => {
    this.shutdown().catch((error) => this.#reporter.report(error, { phase: "session" }));
  };

  async #start(): Promise<void> {
    this.#tally.start();
    try {
      if (lookForTelemetry()) await loadTelemetry();
      this.#plan.given.signal?.throwIfAborted();
      await this.#door.listen(this.#plan.listen.plan);
      this.#door.throwIfClosed();
    } catch (error) {
      this.#failToStart(error);
      return;
    }
    this.#state = "listening";
    this.#ready.resolve();
    observeMount(this);
    const { warning } = this.#plan.listen;
    if (warning !== undefined) this.#reporter.warn(warning, {});
    const fields = { address: this.addr };
    this.#reporter.events.tell({ level: "info", kind: "listening", message: "Listening", fields });
    if (this.#door.credentials === null && isOpenToOthers(this.addr)) {
      this.#reporter.warn(
        "Listening beyond this machine without TLS: tokens can be read on the way",
        fields,
      );
    }
    this.#door.start();
  }

  #failToStart(error: unknown): void {
    const ended = this.#stopping.signal.aborted;
    this.#plan.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#stopped();
    if (!ended) pointToCaller(error, this.#caller);
    this.#ready.reject(error);
    this.#finished.resolve();
    if (!ended && !this.#ready.isAsked) this.#reporter.report(error, { phase: "listen" });
  }

  /** One session, from WELCOME to the end of its connection. */
  async #serve(link: Link): Promise<void> {
    const { given } = this.#plan;
    const closed = this.#tally.opened(link);
    this.#reporter.opened(link.session);
    this.#reporter.guard(() => given.onOpen?.(link.session));
    this.#router?.onOpen(link);
    await link.run();
    const error = await link.closed;
    closed();
    this.#router?.onClose(link);
    this.#reporter.closed(link.session, error);
    this.#reporter.guard(() => given.onClose?.(link.session, error));
  }

  #stopped(): void {
    this.#state = "stopped";
    this.#router?.stop();
    this.#tally.stop();
  }

  #stopListening(): void {
    if (this.#state !== "stopped") this.#state = "draining";
    this.#plan.given.signal?.removeEventListener("abort", this.#onSignal);
    const closed = new ClosedError("ERR_CLOSED", "Cannot go on: the wire was closed on this side");
    this.#registry.stop(closed);
    this.#stopping.abort(closed);
    this.#door.close(closed);
    this.#hurry.abort();
  }

  /** The time in which a balancer sees that the wire is leaving. */
  #leave(): Promise<void> {
    const { drainDelayMs } = this.#plan;
    if (drainDelayMs === 0 || this.#state !== "listening") {
      return this.#leaving ?? Promise.resolve();
    }
    this.#state = "leaving";
    return this.#leaving = pause(drainDelayMs, this.#hurry.signal);
  }

  async #close(timeoutMs: number): Promise<void> {
    await Promise.resolve();
    this.#stopListening();
    const links = this.#closingLinks = [...this.#registry.links];
    const error = await closeLinks(links, timeoutMs);
    await this.#door.idle();
    this.#stopped();
    this.#finished.resolve();
    if (error !== undefined) throw error;
  }
}
