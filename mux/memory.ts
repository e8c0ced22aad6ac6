// Budgets for what peers were promised: one per session, under one per process. A window is
// reserved before its peer hears of it, so what a peer may send is always kept.

/** Default of {@linkcode MuxMemoryOptions.maxBytes}. */
export const DEFAULT_PROCESS_BYTES: number = 256 * 1024 * 1024;

/**
 * What every session may reserve, however much the others hold: the window of one plain yamux stream, and 32
 * windows of the size that sessions of ours agree on. Peers that hoard never cost another peer these.
 */
export const GUARANTEED_BYTES: number = 512 * 1024;

/** Options of {@linkcode MuxMemory}. */
export interface MuxMemoryOptions {
  /**
   * Bytes that the streams of all sessions may reserve for what they receive; on top, each session may always
   * reserve 512 KiB.
   *
   * @default {268435456} 256 MiB: eight sessions of the wire at their own limit
   */
  maxBytes?: number | undefined;
}

/**
 * Memory that the sessions of a process share. Every session uses {@linkcode processMemory} unless
 * its options name another. Any number of sessions may use it concurrently.
 *
 * A session may reserve as much as is left free, and half as much for windows that grow: so a few
 * peers that reserve all they can always leave memory for the next peer.
 *
 * @example Reserving for a group of sessions 64 MiB of its own
 * ```ts
 * import { MuxMemory } from "@parley/parley/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const memory = new MuxMemory({ maxBytes: 64 * 1024 * 1024 });
 * assertEquals([memory.reservedBytes, memory.usedBytes], [0, 0]);
 * ```
 */
export class MuxMemory {
  /** Bytes that may be reserved, beside what each session is guaranteed. */
  readonly maxBytes: number;
  #used = 0;
  #reserved = 0;
  #grown = 0;

  /** Makes an empty budget. */
  constructor({ maxBytes = DEFAULT_PROCESS_BYTES }: MuxMemoryOptions = {}) {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new RangeError(
        `Cannot make a memory budget: "maxBytes" must be at least 1, current value is ${maxBytes}`,
      );
    }
    this.maxBytes = maxBytes;
  }

  /** Bytes that have come and were not read yet. */
  get usedBytes(): number {
    return this.#used;
  }

  /** Bytes that are reserved: what has come and was not read, and what peers may still send. */
  get reservedBytes(): number {
    return this.#reserved;
  }

  /**
   * Bytes by which windows have grown beyond what their streams started with; part of
   * {@linkcode reservedBytes}.
   */
  get grownBytes(): number {
    return this.#grown;
  }

  /** Opens the account of one session, which may reserve `maxBytes`. */
  open(maxBytes: number): SessionMemory {
    return new SessionMemory(maxBytes, {
      mayReserve: (bytes, reserved) =>
        reserved + bytes <= GUARANTEED_BYTES || reserved + bytes <= this.maxBytes - this.#reserved,
      // Half is for growth, so that grown windows leave room for those that every stream starts with.
      mayGrow: (bytes, grown) =>
        this.#reserved + bytes <= this.maxBytes &&
        grown + bytes <= (this.maxBytes / 2 - this.#grown) / 2,
      add: (used, reserved, grown) => {
        this.#used += used;
        this.#reserved += reserved;
        this.#grown += grown;
      },
    });
  }
}

/** The budget that sessions share unless set otherwise: 256 MiB. */
export const processMemory: MuxMemory = new MuxMemory();

/** How an account reaches the budget above it. */
interface Parent {
  mayReserve(bytes: number, reserved: number): boolean;
  mayGrow(bytes: number, grown: number): boolean;
  add(used: number, reserved: number, grown: number): void;
}

/** The account of one session. */
export class SessionMemory {
  #maxBytes: number;
  readonly #parent: Parent;
  #used = 0;
  #reserved = 0;
  #grown = 0;
  #open = true;

  /** Use {@linkcode MuxMemory.open}. */
  constructor(maxBytes: number, parent: Parent) {
    this.#maxBytes = maxBytes;
    this.#parent = parent;
  }

  /** Bytes that have come and were not read yet. */
  get usedBytes(): number {
    return this.#used;
  }

  /** Bytes that are reserved. */
  get reservedBytes(): number {
    return this.#reserved;
  }

  /** Lets the session reserve more than so far. */
  raise(maxBytes: number): void {
    this.#maxBytes = Math.max(this.#maxBytes, maxBytes);
  }

  /** Reserves the window that a stream starts with; `false` when there is no room: refuse the stream then. */
  reserve(bytes: number): boolean {
    // A budget that is not used up takes one more stream, so that one which holds less than a
    // window is of use.
    const fits = this.#open && this.#reserved < this.#maxBytes &&
      this.#parent.mayReserve(bytes, this.#reserved);
    if (fits) this.#add(0, bytes, 0);
    return fits;
  }

  /** Reserves growth of a window; `false` when there is no room: the window stays as it is then. */
  grow(bytes: number): boolean {
    const fits = this.#open && (this.#grown + bytes) * 2 <= this.#maxBytes &&
      this.#reserved + bytes <= this.#maxBytes && this.#parent.mayGrow(bytes, this.#grown);
    if (fits) this.#add(0, bytes, bytes);
    return fits;
  }

  /** Gives back what was reserved, `grown` bytes of it for growth. */
  release(bytes: number, grown: number): void {
    if (this.#open) this.#add(0, -bytes, -grown);
  }

  /** Reserves again, without a limit, what bytes need that were read and put back: see `MuxStream.unread`. */
  restore(bytes: number): void {
    if (this.#open) this.#add(0, bytes, 0);
  }

  /** Counts bytes that have come, within what was reserved. */
  hold(bytes: number): void {
    if (this.#open) this.#add(bytes, 0, 0);
  }

  /** Counts bytes that were read or dropped. */
  free(bytes: number): void {
    if (this.#open) this.#add(-bytes, 0, 0);
  }

  /**
   * Closes the account with its session: what is in it goes back, and what is still unread is not
   * counted.
   */
  close(): void {
    if (!this.#open) return;
    this.#add(-this.#used, -this.#reserved, -this.#grown);
    this.#open = false;
  }

  #add(used: number, reserved: number, grown: number): void {
    this.#used += used;
    this.#reserved += reserved;
    this.#grown += grown;
    this.#parent.add(used, reserved, grown);
  }
}
