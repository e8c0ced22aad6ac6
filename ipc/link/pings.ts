// Pings of a link, both ways: proofs that all before was received, and signs of life.
import { handled } from "../../async/rejections.ts";
import { ProtocolError } from "../../errors.ts";
import { FrameKind, TAKES_CANCELS_TAG } from "../protocol/frames.ts";

/** Pings answered while the other side reads none of it; after that it only makes us hold memory. */
const MAX_PONGS_QUEUED = 10_000;
const NOTHING: Uint8Array = new Uint8Array(0);

/** How pings work with their link. */
export interface PingsOptions {
  /** Sends a frame. */
  readonly send: (kind: FrameKind, tag: number, data: Uint8Array) => void;
  /** Whether answers would only pile up now. */
  readonly isOutboxFull: () => boolean;
}

/** Asks and answers. */
export class Pings {
  readonly #options: PingsOptions;
  /** Who waits for the pong of that tag. */
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  /** Waits until the other side has let us in. */
  #entry: PromiseWithResolvers<void> | null = null;
  #lastTag = 0;
  #pongsQueued = 0;

  /** Makes it. */
  constructor(options: PingsOptions) {
    this.#options = options;
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
    return handled(this.#entry.promise);
  }

  /** A frame came: a side that turns us away sends none of these. */
  sawFrame(kind: FrameKind): void {
    if (kind !== FrameKind.message && kind !== FrameKind.query && kind !== FrameKind.pong) return;
    this.#entry?.resolve();
    this.#entry = null;
  }

  /** Sends a pong that no ping asked for. */
  stillHere(): void {
    this.#options.send(FrameKind.pong, 0, NOTHING);
  }

  /** Resolves when the other side has received all that was sent before. */
  confirm(): Promise<void> {
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(this.#send(), waiting);
    return handled(waiting.promise);
  }

  /** Takes a ping. */
  asked(tag: number): void {
    if (this.#options.isOutboxFull() && ++this.#pongsQueued > MAX_PONGS_QUEUED) {
      throw new ProtocolError("ERR_IPC_FRAME", "Cannot answer any more pings: none of the answers is read");
    }
    this.#options.send(FrameKind.pong, tag, NOTHING);
  }

  /** Takes a pong. */
  answered(tag: number): void {
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
    if (this.#lastTag === TAKES_CANCELS_TAG) this.#lastTag = 1; // both tags have a meaning of their own
    this.#options.send(FrameKind.ping, this.#lastTag, NOTHING);
    return this.#lastTag;
  }
}
