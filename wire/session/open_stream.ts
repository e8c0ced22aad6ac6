// openStream(): opens a named stream over a session, as soon as there is one, within its options.
import { timeLimit } from "../../async/deadline.ts";
import { checkBoolean } from "../../options/check.ts";
import { checkOptionNames, type OptionNames } from "../../options/names.ts";
import type { WireCounters } from "../../stats/data/counters.ts";
import { telemetryOn } from "../../stats/telemetry/telemetry.ts";
import type { FrameChannel } from "../protocol/frame_stream.ts";
import { checkMeta, checkName, type Meta, type Open } from "../protocol/frames.ts";
import { nameStream } from "../protocol/refusals.ts";
import type { EstablishedSession } from "./established.ts";
import { checkLifetime, Lifetime, STREAM_LIFETIME_NAMES, type StreamLifetime } from "./lifetime.ts";
import { WireStream } from "./stream.ts";
import { openMeasured } from "./telemetry.ts";

/** Time that the far side has to answer an OPEN. */
export const OPEN_TIMEOUT_MS = 10_000;

/** Options of `open`. */
export interface OpenOptions {
  /** Gives up; the call rejects with its reason. It has no effect on an open stream: see `lifetime`. */
  signal?: AbortSignal | undefined;
  /** Time in ms until the far side has answered. @default {10000} */
  timeoutMs?: number | undefined;
  /**
   * What the handler learns about the stream: any JSON object; with the names at most 16 KiB.
   *
   * @default {{}}
   */
  meta?: Meta | undefined;
  /** What ends the whole stream, from its opening on, with a reset. @default {nothing} */
  lifetime?: StreamLifetime | undefined;
  /**
   * Waits, within `timeoutMs`, for a peer that has not joined, in place of `ERR_NO_PEER` at once. A hub
   * holds the stream for 60 seconds at most.
   *
   * @default {false}
   */
  waitForPeer?: boolean | undefined;
}

/** Names in {@linkcode OpenOptions}. */
export const OPEN_NAMES: OptionNames<OpenOptions> = {
  signal: true,
  timeoutMs: true,
  meta: true,
  lifetime: STREAM_LIFETIME_NAMES,
  waitForPeer: true,
};

/** Bytes that go right behind OPEN, before the far side has accepted the stream. */
export interface EarlyBytes {
  /** They must not be changed any more. */
  readonly bytes: Uint8Array;
  /** Whether they are all that the opener says: its direction ends behind them. */
  readonly isAll: boolean;
}

/** How long {@linkcode StreamOpener.open} may take, and what goes with it. */
export interface OpenLimits {
  readonly signal?: AbortSignal | undefined;
  /** Time for all of it, in ms. */
  readonly timeoutMs: number;
  /** When that time began, by `performance.now`. @default {now} */
  readonly startedMs?: number | undefined;
  /** The time as the caller set it, for errors. @default {timeoutMs} */
  readonly givenMs?: number | undefined;
  /** Time to wait for a turn, in ms, where the peer takes no more streams. @default {timeoutMs} */
  readonly turnMs?: number | undefined;
  /** Has a hub hold the stream until the peer that it is for has joined. */
  readonly waitForPeer?: boolean | undefined;
  /** Goes behind OPEN in the same write; what the window does not take yet follows in order. */
  readonly early?: EarlyBytes | undefined;
}

/** An OPEN of ours. */
export type OurOpen = Partial<Open> & { readonly name: string };

/** A session that opens streams: `Link` is the only one. */
export interface StreamOpener {
  readonly established: EstablishedSession;
  /** Waits for a turn, sends OPEN, and waits for the answer. */
  open(open: OurOpen, limits: OpenLimits): Promise<FrameChannel>;
}

/** The stream that is wanted. */
export interface Wanted {
  readonly name: string;
  readonly meta: Meta;
  /** The time that its caller set, in ms. */
  readonly timeoutMs: number;
  readonly options: OpenOptions;
  /** Goes with OPEN. */
  readonly early?: EarlyBytes | undefined;
}

