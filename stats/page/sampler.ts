// Sampler: looks at the sources now and then, tells rates from the differences, and keeps the last ones.
import { TokenBucket } from "../../limits/token_bucket.ts";
import { reportOf, type SourceSnapshot } from "../report.ts";
import type { Stats } from "../snapshots.ts";
import type { StatsSource } from "./options.ts";

/** Samples that are kept: five minutes of one each second. */
const MAX_SAMPLES = 300;

/** While nobody looks, every fifth sample is enough. */
const IDLE_FACTOR = 5;

/** How often lateness of timers is measured, in milliseconds. */
const DELAY_PROBE_MS = 100;

/** Snapshots that requests may cause, above samples: a flood of them gets one again and again. */
const REQUESTED = { perSecond: 10, burst: 50 } as const;

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

/** One point of a source's history. */
export interface SourceSample extends Rates {
  /** When, in milliseconds since the epoch. */
  readonly atMs: number;
  /** Links there were. */
  readonly links: number;
  /** As in {@linkcode SourceSnapshot}. */
  readonly handshakeP95Ms: number | null;
  /** As in {@linkcode SourceSnapshot}. */
  readonly rttMaxMs: number | null;
}

/** One point of the process's history. */
export interface ProcessSample {
  /** When, in milliseconds since the epoch. */
  readonly atMs: number;
  /**
   * The most that a timer of this process was late since the sample before, in milliseconds: so long messages
   * may have waited.
   */
  readonly eventLoopDelayMs: number;
  /** Memory of the process in RAM, in bytes. */
  readonly residentBytes: number;
}

/** A source, as it is and as it was. */
export interface SourceReport extends SourceSnapshot {
  /** Changes a second, over the last sample. */
  readonly rates: Rates;
  /** The last samples, the oldest first. */
  readonly history: readonly SourceSample[];
}

/** What `/stats.json` gives. */
export interface StatsReport {
  /** Version of this shape; members may be added without a new one. */
  readonly version: 1;
  /** Headline of the page. */
  readonly title: string;
  /** When it was taken, in milliseconds since the epoch. */
  readonly takenAtMs: number;
  /** Time between two samples, in milliseconds. */
  readonly intervalMs: number;
  /** Whether the process can be given work, as `/readyz` tells. */
  readonly ready: boolean;
  /** The process. */
  readonly process: ProcessSample & {
    /** Process id. */
    readonly pid: number;
    /** Time since the page began, in milliseconds. */
    readonly uptimeMs: number;
    /** Version of Deno. */
    readonly deno: string;
    /** The last samples, the oldest first. */
    readonly history: readonly ProcessSample[];
  };
  /** Each source. */
  readonly sources: readonly SourceReport[];
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

const NO_RATES: Rates = { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0, opened: 0, failed: 0 };

/** What is known of one source. */
class Track {
  readonly name: string;
  readonly source: StatsSource;
  stats: Stats;
  rates: Rates = NO_RATES;
  readonly history: SourceSample[] = [];
  /** Sample before the last, for rates. */
  #before: { readonly stats: Stats; readonly report: SourceSnapshot; readonly atMs: number } | null = null;

  constructor(name: string, source: StatsSource) {
    this.name = name;
    this.source = source;
    this.stats = source.stats();
  }

