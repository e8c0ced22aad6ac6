// NameWatch: looks a name up again and again, and tells which addresses came and which vanished.
import { lookup } from "node:dns/promises";
import { ClosedError } from "../errors.ts";
import type { Resolver } from "./options.ts";

/** Time in ms after which a failed look-up is tried again, if the usual time is longer. */
const RETRY_MS = 1000;

/** What a {@linkcode NameWatch} tells. */
export interface NameWatchEvents {
  /** Addresses that are new. */
  readonly onAdd: (address: string) => void;
  /** Addresses that are no more. */
  readonly onRemove: (address: string) => void;
  /** A look-up has ended; `error` says why it failed. Addresses known before stay then. */
  readonly onLookup: (error?: unknown) => void;
}

/** Watches one name; a sweep of the pool drives it. */
export class NameWatch {
  readonly #hostname: string;
  readonly #resolver: Resolver;
  readonly #intervalMs: number;
  readonly #events: NameWatchEvents;
  readonly #stopping = new AbortController();
  readonly #addresses = new Set<string>();
  #running = false;
  #nextAtMs = 0;

  constructor(hostname: string, resolver: Resolver, intervalMs: number, events: NameWatchEvents) {
    this.#hostname = hostname;
    this.#resolver = resolver;
    this.#intervalMs = intervalMs;
    this.#events = events;
  }

  /** Whether nothing is known yet. */
  get isPending(): boolean {
    return this.#running && this.#addresses.size === 0;
  }

  /** Looks the name up if it is time to. */
  sweep(nowMs: number): void {
    if (this.#running || this.#stopping.signal.aborted || nowMs < this.#nextAtMs) return;
    this.#running = true;
    void this.#lookup(nowMs);
  }

  /** Ends the watch; nothing is told any more. */
  stop(): void {
    this.#stopping.abort(new ClosedError("ERR_CLOSED", "The look-up of names has ended"));
  }

  async #lookup(nowMs: number): Promise<void> {
    const { signal } = this.#stopping;
    try {
      const found = new Set(await this.#resolver(this.#hostname, { signal }));
      this.#running = false;
      if (signal.aborted) return;
      if (found.size === 0) throw new TypeError(`The name "${this.#hostname}" has no addresses`);
      this.#nextAtMs = nowMs + this.#intervalMs;
      this.#compare(found);
      this.#events.onLookup();
    } catch (error) {
      this.#running = false;
      this.#nextAtMs = nowMs + Math.min(RETRY_MS, this.#intervalMs);
      if (!signal.aborted) this.#events.onLookup(error);
    }
  }

  #compare(found: ReadonlySet<string>): void {
    for (const address of found) {
      if (this.#addresses.has(address)) continue;
      this.#addresses.add(address);
      this.#events.onAdd(address);
    }
    for (const address of this.#addresses) {
      if (found.has(address)) continue;
      this.#addresses.delete(address);
      this.#events.onRemove(address);
    }
  }
}

/** Asks the system, and so its hosts file as well. */
export const systemResolver: Resolver = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);
