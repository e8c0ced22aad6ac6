// Pings of a link: they prove that all before them was received, and are signs of life.
import { ignoreRejection } from "../../async/rejections.ts";
import { ProtocolError } from "../../errors.ts";
import { FrameKind, TAKES_STREAMS_TAG } from "../protocol/frames.ts";
import type { Outbox } from "./outbox.ts";

/**
 * Pings that are answered while the other side reads none of the answers: more only make this side
 * hold memory.
 */
const MAX_PONGS_QUEUED = 10_000;
const NOTHING: Uint8Array = new Uint8Array(0);

/** Sends pings and answers those of the other side. Any number of `confirm` calls may wait. */
export class Pings {
  readonly #outbox: Pick<Outbox, "full" | "add">;
  /** Waits for a pong, by its tag. */
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  /** The wait until the other side has let this side in. */
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

  /** Whether the other side has not shown yet that it let this side in. */
  get entering(): boolean {
    return this.#entry !== null;
  }

  /**
   * Resolves once the other side has let this side in. An answer to a ping, a sign of life, a
   * message or a query shows that, because a side that turns this one away sends none of them.
   * Until then all is received, room or not: the sign may stand behind it.
   */
  enter(): Promise<void> {
    this.#entry = Promise.withResolvers();
    this.#send();
    return ignoreRejection(this.#entry.promise);
  }

  /** Takes note of a frame: it may show that the other side let this side in. */
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
      throw new ProtocolError(
        "ERR_IPC_FRAME",
        "Cannot answer any more pings: none of the answers is read",
      );
    }
    this.#outbox.add(FrameKind.pong, tag, NOTHING);
  }

  /** Takes a pong. */
  onPong(tag: number): void {
    this.#waiting.get(tag)?.resolve();
    this.#waiting.delete(tag);
  }

  /** The other side reads answers again. */
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

  /** Sends a ping and returns its tag. Tag 0 is for pongs that no ping asked for. */
  #send(): number {
    this.#lastTag++;
    if (this.#lastTag === TAKES_STREAMS_TAG) this.#lastTag = 1; // this tag and those above have a meaning
    this.#outbox.add(FrameKind.ping, this.#lastTag, NOTHING);
    return this.#lastTag;
  }
}

/** What of an `IpcLink` {@linkcode probe} uses. */
export interface ProbedLink {
  /**
   * Whether it does not read, and nothing is being written. A link that has ended does not rest.
   */
  readonly resting: boolean;
  readonly pings: Pick<Pings, "sendUnsolicitedPong">;
}

/**
 * Time in ms after each sign of life. On a unix socket the first fails when the other side has
 * gone, on TCP the next.
 */
const PROBE_DELAYS_MS: readonly number[] = [10, 50, 100];

/**
 * Finds out whether the other side of a link has gone while this side does not read, and so cannot
 * see it leave: sends signs of life, which fail then. Resolves soon after the link has ended, or in
 * a moment when it has not. It does not wait for the end of the link, because a link that stays is
 * probed again and again, and would keep each wait.
 */
export async function probe(link: ProbedLink): Promise<void> {
  for (const delayMs of PROBE_DELAYS_MS) {
    if (!link.resting) return;
    link.pings.sendUnsolicitedPong();
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
}
