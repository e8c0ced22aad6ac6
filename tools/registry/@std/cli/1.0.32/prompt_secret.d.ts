/** Options for {@linkcode promptSecret}. */
export type PromptSecretOptions = {
  /** What is shown for each character; empty shows nothing. @default {"*"} */
  mask?: string;
  /** Whether the line is cleared afterwards. @default {false} */
  clear?: boolean;
};

/** Asks for a text without showing it; `null` where there is no terminal. */
export function promptSecret(message?: string, options?: PromptSecretOptions): string | null;
