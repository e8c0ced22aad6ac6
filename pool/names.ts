// NameWatch: looks a name up again and again, and reports which addresses came and which vanished.
import { lookup } from "node:dns/promises";
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Resolver } from "./options.ts";
import { withDeadline } from "../async/deadline.ts";

/** Time in ms after which a failed look-up is tried again, if the usual time is longer. */
const RETRY_MS = 1000;

/** What a {@linkcode NameWatch} reports. */
export interface NameWatchEvents {
  /** Addresses that are new. */
  readonly onAdd: (address: string) => void;
  /** Addresses that are no more. */
  readonly onRemove: (address: string) => void;
  /** A look-up has ended; `error` says why it failed. Addresses known before stay then. */
  readonly onLookup: (error?: unknown) => void;
}

/** How a {@linkcode NameWatch} asks. */
export interface NameWatchOptions {
  readonly resolver: Resolver;
  /** Time between two look-ups, in ms. */
  readonly intervalMs: number;
  /** Longest time for one look-up, in ms. */
  readonly timeoutMs: number;
}

/** Watches one name; a sweep of the pool drives it. */
export class NameWatch {
  readonly #hostname: string;
  readonly #options: NameWatchOptions;
  readonly #events: NameWatchEvents;
  readonly #addresses = new Set<string>();
  /** The look-up that is under way. */
  #running: AbortController | null = null;
  /** Whether the last look-up ran out of time, and so said nothing. */
  #wasLate = false;
  #stopped = false;
  #nextAtMs = 0;

  constructor(hostname: string, options: NameWatchOptions, events: NameWatchEvents) {
    this.#hostname = hostname;
    this.#options = options;
    this.#events = events;
  }

  /** Whether nothing is known yet, and an answer may come soon. */
  get isPending(): boolean {
    return this.#addresses.size === 0 && !this.#stopped &&
      (this.#running !== null || this.#wasLate);
  }

  /** Looks the name up if it is time to. */
  sweep(nowMs: number): void {
    if (this.#running !== null || this.#stopped || nowMs < this.#nextAtMs) return;
    void this.#lookup(this.#running = new AbortController());
  }

  /** Ends the watch; nothing is reported any more. */
  stop(): void {
    this.#stopped = true;
    this.#running?.abort(new ClosedError("ERR_CLOSED", "The look-up of names has ended"));
  }

  async #lookup(running: AbortController): Promise<void> {
    const { intervalMs } = this.#options;
    let error: unknown;
    this.#wasLate = false;
    try {
      const found = await this.#ask(running.signal);
      if (!this.#stopped) this.#compare(found);
    } catch (thrown) {
      error = thrown ?? new TypeError("The resolver threw nothing");
    }
    this.#running = null;
    if (this.#stopped) return;
    this.#nextAtMs = performance.now() +
      (error === undefined ? intervalMs : Math.min(RETRY_MS, intervalMs));
    this.#events.onLookup(error);
  }

  /** Asks once, for no longer than the time that is set. */
  async #ask(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { resolver, timeoutMs } = this.#options;
    const late = () => {
      this.#wasLate = true;
      const text = `Cannot look up "${this.#hostname}" within ${timeoutMs} ms`;
      return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
    };
    const addresses = await withDeadline(
      { signal, timeoutMs, late },
      (signal) => Promise.try(resolver, this.#hostname, { signal }),
    );
    const found = new Set(addresses);
    if (found.size === 0) throw new TypeError(`The name "${this.#hostname}" has no addresses`);
    for (const address of found) {
      if (typeof address !== "string" || address === "") throw noAddress(this.#hostname, address);
    }
    return found;
  }

  #compare(found: ReadonlySet<string>): void {
    for (const address of found) {
      if (this.#addresses.has(address)) continue;
      this.#events.onAdd(address);
      this.#addresses.add(address);
    }
    for (const address of this.#addresses) {
      if (found.has(address)) continue;
      this.#addresses.delete(address);
      this.#events.onRemove(address);
    }
  }
}

function noAddress(hostname: string, address: unknown): TypeError {
  return new TypeError(
    `Cannot use an address of "${hostname}": it must be a non-empty string, got ${
      JSON.stringify(address)
    }`,
  );
}

/** Asks the system, and so its hosts file as well. */
export const systemResolver: Resolver = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);
