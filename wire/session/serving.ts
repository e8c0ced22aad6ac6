// Serving: the streams that a peer opens: judged, handled, brought to another peer, or refused.
import { LinkedSet } from "../../collections/linked_set.ts";
import { TimeoutError } from "../../errors.ts";
import type { MuxStream } from "../../mux/stream.ts";
import type { WireCounters } from "../../stats/data/counters.ts";
import { telemetryOn } from "../../stats/telemetry/telemetry.ts";
import { isStreamEnd } from "./blame.ts";
import { withDeadline } from "../../async/deadline.ts";
import { ignoreRejection } from "../../async/rejections.ts";
import { FrameChannel } from "../protocol/frame_stream.ts";
import { isStreamRefusal, type Open, type StreamRefusal } from "../protocol/frames.ts";
import { readKnownOpen } from "../protocol/open_cache.ts";
import type { PreparedHandler, StreamHandler } from "./handlers.ts";
import type { EstablishedSession } from "./established.ts";
import type { WireSession } from "./session.ts";
import { nameStream } from "../protocol/refusals.ts";
import { putBackUnused, type StreamInfo, WireStream } from "./stream.ts";
import { serveMeasured } from "./telemetry.ts";
import { Semaphore } from "../../async/semaphore.ts";

/** Time that the opener of a stream has for its OPEN, and `authorize` for its answer. */
const OPEN_MS = 5000;

/** What a handler threw of its own. */
class HandlerFailure {
  readonly reason: unknown;

  constructor(reason: unknown) {
    this.reason = reason;
  }
}

/** The session whose streams are served: `Link` is the only one. */
export interface ServedLink {
  readonly established: EstablishedSession;
  /** The session, as handlers see it. */
  readonly session: WireSession;
  /** Fires when the session is over, with what ended it. */
  readonly signal: AbortSignal;
  /** The handler of a name. */
  handler(name: string): StreamHandler | PreparedHandler | undefined;
}

/** What is asked about streams that the peer opens, beside their handlers. */
export interface ServingHost<L extends ServedLink> {
  /** Counts streams. */
  readonly counters: WireCounters;
  /** Adds up streams by name. */
  readonly names: { add(name: string, stream: MuxStream): void };
  readonly maxHandlers: number;
  /** Time for which a stream waits while `maxHandlers` run, in ms. */
  readonly busyMs: number;
  /** Refuses a stream with a code, or lets it be served; at once where there is no `authorize`. */
  authorizeStream(
    link: L,
    open: Open,
  ): StreamRefusal | undefined | Promise<StreamRefusal | undefined>;
  /** Brings a stream to another peer, to its end; returns the code where it cannot. */
  route(link: L, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined>;
  /** A stream of the peer failed. */
  onStreamError(link: L, error: unknown): void;
}

/** The streams of one session that its peer opens. */
export class Serving<L extends ServedLink> {
  /** Handlers that run; one counts for as long as it runs, even when its stream was reset long ago. */
  readonly places: Semaphore;
  readonly #link: L;
  readonly #host: ServingHost<L>;
  readonly #running = new LinkedSet<Promise<void>>();

  constructor(link: L, host: ServingHost<L>) {
    this.#link = link;
    this.#host = host;
    this.places = new Semaphore(host.maxHandlers);
  }

  /** Takes a stream of the peer's. */
  take(mux: MuxStream): void {
    const task = this.#serve(mux);
    const place = this.#running.add(task);
    void task.then(() => this.#running.remove(place));
  }

  /** Settles when no handler runs any more. */
  async finished(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  /** Takes one stream of the peer's, to its end. Never rejects. */
  async #serve(mux: MuxStream): Promise<void> {
    const { counters, busyMs } = this.#host;
    try {
      const channel = new FrameChannel(mux);
      const text = await channel.read({ timeoutMs: OPEN_MS });
      if (text === null) {
        counters.streamsBroken++;
        return void mux.reset();
      }
      const open = readKnownOpen(text);
      const mayRun = this.places.tryAcquire() || await this.places.acquire(busyMs, mux.signal);
      const refusal = mayRun ? await this.#handle(channel, open) : "ERR_BUSY";
      if (refusal === undefined) return await mux.retire();
      counters.streamsRefused++;
      await refuse(channel, refusal);
    } catch (error) {
      const isHandlers = error instanceof HandlerFailure;
      isHandlers ? counters.streamErrors++ : counters.streamsBroken++;
      const reason = isHandlers ? error.reason : error;
      mux.reset(reason);
      this.#host.onStreamError(this.#link, reason);
    }
  }

  /**
   * Handles a stream until its handler returns; returns the code when it cannot. Frees the place of
   * the handler.
   */
  async #handle(channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined> {
    try {
      const code = await this.#judge(open);
      if (code !== undefined) return code;
      if (open.to !== undefined) return await this.#host.route(this.#link, channel, open);
      const handler = this.#link.handler(open.name);
      if (handler === undefined) return "ERR_NO_HANDLER";
      const info = {
        name: open.name,
        from: open.from ?? this.#link.established.peer,
        meta: open.meta,
      };
      if (typeof handler !== "function") return await this.#prepare(channel, info, handler);
      return await accept(channel) ? await this.#run(channel, info, handler) : this.#left();
    } finally {
      this.places.release();
    }
  }

