// Rejections that no caller needs to handle, because a connection reports its end in other ways
// too; and refusals, which one must.
import { setImmediate } from "node:timers";

/** Most refusals that one connection reports: a caller that floods would fill the log. */
const MAX_REPORTS = 10;

/**
 * Marks the rejection of a promise as handled, so that it does not end the process. Returns the
 * same promise.
 */
export function ignoreRejection<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Returns a promise that rejects with `error`, and does not end the process when nothing handles that. */
export function rejected(error: unknown): Promise<never> {
  return ignoreRejection(Promise.reject(error));
}

/** Takes the error of a refusal that no caller handled. */
export type UnheardReport = (error: unknown) => void;

/**
 * Makes rejections for the caller's own mistakes, and reports each that no caller handles by the
 * end of the turn of the event loop, because a forgotten `await` loses a message. An unhandled
 * rejection would end the process, and a peer could cause that where its messages are passed on.
 */
export class Refusals {
  readonly #report: UnheardReport;
  #left = MAX_REPORTS;

  /** @param report takes what no caller handled. @default {a line on the console} */
  constructor(report: UnheardReport = toConsole) {
    this.#report = report;
  }

  /** Returns a promise that rejects with `error`, which is reported when no caller handles it. */
  reject(error: unknown): Promise<never> {
    const refusal = new Heard<never>((_, reject) => reject(error));
    // By then an `await` has been seen, however many functions are in between.
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
    // `Refusals` reports the rejection.
    super.then(undefined, () => {});
  }

  /** Derived promises are plain ones: the platform handles their rejections. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // deno-lint-ignore no-explicit-any -- the parameters are those of Promise
  override then(...handlers: any[]): Promise<any> {
    this.isHeard = true;
    return super.then(...handlers);
  }
}

/**
 * Returns a promise with the same outcome. When it rejects and no caller handles that, `report`
 * takes the error, and the process goes on.
 */
export function reportUnheard<T>(promise: Promise<T>, report: UnheardReport): Promise<T> {
  const result = new Heard<T>((resolve, reject) => promise.then(resolve, reject));
  promise.catch((error) => setImmediate(() => result.isHeard || report(error)));
  return result;
}

function toConsole(error: unknown): void {
  // deno-lint-ignore no-console -- the caller is gone, and a message is lost: this is the last place that can say so
  console.error(
    "A message was not sent, and the promise of send() that says so was not awaited:",
    error,
  );
}
