// detailsOf(): what a snapshot knows beyond its counters: request times, last errors, calls through a hub.
import type { DurationStats } from "../duration_histogram.ts";
import type { Stats } from "../snapshots.ts";

/** An error that a source met lately. */
export interface ErrorReport {
  /** When it last happened, in milliseconds since the epoch. */
  readonly atMs: number;
  /** What was being done, such as `handshake` or `handler`. */
  readonly phase: string;
  /** Its code, such as `ERR_FRAME_TOO_LARGE`. */
  readonly code: string;
  /** What it says, escaped and cut. */
  readonly text: string;
  /** Address or name of the peer; `null` when there is none. */
  readonly peer: string | null;
  /** How many like it were joined into this entry. */
  readonly count: number;
}

/** A stream that a hub carries from one peer to another. */
export interface CallReport {
  /** Identity of the caller. */
  readonly from: string;
  /** Identity of the peer that is called. */
  readonly to: string;
  /** Name of the stream. */
  readonly name: string;
  /** When it was opened, in milliseconds since the epoch. */
  readonly openedAtMs: number;
  /** Bytes that the caller sent. */
  readonly bytesFrom: number;
  /** Bytes that the called peer sent. */
  readonly bytesTo: number;
}

/** What a peer offers at a hub. */
export interface OffersReport {
  /** Identity of the peer. */
  readonly peer: string;
  /** Names that other peers may open; the first ones when there are many. */
  readonly names: readonly string[];
  /** How many names it offers, as far as the hub lists them. */
  readonly count: number;
}

/** Streams of one name. */
export interface NameTrafficReport {
  /** The name; `(other)` joins the names that are not listed. */
  readonly name: string;
  /** Streams so far. */
  readonly streams: number;
  /** Bytes received. */
  readonly bytesIn: number;
  /** Bytes sent. */
  readonly bytesOut: number;
}

/** What a source knows beyond its counters; empty where its kind knows nothing of the sort. */
export interface SourceDetails {
  /**
   * Time from the arrival of a message or query to the next send, return or answer of its handler, since the
   * source began; `null` where no handler is timed.
   */
  readonly requests: DurationStats | null;
  /** The last errors, the newest last. */
  readonly recentErrors: readonly ErrorReport[];
  /** Streams that a hub carries now. */
  readonly calls: readonly CallReport[];
  /** What the peers of a hub offer. */
  readonly offers: readonly OffersReport[];
  /** Streams and bytes by name of stream, the most bytes first. */
  readonly trafficByName: readonly NameTrafficReport[];
}

/** The members that some kinds of snapshots have. */
interface DetailedStats {
  readonly requests?: DurationStats;
  readonly recentErrors?: readonly ErrorReport[];
  readonly calls?: readonly CallReport[];
  readonly trafficByName?: readonly NameTrafficReport[];
  readonly sessions?: readonly { readonly identity: string; readonly offers?: readonly string[] }[];
}

/** Names of offers that a report lists for one peer. */
const MAX_OFFERS = 8;

/** Returns the request times of a snapshot; `null` where its kind has none. */
export function requestsOf(stats: Stats): DurationStats | null {
  return (stats as DetailedStats).requests ?? null;
}

/**
 * Returns what a snapshot knows beyond its counters.
 *
 * @param maxListed Calls and peers that are listed, at most
 */
export function detailsOf(stats: Stats, maxListed: number): SourceDetails {
  const { recentErrors = [], calls = [], trafficByName = [], sessions = [] } = stats as DetailedStats;
  const offers = sessions.filter(({ offers = [] }) => offers.length > 0).slice(0, maxListed);
  const bytes = ({ bytesIn, bytesOut }: NameTrafficReport) => bytesIn + bytesOut;
  return {
    requests: requestsOf(stats),
    recentErrors,
    calls: calls.slice(0, maxListed),
    offers: offers.map(({ identity, offers = [] }) => ({
      peer: identity,
      names: offers.slice(0, MAX_OFFERS),
      count: offers.length,
    })),
    trafficByName: trafficByName.toSorted((left, right) => bytes(right) - bytes(left)).slice(0, maxListed),
  };
}
