// The inner side of a session: reads frames, keeps the streams, and brings everything to its end.
import { ClosedError, LimitError, type ParleyError, ProtocolError } from "../errors.ts";
import type { Clock } from "../async/clock.ts";
import type { Transport } from "../net/transport/transport.ts";
import {
  type EngineCounters,
  type EngineHooks,
  goneError,
  keepaliveError,
  newCounters,
  unconfirmedError,
} from "./engine_types.ts";
import { FloodGuard } from "./flood.ts";
import {
  Flag,
  type FrameHeader,
  FrameReader,
  type FrameSink,
  FrameType,
  GoAwayCode,
} from "./header.ts";
import { KeepAlive } from "./keep_alive.ts";
import type { SessionMemory } from "./memory.ts";
import type { ResolvedMuxOptions } from "./options.ts";
import { PingTable } from "./ping_table.ts";
import {
  isOpening,
  isOver,
  nextSessionState,
  type SessionState,
  type StreamState,
} from "./state.ts";
import { StreamCore, type StreamHost } from "./stream_core.ts";
import { StreamTable } from "./stream_table.ts";
import { type PeerTerms, SessionTerms } from "./terms.ts";
import { waitAtMost } from "../async/wait_at_most.ts";
import { FrameWriter } from "./writer.ts";

/** Time and bytes that the peer gets to read our last words before the descriptor is closed. */
const LINGER_MS = 500;
const LINGER_BYTES = 4 * 1024 * 1024;
/** Time that a peer gets to confirm that it has everything, where nothing else bounds the end. */
const CONFIRM_MS = 60_000;

/** One session over one transport. */
export class Engine implements FrameSink, StreamHost {
  readonly clock: Clock;
  readonly memory: SessionMemory;
  readonly writer: FrameWriter;
  readonly maxWindowBytes: number;
  readonly pings: PingTable;
  readonly counters: EngineCounters = newCounters();
  readonly terms: SessionTerms;
  readonly streams: StreamTable;
  /** Resolves when the transport is closed: with nothing after an orderly end. */
  readonly closed: Promise<ParleyError | undefined>;
  readonly #options: ResolvedMuxOptions;
  readonly #transport: Transport;
  readonly #hooks: EngineHooks;
  readonly #reader = new FrameReader(this);
  readonly #flood: FloodGuard;
  readonly #keepAlive: KeepAlive;
  readonly #readOver = Promise.withResolvers<void>();
  readonly #closing = Promise.withResolvers<ParleyError | undefined>();
  #state: SessionState = "open";
  #error: ParleyError | undefined;
  #isFinishing = false;
  /** The body under way: whose it is, what is left of it, and the flags that take effect after it. */
  #receiving: StreamCore | undefined;
  #bodyLeft = 0;
  #bodyFlags = 0;
  /** Whether a stream keeps a part of the chunk that was read last. */
  #isChunkKept = false;

