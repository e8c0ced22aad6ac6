// Sampler: takes samples of the sources now and then, and keeps the last samples.
import { TokenBucket } from "../../collections/token_bucket.ts";
import type { Stats } from "../data/snapshots.ts";
import type { StatsSource } from "./options.ts";
import { Rollup } from "./rollup.ts";
import {
  type ReportSize,
  ROW_NAMES,
  type SourceReport,
  SourceTrack,
  type Span,
  SPANS,
} from "./track.ts";

/** Samples that are kept: five minutes of one each second. */
const MAX_SAMPLES = 300;

/** While there is no viewer, every fifth sample is enough. */
const IDLE_FACTOR = 5;

/** How often lateness of timers is measured, in milliseconds. */
const DELAY_PROBE_MS = 100;

/** Snapshots that requests may cause, above samples: a flood of them gets one again and again. */
const REQUESTED = { perSecond: 10, burst: 50 } as const;

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

/** What `/stats.json` returns. */
export interface StatsReport {
  /** Version of this shape; members may be added without a new one. */
  readonly version: 1;
  /** Headline of the page. */
  readonly title: string;
  /** When it was taken, in milliseconds since the epoch. */
  readonly takenAtMs: number;
  /** Time between two samples, in milliseconds. */
  readonly intervalMs: number;
  /** Whether the process can be given work, as `/readyz` reports. */
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

/** A longer history of everything, as `/hour.json` and `/day.json` have it. */
export interface HistoryReport {
  /** Version of this shape; members may be added without a new one. */
  readonly version: 1;
  /** Time that one row stands for, in milliseconds. */
  readonly stepMs: number;
  /** Names of the numbers in a row of the process, and of a source. */
  readonly columns: { readonly process: readonly string[]; readonly source: readonly string[] };
  /** Rows of the process, the oldest first. */
  readonly process: readonly (readonly number[])[];
  /** Rows of each source, the oldest first. */
  readonly sources: readonly {
    readonly name: string;
    readonly rows: readonly (readonly number[])[];
  }[];
}

/** Columns of the longer histories of the process. */
const PROCESS_COLUMNS = [
  { name: "eventLoopDelayMs", fold: "max" },
  { name: "residentBytes", fold: "max" },
] as const;

/** Samples sources by one timer. */
export class Sampler {
  readonly #tracks: readonly SourceTrack[];
  readonly #intervalMs: number;
  readonly #onSample: () => void;
  readonly #startedMs = performance.now();
  readonly #history: ProcessSample[] = [];
  readonly #rollups = {
    hour: new Rollup({ ...SPANS.hour, columns: PROCESS_COLUMNS }),
    day: new Rollup({ ...SPANS.day, columns: PROCESS_COLUMNS }),
  } as const;
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
    this.#tracks = [...sources].map(([name, source]) => new SourceTrack(name, source));
    this.#intervalMs = options.intervalMs;
    this.#onSample = options.onSample;
    this.#probe = setInterval(() => this.#measureDelay(), DELAY_PROBE_MS);
    Deno.unrefTimer(this.#probe);
    this.#sample();
  }

  /** Whether there are viewers, so that samples must come faster. */
  set watched(watched: boolean) {
    if (watched === this.#watched) return;
    this.#watched = watched;
    this.#plan();
  }

  /**
   * Takes snapshots anew for a request, unless there are too many requests: then the last snapshots serve.
   */
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

  /** The last hour or the last day, in steps. */
  history(span: Span): HistoryReport {
    return {
      version: 1,
      stepMs: SPANS[span].stepMs,
      columns: { process: ["atMs", ...PROCESS_COLUMNS.map(({ name }) => name)], source: ROW_NAMES },
      process: this.#rollups[span].rows,
      sources: this.#tracks.map((track) => ({ name: track.name, rows: track.rows(span) })),
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
      // A source that fails is reported to requests for it, and must not end the process: the last samples
      // stay.
      this.#sampledMs = performance.now();
      this.#plan();
      return;
    }
    for (const track of this.#tracks) track.sample(this.#takenAtMs, this.#takenMs);
    const sample = this.#processSample();
    push(this.#history, sample);
    for (const rollup of Object.values(this.#rollups)) {
      rollup.add(sample.atMs, this.#takenMs - this.#sampledMs, [
        sample.eventLoopDelayMs,
        sample.residentBytes,
      ]);
    }
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
    return {
      atMs: this.#takenAtMs,
      eventLoopDelayMs: Math.round(this.#delayMs * 10) / 10,
      residentBytes,
    };
  }

  #measureDelay(): void {
    const nowMs = performance.now();
    this.#delayMs = Math.max(this.#delayMs, nowMs - this.#probedMs - DELAY_PROBE_MS);
    this.#probedMs = nowMs;
  }
}

function push<Item>(list: Item[], item: Item): void {
  list.push(item);
  if (list.length > MAX_SAMPLES) list.shift();
}