  sample(atMs: number, nowMs: number): void {
    const report = reportOf(this.name, this.stats, { before: this.#before?.stats, maxLinks: 0 });
    if (this.#before !== null) {
      this.rates = ratesOf(this.#before.report, report, nowMs - this.#before.atMs);
    }
    this.#before = { stats: this.stats, report, atMs: nowMs };
    const { linksNow: links, handshakeP95Ms, rttMaxMs } = report;
    push(this.history, { atMs, ...this.rates, links, handshakeP95Ms, rttMaxMs });
  }

  report({ maxLinks, maxDays, maxSamples }: ReportSize): SourceReport {
    const report = reportOf(this.name, this.stats, { maxLinks });
    const { handshakeP95Ms = null } = this.history.at(-1) ?? {};
    return {
      ...report,
      handshakeP95Ms,
      days: report.days.slice(-maxDays),
      rates: this.rates,
      history: this.history.slice(-maxSamples),
    };
  }
}

/** Samples sources by one timer. */
export class Sampler {
  readonly #tracks: readonly Track[];
  readonly #intervalMs: number;
  readonly #onSample: () => void;
  readonly #startedMs = performance.now();
  readonly #history: ProcessSample[] = [];
  readonly #budget = new TokenBucket(REQUESTED, performance.now());
  readonly #probe: ReturnType<typeof setInterval>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watched = false;
  #stopped = false;
  #probedMs = performance.now();
  #delayMs = 0;
  #takenAtMs = Date.now();
  #takenMs = -Infinity;
  #sampledMs = -Infinity;

  /** Begins to sample at once. Its timers do not keep the process alive. */
  constructor(
    sources: ReadonlyMap<string, StatsSource>,
    options: { readonly intervalMs: number; readonly onSample: () => void },
  ) {
    this.#tracks = [...sources].map(([name, source]) => new Track(name, source));
    this.#intervalMs = options.intervalMs;
    this.#onSample = options.onSample;
    this.#probe = setInterval(() => this.#measureDelay(), DELAY_PROBE_MS);
    Deno.unrefTimer(this.#probe);
    this.#sample();
  }

  /** Whether somebody watches, and samples are to come faster. */
  set watched(watched: boolean) {
    if (watched === this.#watched) return;
    this.#watched = watched;
    this.#plan();
  }

  /** Takes snapshots anew for whoever asks, unless too many ask: then the last ones have to do. */
  refresh(): void {
    if (this.#budget.tryTake(1, performance.now())) this.#take();
  }

  /** The last snapshots by name. */
  snapshots(): Record<string, Stats> {
    return Object.fromEntries(this.#tracks.map((track) => [track.name, track.stats]));
  }

  /** All of it, as of the last snapshots. */
  report(title: string, ready: boolean, size: ReportSize): StatsReport {
    return {
      version: 1,
      title,
      takenAtMs: this.#takenAtMs,
      intervalMs: this.#intervalMs,
      ready,
      process: {
        ...(this.#history.at(-1) ?? this.#processSample()),
        pid: Deno.pid,
        uptimeMs: Math.round(performance.now() - this.#startedMs),
        deno: Deno.version.deno,
        history: this.#history.slice(-size.maxSamples),
      },
      sources: this.#tracks.map((track) => track.report(size)),
    };
  }

  /** Ends it. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#probe);
    clearTimeout(this.#timer);
  }

  #sample(): void {
    try {
      this.#take();
    } catch {
      // A source that fails is told to whoever asks for it, and must not end the process: the last samples
      // stay.
      this.#sampledMs = performance.now();
      this.#plan();
      return;
    }
    for (const track of this.#tracks) track.sample(this.#takenAtMs, this.#takenMs);
    push(this.#history, this.#processSample());
    this.#delayMs = 0;
    this.#sampledMs = this.#takenMs;
    this.#plan();
    this.#onSample();
  }

  /** Sets the timer of the next sample, counted from the last one. */
  #plan(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const intervalMs = this.#watched ? this.#intervalMs : IDLE_FACTOR * this.#intervalMs;
    const leftMs = this.#sampledMs + intervalMs - performance.now();
    this.#timer = setTimeout(() => this.#sample(), Math.max(0, leftMs));
    Deno.unrefTimer(this.#timer);
  }

  #take(): void {
    this.#takenAtMs = Date.now();
    this.#takenMs = performance.now();
    for (const track of this.#tracks) track.stats = track.source.stats();
  }

  #processSample(): ProcessSample {
    const residentBytes = Deno.memoryUsage().rss;
    return { atMs: this.#takenAtMs, eventLoopDelayMs: Math.round(this.#delayMs * 10) / 10, residentBytes };
  }

  #measureDelay(): void {
    const nowMs = performance.now();
    this.#delayMs = Math.max(this.#delayMs, nowMs - this.#probedMs - DELAY_PROBE_MS);
    this.#probedMs = nowMs;
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
    Object.values(errors).reduce((a, b) => a + b, 0) + Object.values(refusals).reduce((a, b) => a + b, 0);
  return {
    bytesIn: perSecond("bytesIn"),
    bytesOut: perSecond("bytesOut"),
    messagesIn: perSecond("messagesIn", "framesIn", "queriesIn"),
    messagesOut: perSecond("messagesOut", "framesOut", "queriesOut"),
    opened: perSecond("connectionsOpened", "leases"),
    failed: spanMs <= 0 ? 0 : Math.max(0, failures(now) - failures(before)) * 1000 / spanMs,
  };
}

function push<Item>(list: Item[], item: Item): void {
  list.push(item);
  if (list.length > MAX_SAMPLES) list.shift();
}
