// openMetrics(): snapshots as text that Prometheus and others read.
import type { DurationStats } from "../data/duration_histogram.ts";
import { type Labels, type MetricSink, type MetricType, writeMetrics } from "./metrics.ts";
import type { Stats } from "../data/snapshots.ts";

/** How {@linkcode openMetrics} writes. */
export interface OpenMetricsOptions {
  /** OpenMetrics 1.0, or the older text format of Prometheus, 0.0.4. @default {"openmetrics"} */
  readonly format?: "openmetrics" | "prometheus" | undefined;
}

/** `Content-Type` of each format. */
export const METRICS_CONTENT_TYPES = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
} as const;

/**
 * Writes snapshots as OpenMetrics text: one set of metrics for servers, clients, wires, IPC and pools, each
 * sample with the labels `kind` and `name`. Without names, snapshots go by their kind: `server`, `server-2`
 * and so on.
 *
 * @param snapshots One snapshot, several, or several by name
 *
 * @example
 * ```ts
 * import { serve } from "@parley/parley";
 * import { openMetrics } from "@parley/parley/stats";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await using server = serve(() => {});
 * await server.ready;
 * const text = openMetrics({ orders: server.stats() });
 * assertStringIncludes(text, 'parley_received_messages_total{kind="server",name="orders"} 0');
 * ```
 */
export function openMetrics(
  snapshots: Stats | readonly Stats[] | Readonly<Record<string, Stats>>,
  options: OpenMetricsOptions = {},
): string {
  const families = new Families();
  for (const [name, stats] of Object.entries(byName(snapshots))) {
    writeMetrics(families, name, stats);
  }
  return families.text(options.format ?? "openmetrics");
}

/**
 * Names every one of `items`: those of a list go by their kind, numbered from the second on.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(Object.keys(nameByKind([1, 2, 3], (n) => n < 3 ? "server" : "pool")), ["server", "server-2", "pool"]);
 * ```
 */
export function nameByKind<Item>(
  items: readonly Item[],
  kindOf: (item: Item) => string,
): Record<string, Item> {
  const counts = new Map<string, number>();
  const named: Record<string, Item> = Object.create(null);
  for (const item of items) {
    const kind = kindOf(item);
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    named[count === 1 ? kind : `${kind}-${count}`] = item;
  }
  return named;
}

function byName(
  snapshots: Stats | readonly Stats[] | Readonly<Record<string, Stats>>,
): Readonly<Record<string, Stats>> {
  if (isStats(snapshots)) return { [snapshots.kind]: snapshots };
  if (isList(snapshots)) return nameByKind(snapshots, ({ kind }) => kind);
  return snapshots;
}

function isStats(value: Stats | object): value is Stats {
  return "kind" in value && typeof value.kind === "string";
}

function isList(value: readonly Stats[] | object): value is readonly Stats[] {
  return Array.isArray(value);
}

interface Family {
  readonly type: MetricType;
  readonly help: string;
  /** Lines without the name: suffix, labels, value. */
  readonly samples: (readonly [suffix: string, labels: Labels, value: number])[];
}

/** Families of metrics, each once, in the order of their first sample. */
class Families implements MetricSink {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string, labels: Labels, value: number): void {
    this.#family("counter", name, help).samples.push(["_total", labels, value]);
  }

  gauge(name: string, help: string, labels: Labels, value: number): void {
    this.#family("gauge", name, help).samples.push(["", labels, value]);
  }

  histogram(name: string, help: string, labels: Labels, value: DurationStats): void {
    const { samples } = this.#family("histogram", name, help);
    let sum = 0;
    for (const [bucket, count] of value.counts.entries()) {
      const boundMs = value.boundsMs[bucket];
      const le = boundMs === undefined ? "+Inf" : floatOf(boundMs / 1000);
      samples.push(["_bucket", { ...labels, le }, sum += count]);
    }
    samples.push(["_count", labels, value.count], ["_sum", labels, value.sumMs / 1000]);
  }

  state(
    name: string,
    help: string,
    labels: Labels,
    value: { now: string; all: readonly string[] },
  ): void {
    const { samples } = this.#family("state", name, help);
    for (const state of value.all) {
      samples.push(["", { ...labels, [`parley_${name}`]: state }, state === value.now ? 1 : 0]);
    }
  }

  text(format: "openmetrics" | "prometheus"): string {
    const lines: string[] = [];
    for (const [name, { type, help, samples }] of this.#families) {
      const open = format === "openmetrics";
      // OpenMetrics names the family of a counter without its suffix, Prometheus with it.
      const family = type === "counter" && !open ? `${name}_total` : name;
      const shown = type === "state" ? (open ? "stateset" : "gauge") : type;
      lines.push(`# TYPE ${family} ${shown}`, `# HELP ${family} ${help}.`);
      const unit = /_(bytes|seconds)$/.exec(name)?.[1];
      if (open && unit !== undefined) lines.push(`# UNIT ${family} ${unit}`);
      for (const [suffix, labels, value] of samples) {
        lines.push(`${name}${suffix}{${labelText(labels)}} ${value}`);
      }
    }
    return [...lines, "# EOF", ""].join("\n");
  }

  #family(type: MetricType, shortName: string, help: string): Family {
    const name = `parley_${shortName}`;
    let family = this.#families.get(name);
    if (family === undefined) this.#families.set(name, family = { type, help, samples: [] });
    return family;
  }
}

function labelText(labels: Labels): string {
  return Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`).join(",");
}

function escape(text: string): string {
  return text.toWellFormed().replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll(
    "\n",
    "\\n",
  );
}

/** A number as OpenMetrics wants bounds: with a point. */
function floatOf(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : `${value}`;
}
