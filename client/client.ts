// Client: keeps a link to a server up, and carries messages from one link to the next.
import { type CloseOptions, closeTimeout } from "../options/close.ts";
import { checkOptionNames } from "../options/names.ts";
import { CLIENT_NAMES } from "./option_names.ts";
import { keepConnected, type LinkEnd } from "../async/keep_connected.ts";
import type { Connection, ReceiveBatchOptions, ReceiveOptions } from "../connection.ts";
import { ignoreRejection, Refusals, rejected } from "../async/rejections.ts";
import { allToBytes, toBytes } from "../connection/message_bytes.ts";
import type { Traffic } from "../connection/types.ts";
import { iterate, iteration } from "../connection/waiter.ts";
import { ClosedError } from "../errors.ts";
import type { ClientStats } from "../stats/data/snapshots.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import type { Backoff } from "../async/backoff.ts";
import type { ClientOptions, ResolvedClientOptions } from "./client_options.ts";
import { resolveClientOptions } from "./client_options.ts";
import { checkDialOptions } from "./check_dial.ts";
import { provideLinkClaims } from "./claim.ts";
import { closedError, closeLink, throwIfCut } from "./close_link.ts";
import { establish } from "./connect.ts";
import { isPermanentFailure } from "./permanent_failure.ts";
import { IncomingMessages } from "./incoming.ts";
import type { ResolvedConnectOptions } from "./options.ts";
import { SendBuffer } from "./send_buffer.ts";
import type { ClientStatus, ClientStatusEvent } from "./status.ts";
import { howServerLeft, logStatus, StatusFeed } from "./status.ts";
import { ClientTally } from "./tally.ts";
import { hasReceived, silenceFor, tryOut } from "./trial.ts";

/**
 * Keeps a link to a server connected: dials, and dials again when the link is lost, after a random delay that
 * grows. Messages are sent when there is a link, and received from one link after the other. A server that
 * ends its direction ends the link. A link that ends at once counts as a failed attempt: see `trialMs`.
 *
 * The process lives while the client is open. Refused credentials (an `AuthError`), a wrong option and a
 * missing permission end the client; nothing else does, unless `reconnect` says so. After a TLS alert that
 * refuses our certificate the client dials again, because either side may get another certificate.
 *
 * One reader at a time; `send`, `flush` and `close` may be called concurrently, and messages leave in the
 * order of the calls.
 *
 * @example
 * ```ts
 * import { Client, serve } from "@parley/parley";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve(async (conn) => {
 *   for await (const message of conn) await conn.send(message);
 * });
 * await server.ready;
 *
 * await using client = new Client({ ...server.addr });
 * await client.send("Hi!");
 * assertEquals(await client.receive(), new TextEncoder().encode("Hi!"));
 * ```
 */
