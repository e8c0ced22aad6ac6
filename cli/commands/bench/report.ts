// The result of a load: for people as text, for machines as JSON.
import { escapeForLog } from "../../../log/text.ts";
import { count } from "../../output/talk.ts";
import type { Latencies, LatencySummary } from "./latencies.ts";
import type { LoadResult } from "./load.ts";

/** What the load was. */
export interface LoadSettings {
  readonly address: string;
  readonly framing: string;
  readonly tls: boolean;
  readonly connections: number;
  readonly messageBytes: number;
  readonly inFlight: number;
  /** Requests per second that were wanted; `null` for a closed loop. */
  readonly rate: number | null;
  readonly verified: boolean;
}

/** The object that `--json` prints. */
export interface LoadReport extends LoadSettings {
  /** `open`: requests went out by the clock. `closed`: as answers came. */
  readonly loop: "open" | "closed";
  readonly measuredMs: number;
  readonly interrupted: boolean;
  readonly answers: number;
  readonly messagesPerSecond: number;
  /** Bytes of requests answered, and of their answers, without what the framing adds. */
  readonly bytesPerSecond: { readonly out: number; readonly in: number };
  /** From the moment that a request was due (open), or sent (closed), to its answer. */
  readonly latencyMs: LatencySummary | null;
  /**
   * The same with the requests that a closed loop held back while an answer was late; `null` for an open
   * loop.
   */
  readonly correctedLatencyMs: LatencySummary | null;
  /**
   * How late this generator sent requests, by its own fault or as too many were unanswered; `null` for a
   * closed loop.
   */
  readonly sendLatenessMs: LatencySummary | null;
  /** Upper ends and counts, of the latencies as measured. */
  readonly histogram: readonly { readonly upToMs: number; readonly count: number }[];
  readonly mismatches: number;
  readonly unanswered: number;
  /** Requests that were due and not sent, as too many were unanswered. */
  readonly unsent: number;
  /** Connections that failed, by code. */
  readonly errors: Readonly<Record<string, number>>;
}

/** What a load has given, for machines. */
export function loadReport(settings: LoadSettings, result: LoadResult): LoadReport {
  const { tally, measuredMs, interrupted } = result;
  const perSecond = (value: number) => Math.round(value * 1000 / Math.max(measuredMs, 0.001));
  const loop = settings.rate === null ? "closed" : "open";
  return {
    ...settings,
    loop,
    measuredMs: Math.round(measuredMs),
    interrupted,
    answers: tally.answersInTime,
    messagesPerSecond: perSecond(tally.answersInTime),
    bytesPerSecond: { out: perSecond(tally.bytesOut), in: perSecond(tally.bytesIn) },
    latencyMs: tally.latencies.summary(),
    correctedLatencyMs: loop === "closed" ? corrected(settings, result).summary() : null,
    sendLatenessMs: loop === "open" ? tally.lateness.summary() : null,
    histogram: tally.latencies.rows(),
    mismatches: tally.mismatches,
    unanswered: tally.unanswered,
    unsent: tally.unsent,
    errors: Object.fromEntries(tally.errors),
  };
}

/** Whether something went wrong that a caller must know of. */
export function hasFailed({ mismatches, unanswered, errors }: LoadReport): boolean {
  return mismatches > 0 || unanswered > 0 || Object.keys(errors).length > 0;
}

/**
 * A closed loop sends a request of each place in flight as often as answers come: one in this time. Where an
 * answer took longer, requests were held back.
 */
function corrected(settings: LoadSettings, { tally, measuredMs }: LoadResult): Latencies {
  const places = settings.connections * settings.inFlight;
  return tally.latencies.corrected(measuredMs * places / Math.max(1, tally.answersInTime));
}

/** Longest bar of the histogram. */
const BAR_COLUMNS = 40;

/** What a load has given, for people. */
export function loadText(report: LoadReport, { tally }: LoadResult): string {
  const { messagesPerSecond, bytesPerSecond, answers, measuredMs } = report;
  const lines = [
    `${count(answers)} answers in ${(measuredMs / 1000).toFixed(1)} s${
      report.interrupted ? ", interrupted" : ""
    }`,
    `${count(messagesPerSecond)} messages/s, ${megabytes(bytesPerSecond.out)} MB/s out, ` +
    `${megabytes(bytesPerSecond.in)} MB/s in`,
    "",
    ...latencyTable(report),
    "",
    ...histogramText(report),
    "",
    ...verdict(report),
  ];
  const first = tally.firstMismatch;
  if (first !== null) {
    lines.push(
      first.wanted === null
        ? "  the first came unasked"
        : `  the first should be ${shown(first.wanted)}`,
    );
    lines.push(`  and was ${shown(first.got)}`);
  }
  return lines.join("\n");
}

const OPEN_LOOP = ["Open loop: requests went out by the clock, and latencies count from then."];
const CLOSED_LOOP = [
  "Closed loop: a request waits for the answer before it. Corrected: with the",
  "requests that late answers held back; a fixed --rate measures them.",
];

function latencyTable(report: LoadReport): string[] {
  const columns: [string, LatencySummary | null][] = report.loop === "open"
    ? [["from when due", report.latencyMs], ["sent late by", report.sendLatenessMs]]
    : [["measured", report.latencyMs], ["corrected", report.correctedLatencyMs]];
  const rows = [
    ["p50", "p50"],
    ["p90", "p90"],
    ["p99", "p99"],
    ["p99.9", "p99_9"],
    ["max", "max"],
    ["mean", "mean"],
  ] as const;
  return [
    ["latency".padEnd(8), ...columns.map(([title]) => title.padStart(16))].join(""),
    ...rows.map(([name, key]) =>
      [`  ${name}`.padEnd(8), ...columns.map(([, summary]) => span(summary?.[key]).padStart(16))]
        .join("")
    ),
    ...report.loop === "open" ? OPEN_LOOP : CLOSED_LOOP,
  ];
}

function histogramText({ histogram }: LoadReport): string[] {
  const most = Math.max(1, ...histogram.map((row) => row.count));
  return histogram.map((row) => {
    const length = Math.ceil(row.count / most * BAR_COLUMNS);
    const bar = "█".repeat(length).padEnd(BAR_COLUMNS);
    return `  <= ${span(row.upToMs).padStart(8)} ${bar} ${count(row.count)}`;
  });
}

function verdict(report: LoadReport): string[] {
  const { errors, mismatches, unanswered, unsent, verified, rate } = report;
  const lines = Object.entries(errors).map(([code, times]) =>
    `${times} connections ended early: ${code}`
  );
  if (unanswered > 0) lines.push(`${count(unanswered)} requests were not answered`);
  if (unsent > 0) {
    lines.push(
      `${count(unsent)} requests were due and not sent: ${count(rate ?? 0)} per second is too much`,
    );
  }
  if (mismatches > 0) lines.push(`${count(mismatches)} answers were not what was sent`);
  else if (verified && report.answers > 0) lines.push("Every answer was what was sent");
  return lines;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** A short span for people: `87 µs`, `1.24 ms`, `2.05 s`. */
export function span(ms: number | undefined): string {
  if (ms === undefined) return "-";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

function shown(bytes: Uint8Array): string {
  return `"${escapeForLog(new TextDecoder().decode(bytes.subarray(0, 64)), 64)}"`;
}
