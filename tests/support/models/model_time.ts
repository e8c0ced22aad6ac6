// ModelTime: puts a test's clock behind the timers of the platform, for code that takes no clock.
import type { Random } from "../random.ts";
import { TestClock } from "../simulation/test_clock.ts";

/** The names of the platform that are replaced. */
const NAMES = ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] as const;
/** Timers of a model get ids from here on; clearing another clears nothing. */
const FIRST_ID = 1_000_000_000;
/**
 * What `performance.now()` is ahead, in ms, of the model before: what the process remembers must
 * not lie in the future.
 */
const APART_MS = 100_000_000;
let begun = 0;

/** Simulated time and randomness for the whole process, until it is disposed. One at a time. */
export class ModelTime implements Disposable {
  readonly clock: TestClock;
  readonly #restore: (() => void)[] = [];
  readonly #cancels = new Map<number, () => void>();
  readonly #epochMs = 1_700_000_000_000;
  #nextId = FIRST_ID;

  constructor(random: Random, clock: TestClock = new TestClock()) {
    this.clock = clock;
    const after = (callback: () => void, ms = 0) => this.#after(callback, ms);
    const every = (callback: () => void, ms = 0) => this.#every(callback, ms, this.#nextId++);
    const cancel = (id: number) => this.#cancel(id);
    const timers = {
      setTimeout: after,
      clearTimeout: cancel,
      setInterval: every,
      clearInterval: cancel,
    };
    for (const name of NAMES) this.#replace(globalThis, name, timers[name]);
    const startMs = APART_MS * begun++;
    this.#replace(performance, "now", () => startMs + this.clock.now());
    this.#replace(Date, "now", () => this.#epochMs + startMs + this.clock.now());
    this.#replace(Math, "random", () => random.int(0, 0x7fff_ffff) / 0x8000_0000);
    const { unrefTimer } = Deno;
    this.#replace(Deno, "unrefTimer", (id: number) => id < FIRST_ID && unrefTimer(id));
  }

  [Symbol.dispose](): void {
    for (const restore of this.#restore.reverse()) restore();
  }

  #replace<T extends object>(owner: T, name: keyof T, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(owner, name);
    Object.defineProperty(owner, name, { value, configurable: true, writable: true });
    this.#restore.push(() => {
      if (before === undefined) delete owner[name];
      else Object.defineProperty(owner, name, before);
    });
  }

  #after(callback: () => void, ms: number): number {
    const id = this.#nextId++;
    this.#cancels.set(
      id,
      this.clock.after(ms, () => {
        this.#cancels.delete(id);
        callback();
      }),
    );
    return id;
  }

  #every(callback: () => void, ms: number, id: number): number {
    this.#cancels.set(
      id,
      this.clock.after(Math.max(1, ms), () => {
        this.#every(callback, ms, id);
        callback();
      }),
    );
    return id;
  }

  #cancel(id: number): void {
    this.#cancels.get(id)?.();
    this.#cancels.delete(id);
  }
}
