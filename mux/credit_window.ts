// Flow-control windows of one stream: what we may send, and what the peer may send.
import { ProtocolError } from "../errors.ts";
import { MAX_U32 } from "./header.ts";

/**
 * Window of every stream when it opens, both ways, unless the sides agreed on another (yamux spec,
 * "Flow Control").
 */
export const INITIAL_WINDOW_BYTES: number = 256 * 1024;

/** How many bytes the peer lets us send. */
export class SendWindow {
  #credit: number;

  /** Makes the window of a stream that starts with `initialBytes`. */
  constructor(initialBytes: number = INITIAL_WINDOW_BYTES) {
    this.#credit = initialBytes;
  }

  /** Bytes that may be sent now. */
  get credit(): number {
    return this.#credit;
  }

  /**
   * Adds credit from the peer.
   *
   * @throws {ProtocolError} `ERR_MUX_WINDOW` when the sum leaves 32 bits
   */
  grant(delta: number): void {
    if (this.#credit + delta > MAX_U32) {
      const text =
        `Cannot take a window update of ${delta} on top of ${this.#credit}: the sum leaves 32 bits`;
      throw new ProtocolError("ERR_MUX_WINDOW", text);
    }
    this.#credit += delta;
  }

  /** Spends `count` bytes, which must not be more than {@linkcode credit}. */
  take(count: number): void {
    this.#credit -= count;
  }

  /** The stream started with `toBytes`, not `fromBytes` as was thought. Nothing was sent yet. */
  rebase(fromBytes: number, toBytes: number): void {
    this.#credit += toBytes - fromBytes;
  }
}

/** What {@linkcode ReceiveWindow.update} needs to decide on growth. */
export interface GrowthContext {
  /** Time, milliseconds. */
  readonly now: number;
  /** Round trip of the session, milliseconds; `undefined` while it is not known. */
  readonly rttMs: number | undefined;
  /** Takes bytes from the budgets of session and process; `false` when they have no more. */
  readonly reserve: (bytes: number) => boolean;
}

/** Growth smaller than this is not worth a reservation. */
const MIN_GROWTH_BYTES = 4096;

/**
 * How many bytes the peer may send us. At all times `size` = what the peer may still send + what is
 * buffered + what was consumed and not given back yet. A window never shrinks: yamux cannot take
 * credit back.
 */
export class ReceiveWindow {
  readonly #maxBytes: number;
  #initial: number;
  #size: number;
  #available: number;
  #consumed = 0;
  #lastUpdate: number;

  /** Makes the window of a stream opened at `now` (ms) with `initialBytes` that may grow to `maxBytes`. */
  constructor(maxBytes: number, now: number, initialBytes: number = INITIAL_WINDOW_BYTES) {
    this.#maxBytes = maxBytes;
    this.#initial = initialBytes;
    this.#size = initialBytes;
    this.#available = initialBytes;
    this.#lastUpdate = now;
  }

  /** Bytes that may be under way and unread together. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that the peer may still send. */
  get available(): number {
    return this.#available;
  }

  /** Bytes reserved beyond the initial window. */
  get grownBytes(): number {
    return this.#size - this.#initial;
  }

  /**
   * Counts the announced length of a data frame, before its body.
   *
   * @throws {ProtocolError} `ERR_MUX_WINDOW` when it is more than the peer may send
   */
  receive(count: number): void {
    if (count > this.#available) {
      const text = `Cannot take a data frame of ${count} bytes: the window has ${this.#available}`;
      throw new ProtocolError("ERR_MUX_WINDOW", text);
    }
    this.#available -= count;
  }

  /** Counts bytes that the application took; true when it is time to {@linkcode update} the peer. */
  consume(count: number): boolean {
    this.#consumed += count;
    return this.#consumed * 2 >= this.#size;
  }

  /**
   * Takes back that the application took `count` bytes. If the peer has had its credit for them,
   * the next bytes that the application takes earn none.
   */
  unconsume(count: number): void {
    this.#consumed -= count;
  }

  /**
   * Returns credit for the consumed bytes, and more when the reader emptied half a window within two
   * round trips: then the window, not the reader, holds the sender up. The result is the delta for
   * the peer.
   */
  update({ now, rttMs, reserve }: GrowthContext): number {
    const fast = rttMs !== undefined && now - this.#lastUpdate <= 2 * rttMs;
    const growth = fast
      ? this.#grow(Math.min(this.#size, this.#maxBytes - this.#size), reserve)
      : 0;
    const back = this.#consumed;
    this.#lastUpdate = now;
    this.#consumed = 0;
    this.#available += back;
    return back + growth;
  }

  /**
   * Brings a window that started small to what yamux starts with, as far as memory goes. The result
   * is the delta for the peer.
   */
  topUp(reserve: (bytes: number) => boolean): number {
    return this.#grow(INITIAL_WINDOW_BYTES - this.#size, reserve);
  }

  /** The sides agreed on another initial size before anything was read. What has come already must fit it. */
  rebase(initialBytes: number): void {
    const less = this.#initial - initialBytes;
    if (less > this.#available) {
      const text =
        `Cannot go on with a stream that sent more than the ${initialBytes} bytes agreed on`;
      throw new ProtocolError("ERR_MUX_WINDOW", text);
    }
    this.#initial = initialBytes;
    this.#size -= less;
    this.#available -= less;
  }

  /** Grows by `wanted` bytes, or by a part of them when memory is short; the result is how much. */
  #grow(wanted: number, reserve: (bytes: number) => boolean): number {
    for (let bytes = wanted; bytes >= MIN_GROWTH_BYTES; bytes = Math.floor(bytes / 2)) {
      if (!reserve(bytes)) continue;
      this.#size += bytes;
      this.#available += bytes;
      return bytes;
    }
    return 0;
  }
}
