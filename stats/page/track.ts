// SourceTrack: what is known of one source over time: its last snapshot, its rates, and its histories.
import { type DurationStats, quantileMs } from "../data/duration_histogram.ts";
import { reportOf, type SourceSnapshot } from "../export/report.ts";
import type { Stats } from "../data/snapshots.ts";
import { detailsOf, requestsOf, type SourceDetails } from "./details.ts";
import type { StatsSource } from "./options.ts";
import { Rollup, type RollupColumn } from "./rollup.ts";

/** Samples that are kept: five minutes of one each second. */
const MAX_SAMPLES = 300;

/** Longer histories: an hour in steps of 10 s, a day in steps of a minute. */
export const SPANS = {
  hour: { stepMs: 10_000, maxRows: 360 },
  day: { stepMs: 60_000, maxRows: 1440 },
} as const;

/** Name of a longer history. */
export type Span = keyof typeof SPANS;

/** What changes each second. */
export interface Rates {
  /** Bytes received a second. */
  readonly bytesIn: number;
  /** Bytes sent a second. */
  readonly bytesOut: number;
  /** Messages received a second, queries included; frames where there are no messages. */
  readonly messagesIn: number;
  /** Messages sent a second, queries included; frames where there are no messages. */
  readonly messagesOut: number;
  /** Connections set up a second. */
  readonly opened: number;
  /** Errors and refusals a second. */
  readonly failed: number;
}

/**
 * Request times since the sample before, estimated from the histogram; `null` when there were no requests.
 */
export interface RequestTimes {
  /** Time within which half of them were done, in milliseconds. */
  readonly requestP50Ms: number | null;
  /** Time within which 95 of 100 were done, in milliseconds. */
  readonly requestP95Ms: number | null;
  /** Time within which 99 of 100 were done, in milliseconds. */
  readonly requestP99Ms: number | null;
}

/** One point of a source's history. */
export interface SourceSample extends Rates, RequestTimes {
  /** When, in milliseconds since the epoch. */
  readonly atMs: number;
  /** Links there were. */
  readonly links: number;
  /** As in {@linkcode SourceSnapshot}. */
  readonly handshakeP95Ms: number | null;
  /** As in {@linkcode SourceSnapshot}. */
  readonly rttMaxMs: number | null;
}

/** A source, as it is and as it was. */
export interface SourceReport extends SourceSnapshot, SourceDetails, RequestTimes {
  /** Changes a second, over the last sample. */
  readonly rates: Rates;
  /** The last samples, the oldest first. */
  readonly history: readonly SourceSample[];
}

/** How much of everything a report is to have. */
export interface ReportSize {
  /** Links of each source. */
  readonly maxLinks: number;
  /** Days of each source, the last ones. */
  readonly maxDays: number;
  /** Samples, the last ones. */
  readonly maxSamples: number;
}

const NO_RATES: Rates = {
  bytesIn: 0,
  bytesOut: 0,
  messagesIn: 0,
  messagesOut: 0,
  opened: 0,
  failed: 0,
};

/** Columns of the longer histories; those of request times are computed over the whole step. */
const COLUMNS = [
  { name: "bytesIn", fold: "mean" },
  { name: "bytesOut", fold: "mean" },
  { name: "messagesIn", fold: "mean" },
  { name: "messagesOut", fold: "mean" },
  { name: "opened", fold: "mean" },
  { name: "failed", fold: "mean" },
  { name: "links", fold: "max" },
  { name: "handshakeP95Ms", fold: "max" },
  { name: "rttMaxMs", fold: "max" },
  { name: "requestP50Ms", fold: "last" },
  { name: "requestP95Ms", fold: "last" },
  { name: "requestP99Ms", fold: "last" },
] as const satisfies readonly (RollupColumn & { readonly name: keyof SourceSample })[];

/** Columns whose highest sample of each step is kept beside the mean. */
const PEAKS = ["bytesIn", "bytesOut", "messagesIn", "messagesOut"] as const;

/** Names of the numbers in a row of {@linkcode SourceTrack.rows}. */
export const ROW_NAMES: readonly string[] = [
  "atMs",
  ...COLUMNS.map(({ name }) => name),
  ...PEAKS.map((name) => `${name}Peak`),
];

/** A longer history of one source. */
class History {
  readonly rollup: Rollup;
  /** Request times when the step began: those of the step are what came since. */
  #since: DurationStats | null = null;
  #last: DurationStats | null = null;

  constructor(span: Span) {
    const peaks = PEAKS.map((name) => ({ name: `${name}Peak`, fold: "max" as const }));
    this.rollup = new Rollup({ ...SPANS[span], columns: [...COLUMNS, ...peaks] });
  }

