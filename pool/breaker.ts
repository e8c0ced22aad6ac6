// Breaker: one backend's circuit breaker, kept by the cockatiel library.
import {
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  DelegateBackoff,
  handleAll,
} from "cockatiel";
import type { Resolved } from "../options/resolved.ts";
import type { Trial } from "./member.ts";
import type { BreakerState } from "../stats/data/pool_stats.ts";

/** Options of the circuit breaker of each backend. */
export interface BreakerOptions {
  /**
   * Failures in a row that open the circuit, 1 to 1000000: no more work goes there.
   *
   * @default {5}
   */
  failures?: number | undefined;
  /** Time in ms until the backend is tried again; it doubles with each trial that fails. @default {1000} */
  openMs?: number | undefined;
  /** The longest such time in ms. @default {30000} */
  maxOpenMs?: number | undefined;
}

/** {@linkcode BreakerOptions} without holes. */
export type ResolvedBreakerOptions = Readonly<Resolved<BreakerOptions>>;

/**
 * Longest time in ms of a trial, which then counts as failed: its holder may do nothing, and other
 * callers wait for its outcome.
 */
const TRIAL_MS = 30_000;

/** What a failed execution of the policy rejects with; no caller sees it. */
const FAILED = new Error("The lease failed");

/**
 * Counts how work on one backend went.
 *
 * ```text
 * closed ──failures in a row──▶ open ──openMs──▶ trial ──ok──▶ closed
 *                                ▲                └──failed──▶ open, twice as long
 * ```
 */
export class Breaker {
  readonly #policy: CircuitBreakerPolicy;
  #dueAtMs = 0;
  #opened = 0;
  /** Whether the last work that counted failed. */
  #failed = false;
  /** The trial that is under way. */
  #trial: Trial | null = null;
  #trialUntilMs = 0;

  /** Makes a closed one; `onChange` is called when its state has changed. */
  constructor({ failures, openMs, maxOpenMs }: ResolvedBreakerOptions, onChange: () => void) {
    this.#policy = circuitBreaker(handleAll, {
      breaker: new ConsecutiveBreaker(failures),
      halfOpenAfter: new DelegateBackoff(({ attempt }) => {
        const waitMs = Math.min(maxOpenMs, openMs * 2 ** Math.min(attempt - 1, 30));
        // The policy reads its clock a moment later, and must not find itself too early.
        this.#dueAtMs = Date.now() + waitMs + 2;
        return waitMs;
      }),
    });
    this.#policy.onBreak(() => this.#opened++);
    this.#policy.onStateChange(onChange);
  }

  /** Where the circuit is. */
  get state(): BreakerState {
    switch (this.#policy.state) {
      case CircuitState.Closed:
        return "closed";
      case CircuitState.HalfOpen:
        return "half-open";
      default:
        return "open";
    }
  }

  /** Whether it is open and time for a trial. */
  get isDue(): boolean {
    return this.state === "open" && Date.now() >= this.#dueAtMs;
  }

  /** How often it opened. */
  get opened(): number {
    return this.#opened;
  }

  /**
   * Work ended. While the circuit is open it counts for nothing: only a trial does. Resolves when
   * it has been counted.
   */
  record(ok: boolean): Promise<void> {
    // One good end after another changes nothing: spare the policy the work.
    if (this.state !== "closed" || ok && !this.#failed) return Promise.resolve();
    this.#failed = !ok;
    return this.#execute(ok ? Promise.resolve() : Promise.reject(FAILED));
  }

  /** Begins a trial; call it only when {@linkcode isDue}. The first outcome that is reported to it counts. */
  begin(): Trial {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const trial: Trial = (ok) => {
      if (this.#trial !== trial) return;
      this.#trial = null;
      this.#failed = !ok;
      ok ? resolve() : reject(FAILED);
    };
    this.#trial = trial;
    this.#trialUntilMs = Date.now() + TRIAL_MS;
    void this.#execute(promise);
    return trial;
  }

  /** Gives up a trial that takes too long: it has failed. */
  sweep(): void {
    if (this.#trial !== null && Date.now() >= this.#trialUntilMs) this.#trial(false);
  }

  #execute(work: Promise<void>): Promise<void> {
    work.catch(() => {});
    return this.#policy.execute(() => work).catch(() => {});
  }
}
