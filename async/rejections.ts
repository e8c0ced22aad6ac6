// Rejections that may go unheard: those of an end, which a connection reports in other ways too. A refusal must be heard.
import { setImmediate } from "node:timers";

/** Refusals of one connection that are reported before it falls silent: a caller that floods would fill the log. */
const MAX_REPORTS = 10;

/** Marks a promise as one whose rejection may go unheard. */
export function ignoreRejection<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Makes a rejection that may go unheard. */
export function rejected(error: unknown): Promise<never> {
  return ignoreRejection(Promise.reject(error));
}

/** Takes what was refused and not heard of, and the number of such refusals that will still be reported. */
export type UnheardReport = (error: unknown) => void;

/**
 * Makes rejections for the caller's own mistakes, and reports each that nothing waits for by the end of the turn of the event loop: a
 * forgotten `await` loses a message. An unhandled rejection would end the process, and the message may be a peer's, passed on.
 */
export class Refusals {
  readonly #report: UnheardReport;
  #left = MAX_REPORTS;

  /** @param report takes what was not heard; the console does, unless given */
  constructor(report: UnheardReport = toConsole) {
    this.#report = report;
  }

  /** Makes a rejection that must be heard. */
  reject(error: unknown): Promise<never> {
    const refusal = new Heard<never>((_, reject) => reject(error));
    // By then an `await` has been seen, however many functions lie in between.
    if (this.#left > 0) setImmediate(() => this.#look(refusal, error));
    return refusal;
  }

  #look(refusal: Heard<never>, error: unknown): void {
    if (refusal.isHeard || this.#left === 0) return;
    this.#left--;
    this.#report(error);
  }
}

/** A promise that knows whether anything waits for it. */
class Heard<T> extends Promise<T> {
  /** Whether `then`, `catch`, `finally` or `await` was used. */
  isHeard = false;

  constructor(executor: ConstructorParameters<typeof Promise<T>>[0]) {
    super(executor);
    // It reports itself.
    super.then(undefined, () => {});
  }

  /** What is made of it is a plain promise, whose rejection is the business of the platform. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // deno-lint-ignore no-explicit-any -- the parameters are those of Promise
  override then(...handlers: any[]): Promise<any> {
    this.isHeard = true;
    return super.then(...handlers);
  }
}

/** The same promise. When it rejects and nothing has waited for it by then, `report` takes the error, and the process lives on. */
export function reportUnheard<T>(promise: Promise<T>, report: UnheardReport): Promise<T> {
  const result = new Heard<T>((resolve, reject) => promise.then(resolve, reject));
  promise.catch((error) => setImmediate(() => result.isHeard || report(error)));
  return result;
}

function toConsole(error: unknown): void {
  // deno-lint-ignore no-console -- the caller is gone, and a message is lost: this is the last place that can say so
  console.error("A message was not sent, and the promise of send() that says so was not awaited:", error);
}
