// Keys: what is pressed at the terminal, key by key.

/** Sequences that terminals send for keys without a character. */
const SEQUENCES: Readonly<Record<string, string>> = {
  "\x03": "ctrl-c",
  "\x1b[A": "up",
  "\x1bOA": "up",
  "\x1b[B": "down",
  "\x1bOB": "down",
  "\x1b[5~": "page-up",
  "\x1b[6~": "page-down",
};

/** The keys in what was read at a time; what is unknown is left out. */
export function keysOf(text: string): string[] {
  // deno-lint-ignore no-control-regex
  const pieces = text.match(/\x1b[[O][0-9;]*[A-Za-z~]|[\s\S]/g) ?? [];
  return pieces.map((piece) => SEQUENCES[piece] ?? piece).filter((key) =>
    key.length > 1 || key >= " "
  );
}

/** Reads keys until it is disposed of; nothing where standard input is no terminal. */
export class Keys implements Disposable {
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;

  /** Starts to read. */
  constructor(onKey: (key: string) => void) {
    if (Deno.stdin.isTerminal()) void this.#read(onKey);
  }

  /** Reads no more. */
  [Symbol.dispose](): void {
    this.#reader?.cancel().catch(() => {});
    this.#reader = null;
  }

  async #read(onKey: (key: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    const reader = this.#reader = Deno.stdin.readable.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        for (const key of keysOf(decoder.decode(value, { stream: true }))) onKey(key);
      }
    } catch {
      // The terminal is gone: there are no keys.
    }
  }
}
