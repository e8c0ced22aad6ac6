// listenTransport(): accepts connections as bare transports, each after its TLS handshake.
import { type CloseOptions, closeTimeout } from "../options/close.ts";
import { ignoreRejection } from "../async/rejections.ts";
import { iterate } from "../connection/waiter.ts";
import { checkOptionNames } from "../options/names.ts";
import { LISTEN_TRANSPORT_NAMES } from "./option_names.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { checkWait, type WaitOptions, watchWait } from "../async/wait.ts";
import { systemClock } from "../async/clock.ts";
import type { Address, Transport } from "../net/transport/transport.ts";
import { newServerCounters } from "../stats/data/counters.ts";
import { DurationHistogram } from "../stats/data/duration_histogram.ts";
import { Door } from "../accept/door.ts";
import { TransportHandshake } from "../accept/handshake.ts";
import { ServerReporter } from "./reporter.ts";
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
 * Listens, and returns the transport of every connection: bytes without messages, for a protocol
 * that is not Parley's own. `MuxSession` and `Connection` are built on transports. Returns at once:
 * `listener.ready` resolves when it listens.
 *
 * A silent client delays no other: TLS handshakes run side by side, limited in time and number.
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

/** A caller that waits for a transport. */
type Waiter = PromiseWithResolvers<Transport | null>;

/** A transport that the application has not taken yet. */
interface Waiting {
  readonly transport: Transport;
  /** Frees its place. Call it when the transport was taken or closed. */
  readonly release: () => void;
}

/**
 * Accepts connections as bare transports; {@linkcode listenTransport} makes it. A transport belongs
 * to the caller that took it; the end of the listener does not touch it. Every method may be called
 * at any moment. Several calls of {@linkcode accept} may wait: each transport goes to the one that
 * has waited longest.
 */
export class TransportListener implements AsyncDisposable, AsyncIterable<Transport> {
  readonly #options: ResolvedListenTransportOptions;
  readonly #reporter: ServerReporter<unknown>;
  readonly #door: Door<Transport>;
  readonly #ready = new Outcome();
  readonly #finished = new Outcome();
  /** Where in the program it was made. */
  readonly #caller = callerOf(TransportListener);
  readonly #waiting: Waiting[] = [];
  readonly #waiters = new Set<Waiter>();
  #state: ServerState = "created";
  /** What `accept` rejects with: why the listener could not listen, or was aborted. */
  #failure: { readonly error: unknown } | undefined;