  /** The opener has gone before its stream was accepted. */
  #left(): undefined {
    this.#host.counters.streamsBroken++;
  }

  /** Has a handler prepare, and serve what it prepared for. */
  async #prepare(
    channel: FrameChannel,
    info: StreamInfo,
    handler: PreparedHandler,
  ): Promise<StreamRefusal | undefined> {
    const { mux } = channel;
    let prepared: unknown;
    try {
      prepared = await handler.prepare(info, mux.signal);
    } catch (error) {
      // An opener that gave up meanwhile learns nothing, and did nothing wrong.
      if (!mux.signal.aborted) this.#host.onStreamError(this.#link, error);
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      return isStreamRefusal(code) ? code : "ERR_HANDLER";
    }
    if (await accept(channel)) {
      return await this.#run(
        channel,
        info,
        (stream, session) => handler.serve(stream, session, prepared),
      );
    }
    handler.abandon(prepared);
    return this.#left();
  }

  /** Runs a handler. What it did not use of the stream is back in it then. */
  async #run(channel: FrameChannel, info: StreamInfo, handler: StreamHandler): Promise<undefined> {
    this.#host.counters.streamsServed++;
    this.#host.names.add(info.name, channel.mux);
    const { established, session } = this.#link;
    const stream = new WireStream(
      channel.mux,
      info,
      nameStream(info.name, info.from, "from"),
    );
    try {
      await (telemetryOn()
        ? serveMeasured(established, stream, () => handler(stream, session))
        : handler(stream, session));
      putBackUnused(stream);
    } catch (error) {
      const isEnd = isStreamEnd(error, stream, channel.mux);
      channel.mux.reset(error, { failed: true });
      throw isEnd ? error : new HandlerFailure(error);
    }
  }

  /** Asks whether a stream may be served. */
  async #judge(open: Open): Promise<StreamRefusal | undefined> {
    try {
      const verdict = this.#host.authorizeStream(this.#link, open);
      return verdict instanceof Promise ? await this.#inTime(verdict) : verdict;
    } catch (error) {
      if (!this.#link.signal.aborted) this.#host.onStreamError(this.#link, error);
      return "ERR_HANDLER";
    }
  }

  /** Waits for a verdict, for as long as the opener may have to wait for it. */
  #inTime(verdict: Promise<StreamRefusal | undefined>): Promise<StreamRefusal | undefined> {
    const late = (ms: number) =>
      new TimeoutError("ERR_HANDSHAKE_TIMEOUT", `Cannot authorize the stream within ${ms} ms`);
    const { signal } = this.#link;
    ignoreRejection(verdict);
    return withDeadline({ signal, timeoutMs: OPEN_MS, late }, () => verdict);
  }
}

/** Accepts a stream; `false` when its opener has gone, which is no fault of anything. */
async function accept(channel: FrameChannel): Promise<boolean> {
  try {
    await channel.accept();
    return true;
  } catch (error) {
    if (channel.mux.signal.aborted) return false;
    throw error;
  }
}

/**
 * Refuses a stream, and ends it so that its opener can read why. The opener may be gone: it asked for
 * nothing more.
 */
async function refuse(channel: FrameChannel, code: StreamRefusal): Promise<void> {
  try {
    await channel.write({ code }, { timeoutMs: OPEN_MS });
    await channel.mux.retire();
  } catch (error) {
    channel.mux.reset(error);
  }
}
