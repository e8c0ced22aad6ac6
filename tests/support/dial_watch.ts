// DialWatch: when a process dials over TCP, and how many attempts are under way at a time.

/** Sees every attempt while it lives; `replace` dials instead. */
export class DialWatch implements Disposable {
  /** When each attempt began. */
  readonly beganMs: number[] = [];
  /** Attempts that are under way. */
  now = 0;
  /** Most attempts that were under way at a time. */
  mostAtOnce = 0;
  readonly #connect = Deno.connect;

  constructor(replace?: (signal: AbortSignal) => Promise<Deno.Conn>) {
    const connect = replace === undefined
      ? this.#connect
      : (options: { signal: AbortSignal }) => replace(options.signal);
    Deno.connect = (async (options: never) => {
      this.beganMs.push(performance.now());
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.now);
      try {
        return await connect(options);
      } finally {
        this.now--;
      }
    }) as typeof Deno.connect;
  }

  [Symbol.dispose](): void {
    Deno.connect = this.#connect;
  }
}
