// Link: the inner side of a session: its control stream, the streams it opens and serves, and its end.
import { ClosedError, type ParleyError, TimeoutError } from "../errors.ts";
import type { MuxSession } from "../mux/session.ts";
import type { WireCounters } from "../stats/counters.ts";
import type { MuxStream } from "../mux/stream.ts";
import { telemetryOn } from "../stats/telemetry.ts";
import { ControlSender } from "./control_sender.ts";
import { pauseUnless, withDeadline } from "./deadline.ts";
import { FrameChannel } from "./frame_channel.ts";
import { type Control, type Open, readAnswer, readControl, readOpen, type StreamRefusal } from "./frames.ts";
import type { HandlerTable, PreparedHandler } from "./handlers.ts";
import { refusalOf, streamRefused } from "./refusals.ts";
import type { StreamHandler } from "./options.ts";
import { WireSession } from "./session.ts";
import { WireStream } from "./stream.ts";
import { observeSession, serveMeasured } from "./telemetry.ts";

/** Time that the opener of a stream has for its OPEN, and `authorize` for its answer. */
const OPEN_MS = 5000;

/** Time that a peer whose session was taken over gets to read so, and to leave. */
const LAST_WORDS_MS = 500;

/** Frames of the control stream that are read per second in the long run; more wait, unread. */
const CONTROL_PER_SECOND = 100;

/** What is asked about a stream that the peer opens, beside its handler. */
export interface LinkHost {
  /** Counts streams. */
  readonly counters: WireCounters;
  readonly handlers: HandlerTable;
  readonly maxHandlers: number;
  /** Refuses a stream with a code, or lets it be served. */
  judge(link: Link, open: Open): Promise<StreamRefusal | undefined>;
  /** Who opens streams where OPEN does not tell; `undefined` for the server. */
  opener(link: Link): string | undefined;
  /** Brings a stream to somebody else, to its end, or gives why not. */
  route(link: Link, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined>;
  onControl(link: Link, control: Control): void;
  onStreamError(link: Link, error: unknown): void;
}

/** What the greeting found out. */
export interface LinkFacts {
  readonly id: string;
  /** Who the joined side is, as authenticated. */
  readonly identity: string;
  readonly token: string;
  /** Names that the peer handles. */
  readonly offers: readonly string[];
  /** Names that the peer was told we handle. */
  readonly told: readonly string[];
  readonly mux: MuxSession;
  readonly control: FrameChannel;
  readonly transport: { readonly remoteAddr: WireSession["remoteAddr"]; readonly tls?: WireSession["tls"] };
}

/** One session, from WELCOME to its end. */
export class Link {
  readonly facts: LinkFacts;
  readonly session: WireSession;
  readonly control: ControlSender;
  /** Resolves once the session is over, with what ended it. Never rejects. */
  readonly closed: Promise<ParleyError | undefined>;
  /** When it was opened, since the epoch, and by the clock that does not go back. */
  readonly openedAtMs: number = Date.now();
  readonly openedMs: number = performance.now();
  offers: readonly string[];
  readonly #host: LinkHost;
  readonly #running = new Set<Promise<void>>();
  #busy = 0;
  #closing: Promise<void> | undefined;
  #takenOver: ClosedError | undefined;

