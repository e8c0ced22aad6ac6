// Door: accepts for every listening side: listener, limits, handshakes, and the order of ending.
import { Admission, type RefusalReason, type SharedConnections } from "../limits/admission.ts";
import type { Ticket } from "../limits/ticket.ts";
import type { AdmissionOptions } from "../limits/admission_options.ts";
import { Penalties, type PenaltiesOptions } from "../limits/penalties.ts";
import { SourceExemptions, type SourceExemptionsOptions } from "../limits/source_exemptions.ts";
import type { Address, Incoming } from "../net/transport/transport.ts";
import type { ServerCounters } from "../stats/data/counters.ts";
import type { DurationHistogram } from "../stats/data/duration_histogram.ts";
import type { CredentialSource } from "../tls/handshake/options.ts";
import { acceptLoop } from "./accept_loop.ts";
import type { Handshake } from "./handshake.ts";
import { Handshakes } from "./handshakes.ts";
import { Listening, type ListenPlan } from "./listening.ts";
import { PacedListener } from "./paced_listener.ts";

/** The limits of a door, resolved once per server. */
export interface DoorPlan {
  /** Limits of connections. `maxConnections` fits the descriptors that the process may have. */
  readonly admission: AdmissionOptions;
  /** When a source is refused for handshakes that failed. */
  readonly penalties: PenaltiesOptions | undefined;
  /** Sources that limits per source leave alone. */
  readonly exemptions: SourceExemptionsOptions;
  /** Longest time of one handshake in ms. */
  readonly handshakeTimeoutMs: number;
}

/** Where a door reports what no caller learns of. No method may throw. */
export interface DoorReporter {
  /** Reports a fault of the listener, a failed handshake, or certificates that are unfit. */
  report(
    error: unknown,
    context: {
      readonly phase: "accept" | "handshake" | "certificates";
      readonly remoteAddr?: Address;
    },
  ): void;
  /** Reports a connection that a limit refused. */
  refused(reason: RefusalReason, remoteAddr: Address, admission: Admission<AbortController>): void;
  /** Reports a connection whose handshake stalled, and was cut for a newcomer. @default {silent} */
  replaced?(remoteAddr: Address): void;
}

/** Where a door counts. */
export interface DoorTally {
  /** Connections that were not admitted, or whose handshake failed. */
  readonly counters: Pick<
    ServerCounters,
    "connectionsRefused" | "connectionsReplaced" | "handshakeFailures" | "handshakeTimeouts"
  >;
  /** How long successful handshakes took. */
  readonly handshakes: DurationHistogram;
}

/** What a {@linkcode Door} works with. */
export interface DoorParts<Link> {
  /** Brings each connection from the socket to a link. */
  readonly handshake: Handshake<Link>;
  readonly reporter: DoorReporter;
  readonly tally: DoorTally;
  /**
   * Serves a link to its end. The connection counts until the promise resolves. It must not reject.
   */
  readonly serve: (link: Link, incoming: Incoming) => Promise<void>;
  /**
   * Whether one more connection may be accepted while `size` are under way. Until then newcomers
   * wait in the kernel. It is asked again whenever a connection has ended.
   *
   * @default {always}
   */
  readonly hasRoom?: ((size: number) => boolean) | undefined;
  /** The count that `maxConnections` limits. @default {that of this door alone} */
  readonly shared?: SharedConnections | undefined;
  /** Where refusals are counted by reason. @default {a record of its own} */
  readonly refused?: Record<RefusalReason, number> | undefined;
}

