/** Options for {@linkcode delay}. */
export interface DelayOptions {
  /** Ends the wait early, with its reason. */
  signal?: AbortSignal;
  /** Whether the timer keeps the process alive. @default {true} */
  persistent?: boolean;
}

/** Resolves after `ms` milliseconds. */
export function delay(ms: number, options?: DelayOptions): Promise<void>;
