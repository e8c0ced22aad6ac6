// QueryContext: what a query handler learns about its query besides the data: whether the asker still waits.

/** What a query handler is given beside the data. */
export interface IpcQueryContext {
  /**
   * Aborts when the asker no longer waits: its time limit passed, its signal aborted, or the connection ended. The reason is a
   * `ClosedError`. The handler may stop then: its answer goes nowhere, and the signal's reason, thrown, is not reported.
   */
  readonly signal: AbortSignal;
}

/** One query that is being answered. The signal is made when a handler first asks for it: most never do. */
export class QueryContext implements IpcQueryContext {
  #controller: AbortController | null = null;
  #gone: Error | null = null;

  /** Why the asker no longer waits, or `null` while it does. */
  get gone(): Error | null {
    return this.#gone;
  }

  /** See {@linkcode IpcQueryContext.signal}. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#gone !== null) this.#controller.abort(this.#gone);
    }
    return this.#controller.signal;
  }

  /** The asker no longer waits; later calls change nothing. */
  giveUp(reason: Error): void {
    if (this.#gone !== null) return;
    this.#gone = reason;
    this.#controller?.abort(reason);
  }

  /** Whether an error says no more than that the asker has gone. */
  isOutcomeOf(error: unknown): boolean {
    return this.#gone !== null && (error === this.#gone || (error as Error | null)?.cause === this.#gone);
  }
}
