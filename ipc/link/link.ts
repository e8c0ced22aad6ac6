// IpcLink: one connection after its handshake; messages, queries both ways, keepalive, and an end in order.
import { handled } from "../../async/rejections.ts";
import { ClosedError } from "../../errors.ts";
import { Answering } from "./incoming_queries.ts";
import { Asked, MAX_QUERY_BYTES_IN_FLIGHT } from "./outgoing_queries.ts";
import { ClosingReason, FrameDecoder, FrameKind, TAKES_CANCELS_TAG } from "../protocol/frames.ts";
import { Outbox } from "./outbox.ts";
import { Pings } from "./pings.ts";
import { cutShort, type FrameLink } from "../secure/frame_link.ts";
import { type IpcTraffic, newIpcTraffic } from "../../stats/data/counters.ts";
import type { DurationHistogram } from "../../stats/data/duration_histogram.ts";
import { telemetryOn } from "../../stats/telemetry/telemetry.ts";
import { drainTimeout, frameError, linkGone, refusalOf, tooLarge } from "./link_errors.ts";
import { LinkTelemetry } from "./telemetry.ts";
import type { LinkEnd, LinkOptions } from "./link_types.ts";
import { LinkWatch } from "./watch.ts";

/**
 * ```
 * open ─close()─▶ draining ─our closing frame─▶ closing ─theirs─▶ ended
 *  └──their closing frame──▶ closing ─ours─────────────────────────▲
 *  any ──fault, abort() or deadline──────────────────────────────────▲
 * ```
 */
type State = "open" | "draining" | "closing" | "ended";

const NOTHING: Uint8Array = new Uint8Array(0);

/** One live connection. */
export class IpcLink {
  /** Resolves when the link has ended and its descriptor is free. Never rejects. */
  readonly closed: Promise<LinkEnd>;
  /** Asks the other side for signs of life, and sends them. */
  readonly pings: Pings;
  readonly #traffic: IpcTraffic = newIpcTraffic();
  readonly #frames: FrameLink;
  readonly #options: LinkOptions;
  readonly #decoder: FrameDecoder;
  readonly #outbox: Outbox;
  readonly #asked: Asked;
  readonly #answering: Answering;
  readonly #watch: LinkWatch;
  readonly #telemetry: LinkTelemetry;
  readonly #closed: PromiseWithResolvers<LinkEnd> = Promise.withResolvers();
  #state: State = "open";
  #resume: (() => void) | null = null;
  #theirClosing: PromiseWithResolvers<void> = Promise.withResolvers();
  #theyClose: { readonly reason: number } | null = null;
  #onIdle: (() => void) | null = null;
  #close: Promise<void> | null = null;
  #dropping = false;
  #writeError: Error | null = null;

