// Link: the inner side of a session: its control stream, the streams it opens and serves, and its end.
import { LinkedSet } from "../../collections/linked_set.ts";
import { TokenBucket } from "../../collections/token_bucket.ts";
import { ClosedError, type ParleyError, TimeoutError } from "../../errors.ts";
import type { MuxStream } from "../../mux/stream.ts";
import { pause } from "../../async/pause.ts";
import { type ControlHost, ControlSender, namesCut } from "./control_sender.ts";
import { timeLeft, withDeadline } from "../../async/deadline.ts";
import type { FrameChannel } from "../protocol/frame_stream.ts";
import { type Control, namesWithin, readControl } from "../protocol/frames.ts";
import type { EstablishedSession } from "./established.ts";
import {
  HandlerTable,
  MAX_NAMES_BYTES,
  type PreparedHandler,
  type StreamHandler,
} from "./handlers.ts";
import type { OpenLimits, OurOpen } from "./open_stream.ts";
import { offerStream } from "./offer_stream.ts";
import { nameStream } from "../protocol/refusals.ts";
import { type ServedLink, Serving, type ServingHost } from "./serving.ts";
import { type SessionLink, WireSession } from "./session.ts";
import { observeSession } from "./telemetry.ts";

/** Time that a peer whose session was taken over gets to read so, and to leave. */
const LAST_WORDS_MS = 500;

/** Frames of the control stream that are read per second in the long run; more wait, unread. */
const CONTROL_PER_SECOND = 100;

/** Time after which a stream that nothing used while its wire was being left is not waited for. */
const UNUSED_MS = 500;

/** What a {@linkcode Link} asks of its side, and reports to it: `MountHost` and `JoinHost` are the two. */
export interface LinkHost extends ServingHost<Link> {
  /** The handlers of the wire. */
  readonly handlers: HandlerTable;
  /** A frame of the control stream has come. */
  onControl(link: Link, control: Control): void;
  /** Something of the session failed that the session outlives. */
  onSessionError(link: Link, error: unknown): void;
}

/**
 * One session, from WELCOME to its end. Call {@linkcode run} once; all else may be called at any
 * moment, and side by side.
 */
export class Link implements SessionLink, ServedLink, ControlHost {
  readonly established: EstablishedSession;
  readonly session: WireSession;
  readonly control: ControlSender;
  /** Resolves once the session is over, with what ended it. Never rejects. */
  readonly closed: Promise<ParleyError | undefined>;
  /** When it was opened, since the epoch, and by the clock that does not go back. */
  readonly openedAtMs: number = Date.now();
  readonly openedMs: number = performance.now();
  offers: readonly string[];
  readonly #host: LinkHost;
  readonly #serving: Serving<Link>;
  /** Handlers of this session alone. */
  readonly #own: HandlerTable;
  #hasReportedCut = false;
  /** Streams of ours that are not over. */
  readonly #opened = new LinkedSet<MuxStream>();
  readonly #over = new AbortController();
  #closing: Promise<void> | undefined;
  /** Ends the wait of a close for handlers. */
  readonly #cutting = new AbortController();
  #takenOver: ClosedError | undefined;