  constructor(facts: LinkFacts, host: LinkHost) {
    this.facts = facts;
    this.offers = facts.offers;
    this.#host = host;
    this.closed = facts.mux.closed.then((error) => this.#takenOver ?? error);
    this.control = new ControlSender(facts.control, host.handlers, facts.told);
    this.session = new WireSession(this);
  }

  /** Takes streams from now on; settles when the session is over. Never rejects. */
  async run(): Promise<void> {
    void this.#followControl();
    // Handlers may have come and gone since the greeting named them.
    this.control.tellNames();
    observeSession(this.facts);
    const { mux } = this.facts;
    for (let stream = await mux.acceptStream(); stream !== null; stream = await mux.acceptStream()) {
      const task = this.#serve(stream);
      this.#running.add(task);
      void task.then(() => this.#running.delete(task));
    }
    await mux.closed;
  }

  /** Opens a stream: OPEN, and waits for the answer. */
  async open(
    open: Partial<Open> & { readonly name: string },
    { signal, timeoutMs }: { signal?: AbortSignal; timeoutMs: number },
  ): Promise<{ readonly channel: FrameChannel; readonly rest: Uint8Array }> {
    const late = (ms: number) =>
      new TimeoutError("ERR_CONNECT_TIMEOUT", `Cannot open the stream "${open.name}" within ${ms} ms`);
    let mux: MuxStream | undefined;
    try {
      const opened = await withDeadline({ signal, timeoutMs, late }, async (signal) => {
        mux = await this.facts.mux.openStream({ signal });
        const channel = new FrameChannel(mux);
        await channel.write(open, { signal });
        const answer = await channel.read({ signal });
        if (answer === null) {
          throw new ClosedError("ERR_RESET", `Cannot open the stream "${open.name}" as the peer ended it`);
        }
        const { code } = readAnswer(answer);
        if (code === undefined) return { channel, rest: channel.rest() };
        void mux.close();
        mux = undefined;
        throw streamRefused(code, open.name);
      });
      // Here, where it is sure that the caller gets it: an answer may come as the time runs out.
      if (open.from === undefined) this.#host.counters.streamsOpened++;
      return opened;
    } catch (error) {
      if (open.from === undefined) this.#host.counters.streamsFailed++;
      mux?.reset(error);
      throw error;
    }
  }

  /** Ends in order: streams and handlers get `timeoutMs`. */
  close(timeoutMs: number): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  /** Ends now. */
  abort(reason?: unknown): void {
    this.facts.mux.abort(reason);
  }

  /** Ends it as a newer session took its place: tells the peer, who leaves or is cut. Never rejects. */
  async takeOver(error: ClosedError): Promise<void> {
    this.#takenOver = error;
    const endMs = performance.now() + LAST_WORDS_MS;
    await this.control.last({ ended: "ERR_NAME_TAKEN" }, LAST_WORDS_MS);
    await pauseUnless(Math.max(0, endMs - performance.now()), this.closed);
    this.abort(error);
  }

  async #close(timeoutMs: number): Promise<void> {
    const { mux } = this.facts;
    const closing = mux.close({ timeoutMs });
    this.control.end();
    await closing;
    const late = () =>
      new TimeoutError(
        "ERR_DRAIN_TIMEOUT",
        `Cannot close in order: handlers still ran after ${timeoutMs} ms`,
      );
    await withDeadline({ timeoutMs, late }, async () => void await Promise.all(this.#running));
  }

  async #followControl(): Promise<void> {
    const { control } = this.facts;
    let tokens = CONTROL_PER_SECOND;
    let lastMs = performance.now();
    try {
      for (let frame = await control.read(); frame !== null; frame = await control.read()) {
        this.#host.onControl(this, readControl(frame));
        const nowMs = performance.now();
        tokens = Math.min(CONTROL_PER_SECOND, tokens + (nowMs - lastMs) * CONTROL_PER_SECOND / 1000) - 1;
        lastMs = nowMs;
        if (tokens < 0) await pauseUnless(1000 / CONTROL_PER_SECOND, this.closed);
      }
      // The peer is closing in order: no new streams, old ones finish.
      this.facts.mux.goAway();
      this.control.end();
    } catch (error) {
      this.abort(error);
    }
  }

  /** Takes one stream of the peer's. Never rejects. */
  async #serve(mux: MuxStream): Promise<void> {
    try {
      const channel = new FrameChannel(mux);
      const text = await channel.read({ timeoutMs: OPEN_MS });
      if (text === null) return void mux.reset();
      const open = readOpen(text);
      const code = this.#busy < this.#host.maxHandlers ? await this.#handle(channel, open) : "ERR_BUSY";
      if (code === undefined) return;
      this.#host.counters.streamsRefused++;
      await refuse(channel, code);
    } catch (error) {
      this.#host.counters.streamErrors++;
      mux.reset(error);
      this.#host.onStreamError(this, error);
    }
  }

  /** Serves a stream to its end, or gives why not. */
  async #handle(channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined> {
    this.#busy++;
    try {
      const code = await this.#judge(open);
      if (code !== undefined) return code;
      if (open.to !== undefined) return await this.#host.route(this, channel, open);
      const handler = this.#host.handlers.get(open.name);
      if (handler === undefined) return "ERR_NO_HANDLER";
      const told = { ...open, from: open.from ?? this.#host.opener(this) };
      const refusal = typeof handler === "function"
        ? await this.#accept(channel, told, handler)
        : await this.#prepare(channel, told, handler);
      if (refusal !== undefined) return refusal;
    } finally {
      // A handler counts as long as it runs, even when its stream was reset long ago.
      this.#busy--;
    }
    await channel.mux.close();
    return undefined;
  }

  /** Prepares, accepts and serves. */
  async #prepare(
    channel: FrameChannel,
    open: Open,
    handler: PreparedHandler<unknown>,
  ): Promise<StreamRefusal | undefined> {
    const gone = new AbortController();
    void channel.mux.closed.then((error) => error && gone.abort(error));
    let prepared: unknown;
    try {
      prepared = await handler.prepare(open, gone.signal);
    } catch (error) {
      this.#host.onStreamError(this, error);
      return refusalOf(error);
    }
    let begun = false;
    try {
      return await this.#accept(channel, open, (stream, session) => {
        begun = true;
        return handler.serve(stream, session, prepared);
      });
    } finally {
      if (!begun) handler.abandon(prepared);
    }
  }

  async #accept(channel: FrameChannel, open: Open, handler: StreamHandler): Promise<undefined> {
    await channel.write({});
    this.#host.counters.streamsServed++;
    const stream = new WireStream(channel.mux, open, channel.rest());
    await (telemetryOn()
      ? serveMeasured(this.facts, stream, () => handler(stream, this.session))
      : handler(stream, this.session));
  }

  async #judge(open: Open): Promise<StreamRefusal | undefined> {
    const late = () => new TimeoutError("ERR_HANDSHAKE_TIMEOUT", "Cannot authorize the stream in time");
    try {
      return await withDeadline({ timeoutMs: OPEN_MS, late }, () => this.#host.judge(this, open));
    } catch (error) {
      this.#host.onStreamError(this, error);
      return "ERR_HANDLER";
    }
  }
}

/** Refuses a stream, and lets it end in order. */
export async function refuse(channel: FrameChannel, code: StreamRefusal): Promise<void> {
  await channel.write({ code }, { timeoutMs: OPEN_MS });
  await channel.mux.close();
}
