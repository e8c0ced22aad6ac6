// topView(): a report as lines of text that fit a window. Pure.
import type { TopError, TopLink, TopRates, TopReport, TopSource } from "./report.ts";
import { columnsOf, cut, padEnd, padStart } from "./width.ts";

/** What the rows can be sorted by, each with its key. */
export const SORT_KEYS = { r: "rate", b: "bytes", w: "waiting", a: "age", n: "name" } as const;

/** Name of an order of rows. */
export type SortOrder = typeof SORT_KEYS[keyof typeof SORT_KEYS];

/** What is drawn. */
export interface TopModel {
  /** Where it comes from. */
  readonly url: string;
  /** The last report; `null` before the first. */
  readonly report: TopReport | null;
  /** The report before it, for the rates of links. */
  readonly before: TopReport | null;
  /** Why there is nothing new; `null` while there is. */
  readonly trouble: string | null;
  readonly order: SortOrder;
  /** Rows of the table that are scrolled away. */
  readonly scrolled: number;
  readonly paused: boolean;
}

/** How large a window is. */
export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

/** Recent errors of a source in a window: the connections want room, too. */
const LIVE_ERRORS = 3;

/** Columns of a graph. */
const GRAPH_COLUMNS = 24;

/** A link, and what it carries in a second. */
interface Row extends TopLink {
  readonly inRate: number;
  readonly outRate: number;
}

/** One column of the table of links. */
interface Column {
  readonly title: string;
  readonly width: number;
  /** Whether it is a name: as wide as its longest text, and shown whole before anything else gets room. */
  readonly isName?: boolean | undefined;
  readonly text: (row: Row) => string;
}

/** The lines of a window, none wider or more than fit. */
export function topView(model: TopModel, { columns, rows }: WindowSize): string[] {
  const { report } = model;
  const head = report === null ? [] : [
    summaryLine(report),
    ...report.sources.flatMap((source) => sourceLines(source, LIVE_ERRORS)),
  ];
  if (model.trouble !== null) head.unshift(`! ${model.trouble}`);
  else if (report === null) head.unshift(`Reading ${model.url}`);
  const foot = footLine(model);
  const table = report === null
    ? []
    : tableLines(model, columns, Math.max(0, rows - head.length - 2));
  const body = [...head, ...table].slice(0, Math.max(0, rows - 1));
  while (body.length < rows - 1) body.push("");
  return [...body, foot].slice(-rows).map((line) => cut(line, columns));
}

