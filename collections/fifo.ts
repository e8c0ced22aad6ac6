// Fifo: a first-in, first-out queue in constant time.

/**
 * Empty places at the front before the rest moves up: a queue that never runs empty must not grow
 * with all it ever held.
 */
const MAX_GAP = 64;

/** The items of all queues that are empty: idle ones are many. */
const NONE: never[] = [];

/**
 * A queue that forgets what was taken out of it. `Array.shift` moves all that follows, so that a
 * long queue would cost the square of its length.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const queue = new Fifo<string>();
 * queue.push("a");
 * queue.push("b");
 * assertEquals([queue.shift(), queue.shift(), queue.shift()], ["a", "b", undefined]);
 * ```
 */
export class Fifo<T> {
  #items: (T | undefined)[] = NONE;
  #head = 0;

  /** How many items there are. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Returns the first item, which stays; `undefined` when there is none. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** Returns the item at `index`, counted from the first; `undefined` beyond the last. */
  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  /** Adds an item at the end. */
  push(item: T): void {
    if (this.#items === NONE) this.#items = [item];
    else this.#items.push(item);
  }

  /** Puts `item` in the place of the first one. There must be one. */
  replaceFirst(item: T): void {
    this.#items[this.#head] = item;
  }

  /** Puts `item` in the place of the last one. There must be one. */
  replaceLast(item: T): void {
    this.#items[this.#items.length - 1] = item;
  }

  /** Puts an item in front of all others. In constant time for one that was taken just before. */
  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else if (this.#items === NONE) this.#items = [item];
    else this.#items.unshift(item);
  }

  /** Takes the first item; `undefined` when there is none. */
  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head > MAX_GAP && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Drops all items. */
  clear(): void {
    // Lets the memory go.
    this.#items = NONE;
    this.#head = 0;
  }
}
