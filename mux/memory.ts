// Budgets for unread bytes and grown windows: one per session, under one per process.

/** Default of {@linkcode MuxMemoryOptions.maxBytes}. */
export const DEFAULT_PROCESS_BYTES: number = 256 * 1024 * 1024;

/** Options of {@linkcode MuxMemory}. */
export interface MuxMemoryOptions {
  /**
   * Bytes that the streams of all sessions may hold unread.
   *
   * @default {268435456} 256 MiB: sixteen sessions at their own limit
   */
  maxBytes?: number;
}

/**
 * What the sessions of a process may hold together. Every session uses {@linkcode processMemory} unless it is
 * given another.
 *
 * @example Giving a group of sessions 64 MiB of its own
 * ```ts
 * import { MuxMemory } from "@parley/parley/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const memory = new MuxMemory({ maxBytes: 64 * 1024 * 1024 });
 * assertEquals(memory.usedBytes, 0);
 * ```
 */
export class MuxMemory {
  /** Bytes that may be held. */
  readonly maxBytes: number;
  readonly #sessions = new Set<SessionMemory>();
  #used = 0;
  #grown = 0;

  /** Makes an empty budget. */
  constructor({ maxBytes = DEFAULT_PROCESS_BYTES }: MuxMemoryOptions = {}) {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new RangeError(
        `Cannot make a memory budget as "maxBytes" must be at least 1: current value is ${maxBytes}`,
      );
    }
    this.maxBytes = maxBytes;
  }

  /** Bytes held unread now. */
  get usedBytes(): number {
    return this.#used;
  }

  /** Bytes by which windows have grown beyond what every stream starts with. */
  get grownBytes(): number {
    return this.#grown;
  }

  /** Opens the account of one session. `shed` must free some of its bytes when called. */
  open(maxBytes: number, shed: () => void): SessionMemory {
    const account = new SessionMemory(maxBytes, shed, {
      hold: (bytes) => this.#hold(bytes),
      grow: (bytes) => this.#grow(bytes),
      close: () => this.#sessions.delete(account),
    });
    this.#sessions.add(account);
    return account;
  }

  #hold(bytes: number): void {
    this.#used += bytes;
    // Whoever holds most pays, not whoever came last: an attacker cannot push others out.
    while (this.#used > this.maxBytes) {
      const before = this.#used;
      let largest: SessionMemory | undefined;
      for (const account of this.#sessions) {
        if (account.usedBytes > (largest?.usedBytes ?? 0)) largest = account;
      }
      largest?.shed();
      if (this.#used >= before) return;
    }
  }

  #grow(bytes: number): boolean {
    // Half is for growth, so that grown windows leave room for what every stream may hold anyway.
    if (bytes > 0 && (this.#grown + bytes) * 2 > this.maxBytes) return false;
    this.#grown += bytes;
    return true;
  }
}

/** The budget that sessions share unless told otherwise: 256 MiB. */
export const processMemory: MuxMemory = new MuxMemory();

/** How an account reaches the budget above it. */
interface Parent {
  hold(bytes: number): void;
  grow(bytes: number): boolean;
  close(): void;
}

/** The account of one session. */
export class SessionMemory {
  readonly #maxBytes: number;
  readonly #parent: Parent;
  /** Frees some bytes of the session. */
  readonly shed: () => void;
  #used = 0;
  #grown = 0;
  #open = true;

  /** Use {@linkcode MuxMemory.open}. */
  constructor(maxBytes: number, shed: () => void, parent: Parent) {
    this.#maxBytes = maxBytes;
    this.#parent = parent;
    this.shed = shed;
  }

  /** Bytes held unread now. */
  get usedBytes(): number {
    return this.#used;
  }

  /** Counts bytes that are held from now on. Over the budget, streams are shed until it holds again. */
  hold(bytes: number): void {
    if (!this.#open) return;
    this.#used += bytes;
    this.#parent.hold(bytes);
    while (this.#used > this.#maxBytes) {
      const before = this.#used;
      this.shed();
      if (this.#used >= before) break;
    }
  }

  /** Counts bytes that are no longer held. */
  free(bytes: number): void {
    if (!this.#open) return;
    this.#used -= bytes;
    this.#parent.hold(-bytes);
  }

  /** Reserves growth of a window; `false` when there is no room. */
  grow(bytes: number): boolean {
    if (!this.#open || (this.#grown + bytes) * 2 > this.#maxBytes || !this.#parent.grow(bytes)) return false;
    this.#grown += bytes;
    return true;
  }

  /** Gives growth back. */
  shrink(bytes: number): void {
    if (!this.#open) return;
    this.#grown -= bytes;
    this.#parent.grow(-bytes);
  }

  /** Closes the account with its session: what is in it goes back, and what is still unread is not counted. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#parent.hold(-this.#used);
    this.#parent.grow(-this.#grown);
    this.#used = 0;
    this.#grown = 0;
    this.#parent.close();
  }
}
