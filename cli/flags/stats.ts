// The option to serve statistics, and what it does.
import { serveStats, type StatsSource } from "../../stats/mod.ts";
import { parseAddress } from "../address.ts";
import type { Arguments } from "../arguments.ts";
import { asTyped, type Flag, UsageError } from "../command.ts";
import { say } from "../talk.ts";

/** Option of a command that runs for long. */
export const STATS_FLAG: Flag = {
  name: "stats",
  value: "ADDRESS",
  about: "Serve statistics there: a page for people, /metrics and /stats.json (default: nowhere)",
};

/**
 * Serves statistics where the option says, until the result is disposed of; tells where. Does nothing without the option.
 *
 * @param title What the page is called
 * @throws {AddressError} when that address cannot be listened on
 */
export async function openStats(
  args: Arguments,
  title: string,
  sources: Readonly<Record<string, StatsSource>>,
): Promise<AsyncDisposable> {
  const typed = args.text(STATS_FLAG.name);
  if (typed === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const address = parseAddress(typed);
  if ("path" in address) throw new UsageError('Option "--stats" is HOST:PORT or PORT');
  const page = asTyped(() => serveStats(sources, { ...address, title }));
  await page.ready;
  say(`statistics on ${page.url}`);
  return page;
}
