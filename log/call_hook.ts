// callHook(): calls a function of the application and catches its errors, thrown at once or later.

/**
 * Calls a hook. `onFailed` hears of what it throws, and of what the promise rejects with that an
 * async function returns: a rejection that nothing hears of ends the process. Never throws.
 */
export function callHook(hook: () => unknown, onFailed: (error: unknown) => void): void {
  try {
    const result = hook();
    // Any promise, also one of another realm or library: what the hook returned may have a getter
    // that throws.
    if (typeof (result as PromiseLike<unknown> | null | undefined)?.then === "function") {
      Promise.resolve(result).catch(onFailed);
    }
  } catch (error) {
    onFailed(error);
  }
}