  /** Makes a link over what a handshake left. */
  constructor(frames: FrameLink, options: LinkOptions) {
    this.#frames = frames;
    this.#options = options;
    this.closed = this.#closed.promise;
    this.#decoder = new FrameDecoder(options.maxMessageBytes);
    this.#outbox = new Outbox(frames, {
      highWaterBytes: options.highWaterBytes,
      maxQueuedBytes: options.maxQueuedBytes,
      onError: (error) => this.#onWriteFailed(error),
      onRoom: () => this.#onOutboxRoom(),
    });
    this.#telemetry = new LinkTelemetry(options.channel);
    this.#asked = new Asked({
      maxInFlight: options.maxQueriesInFlight,
      send: (id, data, context) => this.#sendQuery(id, data, context),
      cancel: (id) => this.#outbox.add(FrameKind.cancel, id, NOTHING),
      onIdle: () => this.#onIdle?.(),
    });
    this.#answering = new Answering({
      handler: options.onQuery,
      maxRunning: options.maxQueriesRunning,
      highWaterBytes: MAX_QUERY_BYTES_IN_FLIGHT + options.maxMessageBytes,
      maxAnswerBytes: frames.info.peerMaxMessageBytes,
      isOutboxFull: () => this.#outbox.full,
      hasRoomFor: (bytes) => !this.#outbox.full || this.#outbox.queuedBytes + bytes <= options.maxQueuedBytes,
      send: (kind, id, data) => this.#outbox.add(kind, id, data),
      onError: options.onHandlerError,
      telemetry: this.#telemetry,
      onDone: () => this.#onAnswered(),
    });
    this.pings = new Pings({
      send: (kind, tag, data) => this.#outbox.add(kind, tag, data),
      isOutboxFull: () => this.#outbox.full,
    });
    this.#watch = new LinkWatch(options, {
      ping: () => this.pings.ask(),
      stillHere: () => this.pings.stillHere(),
      fail: (error) => this.#finish(error),
    });
  }

  /** Starts to read. */
  start(): void {
    this.#telemetry.start(this, (kind, tag, data) => this.#outbox.add(kind, tag, data));
    if (!this.#dropping) this.#options.inbox.onRoom = () => this.resume();
    // The other side asks whether it is in, and that is not read before there is room.
    if (!this.#dropping && this.#mustPause()) this.pings.stillHere();
    void this.#read();
  }

  /** 32 hex digits, the same on both sides. */
  get sessionId(): string {
    return Array.from(this.#frames.info.sessionId, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** How long queries of the other side took. */
  get requests(): DurationHistogram {
    return this.#answering.times.histogram;
  }

  /** What went over it. */
  stats(): IpcTraffic {
    return { ...this.#traffic, bytesOut: this.#outbox.pushedBytes };
  }

  /** Bytes that were accepted for writing and are not in the kernel. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** Whether messages and queries can be sent. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Sends a message; see {@linkcode Outbox.push}. The type is checked already. */
  write(type: number, data: Uint8Array): Promise<void> {
    const refused = this.#refuseSend(data);
    if (refused !== null) return handled(Promise.reject(refused));
    this.#traffic.messagesOut++;
    return this.#outbox.push(FrameKind.message, type, data);
  }

  /** Asks the other side. */
  query(data: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array> {
    const refused = this.#refuseSend(data);
    if (refused !== null) return Promise.reject(refused);
    this.#traffic.queriesOut++;
    if (!telemetryOn()) return this.#asked.ask(data, timeoutMs, signal);
    return this.#telemetry.ask((context) => this.#asked.ask(data, timeoutMs, signal, context));
  }

  /** Resolves when the other process has received all that was written before. */
  confirm(): Promise<void> {
    if (this.#state !== "open") return Promise.reject(this.#gone());
    return this.pings.confirm();
  }

  /** Whether it rests, as there is no room for more, and nothing is being written. */
  get resting(): boolean {
    return this.#resume !== null && !this.#outbox.writing;
  }

  /** Goes on receiving once there is room. */
  resume(): void {
    if (this.#mustPause()) return;
    this.#resume?.();
    this.#resume = null;
  }

  /** Looks at the time; call it every second or so. */
  tick(nowMs: number): void {
    if (this.#state === "ended") return;
    this.#answering.tick(nowMs, this.#outbox.writtenBytes);
    this.#watch.tick(nowMs, {
      paused: this.#resume !== null,
      writing: this.#outbox.writing,
      writtenBytes: this.#outbox.writtenBytes,
      queuedBytes: this.#outbox.queuedBytes,
      inFrame: this.#decoder.inFrame,
      framesIn: this.#decoder.framesIn,
    });
  }

  /**
   * Ends in order: answers what was asked, waits for the answers to our own queries, hands over what was written, and waits until
   * the other side has it. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when that took longer than `timeoutMs`
   * @throws {ClosedError} when the link was lost before the other side had everything
   */
  close(options: { timeoutMs?: number | undefined; reason?: number | undefined } = {}): Promise<void> {
    if (this.#state === "ended") return this.#close ?? Promise.resolve();
    const { timeoutMs = this.#options.closeTimeoutMs, reason = ClosingReason.done } = options;
    this.#close ??= handled(this.#drain(timeoutMs, reason));
    return this.#close;
  }

  /** Turns the other side away, in place of {@linkcode start}: drops its bytes, and sends the reason. */
  refuse(reason: number, timeoutMs: number): Promise<void> {
    this.#dropping = true;
    this.start();
    return this.close({ reason, timeoutMs });
  }

  /** Ends now. */
  abort(error: Error): void {
    this.#finish(error);
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        // One chunk is read before there is room for it: a side that rests sees so that the other has gone.
        const chunk = await this.#frames.read();
        if (chunk === null) break;
        this.#watch.sawInput();
        if (this.#mustPause()) await new Promise<void>((resolve) => this.#resume = resolve);
        if (this.#state === "ended") return;
        this.#traffic.bytesIn += chunk.length;
        this.#decoder.push(chunk, this.#onFrame);
        this.#outbox.flush(); // what was answered on the spot goes out together
      }
      const orderly = !this.#decoder.inFrame && (this.#theyClose !== null || this.#frames.marksItsEnd);
      this.#finish(orderly ? null : this.#writeError ?? cutShort());
    } catch (error) {
      // After both last words, how the line ends means nothing.
      const done = this.#theyClose !== null && this.#state === "closing" && !this.#outbox.writing;
      this.#finish(done ? null : this.#writeError ?? error as Error);
    }
  }

  /** The other side takes no more; what it said before it went is still to be heard. */
  #onWriteFailed(error: Error): void {
    const isTheirs = error instanceof ClosedError && error.code === "ERR_RESET";
    if (!isTheirs || this.#state === "ended") return this.#finish(error);
    this.#writeError = error;
    this.#state = "closing";
    this.#outbox.fail(error);
    this.resume();
    this.#endAfter(this.#options.closeTimeoutMs, error);
  }

  readonly #onFrame = (kind: FrameKind, tag: number, data: Uint8Array): void => {
    if (this.pings.entering) this.pings.sawFrame(kind);
    // Nothing holds these back any more: a side that closes is read to its end, room or not.
    if (this.#theyClose !== null && (kind === FrameKind.message || kind === FrameKind.query)) {
      throw frameError("Cannot take a message or a query behind the closing frame");
    }
    switch (kind) {
      case FrameKind.message:
        return this.#onMessage(tag, data);
      case FrameKind.query:
        this.#traffic.queriesIn++;
        return this.#answering.take(tag, data, this.#telemetry.parentOf(tag));
      case FrameKind.answer:
      case FrameKind.failure:
        if (this.#asked.answered(kind, tag, data)) return;
        throw frameError(`Cannot take an answer to query ${tag}: it was never asked`);
      case FrameKind.ping:
        this.#telemetry.pinged(tag);
        if (tag === TAKES_CANCELS_TAG) this.#asked.peerTakesCancels();
        // A pong says that all before it was received: not when some of it was dropped.
        if (!this.#dropping && this.#state !== "ended") this.pings.asked(tag);
        return;
      case FrameKind.pong:
        return this.pings.answered(tag);
      case FrameKind.closing:
        return this.#onClosing(tag);
      case FrameKind.context:
        return this.#telemetry.told(tag, data);
      case FrameKind.cancel:
        return this.#answering.cancel(tag);
    }
  };

  #onMessage(type: number, data: Uint8Array): void {
    this.#traffic.messagesIn++;
    const { inbox } = this.#options;
    // A side that closes reads on to the other's last word. What does not fit by then has no reader.
    if (this.#close !== null && inbox.full) this.#dropping = true;
    if (this.#dropping) return;
    // One that has gone has not much left to say.
    if (this.#writeError !== null && inbox.overfull) return this.#finish(this.#writeError);
    inbox.receive(type, data);
  }

  #onClosing(reason: number): void {
    if (this.#theyClose !== null) throw frameError("Cannot take a second closing frame");
    this.#theyClose = { reason };
    this.#answering.refuse();
    this.#asked.end(this.#gone());
    this.#theirClosing.resolve();
    if (this.#close === null) void this.#answerClosing();
  }

  /** The other side closes: hands over what was written, and says our last word. */
  async #answerClosing(): Promise<void> {
    this.#state = "closing";
    this.#endAfter(this.#options.closeTimeoutMs);
    try {
      this.#outbox.add(FrameKind.closing, ClosingReason.done, NOTHING);
      this.resume();
      await this.#outbox.emptied();
      await this.#frames.end(ClosingReason.done);
    } catch {
      // The outbox has ended the link already, or the other side has gone.
      this.#finish(null);
    }
  }

  get #unsentBytes(): number {
    return this.#outbox.queuedBytes + this.#answering.finishedBytes;
  }

  /** Ends it after a time, unless it has ended by then. */
  #endAfter(timeoutMs: number, error?: Error): void {
    const end = () => this.#finish(error ?? drainTimeout(timeoutMs, this.#unsentBytes));
    const timer = setTimeout(end, timeoutMs);
    void this.closed.then(() => clearTimeout(timer));
  }

  async #drain(timeoutMs: number, reason: number): Promise<void> {
    this.#endAfter(timeoutMs);
    try {
      if (this.#state === "open") {
        this.#state = "draining";
        this.#answering.refuse();
        this.resume(); // answers that it waits for may stand behind what waits to be received
        await Promise.race([this.#idle(), this.closed]);
        if (this.#state === "draining") this.#state = "closing";
        if ((this.#state as State) !== "ended") {
          this.#outbox.add(FrameKind.closing, reason, NOTHING);
          await this.#outbox.emptied();
          await Promise.race([this.#theirClosing.promise, this.closed]);
          if ((this.#state as State) !== "ended") await this.#frames.end(reason);
        }
      }
    } catch (error) {
      if (this.#theyClose === null) this.#finish(error as Error);
    }
    const { error } = await this.closed;
    if (error !== null) throw error;
  }

  /** Resolves when no query is under way in either direction. */
  #idle(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = () => void (this.#asked.size + this.#answering.size === 0 && resolve());
    this.#onIdle();
    return promise;
  }

  #finish(cause: Error | null): void {
    if (this.#state === "ended") return;
    // Refused or turned out, however the line ended after that.
    const error = refusalOf(this.#theyClose?.reason) ?? cause;
    const unsentBytes = this.#unsentBytes;
    const cutInside = this.#writeError === null && (this.#decoder.inFrame || this.#frames.inRecord);
    this.#state = "ended";
    this.#frames.close();
    const gone = error ?? this.#gone();
    this.#outbox.fail(gone);
    this.#asked.end(gone);
    this.#answering.end(gone);
    this.pings.end(gone);
    this.#resume?.();
    this.#resume = null;
    this.#closed.resolve({ error, unsentBytes, cutInside });
  }

  #mustPause(): boolean {
    if (this.#state !== "open" || this.pings.entering) return false;
    return this.#options.inbox.full || this.#answering.full;
  }

  #sendQuery(id: number, data: Uint8Array, context: Uint8Array | undefined): boolean {
    if (this.#outbox.full) return false;
    if (context !== undefined) this.#outbox.add(FrameKind.context, id, context);
    this.#outbox.add(FrameKind.query, id, data);
    return true;
  }

  #onOutboxRoom(): void {
    this.pings.hasRoom();
    this.#answering.resume();
    this.#asked.resume();
    this.resume();
  }

  #onAnswered(): void {
    this.resume();
    this.#onIdle?.();
  }

  #refuseSend(data: Uint8Array): Error | null {
    const { peerMaxMessageBytes } = this.#frames.info;
    if (this.#state !== "open") return this.#gone();
    return data.length <= peerMaxMessageBytes ? null : tooLarge(data.length, peerMaxMessageBytes);
  }

  #gone(): Error {
    return linkGone(this.#theyClose?.reason);
  }
}