  constructor(established: EstablishedSession, host: LinkHost) {
    this.established = established;
    this.offers = established.offers;
    this.#host = host;
    this.#serving = new Serving(this, host);
    this.closed = established.mux.closed.then((error) => {
      const reason = this.#takenOver ?? error;
      this.#over.abort(
        reason ?? new ClosedError("ERR_CLOSED", "Cannot go on: the session was closed"),
      );
      return reason;
    });
    this.control = new ControlSender(established.control, this, established.announced);
    this.session = new WireSession(this);
    // What does not fit together with the wire's names is reported where they are joined.
    this.#own = new HandlerTable(this.session, {
      onChange: () => this.control.announceNames(),
      onCut: () => {},
    });
  }

  /** Names that this side announces to the peer: those of the wire, and of this session alone. */
  get names(): readonly string[] {
    const { announced } = this.#host.handlers;
    if (this.#own.size === 0) return announced;
    const all = [...new Set([...announced, ...this.#own.names])];
    const told = namesWithin(all, MAX_NAMES_BYTES);
    if (told.length < all.length && !this.#hasReportedCut) {
      this.#hasReportedCut = true;
      this.#host.onSessionError(this, namesCut(this.established.identity, told.length, all.length));
    }
    return told;
  }

  /** The handler of a name: that of this session, or the wire's. */
  handler(name: string): StreamHandler | PreparedHandler | undefined {
    return this.#own.get(name) ?? this.#host.handlers.get(name);
  }

  /** Fires when the session is over, with what ended it. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Takes streams from now on; settles when the session is over. Never rejects. */
  async run(): Promise<void> {
    void this.#followControl();
    // Handlers may have come and gone since the handshake announced them.
    this.control.announceNames();
    observeSession(this.established);
    const { mux } = this.established;
    for (
      let stream = await mux.acceptStream();
      stream !== null;
      stream = await mux.acceptStream()
    ) {
      this.#serving.take(stream);
    }
    await mux.closed;
  }

  /** Takes more than the handshake said, and announces that to the peer. */
  raise(
    { maxStreams, maxHandlers }: {
      readonly maxStreams?: number | undefined;
      readonly maxHandlers?: number | undefined;
    },
  ): void {
    if (maxHandlers !== undefined) this.#serving.places.limit = maxHandlers;
    if (maxStreams === undefined) return;
    this.established.mux.raiseMaxStreams(maxStreams);
    this.control.announceLimits({ maxStreams });
  }

  /** Opens a stream: waits for a turn, sends OPEN, and waits for the answer. */
  async open(
    open: OurOpen,
    limits: OpenLimits,
  ): Promise<FrameChannel> {
    const { mux, peer } = this.established;
    const label = nameStream(open.name, open.to ?? peer);
    // What a hub brings to a peer is not counted as a stream of its own.
    const isOurs = open.from === undefined;
    try {
      const opened = await offerStream(mux, { ...limits, open, label });
      if (isOurs) this.#opens(open.name, opened.mux);
      return opened;
    } catch (error) {
      if (isOurs) this.#host.counters.streamsFailed++;
      throw error;
    }
  }

  /** Ends in order: streams and handlers get `timeoutMs`. */
  close(timeoutMs: number): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** Ends as {@linkcode close} does, and does not wait for streams of ours that nothing uses: resets them. */
  async leave(timeoutMs: number): Promise<void> {
    const left = new AbortController();
    void this.#resetUnused(left.signal);
    try {
      await this.close(timeoutMs);
    } finally {
      left.abort();
    }
  }

  /** Ends now: a close under way rejects, and waits for no handler any more. */
  abort(reason?: unknown): void {
    this.established.mux.abort(reason);
    if (this.#closing === undefined) return;
    this.#closing.catch(() => {});
    this.#cutting.abort(
      reason ?? new ClosedError("ERR_CLOSED", "Cannot close in order: it was aborted"),
    );
  }

  /** A frame of the control stream could not be sent; the session goes on. */
  onControlError(error: unknown): void {
    this.#host.onSessionError(this, error);
  }

  /**
   * Ends it because a newer session took its place: says so to the peer, which leaves or is cut.
   * Never rejects.
   */
  async takeOver(error: ClosedError): Promise<void> {
    this.#takenOver = error;
    const startedMs = performance.now();
    await this.control.sendFinal({ ended: "ERR_NAME_TAKEN" }, LAST_WORDS_MS);
    await pause(timeLeft(LAST_WORDS_MS, startedMs), this.signal);
    this.abort(error);
  }

  #opens(name: string, mux: MuxStream): void {
    this.#host.counters.streamsOpened++;
    this.#host.names.add(name, mux);
    const place = this.#opened.add(mux);
    void mux.closed.then(() => this.#opened.remove(place));
  }

  async #close(timeoutMs: number): Promise<void> {
    const startedMs = performance.now();
    const closing = this.established.mux.close({ timeoutMs });
    this.control.end();
    await closing;
    const late = () =>
      new TimeoutError(
        "ERR_DRAIN_TIMEOUT",
        `Cannot close in order: handlers still ran after ${timeoutMs} ms`,
      );
    const { signal } = this.#cutting;
    await withDeadline(
      { signal, timeoutMs: timeLeft(timeoutMs, startedMs), late },
      () => this.#serving.finished(),
    );
  }

  async #resetUnused(signal: AbortSignal): Promise<void> {
    const used = new Map<MuxStream, number>();
    for (const mux of this.#opened.values()) used.set(mux, mux.uses);
    for (;;) {
      await pause(UNUSED_MS, signal);
      if (signal.aborted) return;
      for (const mux of this.#opened.values()) {
        const { isBusy, uses } = mux;
        if (!isBusy && used.get(mux) === uses) mux.reset(LEFT);
        else used.set(mux, uses);
      }
    }
  }

  async #followControl(): Promise<void> {
    const { control, mux, uncounted } = this.established;
    const pace = new TokenBucket({ perSecond: CONTROL_PER_SECOND }, performance.now());
    try {
      for (let frame = await control.read(); frame !== null; frame = await control.read()) {
        const change = readControl(frame);
        const { maxStreams } = change.limits ?? {};
        if (maxStreams !== undefined) mux.agree({ maxStreams: maxStreams + uncounted });
        this.#host.onControl(this, change);
        const waitMs = pace.waitMs(1, performance.now());
        if (waitMs > 0) await pause(waitMs, this.signal);
        pace.spend(1);
      }
      // The peer is closing in order: no new streams, old ones finish.
      mux.goAway();
      this.control.end();
    } catch (error) {
      this.abort(error);
    }
  }
}

/** Why a stream ends that nothing used while its wire was being left. */
const LEFT = new ClosedError("ERR_CLOSED", "The wire was left while nothing used the stream");
