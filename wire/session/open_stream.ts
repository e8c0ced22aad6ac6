// openStream(): opens a named stream over a session, as soon as there is one, within its options.
import { timeLeft, timeLimit } from "../../async/deadline.ts";
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

/** How long {@linkcode StreamOpener.open} may take. */
export interface OpenLimits {
  readonly signal?: AbortSignal | undefined;
  /** Time for all of it, in ms. */
  readonly timeoutMs: number;
  /** The time as the caller set it, for errors. @default {timeoutMs} */
  readonly givenMs?: number | undefined;
  /** Time to wait for a turn, in ms, where the peer takes no more streams. @default {timeoutMs} */
  readonly turnMs?: number | undefined;
  /** Has a hub hold the stream until the peer that it is for has joined. */
  readonly waitForPeer?: boolean | undefined;
}

/** A session that opens streams: `Link` is the only one. */
export interface StreamOpener {
  readonly established: EstablishedSession;
  /** Waits for a turn, sends OPEN, and waits for the answer. */
  open(open: Partial<Open> & { readonly name: string }, limits: OpenLimits): Promise<FrameChannel>;
}

/** The stream that is wanted. */
export interface Wanted {
  readonly name: string;
  /** Which peer of the hub it is for. */
  readonly to?: string | undefined;
  readonly meta: Meta;
  /** The time that its caller set, in ms. */
  readonly timeoutMs: number;
  readonly options: OpenOptions;
  /** Counts what could not be had for want of a session. @default {nowhere} */
  readonly counters?: WireCounters | undefined;
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
    to,
    meta: meta === undefined ? NO_META : checkMeta(action, meta, { name, to }),
    timeoutMs,
    options,
  };
}

const NO_META: Meta = {};

/** Finds the session over which a stream will be opened; it may have to wait for one. */
export type FindLink = (
  limits: OpenLimits & { readonly givenMs: number },
) => StreamOpener | Promise<StreamOpener>;

/** Finds the session; a stream for which there is none has failed, as one that its peer refuses. */
async function findCounted(
  find: FindLink,
  limits: Parameters<FindLink>[0],
  counters: WireCounters | undefined,
): Promise<StreamOpener> {
  try {
    return await find(limits);
  } catch (error) {
    if (counters !== undefined) counters.streamsFailed++;
    throw error;
  }
}

/** Opens a stream over a link, as soon as there is one. */
export async function openStream(find: FindLink, wanted: Wanted): Promise<WireStream> {
  const { name, to, meta, timeoutMs: givenMs, options } = wanted;
  const { waitForPeer, lifetime: over } = options;
  const startedMs = performance.now();
  const lifetime = over === undefined ? undefined : new Lifetime(over, options.signal);
  const limits = {
    signal: lifetime?.signal ?? options.signal,
    timeoutMs: givenMs,
    givenMs,
    waitForPeer,
  };
  const open = { name, to, meta };
  try {
    const link = await findCounted(find, limits, wanted.counters);
    const left = { ...limits, timeoutMs: timeLeft(givenMs, startedMs) };
    const channel = await (telemetryOn()
      ? openMeasured(link.established, open, (told) =>
        link.open(told, left))
      : link.open(open, left));
    lifetime?.cover(channel.mux);
    const label = nameStream(name, to ?? link.established.peer);
    return new WireStream(channel.mux, { name, from: undefined, meta }, label);
  } catch (error) {
    lifetime?.end();
    throw error;
  }
}
