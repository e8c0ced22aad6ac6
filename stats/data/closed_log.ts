// ClosedLog: the last connections that have ended, bounded in number and in time.
import { checkDurationMs, checkInteger } from "../../options/check.ts";

/** Options of {@linkcode ClosedLog}. */
export interface ClosedLogOptions {
  /** Entries that are kept; the oldest go first. 0 keeps none. @default {10000} */
  readonly maxEntries?: number | undefined;
  /** Time that an entry is kept, in milliseconds. @default {3600000, an hour} */
  readonly maxAgeMs?: number | undefined;
}

/** An entry, and when it came. */
interface Slot<Entry> {
  readonly id: string;
  readonly entry: Entry;
  readonly addedAtMs: number;
}

/**
 * A ring of the last entries, found by id in constant time.
 *
 * Time comes in as `nowMs` from a clock that does not go back, such as `performance.now()`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const log = new ClosedLog<string>({ maxEntries: 2 });
 * log.add("1", "first", 0);
 * log.add("2", "second", 1);
 * log.add("3", "third", 2);
 * assertEquals(log.get("1", 2), undefined);
 * assertEquals(log.list(2), ["third", "second"]);
 * ```
 */
export class ClosedLog<Entry> {
  readonly #maxEntries: number;
  readonly #maxAgeMs: number;
  readonly #byId: Map<string, Slot<Entry>> = new Map();
  /** Grows to `maxEntries` slots, then goes round. */
  readonly #ring: (Slot<Entry> | undefined)[] = [];
  /** Index of the oldest entry. */
  #head = 0;
  #size = 0;

  /**
   * Makes an empty log.
   *
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when an option is out of range
   */
  constructor(options: ClosedLogOptions = {}) {
    const { maxEntries = 10_000, maxAgeMs = 3_600_000 } = options;
    this.#maxEntries = checkInteger("Cannot keep statistics", "maxEntries", maxEntries, 0, 2 ** 24);
    this.#maxAgeMs = checkDurationMs("Cannot keep statistics", "maxAgeMs", maxAgeMs);
  }

  /** Entries that are held now, those that {@linkcode expire} would drop included. */
  get size(): number {
    return this.#size;
  }

  /** Adds an entry; one with the same id that is still held is found no more. */
  add(id: string, entry: Entry, nowMs: number): void {
    if (this.#maxEntries === 0) return;
    this.expire(nowMs);
    if (this.#size === this.#maxEntries) this.#dropOldest();
    const slot: Slot<Entry> = { id, entry, addedAtMs: nowMs };
    this.#ring[(this.#head + this.#size) % this.#maxEntries] = slot;
    this.#size++;
    this.#byId.set(id, slot);
  }

  /** Returns the entry with this id; `undefined` when it never was, or was dropped. */
  get(id: string, nowMs: number): Entry | undefined {
    this.expire(nowMs);
    return this.#byId.get(id)?.entry;
  }

  /**
   * Returns the entries, the newest first.
   *
   * @param limit Most entries that are given
   */
  list(nowMs: number, limit: number = Infinity): Entry[] {
    this.expire(nowMs);
    const entries: Entry[] = [];
    for (let offset = this.#size - 1; offset >= 0 && entries.length < limit; offset--) {
      const slot = this.#ring[(this.#head + offset) % this.#maxEntries];
      if (slot !== undefined) entries.push(slot.entry);
    }
    return entries;
  }

  /** Drops the entries that are too old. Returns how many. */
  expire(nowMs: number): number {
    let dropped = 0;
    for (; this.#size > 0; dropped++) {
      const oldest = this.#ring[this.#head];
      if (oldest !== undefined && nowMs - oldest.addedAtMs < this.#maxAgeMs) break;
      this.#dropOldest();
    }
    return dropped;
  }

  #dropOldest(): void {
    const slot = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#maxEntries;
    this.#size--;
    if (slot !== undefined && this.#byId.get(slot.id) === slot) this.#byId.delete(slot.id);
  }
}
