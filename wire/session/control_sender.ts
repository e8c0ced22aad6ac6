// ControlSender: announces names, limits and presence to the peer of a session, the newest state of
// each only.
import { pause } from "../../async/pause.ts";
import { ClosedError, FramingError, ParleyError } from "../../errors.ts";
import type { FrameChannel } from "../protocol/frame_stream.ts";
import { type Limits, MAX_FRAME_BYTES, namesWithin } from "../protocol/frames.ts";

/** Shortest time between two frames, in ms: a peer reads a hundred a second. */
const MIN_INTERVAL_MS = 20;

/**
 * Changed peers that wait for a peer that does not read its control stream; beyond that its session ends.
 */
const MAX_NEWS = 65_536;

/** What a presence frame has around its entries, in bytes. */
const AROUND_BYTES = JSON.stringify({ peers: [], gone: [] }).length;

/** The session of a {@linkcode ControlSender}: `Link` is the only one. */
export interface ControlHost {
  /** Names that this side announces. */
  readonly names: readonly string[];
  /** Fires when the session is over. */
  readonly signal: AbortSignal;
  /** A frame could not be sent; the session goes on. */
  onControlError(error: unknown): void;
  /** Ends the session now. */
  abort(reason: ParleyError): void;
}

/**
 * Sends name changes, limits and presence on the control stream. A peer that does not read gets one
 * frame with the last state later. All methods may be called at any moment; frames are written one
 * after the other.
 */
export class ControlSender {
  readonly #channel: FrameChannel;
  readonly #host: ControlHost;
  readonly #peers = new Map<string, readonly string[] | null>();
  #limits: Limits | undefined;
  #announced: string;
  #sending: Promise<void> | undefined;
  #ended = false;

  constructor(channel: FrameChannel, host: ControlHost, announced: readonly string[]) {
    this.#channel = channel;
    this.#host = host;
    this.#announced = announced.join(" ");
  }

  /** The names may have changed. */
  announceNames(): void {
    this.#start();
  }

  /** This side takes other than what it said in the greeting. */
  announceLimits(limits: Limits): void {
    this.#limits = limits;
    this.#start();
  }

  /** A peer is there and offers `streams`, or is gone with `null`. */
  announcePeer(identity: string, streams: readonly string[] | null): void {
    if (this.#ended) return;
    this.#peers.set(identity, streams);
    if (this.#peers.size <= MAX_NEWS) return this.#start();
    const text = `Cannot go on with the session: the peer did not read news of ${MAX_NEWS} others`;
    this.#ended = true;
    this.#host.abort(new ClosedError("ERR_SLOW_CONSUMER", text));
  }

  /** Sends a frame, and nothing after it. Settles once it is written, or will not be. */
  async sendFinal(frame: object, timeoutMs: number): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#channel.write(frame, { timeoutMs }).catch(() => {});
  }

  /** Ends the direction of this side. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#channel.mux.closeWrite().catch(() => {});
  }

  #start(): void {
    if (this.#ended) return;
    this.#sending ??= this.#send().finally(() => this.#sending = undefined);
  }

  async #send(): Promise<void> {
    // Changes that come together go together.
    await Promise.resolve();
    for (let frame = this.#next(); frame !== undefined && !this.#ended; frame = this.#next()) {
      try {
        await this.#channel.write(frame);
      } catch (error) {
        // The session itself reports its end; any other error must not silence what comes behind.
        if (error instanceof ParleyError) this.#ended = true;
        else this.#host.onControlError(error);
      }
      if (!this.#ended) await pause(MIN_INTERVAL_MS, this.#host.signal);
    }
  }

  #next(): object | undefined {
    const limits = this.#limits;
    if (limits !== undefined) {
      this.#limits = undefined;
      return { limits };
    }
    const names = this.#host.names;
    const text = names.join(" ");
    if (text !== this.#announced) {
      this.#announced = text;
      return { streams: names };
    }
    return this.#peers.size === 0 ? undefined : this.#news();
  }

  /** As much of what is new of others as fits a frame. */
  #news(): object {
    const peers: { identity: string; streams: readonly string[] }[] = [];
    const gone: string[] = [];
    let bytes = AROUND_BYTES;
    for (const [identity, streams] of this.#peers) {
      const entry = streams === null ? identity : { identity, streams };
      bytes += JSON.stringify(entry).length + 1;
      if (bytes > MAX_FRAME_BYTES && peers.length + gone.length > 0) break;
      this.#peers.delete(identity);
      if (streams === null) gone.push(identity);
      else peers.push({ identity, streams });
    }
    return { peers, gone };
  }
}

/** The names of a peer that fit a frame which announces it to others: all of them, or the first ones. */
export function fitNames(identity: string, streams: readonly string[]): readonly string[] {
  const around = AROUND_BYTES + JSON.stringify({ identity, streams: [] }).length;
  return namesWithin(streams, MAX_FRAME_BYTES - around);
}

/** The error of a peer whose names do not all fit. */
export function namesCut(identity: string, told: number, all: number): FramingError {
  const text =
    `Cannot tell all names of ${
      JSON.stringify(identity)
    } to its peers: ${told} of ${all} fit a frame of ` +
    `${MAX_FRAME_BYTES} bytes`;
  return new FramingError("ERR_FRAME_TOO_LARGE", text);
}
