// servedWhile(): a good client is served, and descriptors come back, while others are attacked.
import { assert } from "@std/assert";
import { openDescriptors, settles, until } from "../wait.ts";

/** A ping that takes longer than this is slow. */
const SLOW_MS = 50;

/** Pings at least, and at most: fewer than what a session sends at once. */
const MIN_PINGS = 10;
const MAX_PINGS = 35;

/**
 * Runs `attack` and measures pings all the time. Two of three must take less than 50 ms: the
 * machine may be busy with other things. Then the descriptors must be as many as before.
 */
export async function servedWhile(
  ping: () => Promise<number>,
  attack: () => Promise<void>,
): Promise<void> {
  await ping();
  const before = openDescriptors();
  let over = false;
  const attacking = attack().finally(() => over = true);
  attacking.catch(() => {});
  const pings: number[] = [];
  do {
    pings.push(await settles("a ping", ping()));
    // A second of attack is watched closely, a longer one now and then.
    await new Promise((resolve) => setTimeout(resolve, pings.length < 20 ? 5 : 100));
  } while (pings.length < MIN_PINGS || (!over && pings.length < MAX_PINGS));
  await settles("the attack", attacking);
  const slow = pings.filter((ms) => ms >= SLOW_MS);
  assert(
    slow.length * 3 <= pings.length,
    `${slow.length} of ${pings.length} pings took ${slow} ms`,
  );
  await until("the descriptors are back", () => openDescriptors() <= before);
}
