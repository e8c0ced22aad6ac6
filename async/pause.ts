// pause(): a wait that an AbortSignal cuts short.
import type { Clock } from "./clock.ts";
import { watchWait } from "./wait.ts";

/** Waits `ms` milliseconds, at most until `signal` aborts. Never rejects. */
export function pause(
  ms: number,
  signal?: AbortSignal,
  options: { readonly clock?: Clock } = {},
): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  watchWait({ signal, timeoutMs: ms }, { ...options, cancel: () => resolve() });
  return promise;
}
