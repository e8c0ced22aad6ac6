// Client: a link to a server that is kept up, with the messages that go over it.
import { pause } from "../connection/pause.ts";
import type { Connection, ReceiveOptions } from "../connection.ts";
import { handled, rejected } from "../connection/rejections.ts";
import type { Traffic } from "../connection/types.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { checkBoolean, checkLogger } from "../limits/check.ts";
import { EventLog } from "../log_events.ts";
import type { Logger } from "../logger.ts";
import type { ClientStats } from "../stats/snapshots.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry.ts";
import { Backoff, type ReconnectOptions } from "./backoff.ts";
import { establish } from "./connect.ts";
import { isFinal } from "./final_errors.ts";
import { IncomingMessages } from "./incoming.ts";
import { type ConnectOptions, resolveConnectOptions, type ResolvedConnectOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { type ClientStatus, type ClientStatusEvent, StatusFeed } from "./status.ts";
import { ClientTally } from "./tally.ts";

/** Options of {@linkcode Client}. */
export interface ClientOptions<Data = unknown> extends ConnectOptions<Data> {
  /** When to dial again, or `false` to stay closed once the link is lost, or cannot be had. */
  reconnect?: ReconnectOptions | false;
  /** Begin statistics anew with each link. @default {false} */
  dropOldStats?: boolean;
  /**
   * Bytes of messages that wait for a link or for room on it; above, `send` rejects with `ERR_QUEUE_FULL`. A message counts
   * 640 bytes more than it has, as keeping it costs that, here and for `highWaterBytes`. Of messages from links that are gone,
   * which nobody has read yet, it keeps as much.
   *
   * @default {8388608}
   */
  maxQueuedBytes?: number;
  /** Abort closes the client, as {@linkcode Client.close} does. */
  signal?: AbortSignal;
  /** Told of links that come up and are lost. @default {nobody; {@linkcode Client.statuses} tells the same} */
  logger?: Logger;
}

const textEncoder = new TextEncoder();

/**
 * Keeps a link to a server up: dials, and dials again when the link is lost, after a delay that grows and is random. Messages are sent
 * when there is a link and received from one link after the other. A server that ends its direction ends the link.
 *
 * The process lives while the client is open. Refused credentials end it, and what no repetition can heal, such as a wrong option
 * or a missing permission; nothing else does, unless `reconnect` says so.
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
  /** Resolves when the first link is up; rejects when the client is closed before that, with the reason. */
  readonly ready: Promise<void>;
  /** Resolves when the client is closed for good and its descriptor is free. Never rejects. */
  readonly closed: Promise<void>;

  readonly #options: ResolvedConnectOptions<Data>;
  readonly #dropOldStats: boolean;
  readonly #backoff: Backoff | null;
  readonly #outbox: Outbox;
  readonly #incoming: IncomingMessages;
  readonly #tally = new ClientTally();
  readonly #log: EventLog;
  readonly #feed = new StatusFeed({ status: "connecting", at: new Date(), attempt: 0 });
  readonly #ready: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Ends dialling and the waits before it. */
  readonly #ending = new AbortController();
  /** Settles when nothing is dialled or used any more. */
  readonly #keeping: Promise<void>;
  #link: Connection<Data> | null = null;
  #wasUp = false;
  #closing: Promise<void> | null = null;
  /** Bytes that had been accepted when the client gave up or was closed, and that the kernel never got. */
  #unsentBytes = 0;

  /**
   * Begins to dial.
   *
   * @throws {TypeError | RangeError} when an option is wrong
   */
  constructor(options: ClientOptions<Data>) {
    this.#options = resolveConnectOptions(options);
    const { connection, given: { signal } } = this.#options;
    this.#log = new EventLog(checkLogger("Cannot connect", options.logger));
    this.#backoff = makeBackoff(options.reconnect);
    this.#dropOldStats = checkBoolean("Cannot connect", "dropOldStats", options.dropOldStats ?? false);
    this.#outbox = new Outbox({ ...connection, encoder: connection.framing.encoder(connection) });
    this.#incoming = new IncomingMessages(connection.maxQueuedBytes);
    this.ready = handled(this.#ready.promise);
    this.closed = this.#closed.promise;
    if (signal?.aborted) {
      this.#keeping = Promise.resolve();
      this.#finish(null, signal.reason);
    } else {
      signal?.addEventListener("abort", this.#onSignal, { once: true });
      this.#keeping = this.#keepUp();
    }
  }

  /** Whether there is a link now. */
  get status(): ClientStatus {
    return this.#feed.current.status;
  }

  /** The present link, to look at or to tune; `null` while there is none. What is sent on it directly is not kept for the next. */
  get connection(): Connection<Data> | null {
    return this.#link;
  }

  /** Iterates over statuses, from the present one to `closed`. A watcher that is 256 behind loses the oldest. */
  statuses(): AsyncIterableIterator<ClientStatusEvent, undefined> {
    return this.#feed.watch();
  }

  /** Counters over all links, or since the present one came up with `dropOldStats`. */
  stats(): ClientStats {
    return this.#tally.snapshot(this.status, this.#link);
  }

  /**
   * Sends one message; a string goes as UTF-8. Waits for a link, and for room on it: resolves when a link has accepted the
   * message. When that link is lost before the message was given to the kernel, it goes out first on the next link; when part of it
   * was, it is not sent again, and the status that tells of the loss counts it. The bytes must not be changed until
   * {@linkcode flush} resolves.
   *
   * @throws {FramingError} when the framing refuses the message
   * @throws {LimitError} `ERR_QUEUE_FULL` when `maxQueuedBytes` wait already
   * @throws {ClosedError} when the client is closed before a link has accepted the message
   */
  send(message: Uint8Array | string): Promise<void> {
    if (this.#closing !== null || this.status === "closed") return rejected(closedError("send"));
    if (typeof message === "string") return this.#outbox.push(textEncoder.encode(message));
    if (message instanceof Uint8Array) return this.#outbox.push(message);
    return rejected(
      new TypeError(`Cannot send as the message must be a string or a Uint8Array: got ${typeof message}`),
    );
  }

  /**
   * Resolves when all that was sent so far is handed to the kernel by the present link.
   *
   * @throws {ClosedError} when there is no link, or it is lost before that
   */
  flush(): Promise<void> {
    return this.#outbox.flush();
  }

  /**
   * Receives the next message, across links. `null` once the client was closed in order and all is read; throws what made it give up.
   * A wait that ends early loses nothing: the message goes to the next reader.
   *
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` after `timeoutMs`
   * @throws {TypeError} when another reader waits already
   */
  receive(options?: ReceiveOptions): Promise<Uint8Array | null> {
    return this.#incoming.receive(options);
  }

  /** Iterates over messages, across links, until the client is closed. Throws what made it give up. Leaving the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array, undefined> {
    const incoming = this.#incoming;
    return {
      next: () => incoming.next(),
      return: () => Promise.resolve({ value: undefined, done: true }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Closes in order: hands over what was sent if there is a link, within `closeTimeoutMs`, then closes it. Messages received so far can
   * still be read. Idempotent.
   *
   * @throws {ClosedError} when messages that were accepted could not be handed over, now or when the client gave up; it counts
   * their bytes
   */
  close(): Promise<void> {
    return this.#closing ??= handled(this.#close(null));
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onSignal = (): void => {
    this.#closing ??= handled(this.#close(this.#options.given.signal?.reason));
  };

  async #close(reason: unknown): Promise<void> {
    let cause: unknown = reason;
    if (this.status !== "closed") {
      this.#ending.abort(closedError("connect"));
      if (this.#link !== null) cause = await this.#closeLink(this.#link) ?? reason;
      await this.#keeping;
      this.#finish(null, reason ?? closedError("connect"));
    }
    if (this.#unsentBytes === 0) return;
    const unsentBytes = this.#unsentBytes;
    const text =
      `Cannot close in order as ${unsentBytes} bytes that had been accepted could not be handed over`;
    throw new ClosedError("ERR_CLOSED", text, { cause, unsentBytes });
  }

  /** Hands over what was sent, and closes the link. Gives why it ended otherwise. Never rejects. */
  async #closeLink(link: Connection<Data>): Promise<Error | null> {
    const { closeTimeoutMs } = this.#options.connection;
    const timer = setTimeout(() => {
      const text = `Cannot close in order within ${closeTimeoutMs} ms as the server does not read`;
      link.abort(new TimeoutError("ERR_WRITE_TIMEOUT", text, { cutConnections: 1 }));
    }, closeTimeoutMs);
    try {
      // All of it fails when the link is lost; its end tells why.
      await Promise.race([this.#outbox.flush().catch(() => {}), link.closed]);
      await link.close().catch(() => {});
      return (await link.closed).error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Dials, waits for the end of the link, and dials again. One attempt at a time. Never rejects. */
  async #keepUp(): Promise<void> {
    const { signal } = this.#ending;
    if (lookForTelemetry()) await loadTelemetry();
    this.#tally.start(this.#options.target);
    this.#backoff?.started(performance.now());
    while (!signal.aborted) {
      const error = await this.#runLink();
      const delayMs = this.#decide(error);
      if (delayMs === null) return;
      await pause(delayMs, signal);
    }
  }

  /** Dials, and uses the link until it ends. Gives why it could not be had or was lost, `null` when the server ended it in order. */
  async #runLink(): Promise<unknown> {
    const { signal } = this.#ending;
    this.#tally.dialled();
    let link: Connection<Data>;
    try {
      link = await establish(
        this.#options,
        { ...this.#options.connection, onTraffic: this.#onTraffic, tellEachRead: false },
        signal,
      );
    } catch (error) {
      if (!signal.aborted) this.#tally.failed();
      return error;
    }
    // Closed in the very moment in which the link came up: nobody knows of it yet.
    if (signal.aborted) {
      link.abort(signal.reason);
      return null;
    }
    this.#onUp(link);
    // The peer's end is the end of the link: what it will not read any more goes to the next one.
    await link.inputEnded;
    if (this.#closing === null) link.hangUp();
    const end = await link.closed;
    this.#link = null;
    this.#tally.closed(end);
    return end.error;
  }

  #onUp(link: Connection<Data>): void {
    this.#tally.opened(this.#dropOldStats);
    this.#backoff?.connected(performance.now());
    this.#link = link;
    this.#wasUp = true;
    this.#incoming.add(link);
    this.#outbox.attach(link);
    this.#tell({ status: "connected" });
    this.#ready.resolve();
  }

  readonly #onTraffic = (traffic: Traffic): number => {
    this.#tally.moved(traffic);
    this.#outbox.trim();
    return 0;
  };

  /** Tells what happened, and gives ms to wait before the next attempt, or `null` when there is to be none. */
  #decide(error: unknown): number | null {
    const { signal } = this.#ending;
    if (signal.aborted) return null;
    if (this.#backoff === null) return this.#finish(error);
    let why: unknown = error ?? new ClosedError("ERR_CLOSED", "The server closed the connection");
    let delayMs: number | null = null;
    try {
      if (!isFinal(why)) delayMs = this.#backoff.failed(why, performance.now(), Math.random());
    } catch (mistake) {
      // The policy threw, or gave what is no delay.
      why = mistake;
    }
    // The policy may have closed the client.
    if (signal.aborted) return null;
    if (delayMs === null) return this.#finish(why);
    const status = this.#wasUp ? "reconnecting" : "connecting";
    this.#tell({ status, delayMs, error: why, ...this.#sortOut() });
    return delayMs;
  }

  /** Tells what became of messages when the link was lost. */
  #sortOut(): Pick<ClientStatusEvent, "loss" | "droppedBytes"> {
    const loss = this.#outbox.detach();
    const droppedBytes = this.#incoming.dropExcess();
    return { ...loss !== null && { loss }, ...droppedBytes > 0 && { droppedBytes } };
  }

  /** Ends all: no link comes any more. */
  #finish(error: unknown, whyNeverReady: unknown = error ?? closedError("connect")): null {
    this.#options.given.signal?.removeEventListener("abort", this.#onSignal);
    this.#unsentBytes = this.#outbox.unsentBytes;
    const losses = this.#sortOut();
    this.#outbox.fail(closedError("send", error));
    this.#incoming.end(error);
    this.#tally.stop();
    this.#tell({ status: "closed", ...error != null && { error }, ...losses });
    this.#ready.reject(whyNeverReady);
    this.#closed.resolve();
    return null;
  }

  #tell(event: Omit<ClientStatusEvent, "at" | "attempt">): void {
    const attempt = this.#backoff?.attempts ?? 0;
    this.#feed.push({ at: new Date(), attempt, ...event });
    const { status, error, delayMs, loss, droppedBytes } = event;
    const fields = {
      status,
      server: this.#options.targetText,
      attempt,
      error,
      delayMs,
      ...loss,
      droppedBytes,
    };
    const level = error === undefined ? "info" : "warn";
    this.#log.tell({ level, kind: status, message: `The client is ${status}`, fields });
  }
}

function makeBackoff(reconnect: ReconnectOptions | false = {}): Backoff | null {
  if (reconnect === false) return null;
  if (typeof reconnect === "object" && reconnect !== null) return new Backoff(reconnect);
  throw new TypeError(`Cannot connect as "reconnect" must be an object or false: got ${typeof reconnect}`);
}

function closedError(action: string, cause?: unknown): ClosedError {
  return new ClosedError("ERR_CLOSED", `Cannot ${action} as the client was closed`, { cause });
}
