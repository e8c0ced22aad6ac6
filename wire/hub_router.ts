// HubRouter: decides where a stream from one client goes, opens it there, and joins both.
import { timeLeft } from "../async/deadline.ts";
import { Semaphore } from "../async/semaphore.ts";
import { callHook } from "../log/call_hook.ts";
import type { MuxStream } from "../mux/stream.ts";
import { telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { Router, RouterParts } from "./mount_host.ts";
import type { WireReporter } from "./observe/reporter.ts";
import type { WireTally } from "./observe/tally.ts";
import { PresenceBoard, type PresenceHost, type PresenceRequest } from "./presence.ts";
import type { FrameChannel } from "./protocol/frame_stream.ts";
import type { Open, StreamRefusal } from "./protocol/frames.ts";
import { refusalOf } from "./protocol/refusals.ts";
import { relay } from "./relay.ts";
import type { Link } from "./session/link.ts";
import { type EarlyBytes, OPEN_TIMEOUT_MS, type OpenLimits } from "./session/open_stream.ts";
import type { Registry } from "./session/registry.ts";
import { routeMeasured } from "./session/telemetry.ts";

/** Longest time for which a stream is held until its target has joined, in ms. */
const MAX_HOLD_MS = 60_000;

/** Most bytes that go on together with OPEN. */
const EARLY_BYTES = 16 * 1024;

/** The limits of a {@linkcode HubRouter}, and what it shows. */
export interface RoutePlan {
  readonly maxStreamsPerPair: number;
  readonly presence: ((request: PresenceRequest) => boolean) | undefined;
  /** Time for which a stream waits for its turn, in ms: of its pair, and then of its target. */
  readonly turnMs: number;
}

/** The routes of one hub. Calls of {@linkcode route} run side by side, one for each stream. */
export class HubRouter implements Router, PresenceHost {
  readonly registry: Registry;
  readonly #tally: WireTally;
  readonly #plan: RoutePlan;
  readonly #reporter: WireReporter;
  readonly #board: PresenceBoard | undefined;
  /** Limits the streams of each pair that has any. */
  readonly #pairs = new Map<string, Semaphore>();

  /** Makes the router of a server that has `registry`. */
  constructor({ registry, tally, reporter }: RouterParts, plan: RoutePlan) {
    this.registry = registry;
    this.#tally = tally;
    this.#plan = plan;
    this.#reporter = reporter;
    if (plan.presence !== undefined) this.#board = new PresenceBoard(this);
  }

  /** Brings a stream to the client that it is for, to its end; returns the code when it cannot. */

  async route(link: Link, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined> {
    const from = link.established.identity;
    const { to = "" } = open;
    if (to === from) return "ERR_FORBIDDEN";
    const { turnMs } = this.#plan;
    const { signal } = channel.mux;
    // Before the turn: a stream that waits for a peer that is away must not keep others of the pair
    // from theirs.
    const target = await this.#target(to, open.waitMs ?? 0, signal);
    if (target === undefined) return "ERR_NO_PEER";
    const startedMs = performance.now();
    const pair = from < to ? `${from} ${to}` : `${to} ${from}`;
    const places = this.#pairs.get(pair) ?? new Semaphore(this.#plan.maxStreamsPerPair);
    this.#pairs.set(pair, places);
    if (!places.tryAcquire() && !await places.acquire(turnMs, signal)) {
      if (places.isIdle) this.#pairs.delete(pair);
      return "ERR_BUSY";
    }
    try {
      const limits = {
        signal,
        timeoutMs: OPEN_TIMEOUT_MS,
        turnMs: timeLeft(turnMs, startedMs),
      };
      const connect = (open: Open) => this.#connect(channel, target, open, limits);
      const routed = { name: open.name, to: undefined, from, meta: open.meta, waitMs: undefined };
      return await (telemetryOn() ? routeMeasured(routed, to, connect) : connect(routed));
    } finally {
      places.release();
      if (places.isIdle) this.#pairs.delete(pair);
    }
  }

  /** A client has joined. */
  onOpen(link: Link): void {
    this.#board?.joined(link);
  }

  /** A client handles other names. */
  onOffers(link: Link): void {
    this.#board?.changed(link);
  }

  /** A client has left. */
  onClose(link: Link): void {
    this.#board?.changed(link);
  }

  /** Announces nothing any more. */
  stop(): void {
    this.#board?.stop();
  }

  /** Whether one client may see another: asks `presence`. */
  isVisible(to: Link, of: Link): boolean {
    const request = {
      identity: to.established.identity,
      of: of.established.identity,
      offers: of.offers,
    };
    let verdict: unknown;
    callHook(() => verdict = this.#plan.presence?.(request), (error) => this.report(error, of));
    return verdict === true;
  }

  /** Reports an error of the `presence` hook, or names that cannot be announced. */
  report(error: unknown, { session }: Link): void {
    this.#reporter.report(error, { phase: "hook", session });
  }

  /**
   * Returns the session of a peer, which may take `waitMs` to come. A client is found by its
   * identity alone: ids of sessions are for the side of the server.
   */
  async #target(to: string, waitMs: number, signal: AbortSignal): Promise<Link | undefined> {
    const link = this.registry.named(to);
    if (waitMs === 0 || link?.established.mux.status === "open") return link;
    const timeoutMs = Math.min(waitMs, MAX_HOLD_MS);
    // The peer does not come, or the caller gave up.
    return await this.registry.waitFor(to, { signal, timeoutMs }).catch(() =>
      this.registry.named(to)
    );
  }

  /** Opens the stream at its target, and joins both until they are over. */
  async #connect(
    channel: FrameChannel,
    target: Link,
    open: Open,
    limits: OpenLimits,
  ): Promise<StreamRefusal | undefined> {
    const early = await takeEarly(channel.mux);
    let far: FrameChannel;
    try {
      far = await target.open(open, { ...limits, early });
    } catch (error) {
      if (early !== undefined) channel.mux.unread(early.bytes);
      const isThere = this.registry.named(target.established.identity) !== undefined;
      if (target.established.mux.status === "ended") {
        return isThere ? "ERR_GOING_AWAY" : "ERR_NO_PEER";
      }
      return refusalOf(error);
    }
    try {
      await channel.accept();
    } catch (error) {
      far.mux.reset(error);
      throw error;
    }
    const { counters, names, calls } = this.#tally;
    counters.streamsRelayed++;
    names.add(open.name, channel.mux);
    const over = calls.add(open.from ?? "", target.established.identity, open.name, channel.mux);
    await relay(channel.mux, far.mux);
    over();
    return undefined;
  }
}

/**
 * Takes what the caller has sent behind OPEN by now, so that it goes on together with OPEN: a call costs
 * one round trip through a hub too. What is more than that stays in the budget of the caller's session.
 */
async function takeEarly(near: MuxStream): Promise<EarlyBytes | undefined> {
  if (near.stats().bufferedBytes === 0) return undefined;
  const chunk = await near.readJoined(EARLY_BYTES);
  if (chunk === null) return undefined;
  // The first chunk comes whole, and is as large as a read of the socket.
  const bytes = chunk.length > EARLY_BYTES ? chunk.slice(0, EARLY_BYTES) : chunk;
  if (bytes !== chunk) near.unread(chunk.subarray(EARLY_BYTES));
  return { bytes, isAll: near.peerHasEnded && near.stats().bufferedBytes === 0 };
}
