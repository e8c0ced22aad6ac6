// PeerIds: the stream ids that the peer may use, each once.
import { ProtocolError } from "../errors.ts";
import type { MuxRole } from "./options.ts";

/** How far behind the highest id of the peer a skipped one may still be used. */
const MAX_SKIPPED_IDS = 1024;

/**
 * Ids that the peer may open: of its parity, each once. They come upward, but not strictly:
 * programs whose threads open streams at once send them out of order, so an id that was skipped may
 * still come, unless it is far behind.
 */
export class PeerIds {
  readonly #parity: number;
  readonly #skipped = new Set<number>();
  #highest: number;

  /** `role` is our own. */
  constructor(role: MuxRole) {
    this.#parity = role === "client" ? 0 : 1;
    this.#highest = role === "client" ? 0 : -1;
  }

  /** True when the id was opened some time. */
  wasUsed(id: number): boolean {
    return id % 2 === this.#parity && id <= this.#highest && !this.#skipped.has(id);
  }

  /**
   * Takes a new id.
   *
   * @throws {ProtocolError} `ERR_MUX_STREAM_ID` for the wrong parity and for an id used before or passed over
   */
  take(id: number): void {
    if (id % 2 !== this.#parity) throw badId(id, "the parity is ours");
    if (id > this.#highest) {
      this.#skip(id);
      this.#highest = id;
    } else if (!this.#skipped.delete(id)) {
      throw badId(id, `the highest was ${this.#highest}`);
    }
  }

  #skip(id: number): void {
    for (
      let skipped = Math.max(this.#highest + 2, id - 2 * MAX_SKIPPED_IDS);
      skipped < id;
      skipped += 2
    ) {
      this.#skipped.add(skipped);
    }
    for (const old of this.#skipped) {
      if (this.#skipped.size <= MAX_SKIPPED_IDS) break;
      this.#skipped.delete(old);
    }
  }
}

function badId(id: number, why: string): ProtocolError {
  return new ProtocolError("ERR_MUX_STREAM_ID", `Cannot take stream ${id}: a new one: ${why}`);
}
