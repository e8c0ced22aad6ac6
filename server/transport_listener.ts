// listenTransport(): hands out the bare transports of connections that come, each after its TLS handshake.
import { handled } from "../async/rejections.ts";
import { iterate } from "../connection/waiter.ts";
import { checkOptionNames } from "../options/names.ts";
import { LISTEN_TRANSPORT_NAMES } from "./option_names.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { Admission, type Ticket } from "../limits/admission.ts";
import { Penalties } from "../limits/penalties.ts";
import { SourceExemptions } from "../limits/source_exemptions.ts";
import { checkWait, type WaitOptions, watchWait } from "../async/wait.ts";
import { systemClock } from "../async/clock.ts";
import { listen } from "../net/listen.ts";
import type { Address, Incoming, Listener, Transport } from "../net/transport/transport.ts";
import { DurationHistogram } from "../stats/data/duration_histogram.ts";
import { openServerCredentials } from "../tls/load.ts";
import type { CredentialSource } from "../tls/handshake/options.ts";
import { acceptLoop } from "../accept/accept_loop.ts";
import { ErrorReporter } from "./error_reporter.ts";
import { Handshakes } from "../accept/handshakes.ts";
import type { ServerState } from "../accept/server_state.ts";
import { callerOf, noAddress, Outcome, pointToCaller } from "./outcome.ts";
import {
  type ListenTransportOptions,
  type ResolvedListenTransportOptions,
  resolveListenTransportOptions,
  type TransportErrorContext,
} from "./transport_options.ts";

export type { ListenTransportOptions, TransportErrorContext } from "./transport_options.ts";

/**
 * Listens, and hands out the transport of every connection that comes: bytes without messages around them, which `MuxSession` and
 * `Connection` stand on, for a protocol that is not Parley's own. Returns at once: `listener.ready` resolves when it listens.
 *
 * A client that says nothing holds up no other: TLS handshakes run side by side, bounded in time and number.
 *
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 *
 * @example The yamux server of one's own protocol
 * ```ts
 * import { connectTransport, listenTransport } from "@parley/parley";
 * import { MuxSession } from "@parley/parley/mux";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = listenTransport({ port: 0 });
 * const serving = (async () => {
 *   for await (const transport of listener) {
 *     const session = new MuxSession(transport, { role: "server" });
 *     const stream = await session.acceptStream();
 *     await stream?.write(new TextEncoder().encode("hello"));
 *     await stream?.close();
 *   }
 * })();
 * await listener.ready;
 *
 * const client = new MuxSession(await connectTransport({ ...listener.addr }), { role: "client" });
 * const stream = await client.openStream();
 * await stream.closeWrite();
 * assertEquals(await new Response(stream.readable).text(), "hello");
 * await client.close();
 * await listener.shutdown();
 * await serving;
 * ```
 */
export function listenTransport(options: ListenTransportOptions = {}): TransportListener {
  checkOptionNames("Cannot listen", options, LISTEN_TRANSPORT_NAMES);
  return new TransportListener(resolveListenTransportOptions(options));
}

/** Who waits for a transport. */
type Waiter = PromiseWithResolvers<Transport | null>;

/** A transport that the application has not taken yet. */
interface Waiting {
  readonly transport: Transport;
  readonly ticket: Ticket<AbortController>;
}

/**
 * Accepts connections as plain transports; {@linkcode listenTransport} makes it. A transport that the iteration has
 * yielded belongs to the program; ending the listener does not touch it.
 *
 * Several iterations may run concurrently: each transport goes to the call that has waited longest.
 */
export class TransportListener implements AsyncDisposable, AsyncIterable<Transport> {
  readonly #options: ResolvedListenTransportOptions;
  readonly #reporter: ErrorReporter<unknown>;
  readonly #admission: Admission<AbortController>;
  readonly #handshakes: Handshakes;
  /** Handshakes under way. */
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #ready = new Outcome();
  readonly #finished = new Outcome();
  /** Where in the program it was made. */
  readonly #caller = callerOf(TransportListener);
  readonly #waiting: Waiting[] = [];
  readonly #waiters = new Set<Waiter>();
  /** Resolves when there is room for one more that waits. */
  #room: PromiseWithResolvers<void> | undefined;
  #state: ServerState = "created";
  /** What `accept` rejects with: why it could not listen, or was aborted. */
  #failure: { readonly error: unknown } | undefined;
  #listener: Listener | null = null;
  #credentials: CredentialSource | null = null;
  #referenced = true;

