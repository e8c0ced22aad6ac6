// mount(): the server side of the wire: lets peers join, lists their sessions, ends them in order.
import { ClosedError } from "../errors.ts";
import { Admission, type Ticket } from "../limits/admission.ts";
import { Penalties } from "../limits/penalties.ts";
import { SourceExemptions } from "../limits/source_exemptions.ts";
import { listen } from "../net/listen.ts";
import type { Address, Incoming, Listener } from "../net/transport.ts";
import { acceptLoop } from "../server/accept_loop.ts";
import { Handshakes } from "../server/handshakes.ts";
import type { ServerState } from "../server/options.ts";
import type { WireCounters } from "../stats/counters.ts";
import type { WireStats } from "../stats/snapshots.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry.ts";
import { openServerCredentials } from "../tls/load.ts";
import type { CredentialSource } from "../tls/options.ts";
import { timeLimit, withDeadline } from "./deadline.ts";
import type { Control, Open, SessionRefusal, StreamRefusal } from "./frames.ts";
import type { FrameChannel } from "./frame_channel.ts";
import { GreetedIncoming, type Greeting } from "./greeting.ts";
import { HANDLERS, HandlerTable } from "./handlers.ts";
import { Link, type LinkHost } from "./link.ts";
import { type MountPlan, resolveMount } from "./mount_plan.ts";
import type { Authorize, MountOptions, StreamHandler } from "./options.ts";
import { Registry } from "./registry.ts";
import { WireReporter } from "./reporter.ts";
import type { WireCloseOptions, WireSession } from "./session.ts";
import { WireTally } from "./tally.ts";
import { observeMount } from "./telemetry.ts";

/** What a hub adds to a server. */
export interface Router {
  /** Brings a stream to somebody else, to its end, or gives why not. */
  route(link: Link, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined>;
  onOpen(link: Link): void;
  onOffers(link: Link): void;
  onClose(link: Link): void;
}

/** What a router works with. */
export interface RouterParts {
  /** Where it finds sessions. */
  readonly registry: Registry;
  /** Where it counts. */
  readonly counters: WireCounters;
}

/** Makes the router of a hub. */
export type MakeRouter = (parts: RouterParts) => Router;

/**
 * Listens for peers that {@linkcode join}. Returns at once: `wire.ready` tells when it listens.
 *
 * @throws {TypeError | RangeError} when an option is wrong, or neither `authorize` nor `insecureAnyone` is given
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
 * await stream.close();
 * ```
 */
export function mount(options: MountOptions): MountedWire {
  return new MountedWire(resolveMount(options), null);
}

/** The server side of the wire; {@linkcode mount} and {@linkcode hub} make it. */
export class MountedWire implements AsyncDisposable {
  /** Resolves when it listens; rejects when it cannot. */
  readonly ready: Promise<void>;
  /** Resolves when all is over and the descriptors are free. Never rejects. */
  readonly finished: Promise<void>;
  readonly #plan: MountPlan;
  readonly #registry = new Registry();
  readonly #router: Router | null;
  readonly #reporter: WireReporter;
  readonly #handlers = new HandlerTable(() => {
    for (const link of this.#registry.links) link.control.tellNames();
  });
  readonly #admission: Admission<AbortController>;
  readonly #handshakes: Handshakes;
  readonly #tally = new WireTally();
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  #state: ServerState = "created";
  #listener: Listener | null = null;
  #accepting: Promise<void> = Promise.resolve();
  #credentials: CredentialSource | null = null;
  #closing: Promise<void> | undefined;

