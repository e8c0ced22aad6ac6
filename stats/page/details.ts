// detailsOf(): what a snapshot knows beyond its counters: request times, last errors, calls through a hub.
import type { DurationStats } from "../data/duration_histogram.ts";
import type { RecentError, Stats, WireCallStats, WireNameStats } from "../data/snapshots.ts";

/** What a peer offers at a hub. */
export interface OffersReport {
  /** Identity of the peer. */
  readonly peer: string;
  /** Names that other peers may open; the first ones when there are many. */
  readonly names: readonly string[];
  /** How many names it offers, as far as the hub lists them. */
  readonly count: number;
}

/** What a source knows beyond its counters; empty where its kind knows nothing of the sort. */
export interface SourceDetails {
  /**
   * Time from the arrival of a message or query to the next send, return or answer of its handler, since the
   * source began; `null` where no handler is timed.
   */
  readonly requests: DurationStats | null;
  /** The last errors, the newest last. */
  readonly recentErrors: readonly RecentError[];
  /** Streams that a hub carries now. */
  readonly calls: readonly WireCallStats[];
  /** What the peers of a hub offer. */
  readonly offers: readonly OffersReport[];
  /** Streams and bytes by name of stream, the most bytes first. */
  readonly trafficByName: readonly WireNameStats[];
}

/** The members that some kinds of snapshots have. */
interface DetailedStats {
  readonly requests?: DurationStats | undefined;
  readonly recentErrors?: readonly RecentError[] | undefined;
  readonly calls?: readonly WireCallStats[] | undefined;
  readonly trafficByName?: readonly WireNameStats[] | undefined;
  readonly sessions?:
    | readonly { readonly identity: string; readonly offers?: readonly string[] | undefined }[]
    | undefined;
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
  const { recentErrors = [], calls = [], trafficByName = [], sessions = [] } =
    stats as DetailedStats;
  const offers = sessions.filter(({ offers = [] }) => offers.length > 0).slice(0, maxListed);
  const bytes = ({ bytesIn, bytesOut }: WireNameStats) => bytesIn + bytesOut;
  return {
    requests: requestsOf(stats),
    recentErrors,
    calls: calls.slice(0, maxListed),
    offers: offers.map(({ identity, offers = [] }) => ({
      peer: identity,
      names: offers.slice(0, MAX_OFFERS),
      count: offers.length,
    })),
    trafficByName: trafficByName.toSorted((left, right) => bytes(right) - bytes(left)).slice(
      0,
      maxListed,
    ),
  };
}
