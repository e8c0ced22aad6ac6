/** Options for {@linkcode delay}. */
export interface DelayOptions {
  /** Ends the wait early, with its reason. */
  signal?: AbortSignal | undefined;
  /** Whether the timer keeps the process alive. @default {true} */
  persistent?: boolean | undefined;
}

/** Resolves after `ms` milliseconds. */
export function delay(ms: number, options?: DelayOptions): Promise<void>;
