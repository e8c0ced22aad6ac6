// waitAtMost(): waits for work, but not for ever.
import type { Clock } from "./clock.ts";

/** Waits for `work`, but no longer than `ms`. Returns whether it has settled by then. Never rejects. */
export async function waitAtMost(
  clock: Clock,
  ms: number,
  work: Promise<unknown>,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const cancel = clock.after(ms, () => resolve(false));
  const onSettled = () => resolve(true);
  work.then(onSettled, onSettled);
  const isSettled = await promise;
  cancel();
  return isSettled;
}