  constructor(transport: Transport, options: ResolvedMuxOptions, hooks: EngineHooks) {
    const { clock, random } = options;
    this.#transport = transport;
    this.#options = options;
    this.#hooks = hooks;
    this.clock = clock;
    this.maxWindowBytes = options.maxWindowBytes;
    this.closed = this.#closing.promise;
    this.memory = options.memory.open(options.maxBufferedBytes);
    this.terms = new SessionTerms(options);
    this.#flood = new FloodGuard(options.flood, clock.now());
    this.streams = new StreamTable(options, this.#flood);
    this.writer = new FrameWriter(transport, {
      nowMs: () => clock.now(),
      onWritten: (bytes, frames) => {
        this.counters.bytesOut += bytes;
        this.counters.framesOut += frames;
      },
      onError: (error) => this.#lose(error),
    });
    this.pings = new PingTable({
      clock,
      send: (length) => this.#sessionFrame(FrameType.ping, Flag.syn, length),
    });
    this.#keepAlive = new KeepAlive({
      clock,
      random,
      intervalMs: options.keepAliveMs,
      timeoutMs: options.keepAliveTimeoutMs,
      ping: () => {
        const { answer, waitMs } = this.pings.ping();
        answer.catch(() => {});
        return waitMs;
      },
      signsOfLife: () => this.counters.bytesIn + this.writer.unblockedWrites,
      onDead: () => this.abort(keepaliveError(options.keepAliveTimeoutMs)),
    });
    void this.#read();
  }

  get state(): SessionState {
    return this.#state;
  }

  /** What ended the session, once it has ended. */
  get error(): ParleyError | undefined {
    return this.#error;
  }

  get isPeerGoing(): boolean {
    return this.#state === "goAwayReceived" || this.#state === "goAwayBoth";
  }

  /** What an opening waits for: answers to those before it, or the end of one of our streams. */
  get openingWaitsFor(): "nothing" | "answers" | "ends" {
    if (this.streams.opening >= this.#options.maxOpening) return "answers";
    return this.terms.allows(this.streams.own) ? "nothing" : "ends";
  }

  /** See `MuxSession.agree`. */
  agree(theirs: PeerTerms): void {
    const { terms } = this;
    if (terms.agree(theirs)) {
      // The peer may know the terms earlier than we do: what it has opened by then is subject to them.
      for (const core of this.streams.backlog.values()) {
        core.rebase(terms.sendWindowBytes, terms.receiveWindowBytes);
      }
    }
    this.#hooks.onOpeningChanged();
  }

  /** Opens a stream of ours. The caller has checked state and limits. */
  open(): StreamCore {
    const id = this.streams.takeId();
    if (!this.memory.reserve(this.terms.receiveWindowBytes)) {
      const text = "Cannot open a stream: no memory is left for what it may receive";
      throw new LimitError("ERR_TOO_MANY_STREAMS", text);
    }
    const core = new StreamCore(id, false, this);
    this.streams.add(core);
    this.counters.streamsOpened += 1;
    core.open();
    return core;
  }

  /** Announces to the peer that no streams are taken or opened any more. */
  goAway(): void {
    if (this.#state === "goAwaySent" || this.#state === "goAwayBoth" || this.#state === "ended") {
      return;
    }
    this.#state = nextSessionState(this.#state, "sendGoAway");
    this.#sessionFrame(FrameType.goAway, 0, GoAwayCode.normal);
    this.#finishWhenIdle();
  }

  /** Resets the streams that the application has not accepted. */
  refuseBacklog(): void {
    for (const core of this.streams.backlog.values()) core.reset();
  }

  /** Ends the session now; one that has ended and lets the peer read its last words waits no longer. */
  abort(error: ParleyError): void {
    void this.#end(error, "cut");
    this.#transport.close();
  }

  // ── StreamHost ──

  rttMs(): number | undefined {
    return this.#state === "ended" ? this.pings.lastRttMs : this.pings.freshRttMs();
  }

  onStateChange(core: StreamCore, from: StreamState): void {
    const { freesOpening, isLast } = this.streams.stateChanged(core, from);
    if (freesOpening) this.#hooks.onOpeningChanged();
    if (!isLast) return;
    this.#hooks.onIdle();
    this.#finishWhenIdle();
  }

  onClosing(core: StreamCore): void {
    this.streams.closing(core);
  }

  get refusesByReset(): boolean {
    return this.terms.refusesByReset(this.streams.own);
  }

  onRefused(): void {
    this.terms.learn(this.streams.own);
  }

  onReleased(core: StreamCore): void {
    this.streams.release(core);
  }

  // ── FrameSink ──

  onHeader(header: FrameHeader): void {
    this.counters.framesIn += 1;
    const { type, flags, streamId, length } = header;
    this.#receiving = undefined;
    if (type === FrameType.ping) this.#onPing(flags, length);
    else if (type === FrameType.goAway) this.#onGoAway(length);
    else {
      if (length === 0 && flags === 0) this.#flood.emptyFrame();
      else this.#flood.usefulFrame();
      if (this.writer.isOverloaded) this.#flood.unreadAnswers();
      const core = flags & Flag.syn ? this.#onSyn(streamId) : this.streams.get(streamId);
      if (core === undefined || isOver(core.state)) {
        return this.streams.late.judge(header, this.streams.nextId);
      }
      if (flags & Flag.rst && !(flags & Flag.fin)) {
        this.counters.resetsIn += 1;
        this.#flood.reset(this.clock.now());
      }
      // A bare ACK: others (@libp2p/yamux) let theirs go with their first data.
      if (flags === Flag.ack && type === FrameType.windowUpdate && length === 0) {
        this.terms.answersAtOnce = true;
      }
      core.onFrame(type, flags, length);
      if (type === FrameType.data && length > 0) {
        this.#receiving = core;
        this.#bodyLeft = length;
        this.#bodyFlags = flags;
      } else core.onFlags(flags, length);
    }
  }

  onBody(bytes: Uint8Array): void {
    const core = this.#receiving;
    if (core === undefined) return;
    this.#bodyLeft -= bytes.length;
    if (core.onBody(bytes)) this.#isChunkKept = true;
    if (this.#bodyLeft === 0 && this.#bodyFlags !== 0) core.onFlags(this.#bodyFlags, 0);
  }

  #onPing(flags: number, value: number): void {
    if (flags === Flag.ack && this.pings.onAnswer(value)) return;
    this.#flood.ping(this.clock.now());
    if (flags === Flag.syn) this.#sessionFrame(FrameType.ping, Flag.ack, value);
  }

  #onGoAway(code: number): void {
    if (code !== GoAwayCode.normal) {
      const what = code === GoAwayCode.protocolError ? "says that we broke the protocol" : "failed";
      throw new ProtocolError(
        "ERR_MUX_PEER_ERROR",
        `Cannot go on with the session: the peer ${what} (code ${code})`,
      );
    }
    this.#flood.ping(this.clock.now());
    this.#state = nextSessionState(this.#state, "receiveGoAway");
    this.#hooks.onOpeningChanged();
    this.#finishWhenIdle();
  }

  /** Takes a stream of the peer's; `undefined` when it is refused. */
  #onSyn(streamId: number): StreamCore | undefined {
    this.streams.peerIds.take(streamId);
    this.counters.streamsAccepted += 1;
    const { incoming, backlog } = this.streams;
    const full = incoming >= this.terms.maxStreams || backlog.size >= this.#options.maxBacklog;
    // What is refused is the opening: a stream whose window fits no budget must not be given credit.
    if (full || this.#state !== "open" || !this.memory.reserve(this.terms.receiveWindowBytes)) {
      return this.#refuse(streamId);
    }
    const core = new StreamCore(streamId, true, this);
    this.streams.add(core);
    this.#hooks.onIncoming(core);
    return core;
  }

  #refuse(streamId: number): undefined {
    this.counters.streamsRefused += 1;
    this.#flood.reset(this.clock.now());
    this.streams.late.expect(streamId, this.terms.receiveWindowBytes);
    this.writer.control({ type: FrameType.windowUpdate, flags: Flag.rst, streamId, length: 0 });
  }

  // ── Ends ──

  async #read(): Promise<void> {
    let lingerBytes = LINGER_BYTES;
    try {
      for (;;) {
        const chunk = await this.#transport.read();
        if (chunk === null) break;
        this.counters.bytesIn += chunk.length;
        if (this.#state !== "ended") this.#take(chunk);
        else if ((lingerBytes -= chunk.length) < 0) break;
        if (this.#isChunkKept) this.#isChunkKept = false;
        else this.#transport.reuse?.(chunk);
      }
      this.#onPeerEnd();
    } catch (error) {
      this.#lose(error);
    } finally {
      this.#readOver.resolve();
    }
  }

  #take(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      const broken = error instanceof ProtocolError
        ? error
        : new ProtocolError("ERR_MUX_INTERNAL", "Cannot go on with the session: it failed", {
          cause: error,
        });
      void this.#end(broken, broken.code === "ERR_MUX_PEER_ERROR" ? "cut" : "tell");
    }
  }

  /** The peer has ended its direction. In order if nothing was under way but openings that it never saw. */
  #onPeerEnd(): void {
    if (this.isPeerGoing && this.#reader.atBoundary) {
      for (const core of this.streams.all()) {
        if (isOpening(core.state) && core.receiver.receivedBytes === 0) {
          core.fail(goneError(core.id));
        }
      }
    }
    if (this.streams.live > 0 || !this.#reader.atBoundary) this.#lose(undefined);
    else void this.#end(undefined, "flush");
  }

  #lose(cause: unknown): void {
    const text = "Cannot go on with the session: the connection was lost";
    void this.#end(new ClosedError("ERR_RESET", text, { cause }), "cut");
  }

  get #isEnded(): boolean {
    return this.#state === "ended";
  }

  /** Once either side has gone away, the last stream ends the session. */
  #finishWhenIdle(): void {
    if (
      this.streams.live > 0 || this.#isFinishing || this.#state === "open" ||
      this.#state === "ended"
    ) {
      return;
    }
    this.#isFinishing = true;
    void this.#finish();
  }

  /** Ends the session in order once the peer has got everything: the answer to a ping shows it. */
  async #finish(): Promise<void> {
    // The frame under way may have more to say.
    await undefined;
    if (this.#isEnded) return;
    const late = () => this.abort(unconfirmedError(this.writer.queuedBytes, CONFIRM_MS));
    const cancel = this.clock.after(CONFIRM_MS, late);
    try {
      await this.writer.idle();
      if (!this.#isEnded) await this.pings.ping({ fresh: true }).answer;
    } catch {
      // The session ended by itself.
    }
    cancel();
    await this.#end(undefined, "flush");
  }

  async #end(error: ParleyError | undefined, how: "flush" | "tell" | "cut"): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = nextSessionState(this.#state, "end");
    this.#error = error;
    const end = error ?? new ClosedError("ERR_CLOSED", "Cannot use the session: it was closed");
    this.#keepAlive.stop();
    for (const core of this.streams.all()) core.fail(end);
    this.streams.stop();
    this.memory.close();
    this.pings.fail(end);
    this.writer.dropData();
    this.#hooks.onEnd(end);
    if (how === "tell") {
      const ours = error?.code === "ERR_MUX_INTERNAL";
      this.#sessionFrame(
        FrameType.goAway,
        0,
        ours ? GoAwayCode.internalError : GoAwayCode.protocolError,
      );
    }
    if (how !== "cut") await this.#farewell();
    this.writer.stop();
    this.#transport.close();
    this.#closing.resolve(error);
  }

  /** Writes what is queued and lets the peer read it: closing with unread bytes would take it back. */
  async #farewell(): Promise<void> {
    const lastWords = async () => {
      await this.writer.idle();
      await this.#transport.closeWrite();
      await this.#readOver.promise;
    };
    await waitAtMost(this.clock, LINGER_MS, lastWords());
  }

  #sessionFrame(type: FrameHeader["type"], flags: number, length: number): void {
    this.writer.control({ type, flags, streamId: 0, length });
  }
}
