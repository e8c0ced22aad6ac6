// IpcLink: one connection after its handshake; sends and receives messages and queries.
import type { Swept } from "../../async/sweeper.ts";
import { ignoreRejection } from "../../async/rejections.ts";
import type { WaitOptions } from "../../async/wait.ts";
import type { MuxStream } from "../../mux/stream.ts";
import { type IpcTraffic, newIpcTraffic } from "../../stats/data/counters.ts";
import type { DurationHistogram } from "../../stats/data/duration_histogram.ts";
import { telemetryOn } from "../../stats/telemetry/telemetry.ts";
import {
  FrameKind,
  IpcFrameReader,
  TAKES_CANCELS_TAG,
  TAKES_STREAMS_TAG,
} from "../protocol/frames.ts";
import { cutShort, type FrameLink } from "../secure/frame_link.ts";
import type { IpcMessage } from "./inbox.ts";
import { IncomingQueries } from "./incoming_queries.ts";
import { frameError, tooLarge } from "./link_errors.ts";
import { type CloseLinkOptions, LinkLifecycle } from "./lifecycle.ts";
import type { LinkOptions } from "./options.ts";
import {
  type AnswerReader,
  MAX_QUERY_BYTES_IN_FLIGHT,
  OutgoingQueries,
} from "./outgoing_queries.ts";
import type { SendRoom } from "../../connection/types.ts";
import { Outbox } from "./outbox.ts";
import { Pings } from "./pings.ts";
import type { LinkOutcome } from "./state.ts";
import { LinkStreams } from "./streams.ts";
import { LinkTelemetry } from "./telemetry.ts";
import { LinkWatch } from "./watch.ts";

/**
 * One live connection. Any number of `send`, `query`, `confirm` and `close` calls may be under way
 * at a time; frames go out in the order of the calls. The owner calls `start` or `refuse` once, and
 * `tick` every second or so. {@linkcode LinkState} draws the states.
 */
export class IpcLink implements Swept {
  /** Resolves when the link has ended and its descriptor is free. Never rejects. */
  readonly closed: Promise<LinkOutcome>;
  /** Asks the other side for signs of life, and sends them. */
  readonly pings: Pings;
  readonly #frames: FrameLink;
  readonly #options: LinkOptions;
  readonly #reader: IpcFrameReader;
  readonly #outbox: Outbox;
  readonly #outgoing: OutgoingQueries;
  readonly #incoming: IncomingQueries;
  readonly #streams: LinkStreams;
  readonly #watch: LinkWatch;
  readonly #telemetry: LinkTelemetry;
  readonly #traffic: IpcTraffic = newIpcTraffic();
  readonly #lifecycle: LinkLifecycle;
  /** Lets the reader go on that waits for room; `null` while it does not wait. */
  #wakeReader: (() => void) | null = null;

