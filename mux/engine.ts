// The inner side of a session: reads frames, keeps the streams, and brings everything to its end.
import { ClosedError, type ParleyError, ProtocolError } from "../errors.ts";
import type { Clock } from "../clock.ts";
import type { Transport } from "../net/transport.ts";
import { deadError, type EngineCounters, type EngineHooks, lateError } from "./engine_parts.ts";
import { FloodGuard } from "./flood.ts";
import {
  Flag,
  type FrameHeader,
  FrameReader,
  type FrameSink,
  FrameType,
  GoAwayCode,
  MAX_U32,
} from "./header.ts";
import type { SessionMemory } from "./memory.ts";
import type { ResolvedMuxOptions } from "./options.ts";
import { KeepAlive, PingTable } from "./ping_table.ts";
import { isOpening, isOver, nextSessionState, type SessionState, type StreamState } from "./state.ts";
import { StreamCore, type StreamHost } from "./stream_core.ts";
import { Deadlines, Graves, PeerIds } from "./stream_table.ts";
import { FrameWriter } from "./writer.ts";

/** Time and bytes that the peer gets to read our last words before the descriptor is closed. */
const LINGER_MS = 500;
const LINGER_BYTES = 4 * 1024 * 1024;

/** One session over one transport. */
export class Engine implements FrameSink, StreamHost {
  readonly clock: Clock;
  readonly memory: SessionMemory;
  readonly writer: FrameWriter;
  readonly maxWindowBytes: number;
  readonly pings: PingTable;
  readonly counters: EngineCounters = {
    bytesIn: 0,
    bytesOut: 0,
    framesIn: 0,
    framesOut: 0,
    streamsOpened: 0,
    streamsAccepted: 0,
    streamsRefused: 0,
    resetsIn: 0,
  };
  /** Streams that the peer opened and nobody took yet, oldest first. */
  readonly backlog: Set<StreamCore> = new Set();
  /** Resolves when the transport is closed: with nothing after an orderly end. */
  readonly closed: Promise<ParleyError | undefined>;
  readonly #options: ResolvedMuxOptions;
  readonly #transport: Transport;
  readonly #hooks: EngineHooks;
  readonly #reader = new FrameReader(this);
  readonly #streams = new Map<number, StreamCore>();
  readonly #graves = new Graves();
  readonly #flood: FloodGuard;
  readonly #ids: PeerIds;
  readonly #deadlines: Deadlines;
  readonly #keepAlive: KeepAlive;
  readonly #readOver = Promise.withResolvers<void>();
  readonly #closing = Promise.withResolvers<ParleyError | undefined>();
  #state: SessionState = "open";
  #error: ParleyError | undefined;
  #nextId: number;
  #live = 0;
  #incoming = 0;
  #opening = 0;
  /** The body under way: whose it is, what is left of it, and the flags that take effect after it. */
  #receiving: StreamCore | undefined;
  #bodyLeft = 0;
  #bodyFlags = 0;

