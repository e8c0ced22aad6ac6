// Waiting in tests: for something to come about, or for things to come to rest.

/** Waits until `check` gives true; fails with `what` after `timeoutMs`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 5000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!await check()) {
    if (performance.now() > end) throw new Error(`Did not come about within ${timeoutMs} ms: ${what}`);
    await turn(5);
  }
}

/** Waits until a value has not changed for `quietMs`, and gives it. */
export async function atRest(read: () => number, quietMs = 80): Promise<number> {
  for (let last = read(), since = performance.now();;) {
    await turn(5);
    const now = read();
    if (now !== last) [last, since] = [now, performance.now()];
    else if (performance.now() - since > quietMs) return now;
  }
}

/** Fails when `promise` is still pending after `timeoutMs`. */
export async function settles<T>(what: string, promise: Promise<T>, timeoutMs = 5000): Promise<T> {
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
