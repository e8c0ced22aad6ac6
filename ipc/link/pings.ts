// Pings of a link, both ways: proofs that all before was received, and signs of life.
import { ignoreRejection } from "../../async/rejections.ts";
import { ProtocolError } from "../../errors.ts";
import { FrameKind, TAKES_CANCELS_TAG } from "../protocol/frames.ts";
import type { Outbox } from "./outbox.ts";

/** Pings answered while the other side reads none of it; after that it only makes us hold memory. */
const MAX_PONGS_QUEUED = 10_000;
const NOTHING: Uint8Array = new Uint8Array(0);

/** Asks and answers. */
export class Pings {
  readonly #outbox: Pick<Outbox, "full" | "add">;
  /** Who waits for the pong of that tag. */
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  /** Waits until the other side has let us in. */
  #entry: PromiseWithResolvers<void> | null = null;
  #lastTag = 0;
  #pongsQueued = 0;

  /** Sends by `outbox`. */
  constructor(outbox: Pick<Outbox, "full" | "add">) {
    this.#outbox = outbox;
  }

  /** Asks for a sign of life. */
  ask(): void {
    this.#send();
  }

  /** Whether the other side has yet to show that it has let us in. */
  get entering(): boolean {
    return this.#entry !== null;
  }

  /**
   * Resolves once the other side has let us in: by its answer to a ping, a sign of life, a message or a query, as a side that turns us
   * away sends none of them. Until then all is received, room or not: what shows that we are in may stand behind it.
   */
  enter(): Promise<void> {
    this.#entry = Promise.withResolvers();
    this.#send();
    return ignoreRejection(this.#entry.promise);
  }

  /** A frame came: a side that turns us away sends none of these. */
  sawFrame(kind: FrameKind): void {
    if (kind !== FrameKind.message && kind !== FrameKind.query && kind !== FrameKind.pong) return;
    this.#entry?.resolve();
    this.#entry = null;
  }

  /** Sends a pong that no ping asked for. */
  sendUnsolicitedPong(): void {
    this.#outbox.add(FrameKind.pong, 0, NOTHING);
  }

  /** Resolves when the other side has received all that was sent before. */
  confirm(): Promise<void> {
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(this.#send(), waiting);
    return ignoreRejection(waiting.promise);
  }

  /** Takes a ping. */
  onPing(tag: number): void {
    if (this.#outbox.full && ++this.#pongsQueued > MAX_PONGS_QUEUED) {
      throw new ProtocolError("ERR_IPC_FRAME", "Cannot answer any more pings: none of the answers is read");
    }
    this.#outbox.add(FrameKind.pong, tag, NOTHING);
  }

  /** Takes a pong. */
  onPong(tag: number): void {
    this.#waiting.get(tag)?.resolve();
    this.#waiting.delete(tag);
  }

  /** Answers are being read again. */
  hasRoom(): void {
    this.#pongsQueued = 0;
  }

  /** Ends every wait. */
  end(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    this.#entry?.reject(error);
    this.#entry = null;
  }

  /** Sends a ping and gives its tag; 0 is for signs of life that nobody asked for. */
  #send(): number {
    this.#lastTag++;
    if (this.#lastTag === TAKES_CANCELS_TAG) this.#lastTag = 1; // it and the tag above have meanings of their own
    this.#outbox.add(FrameKind.ping, this.#lastTag, NOTHING);
    return this.#lastTag;
  }
}

/** What of an `IpcLink` {@linkcode probe} uses. */
export interface ProbedLink {
  /** Whether it does not read, and nothing is being written. A link that has ended does not rest. */
  readonly resting: boolean;
  readonly pings: Pick<Pings, "sendUnsolicitedPong">;
}

/** Time in ms after each sign of life: unix sockets show with the first that the other side has gone, TCP with the next. */
const PROBE_DELAYS_MS: readonly number[] = [10, 50, 100];

/**
 * Finds out whether the other side of a link has gone while this side does not read, and so cannot see it leave: sends signs of life,
 * which fail then. Resolves soon after the link has ended, or in a moment when it has not. It does not wait for the end of the link,
 * because a link that stays is probed again and again, and would keep each wait.
 */
export async function probe(link: ProbedLink): Promise<void> {
  for (const delayMs of PROBE_DELAYS_MS) {
    if (!link.resting) return;
    link.pings.sendUnsolicitedPong();
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
}
