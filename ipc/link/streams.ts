// LinkStreams: streams inside a link, by a yamux session that begins with the first of them.
import { timeLeft } from "../../async/deadline.ts";
import { Semaphore } from "../../async/semaphore.ts";
import type { WaitOptions } from "../../async/wait.ts";
import { Waiters } from "../../async/waiters.ts";
import { ClosedError, ProtocolError, RemoteError, TimeoutError } from "../../errors.ts";
import { MuxMemory } from "../../mux/memory.ts";
import type { MuxRole } from "../../mux/options.ts";
import { MuxSession } from "../../mux/session.ts";
import type { MuxStream } from "../../mux/stream.ts";
import { MAX_TIMER_MS } from "../../options/check.ts";
import { FrameKind, TAKES_STREAMS_TAG } from "../protocol/frames.ts";
import type { CallSlot } from "./call_slot.ts";
import { frameError } from "./link_errors.ts";
import { StreamTransport, type StreamTransportOptions } from "./stream_transport.ts";

/** Streams of each side that may be open at a time; part of the protocol. */
const MAX_STREAMS = 256;
/**
 * What the streams of one link may reserve for what they receive. A quarter of it, shared by all
 * streams of the other side, is the 16 KiB with which each starts; that is part of the protocol.
 */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
/** A budget of its own: processes on this machine must not take from peers of the network. */
const MEMORY = new MuxMemory();
/** The most that the option may be. */
const ANY_RESETS = 2 ** 31;
const NOTHING: Uint8Array = new Uint8Array(0);

/** Options of {@linkcode LinkStreams}. */
export interface LinkStreamsOptions extends StreamTransportOptions {
  /** The side that connected is the client of the session. */
  readonly role: MuxRole;
  /** Serves the other side's streams; without handlers in it none are taken. */
  readonly calls: CallSlot | undefined;
  /** Called when the other side broke the rules of the session. */
  readonly onBroken: (error: Error) => void;
  /** Called when the session has ended. */
  readonly onIdle: () => void;
}

/**
 * The streams of one link. Any number of `open` calls may be under way.
 *
 * A side says that it takes streams by a ping of a tag of its own, and only a side that has said so
 * is sent stream frames. A side that wants to open one sends that ping; the other side sends its own
 * such ping before the pong, if it takes them. So the pong decides, and a side that knows nothing of
 * streams sees nothing new.
 */
export class LinkStreams {
  readonly #options: LinkStreamsOptions;
  readonly #asking = new Waiters<void>();
  /** Handlers that may run at a time, those of streams that were reset among them. */
  readonly #places = new Semaphore(MAX_STREAMS);
  #hasAnnounced = false;
  #peerTakes = false;
  #transport: StreamTransport | undefined;
  #session: MuxSession | undefined;
  /** Why no session begins any more, or the one there was has ended. */
  #end: Error | undefined;

  /** Begins without a session. */
  constructor(options: LinkStreamsOptions) {
    this.#options = options;
  }

  /** 1 while there is a session that has not ended, else 0. */
  get size(): number {
    return this.#session === undefined || this.#end !== undefined ? 0 : 1;
  }

  /** Whether the link should read no more for now. */
  get full(): boolean {
    return this.#transport?.full ?? false;
  }

