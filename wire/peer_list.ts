// PeerList: who else is at the hub, as far as the hub announces it.
import { TimeoutError } from "../errors.ts";
import type { WaitOptions } from "../async/wait.ts";
import type { Control } from "./protocol/frames.ts";
import { Waiters } from "../async/waiters.ts";

/** The peers that a hub lets this side see. */
export class PeerList {
  readonly #peers = new Map<string, readonly string[]>();
  readonly #awaited = new Map<string, Waiters<void>>();

  /** Each peer with the names that it handles. */
  get peers(): ReadonlyMap<string, readonly string[]> {
    return this.#peers;
  }

  /** Takes an announcement of the hub; `true` when that changes something. */
  take({ peers, gone }: Pick<Control, "peers" | "gone">): boolean {
    for (const { identity, streams } of peers) {
      this.#peers.set(identity, streams);
      this.#awaited.get(identity)?.resolve();
    }
    for (const identity of gone) this.#peers.delete(identity);
    return peers.length + gone.length > 0;
  }

  /** The session is over, and with it what the hub announced; `true` when that changes something. */
  clear(): boolean {
    const changes = this.#peers.size > 0;
    this.#peers.clear();
    return changes;
  }

  /** Waits until the hub announces a peer. @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` */
  async waitFor(identity: string, options: WaitOptions): Promise<void> {
    options.signal?.throwIfAborted();
    if (this.#peers.has(identity)) return;
    const waiters = this.#awaited.get(identity) ?? new Waiters();
    this.#awaited.set(identity, waiters);
    try {
      await waiters.wait(options, (ms) => {
        const text = `Cannot reach the peer ${
          JSON.stringify(identity)
        }: the hub did not tell of it within ${ms} ms`;
        return new TimeoutError("ERR_CONNECT_TIMEOUT", text);
      });
    } finally {
      if (waiters.size === 0 && this.#awaited.get(identity) === waiters) {
        this.#awaited.delete(identity);
      }
    }
  }

  /** The hub announces nothing any more: ends all waits. */
  stop(reason: unknown): void {
    for (const waiters of this.#awaited.values()) waiters.reject(reason);
  }
}