/**
 * Checks what the caller of `open` wants, before any I/O.
 *
 * @throws {TypeError | RangeError} when something is wrong
 */
export function checkOpen(name: string, to: string | undefined, options: OpenOptions): Wanted {
  checkOptionNames("Cannot open a stream", options, OPEN_NAMES);
  const action = "Cannot open a stream";
  checkName(action, "name", name);
  const timeoutMs = timeLimit("open a stream", { timeoutMs: options.timeoutMs }, OPEN_TIMEOUT_MS);
  const { meta, lifetime, waitForPeer } = options;
  if (waitForPeer !== undefined) checkBoolean(action, "waitForPeer", waitForPeer);
  if (lifetime !== undefined) checkLifetime(action, lifetime);
  return {
    name,
    meta: meta === undefined ? NO_META : checkMeta(action, meta, { name, to }),
    timeoutMs,
    options,
  };
}

const NO_META: Meta = {};

/** Finds the session over which a stream will be opened; it may have to wait for one. */
export type FindLink = (
  limits: OpenLimits & { readonly givenMs: number },
  open: OurOpen,
) => StreamOpener | Promise<StreamOpener>;

/** Where the streams go that are opened at a wire, a session or a peer of the hub. */
export interface StreamRoute {
  readonly find: FindLink;
  /** Who answers; `undefined` for the server. */
  readonly peer: string | undefined;
  /** Which peer of the hub they are for. */
  readonly to?: string | undefined;
  /** Counts what could not be had for want of a session. @default {nowhere} */
  readonly counters?: WireCounters | undefined;
}

/** The route of each, by which calls open streams of their own: users of a wire cannot reach it. */
const ROUTES = new WeakMap<object, StreamRoute>();

/** Takes note where streams of `via` go. */
export function setRoute(via: object, route: StreamRoute): void {
  ROUTES.set(via, route);
}

/** Returns where streams go that are opened at `via`. For use inside this module. */
export function routeOf(via: object): StreamRoute | undefined {
  return ROUTES.get(via);
}

/** Waits for a session; a stream for which there is none has failed, as one that its peer refuses. */
async function findCounted(
  { find, counters }: StreamRoute,
  open: OurOpen,
  limits: Parameters<FindLink>[0],
): Promise<StreamOpener> {
  try {
    return await find(limits, open);
  } catch (error) {
    if (counters !== undefined) counters.streamsFailed++;
    throw error;
  }
}

/** Opens a stream over a link, as soon as there is one. */
export async function openStream(route: StreamRoute, wanted: Wanted): Promise<WireStream> {
  const { name, meta, timeoutMs: givenMs, options, early } = wanted;
  const { to } = route;
  const { waitForPeer, lifetime: over } = options;
  const lifetime = over === undefined ? undefined : new Lifetime(over, options.signal);
  const signal = lifetime?.signal ?? options.signal;
  const limits = { signal, timeoutMs: givenMs, givenMs, waitForPeer, early };
  try {
    const { link, channel } = await openChannel(route, { name, to, meta }, limits);
    lifetime?.cover(channel.mux);
    const label = nameStream(name, to ?? link.established.peer);
    return new WireStream(channel.mux, { name, from: undefined, meta }, label);
  } catch (error) {
    lifetime?.end();
    throw error;
  }
}

/** Opens a stream, and returns it as it is, with the session that it is of. */
export async function openChannel(
  route: StreamRoute,
  open: OurOpen,
  limits: Parameters<FindLink>[0],
): Promise<{ readonly link: StreamOpener; readonly channel: FrameChannel }> {
  const { startedMs = performance.now() } = limits;
  const link = await findCounted(route, open, limits);
  const left = { ...limits, startedMs };
  const channel =
    await (telemetryOn()
      ? openMeasured(link.established, open, (told) => link.open(told, left))
      : link.open(open, left));
  return { link, channel };
}