  /** @ignore use {@linkcode listenTransport} */
  constructor(options: ResolvedListenTransportOptions) {
    const { given, maxPending, maxPendingPerSource, maxWaiting, handshakeTimeoutMs } = this.#options =
      options;
    const exemptions = new SourceExemptions(given);
    const penalties = new Penalties(given.penalties, exemptions);
    const maxConnections = maxPending + maxWaiting + 1;
    this.#admission = new Admission({ maxConnections, maxPending, maxPendingPerSource }, {
      penalties,
      exemptions,
    });
    const { onError } = given;
    const reporter = this.#reporter = new ErrorReporter<unknown>(
      onError && ((error, context) => onError(error, context as TransportErrorContext)),
      options.logger,
    );
    const counters = { connectionsReplaced: 0, handshakeFailures: 0, handshakeTimeouts: 0 };
    const tally = { counters, handshakes: new DurationHistogram() };
    this.#handshakes = new Handshakes(this.#admission, penalties, tally, {
      timeoutMs: handshakeTimeoutMs,
      stopping: this.#stopping.signal,
      isInstant: given.tls === undefined,
      protocol: null,
      onFailed: (error, { remoteAddr }) => reporter.report(error, { phase: "handshake", remoteAddr }),
      onRefused: ({ remoteAddr }, reason) => reporter.refused(reason, remoteAddr, this.#admission),
    });
    given.signal?.addEventListener("abort", this.#onSignal, { once: true });
    // Not before `listenTransport` has returned: callbacks may use its result.
    queueMicrotask(() => void this.#run());
  }

  /** Resolves when it listens; rejects when it cannot. */
  get ready(): Promise<void> {
    return this.#ready.ask();
  }

  /** Resolves when it is stopped and its descriptors are free; rejects only when it could not listen. */
  get finished(): Promise<void> {
    return this.#finished.ask();
  }

  /**
   * Where it listens, with the real port. Known once {@linkcode ready} has resolved.
   *
   * @throws {ClosedError} `ERR_CLOSED` when it does not listen yet, or never did
   */
  get addr(): Address {
    if (this.#listener !== null) return this.#listener.addr;
    throw noAddress("listener", this.#state);
  }

  /** Where in its life it is. */
  get state(): ServerState {
    return this.#state;
  }

  /** Transports that the application has not taken yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Waits for the next transport, which belongs to the caller then; `null` once the listener was shut down. A wait that ends early loses
   * no connection.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when none came within `timeoutMs`
   * @throws {AddressError} when it cannot listen, as {@linkcode ready} does
   * @throws the reason of {@linkcode abort}
   */
  accept(options: WaitOptions = {}): Promise<Transport | null> {
    return handled(this.#accept(options));
  }

  async #accept(options: WaitOptions): Promise<Transport | null> {
    checkWait("accept", options);
    options.signal?.throwIfAborted();
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      this.#admission.release(waiting.ticket);
      this.#room?.resolve();
      return waiting.transport;
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#stopping.signal.aborted) return null;
    const waiter: Waiter = Promise.withResolvers();
    this.#waiters.add(waiter);
    const stopWatching = watchWait(options, {
      clock: systemClock,
      cancel: (error) => {
        // At once, or the next connection would go to a call that has given up.
        this.#waiters.delete(waiter);
        waiter.reject(error);
      },
      timeout: (ms) =>
        new TimeoutError("ERR_READ_TIMEOUT", `Cannot accept: no connection came within ${ms} ms`),
    });
    try {
      return await waiter.promise;
    } finally {
      stopWatching();
    }
  }

  /** Iterates over the transports, to the end of the listener. Leaving the loop ends nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Transport, undefined> {
    return iterate(() =>
      handled(
        this.#accept({}).then((value) => {
          return value === null ? { value: undefined, done: true } : { value, done: false };
        }),
      )
    );
  }

  /** Lets the process live while it listens (the default). */
  ref(): void {
    this.#referenced = true;
    this.#listener?.ref();
  }

  /** Lets the process end although it listens. */
  unref(): void {
    this.#referenced = false;
    this.#listener?.unref();
  }

  /**
   * Stops listening, and closes what was not taken: handshakes under way, and transports that wait. Iterations end. Resolves when the
   * descriptors are free. Idempotent.
   */
  async shutdown(): Promise<void> {
    this.#stop(new ClosedError("ERR_GOING_AWAY", "The listener was shut down"));
    await this.#finished.promise.catch(() => {});
  }

  /** The same now: who waits in {@linkcode accept} or iterates gets `reason`. Idempotent. */
  abort(reason: unknown = new ClosedError("ERR_CLOSED", "The listener was aborted")): void {
    if (this.#state === "stopped" || this.#state === "draining") return;
    this.#failure = { error: reason };
    this.#stop(reason);
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  readonly #onSignal = (): void => this.#stop(this.#options.given.signal?.reason);

  /** From the first step to the last. Never rejects. */
  async #run(): Promise<void> {
    let listener: Listener;
    try {
      this.#assertStarting();
      listener = await this.#listen();
      // In one turn with what follows: an end that comes in between would find no listener to close.
      if (this.#stopping.signal.aborted) listener.close();
      this.#assertStarting();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#listener = listener;
    if (!this.#referenced) listener.unref();
    this.#state = "listening";
    this.#ready.resolve();
    await acceptLoop(this.#whileThereIsRoom(listener), this.#admission, {
      onAdmitted: (incoming, ticket) => this.#track(this.#welcome(incoming, ticket)),
      onRefused: ({ remoteAddr }, reason) => this.#reporter.refused(reason, remoteAddr, this.#admission),
      onReplaced: (ticket) => this.#handshakes.replace(ticket),
      onFault: (error) => this.#reporter.report(error, { phase: "accept" }),
    }, this.#stopping.signal);
    await Promise.all(this.#running);
    this.#state = "stopped";
    this.#finished.resolve();
  }

  async #listen(): Promise<Listener> {
    const { given, where, listenOptions } = this.#options;
    if (given.tls !== undefined) {
      this.#credentials = await openServerCredentials(given.tls, {
        onError: (error) => this.#reporter.report(error, { phase: "certificates" }),
      });
      this.#assertStarting();
    }
    const tls = this.#credentials === null ? undefined : { ...given.tls, credentials: this.#credentials };
    return await listen({ ...where, tls }, listenOptions);
  }

  /** Throws when it was ended before it listened. */
  #assertStarting(): void {
    if (this.#options.given.signal?.aborted) this.#onSignal();
    this.#stopping.signal.throwIfAborted();
  }

  #fail(error: unknown): void {
    const ended = this.#stopping.signal.aborted;
    this.#state = "stopped";
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#credentials?.close();
    if (!ended) pointToCaller(error, this.#caller);
    const isHeard = this.#ready.isAsked || this.#finished.isAsked || this.#waiters.size > 0;
    this.#ready.reject(error);
    if (ended) return this.#finished.resolve();
    this.#failure = { error };
    this.#finished.reject(error);
    this.#endWaits();
    if (!isHeard) this.#reporter.report(error, { phase: "listen" });
  }

  /** The listener, asked for no more than there is room for. */
  #whileThereIsRoom(listener: Listener): Listener {
    const accept = async () => {
      while (this.#taken >= this.#options.maxWaiting && !this.#stopping.signal.aborted) {
        this.#room = Promise.withResolvers();
        await this.#room.promise;
      }
      return await listener.accept();
    };
    return {
      addr: listener.addr,
      accept,
      close: () => listener.close(),
      ref: () => listener.ref(),
      unref: () => listener.unref(),
    };
  }

  /** Finishes the handshake of a connection, and passes it to a waiting call. Never rejects. */
  async #welcome(incoming: Incoming, ticket: Ticket<AbortController>): Promise<void> {
    const transport = await this.#handshakes.finish(incoming, ticket);
    if (transport === null) return;
    if (this.#stopping.signal.aborted) {
      this.#admission.release(ticket);
      transport.close();
      return;
    }
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      this.#admission.release(ticket);
      waiter.resolve(transport);
      return;
    }
    this.#waiting.push({ transport, ticket });
  }

  /** Places that are taken among those that wait; without TLS a connection has one from the start. */
  get #taken(): number {
    const { tls } = this.#options.given;
    return this.#waiting.length + (tls === undefined ? this.#running.size : 0);
  }

  #track(task: Promise<void>): void {
    this.#running.add(task);
    void task.then(() => {
      this.#running.delete(task);
      this.#room?.resolve();
    });
  }

  #stop(reason: unknown): void {
    if (this.#stopping.signal.aborted || this.#state === "stopped") return;
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#state = "draining";
    this.#admission.drain();
    this.#listener?.close();
    this.#credentials?.close();
    this.#stopping.abort(reason);
    this.#room?.resolve();
    for (const { transport, ticket } of this.#waiting.splice(0)) {
      this.#admission.release(ticket);
      transport.close();
    }
    this.#endWaits();
  }

  #endWaits(): void {
    for (const waiter of this.#waiters) {
      if (this.#failure === undefined) waiter.resolve(null);
      else waiter.reject(this.#failure.error);
    }
    this.#waiters.clear();
  }
}
