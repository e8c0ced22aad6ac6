// The keepalive of a session: a ping now and then, and the end of a link that no longer answers.
import type { Clock } from "../async/clock.ts";

/** Options of a {@linkcode KeepAlive}. */
export interface KeepAliveOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Time between pings, ± 10 %; 0 for none. */
  readonly intervalMs: number;
  /** Time without a sign of life after a ping that ends the session. */
  readonly timeoutMs: number;
  /** Sends a ping; returns the time in ms that it may have to wait before it goes. */
  readonly ping: () => number;
  /** A number that moves with every sign of life: bytes that came, blocked writes that went on. */
  readonly signsOfLife: () => number;
  /** The link is dead. */
  readonly onDead: () => void;
}

/** Pings now and then; a link that shows no sign of life in time after a ping is dead. */
export class KeepAlive {
  readonly #options: KeepAliveOptions;
  /**
   * The checks of the pings under way. They do not hold up the next ping, so the interval is what
   * was asked for.
   */
  readonly #checks = new Set<() => void>();
  #cancelNext: () => void = () => {};

  /** Starts at once. */
  constructor(options: KeepAliveOptions) {
    this.#options = options;
    if (options.intervalMs > 0) this.#wait();
  }

  /** Ends it. */
  stop(): void {
    this.#cancelNext();
    for (const cancel of this.#checks) cancel();
    this.#checks.clear();
  }

  #wait(): void {
    const { clock, random, intervalMs } = this.#options;
    // Sessions that began together must not ping together.
    this.#cancelNext = clock.after(intervalMs * (0.9 + 0.2 * random()), () => this.#probe());
  }

  #probe(): void {
    const { clock, timeoutMs, signsOfLife, ping, onDead } = this.#options;
    const before = signsOfLife();
    const waitMs = ping();
    const cancel = clock.after(waitMs + timeoutMs, () => {
      this.#checks.delete(cancel);
      if (signsOfLife() === before) onDead();
    });
    this.#checks.add(cancel);
    this.#wait();
  }
}
