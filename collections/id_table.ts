// IdTable: values by ids that count up, without the garbage that a Map makes of them.

/** Places at first: a power of two. */
const FIRST_PLACES = 16;
/** Most places. What finds none goes into a `Map`. */
const MAX_PLACES = 1024;
/** The id of a place that is free: no id is negative. */
const FREE = -1;

/** Places that a table keeps when its last value goes. */
const KEPT_PLACES = 256;

/** The places of all tables that have none. */
const NO_IDS: number[] = [];
const NO_VALUES: undefined[] = [];

/**
 * Values by id, for ids that count up and mostly leave soon. Any whole number from 0 is an id: ids that
 * are chosen to share a place cost what a `Map` costs.
 *
 * A `Map` whose entries come and go is made anew again and again, and each of its tables refers to the
 * next one. Once one of them is old, the collector takes all that come after it for alive, with every
 * value that was ever in them, until it has looked through the whole memory. For queries that was up
 * to a quarter of the processor time.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const table = new IdTable<string>();
 * table.set(1, "a");
 * assertEquals([table.get(1), table.delete(1), table.size], ["a", true, 0]);
 * ```
 */
export class IdTable<T> {
  #ids: number[] = NO_IDS;
  #values: (T | undefined)[] = NO_VALUES;
  #mask = 0;
  /** Values that have a place. */
  #placed = 0;
  /** Values whose place was taken by one that stays long. */
  #more: Map<number, T> | null = null;

  /** How many values there are. */
  get size(): number {
    return this.#placed + (this.#more === null ? 0 : this.#more.size);
  }

  /** Whether the id has a value. */
  has(id: number): boolean {
    return this.#ids[id & this.#mask] === id || (this.#more !== null && this.#more.has(id));
  }

  /** The value of an id; `undefined` when it has none. */
  get(id: number): T | undefined {
    const place = id & this.#mask;
    if (this.#ids[place] === id) return this.#values[place];
    return this.#more === null ? undefined : this.#more.get(id);
  }

  /** Sets the value of an id. */
  set(id: number, value: T): void {
    let place = id & this.#mask;
    if (this.#ids[place] !== id) {
      if (this.#more !== null && this.#more.has(id)) {
        this.#more.set(id, value);
        return;
      }
      if (this.#ids[place] !== FREE && this.#grow()) place = id & this.#mask;
      if (this.#ids[place] !== FREE) {
        (this.#more ??= new Map()).set(id, value);
        return;
      }
      this.#ids[place] = id;
      this.#placed++;
    }
    this.#values[place] = value;
  }

  /** Removes the value of an id; returns whether there was one. */
  delete(id: number): boolean {
    const place = id & this.#mask;
    if (this.#ids[place] !== id) return this.#deleteMore(id);
    this.#ids[place] = FREE;
    this.#values[place] = undefined;
    // A burst must not cost its memory for the life of the table.
    if (--this.#placed === 0 && this.#ids.length > KEPT_PLACES) this.#drop();
    return true;
  }

  #deleteMore(id: number): boolean {
    if (this.#more === null || !this.#more.delete(id)) return false;
    if (this.#more.size === 0) this.#more = null;
    return true;
  }

  /** Removes all values. */
  clear(): void {
    this.#drop();
    this.#more = null;
  }

  /** Lets go of all places. */
  #drop(): void {
    this.#ids = NO_IDS;
    this.#values = NO_VALUES;
    this.#mask = 0;
    this.#placed = 0;
  }

  /** All values, in the order of their ids. */
  values(): T[] {
    const found: [number, T][] = this.#more === null ? [] : [...this.#more];
    for (const [place, id] of this.#ids.entries()) {
      if (id !== FREE) found.push([id, this.#values[place]!]);
    }
    return found.sort(([a], [b]) => a - b).map(([, value]) => value);
  }

  /** Doubles the places when at least half of them are taken; returns whether it did. */
  #grow(): boolean {
    const before = this.#ids.length;
    if (before === MAX_PLACES || this.#placed < before / 2) return false;
    const ids = this.#ids;
    const values = this.#values;
    const places = Math.max(FIRST_PLACES, before * 2);
    this.#ids = new Array<number>(places).fill(FREE);
    this.#values = new Array<T | undefined>(places).fill(undefined);
    this.#mask = places - 1;
    for (const [place, id] of ids.entries()) {
      if (id === FREE) continue;
      this.#ids[id & this.#mask] = id; // twice the places keep apart what was apart
      this.#values[id & this.#mask] = values[place];
    }
    return true;
  }
}
