// Statistics options: where a command that runs for long publishes what it does, to people and machines.
import type { StatsPage, StatsSource } from "../../stats/page.ts";
import { addressText, parseAddress } from "../command/address.ts";
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";
import { UsageError } from "../command/usage.ts";
import { print, say } from "../output/talk.ts";
import { jsonText } from "../output/json_text.ts";

/** Options of a command that counts what it does. */
export const STATS_FLAGS: readonly Flag[] = [
  {
    name: "stats",
    value: "ADDRESS",
    about:
      "Show statistics by HTTP there: a live page, /metrics, /stats.json, /readyz (default: nowhere)",
  },
  {
    name: "stats-host",
    value: "NAME",
    about:
      "Name by which browsers and probes ask there, besides the address; may be given more than once",
    many: true,
  },
];

/** What {@linkcode openStats} needs beside the arguments. */
export interface StatsPlace {
  /** Where, as `serveStats` takes it. */
  readonly hostname: string;
  /** Where, as `serveStats` takes it. */
  readonly port: number;
  /** Names by which it may be asked, besides its address. */
  readonly allowedHosts: readonly string[];
}

/**
 * Where statistics are wanted; `undefined` for nowhere. Checked before anything is opened.
 *
 * @throws {UsageError} when that is no host and port
 */
export function statsPlace(args: Arguments): StatsPlace | undefined {
  const typed = args.text("stats");
  const allowedHosts = args.all("stats-host");
  if (typed === undefined) {
    if (allowedHosts.length > 0) throw new UsageError('Option "--stats-host" goes with --stats');
    return undefined;
  }
  const address = parseAddress(typed);
  if ("path" in address) {
    throw new UsageError(`Option "--stats" is HOST:PORT or PORT, not "${typed}"`);
  }
  return { ...address, allowedHosts };
}

/** How {@linkcode openStats} reports, and what it does when it cannot. */
export interface OpenStatsOptions {
  /** Whether to report to standard output as well. */
  readonly json: boolean;
  /** Ends what was opened before. */
  readonly end: () => Promise<void>;
}

/** Serves statistics of `sources`, by name, and reports where; `null` where the user does not want them. */
export async function openStats(
  place: StatsPlace | undefined,
  sources: Readonly<Record<string, StatsSource>>,
  { json, end }: OpenStatsOptions,
): Promise<StatsPage | null> {
  if (place === undefined) return null;
  // Only here: other runs start sooner without a web server.
  const { serveStats } = await import("../../stats/page.ts");
  const page = serveStats(sources, place);
  try {
    await page.ready;
  } catch (error) {
    await end();
    throw error;
  }
  say(`statistics on ${page.url}`);
  if (json) {
    print(jsonText({ event: "statistics", url: page.url, address: addressText(page.addr) }));
  }
  return page;
}
