// Finds out whether the other side of a link is still there while we do not read, and so cannot see it leave.

/** Time in ms after each sign of life: unix sockets show with the first that the other side has gone, TCP with the next. */
const DELAYS_MS: readonly number[] = [10, 50, 100];

/** What of an `IpcLink` is used here. */
export interface ProbedLink {
  /** Whether it does not read, and nothing is being written. A link that has ended does not rest. */
  readonly resting: boolean;
  readonly pings: { sendUnsolicitedPong(): void };
}

/**
 * Sends signs of life, which fail once the other side has gone. Resolves soon after the link has ended, or in a moment when it has not.
 * It looks, and does not wait for the link's end: a link that stays is probed again and again, and would keep each wait.
 */
export async function probe(link: ProbedLink): Promise<void> {
  for (const delayMs of DELAYS_MS) {
    if (!link.resting) return;
    link.pings.sendUnsolicitedPong();
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
}