  /** @ignore use {@linkcode listenTransport} */
  constructor(options: ResolvedListenTransportOptions) {
    const { given, maxWaiting } = this.#options = options;
    const { onError } = given;
    const reporter = this.#reporter = new ServerReporter<unknown>(
      onError && ((error, context) => onError(error, context as TransportErrorContext)),
      options.logger,
    );
    const isTls = given.tls !== undefined;
    this.#door = new Door(options.door, {
      handshake: new TransportHandshake({ isTls, protocol: null }),
      reporter,
      tally: { counters: newServerCounters(), handshakes: new DurationHistogram() },
      serve: (transport) => this.#offer(transport),
      // Without TLS a connection takes a place among those that wait as soon as it is accepted.
      hasRoom: (size) => (isTls ? this.#waiting.length : size) < maxWaiting,
    });
    given.signal?.addEventListener("abort", this.#onSignal, { once: true });
    // Not before `listenTransport` has returned: callbacks may use its result.
    queueMicrotask(() => void this.#run());
  }

  /** Resolves when it listens; rejects when it cannot. */
  get ready(): Promise<void> {
    return this.#ready.ask();
  }

  /**
   * Resolves when it is stopped and its descriptors are free; rejects only when it could not
   * listen.
   */
  get finished(): Promise<void> {
    return this.#finished.ask();
  }

  /**
   * Where it listens, with the real port. Known once {@linkcode ready} has resolved.
   *
   * @throws {ClosedError} `ERR_CLOSED` when it does not listen yet, or never did
   */
  get addr(): Address {
    const { addr } = this.#door;
    if (addr !== null) return addr;
    throw noAddress("listener", this.#state);
  }

  /** The current state. */
  get state(): ServerState {
    return this.#state;
  }

  /** Transports that the application has not taken yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Waits for the next transport, which then belongs to the caller. Returns `null` once the
   * listener was shut down. A wait that ends early loses no connection.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` when none came within `timeoutMs`
   * @throws {AddressError} when it cannot listen, as {@linkcode ready} does
   * @throws the reason of {@linkcode abort}
   */
  accept(options: WaitOptions = {}): Promise<Transport | null> {
    return ignoreRejection(this.#accept(options));
  }

  async #accept(options: WaitOptions): Promise<Transport | null> {
    checkWait("accept", options);
    options.signal?.throwIfAborted();
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.release();
      return waiting.transport;
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#door.isClosed) return null;
    const waiter: Waiter = Promise.withResolvers();
    this.#waiters.add(waiter);
    const stopWatching = watchWait(options, {
      clock: systemClock,
      cancel: (error) => {
        // At once, or the next connection would be handed to a caller that has given up.
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
      ignoreRejection(
        this.#accept({}).then((value) => {
          return value === null ? { value: undefined, done: true } : { value, done: false };
        }),
      )
    );
  }

  /** Lets the process live while it listens (the default). */
  ref(): void {
    this.#door.ref();
  }

  /** Lets the process end although it listens. */
  unref(): void {
    this.#door.unref();
  }

  /**
   * Stops listening, and closes what was not taken: handshakes under way, and transports that wait.
   * Iterations end. Resolves when the descriptors are free: there is nothing that takes long,
   * whatever `timeoutMs`. Idempotent.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  async shutdown(options: CloseOptions = {}): Promise<void> {
    closeTimeout("Cannot shut down", options, 0);
    this.#stop(new ClosedError("ERR_GOING_AWAY", "The listener was shut down"));
    await this.#finished.promise.catch(() => {});
  }

  /**
   * Stops now: calls of {@linkcode accept} that wait, and iterations, reject with `reason`.
   * Idempotent.
   */
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
    const { given, listen } = this.#options;
    try {
      if (given.signal?.aborted) this.#onSignal();
      await this.#door.listen(listen);
      this.#door.throwIfClosed();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#state = "listening";
    this.#ready.resolve();
    this.#door.start();
    await this.#door.idle();
    this.#state = "stopped";
    this.#finished.resolve();
  }

  #fail(error: unknown): void {
    const ended = this.#door.isClosed;
    this.#state = "stopped";
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    if (!ended) pointToCaller(error, this.#caller);
    const isHeard = this.#ready.isAsked || this.#finished.isAsked || this.#waiters.size > 0;
    this.#ready.reject(error);
    if (ended) return this.#finished.resolve();
    this.#failure = { error };
    this.#finished.reject(error);
    this.#endWaits();
    if (!isHeard) this.#reporter.report(error, { phase: "listen" });
  }

  /**
   * Passes a transport to a caller that waits, or keeps it. Resolves when it was taken or closed.
   */
  #offer(transport: Transport): Promise<void> {
    // Its handshake may have finished in the moment in which the listener was ended.
    if (this.#door.isClosed) transport.close();
    else {
      const [waiter] = this.#waiters;
      if (waiter === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#waiting.push({ transport, release: resolve });
        return promise;
      }
      this.#waiters.delete(waiter);
      waiter.resolve(transport);
    }
    return Promise.resolve();
  }

  #stop(reason: unknown): void {
    if (this.#door.isClosed || this.#state === "stopped") return;
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#state = "draining";
    this.#door.close(reason);
    for (const { transport, release } of this.#waiting.splice(0)) {
      transport.close();
      release();
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
