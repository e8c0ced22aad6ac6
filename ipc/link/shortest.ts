// The shortest time that a link watches: how often a sweeper must look at it.
import type { LinkWatchOptions } from "./watch.ts";

/** In ms, of those that are on. */
export function shortestMs(options: LinkWatchOptions): number {
  const { keepaliveMs, keepaliveTimeoutMs, writeTimeoutMs, messageTimeoutMs } = options;
  return Math.min(
    ...[keepaliveMs, keepaliveTimeoutMs, writeTimeoutMs, messageTimeoutMs].filter((ms) => ms > 0),
  );
}