  add(sample: SourceSample, spanMs: number, requests: DurationStats | null): void {
    if (this.rollup.begins(sample.atMs)) this.#since = this.#last;
    this.#last = requests;
    // The step's own histogram only grows, so the last quantiles are those of the whole step.
    const times = requestTimes(requests, this.#since);
    const values = { ...sample, ...times };
    this.rollup.add(sample.atMs, spanMs, [
      ...COLUMNS.map(({ name }) => values[name] ?? NaN),
      ...PEAKS.map((name) => sample[name]),
    ]);
  }
}

/** What is known of one source. */
export class SourceTrack {
  /** Its name. */
  readonly name: string;
  /** Where snapshots come from. */
  readonly source: StatsSource;
  /** The last snapshot. */
  stats: Stats;
  readonly #history: SourceSample[] = [];
  readonly #spans: Readonly<Record<Span, History>> = {
    hour: new History("hour"),
    day: new History("day"),
  };
  #rates: Rates = NO_RATES;
  /** Sample before the last, for rates. */
  #before:
    | { readonly stats: Stats; readonly report: SourceSnapshot; readonly atMs: number }
    | null = null;

  constructor(name: string, source: StatsSource) {
    this.name = name;
    this.source = source;
    this.stats = source.stats();
  }

  /**
   * Adds the last snapshot to the histories.
   *
   * @param atMs Moment of the snapshot, in ms since the epoch
   * @param nowMs The same by a clock that does not go back
   */
  sample(atMs: number, nowMs: number): void {
    const before = this.#before;
    const report = reportOf(this.name, this.stats, { before: before?.stats, maxLinks: 0 });
    if (before !== null) this.#rates = ratesOf(before.report, report, nowMs - before.atMs);
    this.#before = { stats: this.stats, report, atMs: nowMs };
    const requests = requestsOf(this.stats);
    const { linksNow: links, handshakeP95Ms, rttMaxMs } = report;
    const times = requestTimes(requests, before === null ? null : requestsOf(before.stats));
    const sample = { atMs, ...this.#rates, links, handshakeP95Ms, rttMaxMs, ...times };
    this.#history.push(sample);
    if (this.#history.length > MAX_SAMPLES) this.#history.shift();
    const spanMs = before === null ? 0 : nowMs - before.atMs;
    for (const history of Object.values(this.#spans)) history.add(sample, spanMs, requests);
  }

  /** Rows of a longer history, the oldest first; {@linkcode ROW_NAMES} names their numbers. */
  rows(span: Span): readonly (readonly number[])[] {
    return this.#spans[span].rollup.rows;
  }

  /** All of it, as of the last snapshot. */
  report({ maxLinks, maxDays, maxSamples }: ReportSize): SourceReport {
    const report = reportOf(this.name, this.stats, { maxLinks });
    const { handshakeP95Ms = null, requestP50Ms = null, requestP95Ms = null, requestP99Ms = null } =
      this.#history.at(-1) ?? {};
    return {
      ...report,
      ...detailsOf(this.stats, maxLinks),
      ...{ handshakeP95Ms, requestP50Ms, requestP95Ms, requestP99Ms },
      days: report.days.slice(-maxDays),
      rates: this.#rates,
      history: this.#history.slice(-maxSamples),
    };
  }
}

/** What changed a second between two moments, to a tenth. */
export function ratesOf(before: SourceSnapshot, now: SourceSnapshot, spanMs: number): Rates {
  const perSecond = (...names: string[]) => {
    const sum = ({ overall }: SourceSnapshot) =>
      names.reduce((total, name) => total + (overall[name] ?? 0), 0);
    // Statistics that begin anew with each link go back to 0.
    return spanMs <= 0 ? 0 : Math.round(Math.max(0, sum(now) - sum(before)) * 10_000 / spanMs) / 10;
  };
  const failures = ({ errors, refusals }: SourceSnapshot) =>
    Object.values(errors).reduce((a, b) => a + b, 0) +
    Object.values(refusals).reduce((a, b) => a + b, 0);
  return {
    bytesIn: perSecond("bytesIn"),
    bytesOut: perSecond("bytesOut"),
    messagesIn: perSecond("messagesIn", "framesIn", "queriesIn"),
    messagesOut: perSecond("messagesOut", "framesOut", "queriesOut"),
    opened: perSecond("connectionsOpened", "leases"),
    failed: spanMs <= 0 ? 0 : Math.max(0, failures(now) - failures(before)) * 1000 / spanMs,
  };
}

function requestTimes(requests: DurationStats | null, since: DurationStats | null): RequestTimes {
  const within = (share: number) =>
    requests === null ? null : quantileMs(requests, share, since ?? undefined);
  return { requestP50Ms: within(0.5), requestP95Ms: within(0.95), requestP99Ms: within(0.99) };
}
