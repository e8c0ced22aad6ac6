// StopSignals: SIGINT and SIGTERM ask to stop in order, a second one ends at once; SIGHUP does too,
// or has files read anew.
import { say } from "../output/talk.ts";

/** Exit code of a program that a second Ctrl-C ended: 128 and the number of SIGINT. */
const ENDED_BY_SIGNAL = 130;

/** Options of {@linkcode StopSignals}. */
export interface StopSignalsOptions {
  /** Must be quick: called when a second signal ends the program. @default {nothing} */
  readonly beforeExit?: (() => void) | undefined;
  /**
   * Called on SIGHUP, of a command that serves until it is stopped: it goes on, and reads its files
   * anew where it has any. For all others SIGHUP is a signal to stop: their terminal has gone.
   *
   * @default {SIGHUP asks to stop}
   */
  readonly onHangUp?: (() => void) | undefined;
}

/** Listens to the signals until it is disposed of. */
export class StopSignals implements Disposable {
  readonly #controller = new AbortController();
  readonly #listeners: readonly (readonly [name: Deno.Signal, listener: () => void])[];
  readonly #beforeExit: () => void;

  /** Starts to listen. */
  constructor({ beforeExit = () => {}, onHangUp }: StopSignalsOptions = {}) {
    this.#beforeExit = beforeExit;
    this.#listeners = Deno.build.os === "windows" ? [["SIGINT", this.#onSignal]] : [
      ["SIGINT", this.#onSignal],
      ["SIGTERM", this.#onSignal],
      ["SIGHUP", onHangUp ?? this.#onSignal],
    ];
    for (const [name, listener] of this.#listeners) Deno.addSignalListener(name, listener);
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
    for (const [name, listener] of this.#listeners) Deno.removeSignalListener(name, listener);
  }

  readonly #onSignal = (): void => {
    if (this.#controller.signal.aborted) {
      this.#beforeExit();
      Deno.exit(ENDED_BY_SIGNAL);
    }
    this.#controller.abort(new Error("Interrupted"));
  };
}

/**
 * What commands do on SIGHUP that serve until they are stopped, and have no files to read but those
 * that are watched anyway.
 */
export function goOn(): void {
  say("SIGHUP came: going on; certificates are read anew whenever their files change");
}

/** Resolves when a signal aborts; at once when it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}