  /**
   * Opens a stream.
   *
   * @throws {RemoteError} `ERR_UNKNOWN_CALL` when the other side takes no streams
   * @throws {ClosedError} when either side closes or has gone
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when the other side did not answer in time
   * @throws {LimitError} `ERR_TOO_MANY_STREAMS` when all its places were taken for that long
   */
  async open({ signal, timeoutMs = Infinity }: WaitOptions): Promise<MuxStream> {
    signal?.throwIfAborted();
    const startedMs = performance.now();
    if (this.#end !== undefined) throw this.#end;
    if (!this.#peerTakes) await this.#agree({ signal, timeoutMs });
    if (this.#end !== undefined) throw this.#end;
    const leftMs = timeLeft(timeoutMs, startedMs);
    this.#announce(); // the other side answers by stream frames
    const session = this.#start();
    return await session.openStream(
      leftMs > MAX_TIMER_MS ? { signal } : { signal, timeoutMs: leftMs },
    );
  }

  /**
   * Takes the ping by which the other side says that it takes streams. Where this side closes it
   * answers too: what the other side then sends is dropped, and it learns why by the closing frame.
   */
  onPing(): void {
    this.#peerTakes = true;
    if (this.#options.calls?.current !== undefined) this.#announce();
    this.#asking.resolve();
  }

  /** Takes the answer to our own such ping. */
  onPong(): void {
    this.#asking.resolve();
  }

  /**
   * Takes a stream frame.
   *
   * @throws {ProtocolError} `ERR_IPC_FRAME` when this side has not said that it takes them
   */
  take(data: Uint8Array): void {
    if (!this.#hasAnnounced) {
      throw frameError("Cannot take a stream frame: this side has not said that it takes them");
    }
    if (this.#end !== undefined) return; // sent before the other side knew of the end
    this.#start();
    this.#transport!.receive(data);
  }

  /** Lets no new streams begin; `size` is 0 when those under way are over. */
  drain(): void {
    this.#asking.reject(goingAway());
    if (this.#session === undefined) this.#end ??= goingAway();
    else this.#session.goAway();
  }

  /** The link has ended, or its other side closes: resets every stream. */
  end(error: Error): void {
    this.#end ??= error;
    this.#asking.reject(error);
    // Other errors are not of streams: a time limit of the link is none of a read.
    if (error instanceof ClosedError) this.#session?.abort(error);
    this.#transport?.fail(error);
  }

  #announce(): void {
    if (this.#hasAnnounced) return;
    this.#hasAnnounced = true;
    this.#options.outbox.add(FrameKind.ping, TAKES_STREAMS_TAG, NOTHING);
  }

  /** Finds out whether the other side takes streams. */
  async #agree(options: WaitOptions): Promise<void> {
    if (this.#asking.size === 0) {
      this.#hasAnnounced = true;
      // Again for each time that it did not: its program may have set its handlers meanwhile.
      this.#options.outbox.add(FrameKind.ping, TAKES_STREAMS_TAG, NOTHING);
    }
    await this.#asking.wait(options, noAnswer);
    if (!this.#peerTakes) throw takesNone();
  }

  #start(): MuxSession {
    if (this.#session !== undefined) return this.#session;
    this.#transport = new StreamTransport(this.#options);
    const session = this.#session = new MuxSession(this.#transport, {
      role: this.#options.role,
      maxStreams: MAX_STREAMS,
      maxBufferedBytes: MAX_BUFFERED_BYTES,
      memory: MEMORY,
      keepAliveMs: 0, // the link has its own
      // A program may leave as many feeds as it likes: a reset costs no more than a query.
      flood: { maxResets: ANY_RESETS },
    });
    session.agree(session.terms); // both sides have the same
    void session.closed.then((error) => this.#onSessionEnd(error));
    void this.#serve(session);
    return session;
  }

  async #serve(session: MuxSession): Promise<void> {
    for await (const stream of session) void this.#serveOne(stream);
  }

  /**
   * Serves a stream, which waits while the handlers of others run. That happens only where these go on
   * after their stream was reset: each is work, and a reset alone must not make room for more of it.
   */
  async #serveOne(stream: MuxStream): Promise<void> {
    const mayRun = this.#places.tryAcquire() ||
      await this.#places.hold(stream.signal).then(() => true, () => false);
    if (!mayRun) return stream.reset();
    try {
      const serving = this.#options.calls?.serve(stream);
      if (serving === undefined) stream.reset();
      await serving;
    } finally {
      this.#places.release();
    }
  }

  #onSessionEnd(error: Error | undefined): void {
    const { onBroken, onIdle } = this.#options;
    if (this.#end === undefined && error instanceof ProtocolError) onBroken(error);
    this.#end ??= error ?? goingAway();
    onIdle();
  }
}

function goingAway(): ClosedError {
  return new ClosedError("ERR_GOING_AWAY", "Cannot open a stream: the connection closes");
}

function takesNone(): RemoteError {
  return new RemoteError(
    "ERR_UNKNOWN_CALL",
    "Cannot open a stream: the other side answers no calls that have streams",
  );
}

function noAnswer(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_CONNECT_TIMEOUT",
    `Cannot open a stream: the other side did not answer within ${timeoutMs} ms`,
  );
}
