// Options of serveStats(): what they are, their defaults, and their check before any I/O.
import { checkOptionNames, type OptionNames } from "../../options/names.ts";
import { checkFunction, checkInteger } from "../../options/check.ts";
import type { Resolved } from "../../options/resolved.ts";
import { nameByKind } from "../export/openmetrics.ts";
import type { Stats } from "../data/snapshots.ts";

/** Whatever counts: a server, a client, either side of the wire or of a channel, a pool. */
export interface StatsSource {
  /** What it has done so far. */
  stats(): Stats;
}

/** Options of {@linkcode serveStats}. */
export interface ServeStatsOptions {
  /** Address to listen on. @default {"127.0.0.1"} numbers about your peers are for this machine only */
  hostname?: string | undefined;
  /** Port to listen on; 0 picks a free one, see `page.addr`. @default {0} */
  port?: number | undefined;
  /** Headline of the page. @default {"Parley"} */
  title?: string | undefined;
  /**
   * More names under which browsers and scrapers may ask for it, such as `"metrics.internal"` or, for one
   * port only, `"metrics.internal:9100"`. A request under another name gets 421: a page of another site
   * whose name was made to lead here (DNS rebinding) reads nothing. The address itself, and `localhost` on
   * loopback, always do.
   *
   * @default {[]}
   */
  allowedHosts?: readonly string[] | undefined;
  /**
   * Whether the process can be given work: `/readyz`; it cannot while this throws.
   *
   * @default {whether every source is up and none drains}
   */
  isReady?: (() => boolean) | undefined;
  /** Live views at a time; more get 503. @default {16} */
  maxViewers?: number | undefined;
  /** Connections at a time, viewers included; more are closed at once. @default {64} */
  maxConnections?: number | undefined;
  /** Time in ms within which a request must have come in whole; then 408. @default {5000} */
  requestTimeoutMs?: number | undefined;
  /**
   * Time in ms between two samples while a browser looks, 100 to 60000; five times as long while none does.
   *
   * @default {1000}
   */
  intervalMs?: number | undefined;
  /**
   * Connections listed by `/stats.json`, those with the most bytes first; the page shows up to 100 of them.
   *
   * @default {1000}
   */
  maxListed?: number | undefined;
  /** Abort closes the page. */
  signal?: AbortSignal | undefined;
}

const NAMES: OptionNames<ServeStatsOptions> = {
  hostname: true,
  port: true,
  title: true,
  allowedHosts: true,
  isReady: true,
  maxViewers: true,
  maxConnections: true,
  requestTimeoutMs: true,
  intervalMs: true,
  maxListed: true,
  signal: true,
};

/** {@linkcode ServeStatsOptions}, checked, with the defaults in. */
export type ResolvedServeStatsOptions =
  & Resolved<Omit<ServeStatsOptions, "signal" | "isReady">>
  & Pick<ServeStatsOptions, "signal" | "isReady">;

const ACTION = "Cannot serve statistics";

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError} when an option has the wrong type
 * @throws {RangeError} when a number is out of range
 */
export function resolveServeStats(options: ServeStatsOptions): ResolvedServeStatsOptions {
  checkOptionNames(ACTION, options, NAMES);
  const { hostname = "127.0.0.1", title = "Parley", allowedHosts = [], signal, isReady } = options;
  const { port = 0, maxViewers = 16, maxConnections = 64 } = options;
  const { requestTimeoutMs = 5000, intervalMs = 1000, maxListed = 1000 } = options;
  for (const [name, text] of Object.entries({ hostname, title })) {
    if (typeof text === "string" && text !== "") continue;
    throw new TypeError(`${ACTION}: "${name}" must be a text, got ${JSON.stringify(text)}`);
  }
  checkInteger(ACTION, "port", port, 0, 65_535);
  checkInteger(ACTION, "maxViewers", maxViewers, 1, 1000);
  checkInteger(ACTION, "maxConnections", maxConnections, 1, 65_536);
  checkInteger(ACTION, "requestTimeoutMs", requestTimeoutMs, 10, 600_000);
  checkInteger(ACTION, "intervalMs", intervalMs, 100, 60_000);
  checkInteger(ACTION, "maxListed", maxListed, 0, 65_536);
  if (isReady !== undefined) checkFunction(ACTION, "isReady", isReady);
  if (
    !Array.isArray(allowedHosts) ||
    allowedHosts.some((host) => typeof host !== "string" || host === "")
  ) {
    throw new TypeError(`${ACTION}: "allowedHosts" must be a list of names`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${ACTION}: "signal" must be an AbortSignal, got ${typeof signal}`);
  }
  const limits = { maxViewers, maxConnections, requestTimeoutMs, intervalMs, maxListed };
  return { hostname, port, title, allowedHosts, isReady, signal, ...limits };
}

/**
 * Returns every source by its name.
 *
 * @throws {TypeError} when something has no `stats`, or there is nothing
 */
export function nameSources(
  sources: StatsSource | readonly StatsSource[] | Readonly<Record<string, StatsSource>>,
): ReadonlyMap<string, StatsSource> {
  const named = isSource(sources)
    ? nameByKind([sources], kindOf)
    : isList(sources)
    ? nameByKind(sources, kindOf)
    : sources;
  const map = new Map(Object.entries(named ?? {}));
  if (map.size === 0) throw new TypeError(`${ACTION}: there is no source of any`);
  for (const [name, source] of map) {
    if (!isSource(source)) throw new TypeError(`${ACTION}: "${name}" has no method "stats"`);
  }
  return map;
}

function kindOf(source: StatsSource): string {
  return isSource(source) ? source.stats().kind : "source";
}

function isSource(value: unknown): value is StatsSource {
  return typeof value === "object" && value !== null && "stats" in value &&
    typeof value.stats === "function";
}

function isList(value: readonly StatsSource[] | object): value is readonly StatsSource[] {
  return Array.isArray(value);
}
