// HealthCheck: asks one backend now and then how it is, on a connection of its own.
import { establish } from "../client/connect.ts";
import type { Connection } from "../connection.ts";
import { handled } from "../connection/rejections.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import type { PoolBackend } from "./backend.ts";
import type { HealthOptions } from "./options.ts";

/** Checks one backend; a sweep of the pool drives it. */
export class HealthCheck {
  readonly #backend: PoolBackend;
  readonly #options: Readonly<Required<HealthOptions>>;
  readonly #onResult: () => void;
  #conn: Connection | null = null;
  #running: AbortController | null = null;
  #stopped = false;
  #nextAtMs = 0;
  #failures = 0;
  #ended: Promise<void> = Promise.resolve();

  /** `onResult` is called when the backend's health was looked at. */
  constructor(backend: PoolBackend, options: Readonly<Required<HealthOptions>>, onResult: () => void) {
    this.#backend = backend;
    this.#options = options;
    this.#onResult = onResult;
  }

  /** Checks if it is time to. */
  sweep(nowMs: number): void {
    const due = nowMs >= this.#nextAtMs || this.#backend.breaker?.isDue === true;
    if (!due || this.#running !== null || this.#stopped) return;
    this.#nextAtMs = nowMs + this.#options.intervalMs;
    this.#ended = this.#run();
  }

  /** Ends it; resolves when its connection is closed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#running?.abort(new ClosedError("ERR_CLOSED", "The health checks have ended"));
    await this.#ended;
    await this.#conn?.close().catch(() => {});
  }

  async #run(): Promise<void> {
    const { timeoutMs } = this.#options;
    const controller = this.#running = new AbortController();
    const timer = setTimeout(() => {
      controller.abort(new TimeoutError("ERR_READ_TIMEOUT", `No answer came within ${timeoutMs} ms`));
    }, timeoutMs);
    const trial = this.#backend.begin();
    let ok = false;
    try {
      ok = await unlessAborted(this.#check(controller.signal), controller.signal) !== false;
    } catch {
      // Whatever it was: the backend is not well.
    } finally {
      clearTimeout(timer);
      this.#running = null;
    }
    if (!ok) this.#conn?.abort();
    if (this.#conn?.state !== "open") this.#conn = null;
    if (!this.#stopped) this.#note(ok);
    trial?.(ok);
    this.#onResult();
  }

  async #check(signal: AbortSignal): Promise<unknown> {
    const { target } = this.#backend;
    this.#conn ??= await establish<unknown>(target, target.connection, signal);
    return await this.#options.check(this.#conn, { signal });
  }

  #note(ok: boolean): void {
    const { counters } = this.#backend;
    counters.healthChecks++;
    if (!ok) counters.healthFailures++;
    this.#failures = ok ? 0 : this.#failures + 1;
    this.#backend.healthy = this.#failures < this.#options.failures;
  }
}

/** The same promise, given up when `signal` aborts. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: result, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  handled(promise).then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  return result;
}
