// Pings under way, the round trip they measure, and the keepalive that watches the link.
import type { Clock } from "../clock.ts";
import { MAX_U32 } from "./header.ts";

/** A measured round trip older than this is measured again when somebody asks. */
const FRESH_MS = 10_000;

/** What a {@linkcode PingTable} needs from its session. */
export interface PingHooks {
  readonly clock: Clock;
  /** Sends a ping's question. */
  send(value: number): void;
}

interface PendingPing {
  readonly sentAt: number;
  readonly resolve: (ms: number) => void;
  readonly reject: (error: unknown) => void;
}

/** The pings of one session. */
export class PingTable {
  readonly #hooks: PingHooks;
  readonly #pending = new Map<number, PendingPing>();
  #next = 1;
  #rttMs: number | undefined;
  #measuredAt = -Infinity;
  #measuring = false;

  constructor(hooks: PingHooks) {
    this.#hooks = hooks;
  }

  /** Round trip measured last, milliseconds. */
  get lastRttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Sends a ping; resolves with milliseconds. `forget` in the result drops it when the wait ends early. */
  ping(): { readonly answer: Promise<number>; readonly fail: (error: unknown) => void } {
    const value = this.#next;
    this.#next = value === MAX_U32 ? 0 : value + 1;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#pending.set(value, { sentAt: this.#hooks.clock.now(), resolve, reject });
    this.#hooks.send(value);
    const fail = (error: unknown) => {
      this.#pending.delete(value);
      reject(error);
    };
    return { answer: promise, fail };
  }

  /** An answer came; false when nobody waits for it. */
  onAnswer(value: number): boolean {
    const ping = this.#pending.get(value);
    if (ping === undefined) return false;
    this.#pending.delete(value);
    this.#measuredAt = this.#hooks.clock.now();
    this.#rttMs = this.#measuredAt - ping.sentAt;
    ping.resolve(this.#rttMs);
    return true;
  }

  /** The round trip for whoever steers by it; sends a ping of its own when the figure is old. */
  freshRttMs(): number | undefined {
    if (!this.#measuring && this.#hooks.clock.now() - this.#measuredAt > FRESH_MS) {
      this.#measuring = true;
      this.ping().answer.catch(() => {}).finally(() => this.#measuring = false);
    }
    return this.#rttMs;
  }

  /** Rejects everything that waits. */
  fail(error: unknown): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const ping of pending) ping.reject(error);
  }
}

/** Options of a {@linkcode KeepAlive}. */
export interface KeepAliveOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Time between pings, ± 10 %; 0 for none. */
  readonly intervalMs: number;
  /** Time without a byte after a ping that ends the session. */
  readonly timeoutMs: number;
  /** Sends a ping. */
  readonly ping: () => void;
  /** Bytes received so far. */
  readonly bytesIn: () => number;
  /** The link is dead. */
  readonly onDead: () => void;
}

/** Pings now and then; a link that brings no byte in time after a ping is dead. */
export class KeepAlive {
  readonly #options: KeepAliveOptions;
  #cancel: () => void = () => {};

  /** Starts at once. */
  constructor(options: KeepAliveOptions) {
    this.#options = options;
    if (options.intervalMs > 0) this.#wait();
  }

  /** Ends it. */
  stop(): void {
    this.#cancel();
  }

  #wait(): void {
    const { clock, random, intervalMs } = this.#options;
    // Sessions that began together must not ping together.
    this.#cancel = clock.after(intervalMs * (0.9 + 0.2 * random()), () => this.#probe());
  }

  #probe(): void {
    const { clock, timeoutMs, bytesIn, ping, onDead } = this.#options;
    const before = bytesIn();
    ping();
    this.#cancel = clock.after(timeoutMs, () => bytesIn() === before ? onDead() : this.#wait());
  }
}