export class Client<Data = unknown> implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Resolves when the first link is up; rejects with the reason when the client is closed before that. */
  readonly ready: Promise<void>;
  /** Resolves when the client is closed for good and its descriptor is free. Never rejects. */
  readonly closed: Promise<void>;

  readonly #options: ResolvedConnectOptions<Data>;
  readonly #resolved: ResolvedClientOptions<Data>;
  readonly #refusals: Refusals;
  readonly #backoff: Backoff | null;
  readonly #sendBuffer: SendBuffer;
  readonly #incoming: IncomingMessages;
  readonly #tally = new ClientTally();
  readonly #feed = new StatusFeed({ status: "connecting", at: new Date(), attempt: 0 });
  readonly #ready: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Ends a dial, or the pause before one. */
  readonly #ending = new AbortController();
  /** Settles when nothing is dialled or used any more. */
  readonly #keeping: Promise<void>;
  #link: Connection<Data> | null = null;
  #wasUp = false;
  /** How the server left the last link or attempt. */
  #howServerLeft: Pick<ClientStatusEvent, "serverLeft"> = {};
  #closing: Promise<void> | null = null;
  #isAborted = false;
  /** Bytes that had been accepted when the client gave up or was closed, and that the kernel never got. */
  #unsentBytes = 0;

  static {
    provideLinkClaims((client, consumer) => (client as Client).#incoming.claim(consumer));
  }

  /**
   * Begins to dial.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  constructor(options: ClientOptions<Data>) {
    checkOptionNames("Cannot connect", options, CLIENT_NAMES);
    const resolved = this.#resolved = resolveClientOptions(options);
    this.#options = resolved.connect;
    this.#backoff = resolved.backoff;
    this.#refusals = new Refusals(resolved.onUnheard);
    const { connection, given: { signal } } = resolved.connect;
    this.#sendBuffer = new SendBuffer({
      ...connection,
      newEncoder: () => connection.framing.encoder(connection),
      refuse: (error) => this.#refusals.reject(error),
    });
    this.#incoming = new IncomingMessages(connection.maxQueuedBytes);
    this.ready = ignoreRejection(this.#ready.promise);
    this.closed = this.#closed.promise;
    if (signal?.aborted) {
      this.#keeping = Promise.resolve();
      this.#finish(null, {}, signal.reason);
    } else {
      signal?.addEventListener("abort", this.#onSignal, { once: true });
      this.#keeping = this.#runConnectLoop();
    }
  }

  /** Whether there is a link now. */
  get status(): ClientStatus {
    return this.#feed.current.status;
  }

  /**
   * The current link, to look at or to tune; `null` while there is none. Messages sent on it directly are not
   * kept for the next link.
   */
  get connection(): Connection<Data> | null {
    return this.#link;
  }

  /**
   * Iterates over statuses, from the current one to `closed`. A watcher that is 256 behind loses the oldest.
   */
  statuses(): AsyncIterableIterator<ClientStatusEvent, undefined> {
    return this.#feed.watch();
  }

  /** Counters over all links; with `dropOldStats` since the current link came up. */
  stats(): ClientStats {
    return this.#tally.snapshot(this.status, this.#link);
  }

  /**
   * Sends one message; a string goes as UTF-8. Waits for a link, and for room on it: resolves when a link has
   * accepted the message. When that link is lost before the message was given to the kernel, it goes out
   * first on the next link; when part of it was, it is not sent again, and the status that reports the loss
   * counts it. The bytes must not be changed until {@linkcode flush} resolves. A refusal that nothing waits
   * for is logged, to the console without a logger.
   *
   * @throws {FramingError} when the framing refuses the message
   * @throws {LimitError} `ERR_QUEUE_FULL` when `maxQueuedBytes` wait already
   * @throws {ClosedError} when the client is closed before a link has accepted the message
   */
  send(message: Uint8Array | string): Promise<void> {
    if (this.#closing !== null || this.status === "closed") return rejected(closedError("send"));
    try {
      return this.#sendBuffer.push(toBytes(message));
    } catch (mistake) {
      return this.#refusals.reject(mistake);
    }
  }

  /**
   * Sends messages one after the other, all or none. Resolves when a link has accepted all; waits, throws and
   * survives the loss of a link as {@linkcode send} does.
   */
  sendBatch(messages: Iterable<Uint8Array | string>): Promise<void> {
    if (this.#closing !== null || this.status === "closed") return rejected(closedError("send"));
    try {
      return this.#sendBuffer.pushBatch(allToBytes(messages));
    } catch (mistake) {
      return this.#refusals.reject(mistake);
    }
  }

  /**
   * Resolves when the current link has written all that was sent so far to the kernel.
   *
   * @throws {ClosedError} when there is no link, or it is lost before that
   */
  flush(): Promise<void> {
    return this.#sendBuffer.flush();
  }

  /**
   * Receives the next message, across links. `null` once the client was closed in order and all is read;
   * throws what made it give up. A wait that ends early loses nothing: the message goes to the next reader.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` after `timeoutMs`
   * @throws {TypeError} when another reader waits already
   */
  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    return this.#incoming.receive(options);
  }

  /** Receives all whole messages of one link that are here, at least one, as {@linkcode receive} does. */
  receiveBatch(options?: ReceiveBatchOptions): Promise<Uint8Array[] | null> {
    return this.#incoming.receiveBatch(options);
  }

  /** Iterates over batches, across links, until the client is closed. Throws what made it give up. */
  batches(): AsyncIterableIterator<Uint8Array[], undefined> {
    return iterate(() => ignoreRejection(this.receiveBatch().then(iteration)));
  }

  /**
   * Iterates over messages, across links, until the client is closed. Throws what made it give up. Leaving
   * the loop closes nothing.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    return iterate(() => this.#incoming.next());
  }

  /**
   * Closes in order within `timeoutMs` (`closeTimeoutMs` unless it is given): if there is a link, writes what
   * it has accepted and lets the calls under way end, then closes it. Messages received so far can still be
   * read. Idempotent: a later call shares the first one's time and outcome.
   *
   * @throws {ClosedError | TimeoutError} when messages that were accepted could not be written, now or when
   * the client gave up; it counts their bytes; or `ERR_DRAIN_TIMEOUT` when calls were cut
   * @throws {TypeError | RangeError} when an option is wrong; nothing is closed then
   */
  close(options: CloseOptions = {}): Promise<void> {
    try {
      const { closeTimeoutMs } = this.#options.connection;
      const timeoutMs = closeTimeout("Cannot close", options, closeTimeoutMs);
      return this.#closing ??= ignoreRejection(this.#close(null, timeoutMs));
    } catch (mistake) {
      return Promise.reject(mistake);
    }
  }

  /**
   * Ends now: the link is cut, what waits to be sent is dropped, and pending calls reject with an error whose
   * cause is `reason`. Idempotent.
   */
  abort(reason?: unknown): void {
    this.#isAborted = true;
    if (this.status === "closed") return;
    const error = new ClosedError("ERR_CLOSED", "Cannot go on: the client was aborted", {
      cause: reason,
    });
    this.#closing ??= ignoreRejection(this.#close(error, 0));
    this.#link?.abort(error);
  }

  /** The same as {@linkcode close}; waits for {@linkcode closed} after an abort. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#isAborted ? this.closed : this.close();
  }

  readonly #onSignal = (): void => {
    const { given, connection } = this.#options;
    this.#closing ??= ignoreRejection(this.#close(given.signal?.reason, connection.closeTimeoutMs));
  };

  async #close(reason: unknown, timeoutMs: number): Promise<void> {
    let cause: unknown = reason;
    if (this.status !== "closed") {
      this.#ending.abort(closedError("connect"));
      this.#incoming.finish();
      if (this.#link !== null) {
        cause = await closeLink(this.#link, this.#sendBuffer, timeoutMs) ?? reason;
      }
      await this.#keeping;
      this.#finish(null, {}, reason ?? closedError("connect"));
    }
    throwIfCut(cause, this.#unsentBytes);
  }

  /** Keeps a link up until the client is closed or gives up. Never rejects. */
  async #runConnectLoop(): Promise<void> {
    const { signal } = this.#ending;
    if (lookForTelemetry()) await loadTelemetry();
    this.#tally.start(this.#options.target);
    try {
      await checkDialOptions(this.#options);
    } catch (mistake) {
      if (!signal.aborted) this.#finish(mistake);
      return;
    }
    const end = await keepConnected<Connection<Data>>({
      signal,
      backoff: this.#backoff,
      connect: () => this.#connect(),
      discard: (link) => (link.abort(signal.reason), link.closed),
      use: (link) => this.#use(link),
      classify: ({ error }) => ({
        error: error ?? new ClosedError("ERR_CLOSED", "The server closed the connection"),
        isPermanent: isPermanentFailure(error),
      }),
      onRetry: ({ delayMs, error }) => {
        const status = this.#wasUp ? "reconnecting" : "connecting";
        this.#announce({ status, delayMs, error, ...this.#howServerLeft, ...this.#settleLosses() });
      },
    });
    if (end.kind === "aborted") return;
    this.#finish(end.kind === "policyFailed" ? end.mistake : end.error, this.#howServerLeft);
  }

  /** Dials, and tries the link. Throws why it could not be had. */
  async #connect(): Promise<Connection<Data>> {
    const { signal } = this.#ending;
    const startedMs = performance.now();
    this.#tally.dialled();
    this.#howServerLeft = {};
    let link: Connection<Data> | undefined;
    try {
      const { onUnheard } = this.#resolved;
      const setup = { onTraffic: this.#onTraffic, tellEachRead: false, onUnheard };
      link = await establish(this.#options, setup, signal);
      await this.#tryOut(link, performance.now() - startedMs);
      return link;
    } catch (error) {
      if (!signal.aborted) this.#tally.failed();
      if (!signal.aborted) this.#tally.erred(error, "connect", this.#options.targetText);
      if (link !== undefined) this.#howServerLeft = howServerLeft(await link.closed);
      throw error;
    }
  }

  /** Uses a link until it ends. */
  async #use(link: Connection<Data>): Promise<LinkEnd> {
    this.#onUp(link);
    // When the peer ends its direction, the link ends: what it will not read goes to the next link.
    await link.inputEnded;
    if (this.#closing === null) link.closeNow();
    const end = await link.closed;
    this.#link = null;
    this.#tally.closed(end);
    if (end.error !== null && this.#closing === null) {
      this.#tally.erred(end.error, "connection", this.#options.targetText);
    }
    this.#howServerLeft = howServerLeft(end);
    return { error: end.error, wasUsed: hasReceived(link) };
  }

  /** Lets `onConnect` prepare a new link, and finds out whether it lives; throws why not. */
  #tryOut(link: Connection<Data>, dialMs: number): Promise<void> {
    const { targetText, timeoutMs } = this.#options;
    const { onConnect, trialMs } = this.#resolved;
    return tryOut(link, {
      onConnect,
      first: !this.#wasUp,
      silenceMs: silenceFor(trialMs, dialMs),
      leftMs: timeoutMs - dialMs,
      timeoutMs,
      targetText,
      signal: this.#ending.signal,
    });
  }

  #onUp(link: Connection<Data>): void {
    this.#tally.opened(this.#resolved.dropOldStats);
    this.#link = link;
    this.#wasUp = true;
    this.#incoming.add(link);
    // A link that the server has ended by now is there to be read: what waits is for the next one.
    if (!link.signal.aborted) this.#sendBuffer.attach(link);
    this.#announce({ status: "connected" });
    this.#ready.resolve();
  }

  readonly #onTraffic = (traffic: Traffic): void => {
    this.#tally.moved(traffic);
    this.#sendBuffer.trim();
  };

  /** Parts with the link. Returns what became of its messages. */
  #settleLosses(): Pick<ClientStatusEvent, "loss" | "droppedBytes"> {
    const loss = this.#sendBuffer.detach();
    const droppedBytes = this.#incoming.dropExcess();
    return { ...loss !== null && { loss }, ...droppedBytes > 0 && { droppedBytes } };
  }

  /** Ends the client: there will be no link any more. */
  #finish(
    error: unknown,
    left: Pick<ClientStatusEvent, "serverLeft"> = {},
    whyNeverReady: unknown = error ?? closedError("connect"),
  ): void {
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#unsentBytes = this.#sendBuffer.unsentBytes;
    const losses = this.#settleLosses();
    this.#sendBuffer.fail(closedError("send", error));
    this.#incoming.end(error);
    this.#tally.stop();
    this.#announce({ status: "closed", ...error != null && { error }, ...left, ...losses });
    this.#ready.reject(whyNeverReady);
    this.#closed.resolve();
  }

  #announce(event: Omit<ClientStatusEvent, "at" | "attempt">): void {
    const full = { at: new Date(), attempt: this.#backoff?.attempts ?? 0, ...event };
    this.#feed.push(full);
    logStatus(this.#resolved.log, full, this.#options.targetText);
  }
}
