// WatchedSignal: an AbortSignal that counts its listeners, to find those that were never taken off.

/** A signal, and how many listeners it has. */
export interface WatchedSignal {
  readonly controller: AbortController;
  readonly signal: AbortSignal;
  readonly listeners: number;
}

/** Makes a signal that counts its listeners. */
export function watchedSignal(): WatchedSignal {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  return {
    controller,
    signal,
    get listeners() {
      // One that was called once is gone by itself.
      return signal.aborted ? 0 : listeners.size;
    },
  };
}
