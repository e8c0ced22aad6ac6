// readReport(): the answer of a statistics address, checked member by member, because any program
// may have sent it there.
import { escapeForLog } from "../../../log/text.ts";
import { type DurationStats, quantileMs } from "../../../stats/data/duration_histogram.ts";
import type { LinkReport } from "../../../stats/export/report.ts";
import type { Rates } from "../../../stats/page/track.ts";

/** Longest text that is kept of a name, in characters. */
const TEXT_LENGTH = 255;

/** Longest text that is kept of what an error says, in characters. */
const ERROR_LENGTH = 256;

/** Most recent errors that are kept of a source. */
const MAX_ERRORS = 32;

/** Most buckets of a histogram that are read. */
const MAX_BUCKETS = 256;

/** Longest history that is kept. */
const MAX_SAMPLES = 300;

/** One connection, session or backend. */
export interface TopLink extends Omit<LinkReport, "peer"> {
  /** Name of the source that it belongs to. */
  readonly source: string;
  /** Who the far side is; "" where that is not known. */
  readonly peer: string;
}

/** Changes a second. */
export type TopRates = Omit<Rates, "opened" | "failed">;

/** How long requests took, estimated: half of them, 95 and 99 of a hundred took no longer, in ms. */
export interface TopLatency {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** Errors of one kind that came of late. */
export interface TopError {
  /** When the last one came, in ms since 1970. */
  readonly atMs: number;
  readonly phase: string;
  readonly code: string;
  readonly text: string;
  /** "" where there is none. */
  readonly peer: string;
  readonly count: number;
}

/** One server, client, wire, channel or pool. */
export interface TopSource {
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly address: string;
  readonly linksNow: number;
  readonly queuedBytes: number;
  /** What was counted since it began, by the names of the rates. */
  readonly counted: TopRates;
  readonly rates: TopRates;
  /** Rates of the last samples, the oldest first. */
  readonly history: readonly TopRates[];
  /** What went wrong or was refused, by kind. */
  readonly faults: readonly (readonly [kind: string, count: number])[];
  /** Durations of all requests; `null` where it takes none. */
  readonly requests: DurationStats | null;
  /** Of the requests since the last look with any; `null` before the first request. */
  readonly latency: TopLatency | null;
  /** The last errors, the newest last. */
  readonly recentErrors: readonly TopError[];
  readonly links: readonly TopLink[];
}

/** What is shown. All texts are escaped. */
export interface TopReport {
  readonly title: string;
  readonly takenAtMs: number;
  readonly ready: boolean;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly residentBytes: number;
  readonly eventLoopDelayMs: number;
  readonly sources: readonly TopSource[];
}

/** Reads the text of `/stats.json`; `null` when that is no report. */
export function readReport(value: unknown): TopReport | null {
  const report = members(value);
  if (report["version"] !== 1 || !Array.isArray(report["sources"])) return null;
  const process = members(report["process"]);
  return {
    title: text(report["title"]),
    takenAtMs: number(report["takenAtMs"]),
    ready: report["ready"] === true,
    pid: number(process["pid"]),
    uptimeMs: number(process["uptimeMs"]),
    residentBytes: number(process["residentBytes"]),
    eventLoopDelayMs: number(process["eventLoopDelayMs"]),
    sources: report["sources"].map(readSource),
  };
}

/**
 * The same with the rates between two looks: a page samples seldom while no browser watches it, and its own
 * rates are as old as its last sample.
 */
export function withRates(report: TopReport, before: TopReport): TopReport {
  const seconds = (report.takenAtMs - before.takenAtMs) / 1000;
  const sources = report.sources.map((source) => {
    const last = before.sources.find(({ name, kind }) =>
      name === source.name && kind === source.kind
    );
    if (last === undefined || report.pid !== before.pid) return source;
    if (seconds <= 0) {
      return { ...source, rates: last.rates, latency: last.latency, history: last.history };
    }
    const rate = (name: keyof TopRates) =>
      Math.max(0, (source.counted[name] - last.counted[name]) / seconds);
    const rates = {
      bytesIn: rate("bytesIn"),
      bytesOut: rate("bytesOut"),
      messagesIn: rate("messagesIn"),
      messagesOut: rate("messagesOut"),
    };
    const latency = latencyOf(source.requests, last.requests) ?? last.latency;
    return { ...source, rates, latency, history: [...last.history, rates].slice(-MAX_SAMPLES) };
  });
  return { ...report, sources };
}

function readSource(value: unknown): TopSource {
  const source = members(value);
  const name = text(source["name"]);
  const requests = readDurations(source["requests"]);
  return {
    name,
    kind: text(source["kind"]),
    state: text(source["state"]),
    address: text(source["address"]),
    linksNow: number(source["linksNow"]),
    queuedBytes: number(source["queuedBytes"]),
    counted: readCounters(source["overall"]),
    rates: readRates(source["rates"]),
    history: list(source["history"]).slice(-MAX_SAMPLES).map(readRates),
    faults: [
      ...Object.entries(members(source["errors"])),
      ...Object.entries(members(source["refusals"])),
    ]
      .map(([kind, count]) => [text(kind), number(count)] as const),
    requests,
    latency: latencyOf(requests, null),
    recentErrors: list(source["recentErrors"]).slice(-MAX_ERRORS).map(readError),
    links: list(source["links"]).map((link) => readLink(name, link)),
  };
}

function readRates(value: unknown): TopRates {
  const { bytesIn, bytesOut, messagesIn, messagesOut } = members(value);
  return {
    bytesIn: number(bytesIn),
    bytesOut: number(bytesOut),
    messagesIn: number(messagesIn),
    messagesOut: number(messagesOut),
  };
}

/** Frames are counted where there are no messages. */
function readCounters(value: unknown): TopRates {
  const { bytesIn, bytesOut, messagesIn, messagesOut, framesIn, framesOut } = members(value);
  return readRates({
    bytesIn,
    bytesOut,
    messagesIn: messagesIn ?? framesIn,
    messagesOut: messagesOut ?? framesOut,
  });
}

/** Older programs have no durations of requests. */
function readDurations(value: unknown): DurationStats | null {
  const { count, sumMs, boundsMs, counts } = members(value);
  if (!Array.isArray(boundsMs) || !Array.isArray(counts)) return null;
  return {
    count: number(count),
    sumMs: number(sumMs),
    boundsMs: boundsMs.slice(0, MAX_BUCKETS).map(number),
    counts: counts.slice(0, MAX_BUCKETS + 1).map(number),
  };
}

/** The requests since `before`; `null` when there were none. */
function latencyOf(
  requests: DurationStats | null,
  before: DurationStats | null,
): TopLatency | null {
  if (requests === null) return null;
  const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((part) =>
    quantileMs(requests, part, before ?? undefined)
  );
  return p50Ms == null || p95Ms == null || p99Ms == null ? null : { p50Ms, p95Ms, p99Ms };
}

function readError(value: unknown): TopError {
  const error = members(value);
  return {
    atMs: number(error["atMs"]),
    phase: text(error["phase"]),
    code: text(error["code"]),
    text: text(error["text"], ERROR_LENGTH),
    peer: text(error["peer"]),
    count: Math.max(1, number(error["count"])),
  };
}

function readLink(source: string, value: unknown): TopLink {
  const link = members(value);
  return {
    source,
    id: text(link["id"]),
    peer: text(link["peer"]),
    address: text(link["address"]),
    state: text(link["state"]),
    ageMs: numberOrNull(link["ageMs"]),
    bytesIn: number(link["bytesIn"]),
    bytesOut: number(link["bytesOut"]),
    queuedBytes: number(link["queuedBytes"]),
    streams: numberOrNull(link["streams"]),
    rttMs: numberOrNull(link["rttMs"]),
  };
}

function members(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown, length: number = TEXT_LENGTH): string {
  return typeof value === "string" ? escapeForLog(value, length) : "";
}

function number(value: unknown): number {
  return numberOrNull(value) ?? 0;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
