// Finds out whether the other side of a link is still there while we do not read, and so cannot see it leave.
import type { IpcLink } from "./link.ts";
import { pause } from "./pause.ts";

/** Time in ms after each sign of life: unix sockets show with the first that the other side has gone, TCP with the next. */
const DELAYS_MS: readonly number[] = [10, 50, 100];

/** Sends signs of life, which fail once the other side has gone. Resolves when the link has ended, or in a moment when it has not. */
export async function probe(link: IpcLink): Promise<void> {
  const over = new AbortController();
  void link.closed.then(() => over.abort());
  for (const delayMs of DELAYS_MS) {
    if (!link.resting || over.signal.aborted) return;
    link.pings.stillHere();
    await pause(delayMs, over.signal);
  }
}