/** All of it as plain text, however long. */
export function topText(model: TopModel): string {
  const { report } = model;
  if (report === null) return "";
  const links = report.sources.reduce((sum, source) => sum + source.links.length, 0);
  const lines = [
    summaryLine(report),
    ...report.sources.flatMap((source) => sourceLines(source, source.recentErrors.length)),
    ...tableLines(model, PLAIN_COLUMNS, links + 1),
  ];
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** Columns of plain text, which nothing has to fit. */
const PLAIN_COLUMNS = 1024;

/** How many rows the table has at most scrolled away: the last one stays. */
export function mostScrolled(report: TopReport | null): number {
  const links = report?.sources.reduce((sum, source) => sum + source.links.length, 0) ?? 0;
  return Math.max(0, links - 1);
}

function summaryLine(report: TopReport): string {
  const { title, pid, uptimeMs, residentBytes, eventLoopDelayMs, ready, takenAtMs } = report;
  const parts = [
    title,
    `process ${pid}`,
    `up ${ageText(uptimeMs)}`,
    `${bytesText(residentBytes)} of memory`,
    `timers late by ${Math.round(eventLoopDelayMs)} ms`,
    ready ? "ready" : "NOT READY",
    new Date(takenAtMs).toTimeString().slice(0, 8),
  ];
  return parts.join(" · ");
}

function sourceLines(source: TopSource, mostErrors: number): string[] {
  const { kind, name, state, address, linksNow, queuedBytes, rates, history, faults } = source;
  const { latency, recentErrors } = source;
  const where = address === "" ? "" : ` on ${address}`;
  const waiting = queuedBytes === 0 ? "" : `, ${bytesText(queuedBytes)} waiting`;
  const lines = [
    "",
    `${kind} ${name}: ${state}${where}, ${linksNow.toLocaleString("en-US")} connections${waiting}`,
    `  in  ${graph(history, "bytesIn")} ${rateText(rates.messagesIn, rates.bytesIn)}`,
    `  out ${graph(history, "bytesOut")} ${rateText(rates.messagesOut, rates.bytesOut)}`,
  ];
  if (latency !== null) {
    const { p50Ms, p95Ms, p99Ms } = latency;
    lines.push(
      `  requests took ${msText(p50Ms)} (p50), ${msText(p95Ms)} (p95), ${msText(p99Ms)} (p99)`,
    );
  }
  if (faults.length > 0) {
    lines.push(
      `  errors: ${
        faults.map(([what, times]) => `${what} ${times.toLocaleString("en-US")}`).join(", ")
      }`,
    );
  }
  const recent = recentErrors.slice(Math.max(0, recentErrors.length - mostErrors));
  return [...lines, ...recent.reverse().map(errorLine)];
}

function errorLine({ atMs, phase, code, text, peer, count }: TopError): string {
  const from = peer === "" ? "" : ` ${peer}`;
  const times = count === 1 ? "" : ` (${count.toLocaleString("en-US")} times)`;
  return `  ${new Date(atMs).toTimeString().slice(0, 8)} ${phase}${from} ${code}${times}: ${text}`;
}

/** A duration of a request for people: `0.42 ms`, `12 ms`, `1.4 s`. */
function msText(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`;
}

const COLUMNS: readonly Column[] = [
  { title: "SOURCE", width: 10, isName: true, text: ({ source }) => source },
  { title: "PEER", width: 12, isName: true, text: ({ peer, id }) => peer === "" ? id : peer },
  { title: "ADDRESS", width: 15, isName: true, text: ({ address }) => address },
  { title: "STATE", width: 8, text: ({ state }) => state },
  { title: "AGE", width: 7, text: ({ ageMs }) => ageMs === null ? "-" : ageText(ageMs) },
  { title: "IN/s", width: 9, text: ({ inRate }) => bytesText(inRate) },
  { title: "OUT/s", width: 9, text: ({ outRate }) => bytesText(outRate) },
  { title: "WAITING", width: 9, text: ({ queuedBytes }) => bytesText(queuedBytes) },
  { title: "IN", width: 9, text: ({ bytesIn }) => bytesText(bytesIn) },
  { title: "OUT", width: 9, text: ({ bytesOut }) => bytesText(bytesOut) },
  { title: "STREAMS", width: 7, text: ({ streams }) => streams === null ? "-" : String(streams) },
  { title: "RTT", width: 8, text: ({ rttMs }) => rttMs === null ? "-" : `${rttMs.toFixed(1)} ms` },
];

/** Names in the order in which they get room: who it is is what people look for. */
const NAMES_FIRST = ["PEER", "SOURCE", "ADDRESS"] as const;

/** Columns with numbers, which end at one edge. */
const FIRST_NUMBER = 4;

/** A title and as many rows as there is room for. */
function tableLines(model: TopModel, columns: number, room: number): string[] {
  const { report, scrolled, order } = model;
  if (report === null || room < 2) return [];
  const sorted = rowsOf(report, model.before).sort(ORDERS[order]);
  const shown = fitting(columns, sorted);
  const rows = sorted.slice(scrolled, scrolled + room - 1);
  return [
    "",
    tableLine(shown, ({ title }) => title),
    ...rows.map((row) => tableLine(shown, ({ text }) => text(row))),
  ]
    .slice(0, room + 1);
}

function tableLine(columns: readonly Column[], text: (column: Column) => string): string {
  return columns.map((column) => {
    const { width } = column;
    const value = shortened(text(column), width);
    return COLUMNS.findIndex(({ title }) => title === column.title) < FIRST_NUMBER
      ? padEnd(value, width)
      : padStart(value, width);
  }).join(" ");
}

/**
 * The columns for which there is room. Names come first, each as wide as its longest text; then the
 * others, in order. Where not even the peers fit, they take all there is.
 */
function fitting(columns: number, rows: readonly Row[]): Column[] {
  const widths = new Map<string, number>();
  let left = columns;
  for (const title of NAMES_FIRST) {
    const { text, width: least } = COLUMNS.find((column) => column.title === title)!;
    const longest = rows.reduce((most, row) => Math.max(most, columnsOf(text(row))), least);
    const width = title === "PEER" ? Math.min(longest, left) : longest;
    if (width > left) continue;
    widths.set(title, width);
    left -= width + 1;
  }
  for (const { title, width, isName } of COLUMNS) {
    if (isName === true) continue;
    if (width > left) break;
    widths.set(title, width);
    left -= width + 1;
  }
  return COLUMNS.filter(({ title }) => widths.has(title))
    .map((column) => ({ ...column, width: widths.get(column.title)! }));
}

/** A text that fits; one that is cut ends with a mark. */
function shortened(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  return columns < 2 ? cut(text, columns) : `${cut(text, columns - 1)}…`;
}

function rowsOf(report: TopReport, before: TopReport | null): Row[] {
  const seconds = before === null ? 0 : (report.takenAtMs - before.takenAtMs) / 1000;
  const earlier = new Map(
    before?.sources.flatMap(({ links }) => links).map((link) => [keyOf(link), link]),
  );
  return report.sources.flatMap(({ links }) => links).map((link) => {
    const last = earlier.get(keyOf(link));
    const rate = (now: number, then: number | undefined) =>
      then === undefined || seconds <= 0 ? 0 : Math.max(0, (now - then) / seconds);
    return {
      ...link,
      inRate: rate(link.bytesIn, last?.bytesIn),
      outRate: rate(link.bytesOut, last?.bytesOut),
    };
  });
}

function keyOf({ source, id }: TopLink): string {
  return `${source}\n${id}`;
}

const ORDERS: Readonly<Record<SortOrder, (a: Row, b: Row) => number>> = {
  rate: (a, b) => b.inRate + b.outRate - a.inRate - a.outRate || ORDERS.bytes(a, b),
  bytes: (a, b) => b.bytesIn + b.bytesOut - a.bytesIn - a.bytesOut,
  waiting: (a, b) => b.queuedBytes - a.queuedBytes || ORDERS.rate(a, b),
  age: (a, b) => (b.ageMs ?? 0) - (a.ageMs ?? 0),
  name: (a, b) =>
    `${a.source} ${a.peer} ${a.address}`.localeCompare(`${b.source} ${b.peer} ${b.address}`),
};

function footLine({ order, paused }: TopModel): string {
  const keys = Object.entries(SORT_KEYS).map(([key, name]) =>
    `${key} ${name === order ? `[${name}]` : name}`
  );
  return `sort: ${keys.join("  ")}   up/down scroll  p ${paused ? "[paused]" : "pause"}  q quit`;
}

const BARS = "▁▂▃▄▅▆▇█";

/** The last rates as bars; the highest is the greatest of them. */
function graph(history: readonly TopRates[], name: keyof TopRates): string {
  const values = history.slice(-GRAPH_COLUMNS).map((rates) => rates[name]);
  const most = Math.max(...values, 1);
  const bars = values.map((value) => BARS[Math.round(value / most * (BARS.length - 1))] ?? BARS[0]);
  return bars.join("").padStart(GRAPH_COLUMNS);
}

function rateText(messages: number, bytes: number): string {
  return `${Math.round(messages).toLocaleString("en-US")} messages/s, ${bytesText(bytes)}/s`;
}

/** Bytes for people: `812 B`, `1.2 MB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [Math.max(0, bytes), 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** An age for people: `42s`, `3m12s`, `5h07m`, `12d`. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) {
    return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`;
  }
  return `${Math.floor(seconds / 86_400)}d`;
}