  /** Makes a link over what a handshake left. */
  constructor(frames: FrameLink, options: LinkOptions) {
    const { limits } = options;
    this.#frames = frames;
    this.#options = options;
    this.#reader = new IpcFrameReader(limits.maxMessageBytes);
    this.#outbox = new Outbox(frames, {
      highWaterBytes: limits.highWaterBytes,
      maxQueuedBytes: limits.maxQueuedBytes,
      onError: (error) => this.#lifecycle.onWriteFailed(error),
      onRoom: () => this.#onOutboxRoom(),
    });
    this.#telemetry = new LinkTelemetry(limits.channel);
    this.#outgoing = new OutgoingQueries({
      maxInFlight: limits.maxQueriesInFlight,
      outbox: this.#outbox,
      onIdle: () => this.#lifecycle.checkIdle(),
    });
    this.#incoming = new IncomingQueries({
      handler: options.onQuery,
      calls: options.calls,
      maxRunning: limits.maxQueriesRunning,
      highWaterBytes: MAX_QUERY_BYTES_IN_FLIGHT + limits.maxMessageBytes,
      maxAnswerBytes: frames.info.peerMaxMessageBytes,
      outbox: this.#outbox,
      maxQueuedBytes: limits.maxQueuedBytes,
      onError: options.onHandlerError,
      telemetry: this.#telemetry,
      onDone: () => this.#onAnswered(),
    });
    this.pings = new Pings(this.#outbox);
    this.#streams = new LinkStreams({
      role: frames.info.role,
      outbox: this.#outbox,
      highWaterBytes: limits.highWaterBytes,
      maxFrameBytes: frames.info.peerMaxMessageBytes,
      calls: options.calls,
      onRoom: () => this.resume(),
      onBroken: (error) => this.abort(error),
      onIdle: () => this.#lifecycle.checkIdle(),
    });
    this.#lifecycle = new LinkLifecycle({
      frames,
      reader: this.#reader,
      outbox: this.#outbox,
      outgoing: this.#outgoing,
      incoming: this.#incoming,
      pings: this.pings,
      streams: this.#streams,
      closeTimeoutMs: limits.closeTimeoutMs,
      link: this,
    });
    this.closed = this.#lifecycle.closed;
    this.#watch = new LinkWatch(limits, this);
  }

  /** Starts to read. */
  start(): void {
    this.#telemetry.start(this, this.#outbox);
    if (this.#lifecycle.isOpen) {
      this.#options.inbox.onRoom = () => this.resume();
      // The other side asks whether it was let in, and its question is not read before there is
      // room.
      if (this.#mustPause()) this.pings.sendUnsolicitedPong();
    }
    void this.#read();
  }

  /** 32 hex digits, the same on both sides. */
  get sessionId(): string {
    return Array.from(this.#frames.info.sessionId, (byte) => byte.toString(16).padStart(2, "0"))
      .join("");
  }

  /** How long queries of the other side took. */
  get requests(): DurationHistogram {
    return this.#incoming.times.histogram;
  }

  /** What went over it. */
  stats(): IpcTraffic {
    return { ...this.#traffic, bytesOut: this.#outbox.pushedBytes };
  }

  /** Whether it takes more messages at once. */
  get sending(): SendRoom {
    return this.#outbox;
  }

  /** Bytes that were accepted for sending and are not in the kernel. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** Whether messages and queries can be sent. */
  get isOpen(): boolean {
    return this.#lifecycle.isOpen;
  }

  /** Sends a message; see {@linkcode Outbox.push}. The caller has checked the type. */
  send(type: number, data: Uint8Array): Promise<void> {
    const refused = this.#refuseSend(data);
    if (refused !== null) return ignoreRejection(Promise.reject(refused));
    this.#traffic.messagesOut++;
    return this.#outbox.push(FrameKind.message, type, data);
  }

  /** Sends messages one after the other, or none; see {@linkcode Outbox.pushBatch}. */
  sendBatch(messages: readonly IpcMessage[]): Promise<void> {
    for (const { data } of messages) {
      const refused = this.#refuseSend(data);
      if (refused !== null) return ignoreRejection(Promise.reject(refused));
    }
    if (!this.#lifecycle.isOpen) return ignoreRejection(Promise.reject(this.#lifecycle.gone));
    this.#traffic.messagesOut += messages.length;
    return this.#outbox.pushBatch(FrameKind.message, messages);
  }

  /** Sends a query, and resolves with its answer. */
  query(data: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array> {
    const refused = this.#refuseSend(data);
    if (refused !== null) return Promise.reject(refused);
    this.#traffic.queriesOut++;
    if (!telemetryOn()) return this.#outgoing.ask(data, timeoutMs, signal);
    return this.#telemetry.ask((context) => this.#outgoing.ask(data, timeoutMs, signal, context));
  }

  /** Sends a query that is a call; see `CallSender.call`. No span, because the call has one. */
  call(
    data: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    reader: AnswerReader,
  ): Promise<unknown> {
    const refused = this.#refuseSend(data);
    if (refused !== null) return Promise.reject(reader.explain(refused));
    this.#traffic.queriesOut++;
    return this.#outgoing.askAndRead(data, timeoutMs, signal, reader);
  }

  /** Opens a stream to the other side; see {@linkcode LinkStreams.open}. */
  openStream(options: WaitOptions): Promise<MuxStream> {
    if (!this.#lifecycle.isOpen) return Promise.reject(this.#lifecycle.gone);
    return this.#streams.open(options);
  }

  /** Resolves when the other process has received all that was sent before. */
  confirm(): Promise<void> {
    if (!this.#lifecycle.isOpen) return Promise.reject(this.#lifecycle.gone);
    return this.pings.confirm();
  }

  /** Whether the reader waits for room, and nothing is being written. */
  get resting(): boolean {
    return this.#wakeReader !== null && !this.#outbox.writing;
  }

  /** Reads on if there is room. */
  resume(): void {
    if (!this.#mustPause()) this.#wake();
  }

  /** Compares the link with the time; call it every second or so. */
  sweep(nowMs: number): void {
    if (this.#lifecycle.hasEnded) return;
    this.#incoming.tick(nowMs, this.#outbox.writtenBytes);
    this.#watch.tick(nowMs, {
      paused: this.#wakeReader !== null,
      writing: this.#outbox.writing,
      writtenBytes: this.#outbox.writtenBytes,
      queuedBytes: this.#outbox.queuedBytes,
      inFrame: this.#reader.inFrame,
      framesIn: this.#reader.framesIn,
    });
  }

  /**
   * Closes in order: answers the queries that came, waits for the answers to our own, sends what is
   * queued, and waits until the other side has it. Idempotent.
   *
   * @throws {TimeoutError} `ERR_DRAIN_TIMEOUT` when that took longer than `timeoutMs`
   * @throws {ClosedError} when the link was lost before the other side had everything
   */
  close(options: CloseLinkOptions = {}): Promise<void> {
    return this.#lifecycle.close(options);
  }

  /**
   * Turns the other side away, in place of {@linkcode start}: drops what it sends, and sends it the
   * reason.
   */
  refuse(reason: number, timeoutMs: number): Promise<void> {
    const refused = this.#lifecycle.refuse(reason, timeoutMs);
    this.start();
    return refused;
  }

  /** Closes now. What waits rejects with `error`. */
  abort(error: Error): void {
    this.#lifecycle.finish(error);
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        // One chunk is read before there is room for it: a side that does not read sees so that the
        // other side has gone.
        const chunk = await this.#frames.read();
        if (chunk === null) break;
        this.#watch.sawInput();
        if (this.#mustPause()) await new Promise<void>((resolve) => this.#wakeReader = resolve);
        if (this.#lifecycle.hasEnded) return;
        this.#traffic.bytesIn += chunk.length;
        this.#reader.push(chunk, this.#onFrame);
        this.#incoming.times.taken();
        this.#outbox.flush(); // the answers of handlers that did not wait go out together
      }
      this.#lifecycle.finish(this.#lifecycle.errorOfEnd(cutShort()));
    } catch (error) {
      this.#lifecycle.finish(this.#lifecycle.errorOfFailure(error as Error));
    }
  }

  readonly #onFrame = (kind: FrameKind, tag: number, data: Uint8Array): void => {
    if (this.pings.entering) this.pings.sawFrame(kind);
    switch (kind) {
      case FrameKind.message:
        return this.#onMessage(tag, data);
      case FrameKind.query:
        if (!this.#lifecycle.isOpen) this.#refuseLate();
        this.#traffic.queriesIn++;
        return this.#incoming.take(tag, data, this.#telemetry.parentOf(tag));
      case FrameKind.answer:
      case FrameKind.failure:
        if (this.#outgoing.onAnswer(kind, tag, data)) return;
        throw frameError(`Cannot take an answer to query ${tag}: it was never asked`);
      case FrameKind.ping:
        return this.#onPing(tag);
      case FrameKind.pong:
        if (tag === TAKES_STREAMS_TAG) this.#streams.onPong();
        return this.pings.onPong(tag);
      case FrameKind.closing:
        return this.#lifecycle.onClosing(tag);
      case FrameKind.context:
        return this.#telemetry.onContext(tag, data);
      case FrameKind.cancel:
        return this.#incoming.cancel(tag);
      case FrameKind.stream:
        if (!this.#lifecycle.isOpen) this.#refuseLate();
        return this.#streams.take(data);
    }
  };

  #onMessage(type: number, data: Uint8Array): void {
    const { isOpen } = this.#lifecycle;
    if (!isOpen) this.#refuseLate();
    this.#traffic.messagesIn++;
    const { inbox } = this.#options;
    if (isOpen || this.#mayStillTake(inbox)) inbox.receive(type, data);
  }

  /**
   * Nothing limits what comes behind the closing frame: a side that closes is read to its end, room
   * or not.
   */
  #refuseLate(): void {
    if (!this.#lifecycle.theyClosed) return;
    throw frameError("Cannot take a message, a query or a stream behind the closing frame");
  }

  /** Whether a message is taken that comes while the link closes. */
  #mayStillTake(inbox: LinkOptions["inbox"]): boolean {
    // A side that closes reads on to the other side's closing frame. What does not fit by then has
    // no reader.
    if (inbox.full) this.#lifecycle.onInboxFull();
    if (this.#lifecycle.drops) return false;
    // A side that has gone has not much left to say.
    const { writeError } = this.#lifecycle;
    if (writeError === null || !inbox.overfull) return true;
    this.#lifecycle.finish(writeError);
    return false;
  }

  #onPing(tag: number): void {
    this.#telemetry.onPing(tag);
    if (tag === TAKES_CANCELS_TAG) this.#outgoing.peerTakesCancels();
    if (tag === TAKES_STREAMS_TAG && this.#lifecycle.mayStillSend) this.#streams.onPing();
    // A pong says that all before it was received: not when some of it was dropped.
    if (!this.#lifecycle.hasEnded && !this.#lifecycle.drops) this.pings.onPing(tag);
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = null;
  }

  #mustPause(): boolean {
    if (!this.#lifecycle.isOpen || this.pings.entering) return false;
    return this.#options.inbox.full || this.#incoming.full || this.#streams.full;
  }

  #onOutboxRoom(): void {
    this.pings.hasRoom();
    this.#incoming.resume();
    this.#outgoing.resume();
    this.resume();
  }

  #onAnswered(): void {
    this.resume();
    this.#lifecycle.checkIdle();
  }

  #refuseSend(data: Uint8Array): Error | null {
    const { peerMaxMessageBytes } = this.#frames.info;
    if (!this.#lifecycle.isOpen) return this.#lifecycle.gone;
    return data.length <= peerMaxMessageBytes ? null : tooLarge(data.length, peerMaxMessageBytes);
  }
}