/**
 * Accepts connections within limits, brings each through its handshake, and serves them side by
 * side.
 * ```text
 *            listen()         start()             close()
 *  closed ───────────▶ bound ────────▶ accepting ─────────▶ stopped ──▶ idle
 *
 *  one connection:  accepted ─▶ admitted ─▶ (balancer's header) ─▶ handshake ─▶ served ─▶ released
 *                      └─ refused, held back     └──────── refused, failed, late, replaced
 * ```
 * Call {@linkcode listen} or {@linkcode take}, then {@linkcode start} once. All else may be called
 * at any moment, and again. (A callback serves, not an iterator: an iteration would need a queue,
 * and a way to say that a connection has ended.)
 *
 * @typeParam Link What a finished handshake results in
 *
 * @example A server that says hello
 * ```ts
 * import { Door } from "./door.ts";
 * import { TransportHandshake } from "./handshake.ts";
 * import { newServerCounters } from "../stats/data/counters.ts";
 * import { DurationHistogram } from "../stats/data/duration_histogram.ts";
 * import { ClosedError } from "../errors.ts";
 *
 * const limits = { admission: {}, penalties: undefined, exemptions: {}, handshakeTimeoutMs: 5000 };
 * const door = new Door(limits, {
 *   handshake: new TransportHandshake({ isTls: false, protocol: null }),
 *   reporter: { report() {}, refused() {} },
 *   tally: { counters: newServerCounters(), handshakes: new DurationHistogram() },
 *   async serve(transport) {
 *     await transport.write(new TextEncoder().encode("hello"));
 *     transport.close();
 *   },
 * });
 * await door.listen({ where: { port: 0 }, tls: undefined, listenOptions: {} });
 * door.start();
 * door.close(new ClosedError("ERR_CLOSED", "The server was closed"));
 * await door.idle();
 * ```
 */
export class Door<Link> {
  /** Decides which connections are admitted, and counts them. */
  readonly admission: Admission<AbortController>;
  readonly #parts: DoorParts<Link>;
  readonly #handshakes: Handshakes<Link>;
  /** Handshakes under way, and connections that are served. */
  #size = 0;
  /** Resolves when there are none, once that is waited for. */
  #emptied: PromiseWithResolvers<void> | null = null;
  /** Ends the wait for newcomers. */
  readonly #stopping = new AbortController();
  /** Ends handshakes under way. */
  readonly #givingUp = new AbortController();
  #listening: Listening | null = null;
  #paced: PacedListener | null = null;
  /** The accept loop. */
  #accepting: Promise<void> = Promise.resolve();
  #graceTimer: ReturnType<typeof setTimeout> | undefined;
  #isReferenced = true;