  /** @ignore use {@linkcode mount} or {@linkcode hub} */
  constructor(plan: MountPlan, makeRouter: MakeRouter | null) {
    const { given } = this.#plan = plan;
    this.ready = this.#ready.promise;
    this.ready.catch(() => {});
    this.finished = this.#finished.promise;
    this.#router = makeRouter?.({ registry: this.#registry, counters: this.#tally.counters }) ?? null;
    const reporter = this.#reporter = new WireReporter(given);
    for (const [name, handler] of Object.entries(given.handlers ?? {})) this.#handlers.set(name, handler);
    const exemptions = new SourceExemptions(given);
    const penalties = new Penalties(given.penalties, exemptions);
    this.#admission = new Admission(plan.admission, { penalties, exemptions });
    this.#handshakes = new Handshakes(this.#admission, penalties, this.#tally, {
      timeoutMs: plan.handshakeTimeoutMs,
      stopping: this.#stopping.signal,
      protocol: "wire",
      onFailed: (error) => reporter.report(error, { phase: "handshake" }),
    });
    given.signal?.addEventListener("abort", this.#onSignal, { once: true });
    queueMicrotask(() => void this.#start());
  }

  /** Where in its life it is. */
  get state(): ServerState {
    return this.#state;
  }

  /** Where it listens, with the real port. Known once {@linkcode ready} has resolved. */
  get addr(): Address {
    if (this.#listener !== null) return this.#listener.addr;
    throw new ClosedError("ERR_CLOSED", "Cannot tell the address as the wire does not listen");
  }

  /** Sessions that are open, the oldest first. */
  get sessions(): WireSession[] {
    return [...this.#registry.links].map((link) => link.session);
  }

  /** What it has done so far, over all and by day. */
  stats(): WireStats {
    return this.#tally.snapshot({
      role: this.#router === null ? "mount" : "hub",
      state: this.#state,
      address: this.#listener?.addr ?? null,
      links: this.#registry.links,
      admission: this.#admission,
    });
  }

  /** Names that this side handles. */
  get handlers(): readonly string[] {
    return this.#handlers.names;
  }

  /** A session by its id or by who joined; `undefined` when there is none. */
  session(idOrIdentity: string): WireSession | undefined {
    return this.#registry.find(idOrIdentity)?.session;
  }

  /** Opens a stream to somebody who joined: `session(idOrIdentity).open(name)`. @throws as {@linkcode WireSession.open} does */
  async open(
    idOrIdentity: string,
    name: string,
    options?: Parameters<WireSession["open"]>[1],
  ): ReturnType<WireSession["open"]> {
    const session = this.session(idOrIdentity);
    if (session !== undefined) return await session.open(name, options);
    throw new ClosedError("ERR_CLOSED", `Cannot open the stream "${name}" as the peer is not there`);
  }

  /** @ignore for tunnels */
  get [HANDLERS](): HandlerTable {
    return this.#handlers;
  }

  /** Sets the handler of a name, for open sessions too. @throws {TypeError | RangeError} when it cannot be one */
  handle(name: string, handler: StreamHandler): void {
    this.#handlers.set(name, handler);
  }

  /** Removes a handler; streams that it serves go on. `false` when there was none. */
  unhandle(name: string): boolean {
    return this.#handlers.delete(name);
  }

  /**
   * Ends in order: nobody joins any more, open streams and handlers finish, on all sessions at once. Idempotent.
   *
   * @throws {AggregateError} with the error of every session that could not end in order
   */
  close(options: WireCloseOptions = {}): Promise<void> {
    const timeoutMs = timeLimit("close the wire", options, 10_000);
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** Ends now: every session is cut. */
  abort(reason?: unknown): void {
    this.#stopListening();
    for (const link of this.#registry.links) link.abort(reason);
    this.#closing ??= this.#close(1);
    this.#closing.catch(() => {});
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #onSignal = (): void => {
    this.close().catch((error) => this.#reporter.report(error, { phase: "session" }));
  };

  async #start(): Promise<void> {
    this.#tally.start();
    try {
      if (lookForTelemetry()) await loadTelemetry();
      this.#plan.given.signal?.throwIfAborted();
      this.#assertStarting();
      this.#listener = await this.#listen();
    } catch (error) {
      this.#credentials?.close();
      this.#stopped();
      this.#ready.reject(error);
      this.#finished.resolve();
      if (!this.#stopping.signal.aborted) this.#reporter.report(error, { phase: "listen" });
      return;
    }
    this.#state = "listening";
    this.#ready.resolve();
    observeMount(this);
    const fields = { address: this.addr };
    this.#reporter.events.tell({ level: "info", kind: "listening", message: "Listening", fields });
    this.#accepting = acceptLoop(this.#listener, this.#admission, {
      onAdmitted: (incoming, ticket) => this.#track(this.#welcome(incoming, ticket)),
      onRefused: ({ remoteAddr }) => {
        this.#tally.counters.connectionsRefused++;
        this.#reporter.events.refused(remoteAddr);
      },
      onReplaced: (ticket) => this.#handshakes.replace(ticket),
      onFault: (error) => this.#reporter.report(error, { phase: "accept" }),
    }, this.#stopping.signal);
  }

  async #listen(): Promise<Listener> {
    const { given, where, listenOptions } = this.#plan;
    if (given.tls !== undefined) {
      this.#credentials = await openServerCredentials(given.tls, {
        onError: (error) => this.#reporter.report(error, { phase: "certificates" }),
      });
    }
    const tls = this.#credentials === null ? undefined : { ...given.tls, credentials: this.#credentials };
    const listener = await listen({ ...where, tls }, listenOptions);
    if (!this.#stopping.signal.aborted) return listener;
    listener.close();
    throw this.#stopping.signal.reason;
  }

  #assertStarting(): void {
    this.#stopping.signal.throwIfAborted();
  }

  #track(task: Promise<void>): void {
    this.#running.add(task);
    void task.then(() => this.#running.delete(task));
  }

  /** TLS, HELLO and WELCOME, then the session to its end. Never rejects. */
  async #welcome(incoming: Incoming, ticket: Ticket<AbortController>): Promise<void> {
    let link: Link | undefined;
    const greeted = new GreetedIncoming(incoming, {
      names: () => this.#handlers.names,
      judge: (greeting, signal) => this.#judgeSession(greeting, signal),
      admit: (facts) => this.#registry.claim(facts) ? undefined : "ERR_NAME_TAKEN",
      register: (facts) => {
        link = new Link(facts, this.#host);
        if (!this.#registry.add(link)) link.abort();
      },
    }, this.#plan.mux);
    const transport = await this.#handshakes.finish(greeted, ticket);
    if (transport !== null && link !== undefined) await this.#serve(link);
    transport?.close();
    this.#admission.release(ticket);
  }

  /** One session, from WELCOME to its end. */
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

  async #judgeSession(
    { hello, transport }: Greeting,
    signal: AbortSignal,
  ): Promise<SessionRefusal | undefined> {
    if (this.#stopping.signal.aborted) return "ERR_BUSY";
    const { identity, token } = hello;
    const { remoteAddr, tls } = transport;
    const asked = this.#ask({ kind: "session", identity, token, remoteAddr, tls });
    const late = () => new ClosedError("ERR_CLOSED", "Cannot authorize the session in time");
    const allowed = await withDeadline(
      { signal, timeoutMs: this.#plan.handshakeTimeoutMs, late },
      () => asked,
    ).catch((error) => {
      this.#reporter.report(error, { phase: "handshake" });
      return false;
    });
    return allowed === true ? undefined : "ERR_AUTH";
  }

  async #ask(request: Parameters<Authorize>[0]): Promise<boolean> {
    const { authorize } = this.#plan.given;
    return authorize === undefined ? true : await authorize(request) === true;
  }

  get #host(): LinkHost {
    return {
      counters: this.#tally.counters,
      handlers: this.#handlers,
      maxHandlers: this.#plan.maxHandlers,
      judge: (link: Link, open: Open): Promise<StreamRefusal | undefined> => this.#judgeStream(link, open),
      opener: (link: Link): string => link.facts.identity,
      route: (link: Link, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined> =>
        this.#router?.route(link, channel, open) ?? Promise.resolve("ERR_NO_PEER"),
      onControl: (link: Link, { streams }: Control): void => {
        if (streams === undefined) return;
        link.offers = streams;
        this.#router?.onOffers(link);
        this.#reporter.guard(() => this.#plan.given.onOffers?.(link.session));
      },
      onStreamError: (link: Link, error: unknown): void =>
        this.#reporter.report(error, { phase: "stream", session: link.session }),
    };
  }

  async #judgeStream(link: Link, open: Open): Promise<StreamRefusal | undefined> {
    // Who opens a stream is known already; whoever says otherwise lies.
    if (open.from !== undefined) return "ERR_FORBIDDEN";
    const { identity, token, transport: { remoteAddr, tls } } = link.facts;
    const { name, to } = open;
    const allowed = await this.#ask({
      kind: "stream",
      identity,
      token,
      name,
      from: identity,
      to,
      remoteAddr,
      tls,
    });
    return allowed ? undefined : "ERR_FORBIDDEN";
  }

  #stopped(): void {
    this.#state = "stopped";
    this.#tally.stop();
  }

  #stopListening(): void {
    if (this.#state !== "stopped") this.#state = "draining";
    this.#plan.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#admission.drain();
    this.#listener?.close();
    this.#credentials?.close();
    this.#stopping.abort(new ClosedError("ERR_CLOSED", "The wire was closed"));
  }

  async #close(timeoutMs: number): Promise<void> {
    await Promise.resolve();
    this.#stopListening();
    const links = [...this.#registry.links];
    const results = await Promise.allSettled(links.map((link) => link.close(timeoutMs)));
    await this.#accepting;
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#stopped();
    this.#finished.resolve();
    const errors = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    if (errors.length === 0) return;
    const text = `Cannot close in order: ${errors.length} of ${links.length} sessions failed`;
    throw new AggregateError(errors, text);
  }
}
