// ControlSender: what a session tells its peer while it runs, the newest state of each thing only.
import { pauseUnless } from "./deadline.ts";
import type { FrameChannel } from "./frame_channel.ts";
import { MAX_FRAME_BYTES } from "./frames.ts";
import type { HandlerTable } from "./handlers.ts";

/** Shortest time between two frames, in ms: a peer reads a hundred a second. */
const MIN_INTERVAL_MS = 20;

/** Sends name changes and presence. A peer that does not read gets one frame with the last state later. */
export class ControlSender {
  readonly #channel: FrameChannel;
  readonly #handlers: HandlerTable;
  readonly #peers = new Map<string, readonly string[] | null>();
  #told: string;
  #sending: Promise<void> | undefined;
  #ended = false;

  constructor(channel: FrameChannel, handlers: HandlerTable, told: readonly string[]) {
    this.#channel = channel;
    this.#handlers = handlers;
    this.#told = told.join(" ");
  }

  /** The names may have changed. */
  tellNames(): void {
    this.#start();
  }

  /** A peer is there and offers `streams`, or is gone with `null`. */
  tellPeer(identity: string, streams: readonly string[] | null): void {
    this.#peers.set(identity, streams);
    this.#start();
  }

  /** Sends a frame, and nothing after it. Settles once it is written, or will not be. */
  async last(frame: object, timeoutMs: number): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#channel.write(frame, { timeoutMs }).catch(() => {});
  }

  /** Ends our direction. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#channel.mux.closeWrite().catch(() => {});
  }

  #start(): void {
    this.#sending ??= this.#send().finally(() => this.#sending = undefined);
  }

  async #send(): Promise<void> {
    // Changes that come together go together.
    await Promise.resolve();
    try {
      for (let frame = this.#next(); frame !== undefined && !this.#ended; frame = this.#next()) {
        await this.#channel.write(frame);
        if (!this.#ended) await pauseUnless(MIN_INTERVAL_MS, this.#channel.mux.closed);
      }
    } catch {
      // The session is over.
      this.#ended = true;
    }
  }

  #next(): object | undefined {
    const names = this.#handlers.names;
    const text = names.join(" ");
    if (text !== this.#told) {
      this.#told = text;
      return { streams: names };
    }
    if (this.#peers.size === 0) return undefined;
    const peers: { identity: string; streams: readonly string[] }[] = [];
    const gone: string[] = [];
    let bytes = 64;
    for (const [identity, streams] of this.#peers) {
      // Names are ASCII; quotes and backslashes take two bytes.
      bytes += 2 * identity.length + 64 + (streams ?? []).reduce((sum, name) => sum + 2 * name.length + 4, 0);
      if (bytes > MAX_FRAME_BYTES && peers.length + gone.length > 0) break;
      this.#peers.delete(identity);
      if (streams === null) gone.push(identity);
      else peers.push({ identity, streams });
      if (bytes > MAX_FRAME_BYTES) break;
    }
    return { peers, gone };
  }
}
