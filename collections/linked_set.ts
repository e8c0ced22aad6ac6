// LinkedSet: things that come and go by the thousand a second, in the order in which they came.

/** Where a thing stands in a {@linkcode LinkedSet}; the set's own. */
export interface Place<T> {
  readonly value: T;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
  isIn: boolean;
}

/**
 * A set from which a thing is removed by the place that it got. A `Set` or a `Map` makes a new table
 * every time it has been added to as often as it is large, and the old tables, each with a reference
 * to the next, have all that passed through outlive the collections of young objects: streams that
 * last a millisecond then cost the collector more than all the rest of them.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const set = new LinkedSet<string>();
 * const place = set.add("a");
 * set.add("b");
 * set.remove(place);
 * assertEquals([set.values(), set.first, set.size], [["b"], "b", 1]);
 * ```
 */
export class LinkedSet<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #size = 0;

  /** How many things are in it. */
  get size(): number {
    return this.#size;
  }

  /** The one that has been in it for longest. */
  get first(): T | undefined {
    return this.#first?.value;
  }

  /** All of them, in the order in which they came. */
  values(): T[] {
    const values: T[] = [];
    for (let place = this.#first; place !== undefined; place = place.after) {
      values.push(place.value);
    }
    return values;
  }

  /** Adds a thing, as the last. */
  add(value: T): Place<T> {
    const place: Place<T> = { value, before: this.#last, after: undefined, isIn: true };
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.#size += 1;
    return place;
  }

  /** Removes what has this place in this set; `false` when it was removed before. */
  remove(place: Place<T>): boolean {
    if (!place.isIn) return false;
    const { before, after } = place;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    place.before = place.after = undefined;
    place.isIn = false;
    this.#size -= 1;
    return true;
  }

  /** Removes all. */
  clear(): void {
    for (let place = this.#first; place !== undefined;) {
      const { after } = place;
      this.remove(place);
      place = after;
    }
  }
}