  constructor(transport: Transport, options: ResolvedMuxOptions, hooks: EngineHooks) {
    const { clock, random, role } = options;
    this.#transport = transport;
    this.#options = options;
    this.#hooks = hooks;
    this.clock = clock;
    this.maxWindowBytes = options.maxWindowBytes;
    this.closed = this.#closing.promise;
    this.memory = options.memory.open(options.maxBufferedBytes, () => this.#shed());
    this.#flood = new FloodGuard(options.flood, clock.now());
    this.#ids = new PeerIds(role, options.reorderedIds);
    this.#nextId = role === "client" ? 1 : 2;
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
    this.#deadlines = new Deadlines({
      clock,
      openTimeoutMs: options.openTimeoutMs,
      halfCloseTimeoutMs: options.halfCloseTimeoutMs,
      onLate: (core, what) => core.kill(lateError(core, what)),
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
      bytesIn: () => this.counters.bytesIn,
      onDead: () => this.abort(deadError(options.keepAliveTimeoutMs)),
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

  /** Streams that are not over. */
  get live(): number {
    return this.#live;
  }

  /** Streams of ours without an answer. */
  get opening(): number {
    return this.#opening;
  }

  /** Opens a stream of ours. The caller has checked state and limits. */
  open(): StreamCore {
    if (this.#nextId > MAX_U32) {
      throw new ClosedError(
        "ERR_GOING_AWAY",
        "Cannot open a stream as the session has used up its stream ids",
      );
    }
    const core = new StreamCore(this.#nextId, false, this);
    this.#nextId += 2;
    this.#add(core);
    this.#opening += 1;
    this.counters.streamsOpened += 1;
    core.open();
    this.#deadlines.watch(core);
    return core;
  }

  /** Tells the peer that no streams are taken or opened any more. */
  goAway(): void {
    if (this.#state === "goAwaySent" || this.#state === "goAwayBoth" || this.#state === "ended") return;
    this.#state = nextSessionState(this.#state, "sendGoAway");
    this.#sessionFrame(FrameType.goAway, 0, GoAwayCode.normal);
  }

  /** Resets the streams that nobody has accepted. */
  refuseBacklog(): void {
    for (const core of this.backlog) core.reset();
  }

  /** Ends the session in order: what is written goes out first. */
  finish(): Promise<void> {
    return this.#end(undefined, "flush");
  }

  /** Ends the session now. */
  abort(error: ParleyError): void {
    void this.#end(error, "cut");
  }

  // ── StreamHost ──

  rttMs(): number | undefined {
    return this.#state === "ended" ? this.pings.lastRttMs : this.pings.freshRttMs();
  }

  onMove(core: StreamCore, from: StreamState): void {
    const { state } = core;
    if (isOpening(from) && !isOpening(state)) {
      this.#opening -= 1;
      this.#deadlines.unwatch(core);
      this.#hooks.onOpeningChanged();
    }
    if (state === "writeClosed") this.#deadlines.watch(core);
    if (!isOver(state)) return;
    this.#live -= 1;
    this.#deadlines.unwatch(core);
    // Nobody will ever read what came for a stream that was never offered.
    if (this.backlog.delete(core)) core.receiver.discard();
    if (state === "reset") this.#graves.add(core.id, core.receiver.availableBytes);
    if (this.#live === 0) this.#hooks.onIdle();
  }

  onSpent(core: StreamCore): void {
    if (!this.#streams.delete(core.id)) return;
    if (core.isIncoming) this.#incoming -= 1;
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
      const core = flags & Flag.syn ? this.#onSyn(streamId) : this.#streams.get(streamId);
      if (core === undefined || isOver(core.state)) return this.#onDeadFrame(header);
      if (flags & Flag.rst) {
        this.counters.resetsIn += 1;
        this.#flood.reset(this.clock.now());
      }
      core.onFrame(type, flags, length);
      if (type === FrameType.data && length > 0) {
        this.#receiving = core;
        this.#bodyLeft = length;
        this.#bodyFlags = flags;
      } else core.onFlags(flags);
    }
  }

  onBody(bytes: Uint8Array): void {
    const core = this.#receiving;
    if (core === undefined) return;
    this.#bodyLeft -= bytes.length;
    core.onBody(bytes);
    if (this.#bodyLeft === 0 && this.#bodyFlags !== 0) core.onFlags(this.#bodyFlags);
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
  }

  /** Opens a stream of the peer's; `undefined` when it is refused. */
  #onSyn(streamId: number): StreamCore | undefined {
    this.#ids.take(streamId);
    const { maxStreams, maxBacklog } = this.#options;
    const full = this.#incoming >= maxStreams || this.backlog.size >= maxBacklog;
    const core = new StreamCore(streamId, true, this);
    this.counters.streamsAccepted += 1;
    this.#add(core);
    this.#incoming += 1;
    if (full || this.#state !== "open") {
      this.counters.streamsRefused += 1;
      // Streams that crossed our go-away on the wire are nobody's fault.
      if (full) this.#flood.reset(this.clock.now());
      core.reset();
      return undefined;
    }
    this.backlog.add(core);
    this.#hooks.onIncoming(core);
    return core;
  }

  #onDeadFrame({ type, flags, streamId, length }: FrameHeader): void {
    const own = streamId % 2 === (this.#options.role === "client" ? 1 : 0);
    if (own ? streamId >= this.#nextId : !this.#ids.wasUsed(streamId)) {
      throw new ProtocolError(
        "ERR_MUX_STREAM_ID",
        `Cannot take a frame for stream ${streamId}: it was never opened`,
      );
    }
    const data = type === FrameType.data ? length : 0;
    const left = this.#graves.bytesLeft(streamId);
    if (data > (left ?? this.maxWindowBytes)) {
      const text = `Cannot take a data frame of ${data} bytes on stream ${streamId}: it is over`;
      throw new ProtocolError("ERR_MUX_WINDOW", text);
    }
    if (left !== undefined && flags & (Flag.fin | Flag.rst)) this.#graves.forget(streamId);
    else if (left !== undefined && data > 0) this.#graves.take(streamId, data);
    else if (!(flags & Flag.syn)) this.#flood.deadFrame(this.clock.now());
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
      }
      if (this.#live > 0 || !this.#reader.atBoundary) this.#lose(undefined);
      else void this.#end(undefined, "flush");
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
        : new ProtocolError("ERR_MUX_INTERNAL", "Cannot go on with the session as it failed", {
          cause: error,
        });
      void this.#end(broken, broken.code === "ERR_MUX_PEER_ERROR" ? "cut" : "tell");
    }
  }

  #lose(cause: unknown): void {
    const text = "Cannot go on with the session as the connection was lost";
    void this.#end(new ClosedError("ERR_RESET", text, { cause }), "cut");
  }

  async #end(error: ParleyError | undefined, how: "flush" | "tell" | "cut"): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = nextSessionState(this.#state, "end");
    this.#error = error;
    const end = error ?? new ClosedError("ERR_CLOSED", "Cannot use the session as it was closed");
    this.#keepAlive.stop();
    this.#deadlines.stop();
    for (const core of [...this.#streams.values()]) core.fail(end);
    this.#streams.clear();
    this.memory.close();
    this.pings.fail(end);
    this.writer.dropData();
    this.#hooks.onEnd(end);
    if (how === "tell") {
      const ours = error?.code === "ERR_MUX_INTERNAL";
      this.#sessionFrame(FrameType.goAway, 0, ours ? GoAwayCode.internalError : GoAwayCode.protocolError);
    }
    if (how !== "cut") await this.#farewell();
    this.writer.stop();
    this.#transport.close();
    this.#closing.resolve(error);
  }

  /** Writes what is queued and lets the peer read it: closing a socket with unread bytes would take it back. */
  async #farewell(): Promise<void> {
    let cancel = () => {};
    const late = new Promise<void>((resolve) => cancel = this.clock.after(LINGER_MS, resolve));
    const lastWords = async () => {
      await this.writer.idle();
      await this.#transport.closeWrite();
      await this.#readOver.promise;
    };
    await Promise.race([late, lastWords().catch(() => {})]);
    cancel();
  }

  /** Resets the stream that holds most unread bytes. */
  #shed(): void {
    let largest: StreamCore | undefined;
    for (const core of this.#streams.values()) {
      if (core.receiver.bufferedBytes > (largest?.receiver.bufferedBytes ?? 0)) largest = core;
    }
    if (largest === undefined) return;
    const text =
      `Cannot keep ${largest.receiver.bufferedBytes} unread bytes of stream ${largest.id}: no memory is left`;
    largest.kill(new ClosedError("ERR_SLOW_CONSUMER", text));
    largest.receiver.discard();
  }

  #add(core: StreamCore): void {
    this.#streams.set(core.id, core);
    this.#live += 1;
  }

  #sessionFrame(type: FrameHeader["type"], flags: number, length: number): void {
    this.writer.control({ type, flags, streamId: 0, length });
  }
}
