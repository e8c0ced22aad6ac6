// StopSignals: SIGINT and SIGTERM ask to stop in order; a second one ends at once.

/** Exit code of a program that a second Ctrl-C ended: 128 and the number of SIGINT. */
const ENDED_BY_SIGNAL = 130;

/** Listens to the signals until it is disposed of. */
export class StopSignals implements Disposable {
  readonly #controller = new AbortController();
  readonly #names: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  readonly #beforeExit: () => void;

  /** Starts to listen; `beforeExit` must be quick, it is called when a second signal ends the program. */
  constructor(beforeExit: () => void = () => {}) {
    this.#beforeExit = beforeExit;
    for (const name of this.#names) Deno.addSignalListener(name, this.#onSignal);
  }

  /** Aborts at the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves at the first signal. */
  get stopped(): Promise<void> {
    return aborted(this.#controller.signal);
  }

  /** Stops listening: the signals end the program again. */
  [Symbol.dispose](): void {
    for (const name of this.#names) Deno.removeSignalListener(name, this.#onSignal);
  }

  readonly #onSignal = (): void => {
    if (this.#controller.signal.aborted) {
      this.#beforeExit();
      Deno.exit(ENDED_BY_SIGNAL);
    }
    this.#controller.abort(new Error("Interrupted"));
  };
}

/** Resolves when a signal aborts; at once when it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
