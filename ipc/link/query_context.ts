// QueryContext: what a query handler gets beside the data: whether the caller still waits.

/** What a handler of queries may return: an empty answer is an answer. */
export type IpcAnswer = Uint8Array | string | void;

/**
 * Answers queries; an empty answer is an answer. The context's signal aborts when the caller no
 * longer waits.
 */
export type IpcQueryHandler = (
  data: Uint8Array,
  context: IpcQueryContext,
) => IpcAnswer | Promise<IpcAnswer>;

/** What a query handler gets beside the data. */
export interface IpcQueryContext {
  /**
   * Aborts when the caller no longer waits: its time limit passed, its signal aborted, or the
   * connection ended. The reason is a `ClosedError`. The handler may stop then: its answer is
   * dropped, and the signal's reason, when it throws that, is not reported.
   */
  readonly signal: AbortSignal;
}

/**
 * One query that is being answered. The signal is made when a handler first asks for it: most never
 * do.
 */
export class QueryContext implements IpcQueryContext {
  /** Most bytes that the other side takes as an answer. */
  readonly maxAnswerBytes: number;
  #controller: AbortController | null = null;
  #gone: Error | null = null;

  constructor(maxAnswerBytes: number) {
    this.maxAnswerBytes = maxAnswerBytes;
  }

  /** Why the caller no longer waits, or `null` while it does. */
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

  /** Aborts the signal, because the caller no longer waits. Later calls change nothing. */
  giveUp(reason: Error): void {
    if (this.#gone !== null) return;
    this.#gone = reason;
    this.#controller?.abort(reason);
  }

  /** Whether an error says only that the caller no longer waits. */
  isOutcomeOf(error: unknown): boolean {
    return this.#gone !== null &&
      (error === this.#gone || (error as Error | null)?.cause === this.#gone);
  }
}
