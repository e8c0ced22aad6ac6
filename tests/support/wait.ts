// Waiting in tests: for something to come about, or for things to come to rest; and what may take
// so long and no longer.

/** What takes milliseconds may take this long on a machine that is busy with other things. */
const PATIENCE_MS = 20_000;

/** Waits until `check` returns true; fails with `what` after `timeoutMs`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs: number = PATIENCE_MS,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!await check()) {
    if (performance.now() > end) {
      throw new Error(`Did not come about within ${timeoutMs} ms: ${what}`);
    }
    await turn(5);
  }
}

/** Waits until a value has not changed for `quietMs`, and returns it. */
export async function atRest(read: () => number, quietMs = 80): Promise<number> {
  // Looks are counted as well: a machine that stops this thread for so long stops the work too.
  for (let last = read(), since = performance.now(), looks = 0;;) {
    await turn(5);
    const now = read();
    if (now !== last) [last, since, looks] = [now, performance.now(), 0];
    else if (++looks * 5 >= quietMs && performance.now() - since > quietMs) return now;
  }
}

/** Fails when `promise` is still pending after `timeoutMs`. */
export async function settles<T>(
  what: string,
  promise: Promise<T>,
  timeoutMs: number = PATIENCE_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`Still pending after ${timeoutMs} ms: ${what}`)),
    timeoutMs,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Fails unless `work` returns less than `limit`, in one of up to `tries`. What a busy machine takes
 * away from some of them says nothing; a fault spoils all.
 */
export async function staysBelow(
  limit: number,
  work: () => number | Promise<number>,
  tries = 8,
): Promise<void> {
  const given: number[] = [];
  while (given.length < tries) {
    const value = await work();
    if (value < limit) return;
    given.push(value);
  }
  throw new Error(
    `Came to ${given.map((value) => value.toFixed(1)).join(", ")}, and never below ${limit}`,
  );
}

/** How many descriptors this process has open (Linux). */
export function openDescriptors(): number {
  let count = 0;
  for (const _ of Deno.readDirSync("/proc/self/fd")) count++;
  // One is the directory itself.
  return count - 1;
}

/** Lets the event loop go on for some milliseconds. */
function turn(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