  /** @throws {TypeError | RangeError} when a limit is wrong */
  constructor(plan: DoorPlan, parts: DoorParts<Link>) {
    this.#parts = parts;
    const exemptions = new SourceExemptions(plan.exemptions);
    const penalties = new Penalties(plan.penalties, exemptions);
    const { shared, refused } = parts;
    this.admission = new Admission(plan.admission, { penalties, exemptions, shared, refused });
    const { handshake, reporter, tally } = parts;
    this.#handshakes = new Handshakes(this.admission, penalties, tally, {
      handshake,
      timeoutMs: plan.handshakeTimeoutMs,
      stopping: this.#givingUp.signal,
      onFailed: (error, { remoteAddr }) =>
        reporter.report(error, { phase: "handshake", remoteAddr }),
      onRefused: (incoming, reason) => this.#onRefused(incoming, reason),
      onReplaced: ({ remoteAddr }) => reporter.replaced?.(remoteAddr),
    });
  }

  /** Where it listens, with the real port; `null` before {@linkcode listen} has resolved. */
  get addr(): Address | null {
    return this.#listening?.listener.addr ?? null;
  }

  /** Certificates in force; `null` without TLS, and before {@linkcode listen} has resolved. */
  get credentials(): CredentialSource | null {
    return this.#listening?.credentials ?? null;
  }

  /** Whether {@linkcode close} was called. */
  get isClosed(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** @throws the reason of {@linkcode close}, if it was called */
  throwIfClosed(): void {
    this.#stopping.signal.throwIfAborted();
  }

  /** Handshakes under way, and connections that are served. */
  get size(): number {
    return this.#size;
  }

  /**
   * Loads the certificates, and listens. A close that comes between this and the caller's next step
   * closes the listener: call {@linkcode throwIfClosed} after it.
   *
   * @throws as `listen` and `loadTls` do; the reason of {@linkcode close} when it was called
   * meanwhile
   */
  async listen(plan: ListenPlan): Promise<void> {
    const { reporter } = this.#parts;
    const listening = await Listening.open(plan, {
      signal: this.#stopping.signal,
      onCertificateError: (error) => reporter.report(error, { phase: "certificates" }),
    });
    // A close may have come since: it found no listener.
    this.take(listening);
  }

  /**
   * Takes over a listener that the owner made. The door closes it when the door is closed.
   *
   * @throws the reason of {@linkcode close}, if it was called; the listener is closed then
   */
  take(listening: Listening): void {
    if (this.isClosed) listening.close();
    this.throwIfClosed();
    this.#listening = listening;
    if (!this.#isReferenced) listening.listener.unref();
  }

  /** Begins to accept. {@linkcode close} ends that. */
  start(): void {
    if (this.#listening === null) throw new TypeError("Cannot accept: the door must listen first");
    const { hasRoom, reporter } = this.#parts;
    let { listener } = this.#listening;
    if (hasRoom !== undefined) {
      listener = this.#paced = new PacedListener(listener, () => hasRoom(this.size));
    }
    this.#accepting = acceptLoop(listener, this.admission, {
      onAdmitted: (incoming, ticket) => this.#admit(incoming, ticket),
      onRefused: (incoming, reason) => this.#onRefused(incoming, reason),
      onReplaced: (ticket) => this.#handshakes.replace(ticket),
      onFault: (error) => reporter.report(error, { phase: "accept" }),
    }, this.#stopping.signal);
  }

  /** Lets the process live while the door listens (the default). */
  ref(): void {
    this.#isReferenced = true;
    this.#listening?.listener.ref();
  }

  /** Lets the process end although the door listens. */
  unref(): void {
    this.#isReferenced = false;
    this.#listening?.listener.unref();
  }

  /**
   * Stops accepting, and frees the listener. Handshakes under way are cut after `graceMs`, at once
   * by default. Connections that are served go on. A second call without `graceMs` ends a grace
   * that is under way.
   *
   * @param reason What cut handshakes and {@linkcode listen} reject with. The first call's reason
   * counts
   */
  close(reason: unknown, graceMs: number = 0): void {
    if (!this.isClosed) {
      this.admission.drain();
      this.#listening?.close();
      this.#stopping.abort(reason);
      this.#paced?.close();
      if (graceMs > 0) this.#graceTimer = setTimeout(() => this.#giveUp(), graceMs);
    }
    if (graceMs === 0) this.#giveUp();
  }

  /** Resolves when the accept loop has ended: the listener's descriptor is free. Never rejects. */
  get stopped(): Promise<void> {
    return this.#accepting;
  }

  /**
   * Resolves when the accept loop has ended, and neither a handshake nor a connection is left.
   * Never rejects.
   */
  async idle(): Promise<void> {
    await this.#accepting;
    while (this.#size > 0) {
      this.#emptied ??= Promise.withResolvers();
      await this.#emptied.promise;
    }
  }

  #giveUp(): void {
    clearTimeout(this.#graceTimer);
    this.#givingUp.abort(this.#stopping.signal.reason);
  }

  #onRefused({ remoteAddr }: Incoming, reason: RefusalReason): void {
    const { reporter, tally } = this.#parts;
    tally.counters.connectionsRefused++;
    reporter.refused(reason, remoteAddr, this.admission);
  }

  #admit(incoming: Incoming, ticket: Ticket<AbortController>): void {
    this.#size++;
    const link = this.#handshakes.finishNow(incoming, ticket);
    if (link === null) void this.#receive(incoming, ticket);
    else this.#serve(link, incoming, ticket);
  }

  /** Brings a connection through its handshake. Never rejects. */
  async #receive(incoming: Incoming, ticket: Ticket<AbortController>): Promise<void> {
    const link = await this.#handshakes.finish(incoming, ticket);
    if (link === null) this.#left();
    else this.#serve(link, incoming, ticket);
  }

  /**
   * Serves a link to its end. Nothing waits here in an `await`: that would keep more than half a KiB
   * for each connection.
   */
  #serve(link: Link, incoming: Incoming, ticket: Ticket<AbortController>): void {
    void this.#parts.serve(link, incoming).then(() => {
      this.admission.release(ticket);
      this.#left();
    });
  }

  /** A connection is gone. */
  #left(): void {
    this.#size--;
    this.#paced?.recheck();
    if (this.#size > 0) return;
    this.#emptied?.resolve();
    this.#emptied = null;
  }
}
