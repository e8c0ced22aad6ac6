// joinTunnel(): joins a stream and a local connection, both ways, with backpressure, half-close and breaks.
import type { Transport } from "../../net/transport/transport.ts";
import { breakOff, hasPeerEnded, readJoined, type WireStream } from "../session/stream.ts";

/**
 * Time for the last words of a local end that takes nothing any more, in ms. Most platforms end its
 * reading at once.
 */
const LAST_WORDS_MS = 1000;

/** Most that is written to a local end at a time, in bytes: a write costs more than a copy of that. */
const CHUNK_BYTES = 128 * 1024;

/**
 * How a stream came about. Its opener can only reset it; the side that serves it can pass a break
 * on behind everything written.
 */
export type StreamRole = "opened" | "served";

/** Options of {@linkcode joinTunnel}. */
export interface JoinTunnelOptions {
  /** How the stream came about. */
  readonly role: StreamRole;
  /** The first read of the connection, where it has begun already. @default {it begins now} */
  readonly first?: Promise<Uint8Array | null> | undefined;
}

/**
 * Joins a stream and a connection until both are over. After an orderly end of both directions the
 * connection is closed; any other end, of either, resets both: what was cut must not pass for the
 * whole. What a target said before it broke still arrives, as the answer of a server that does not
 * want all of a request. Returns what broke them, `undefined` where nothing did. Never rejects.
 */
export function joinTunnel(
  stream: WireStream,
  local: Transport,
  options: JoinTunnelOptions,
): Promise<unknown> {
  return new Splice(stream, local, options).run();
}

/**
 * Ends a connection other than in order; where that cannot be told from an orderly end, as with a
 * unix socket, at once.
 */
export function cut(local: Transport): void {
  if (local.reset === undefined) local.close();
  else local.reset();
}

/** One stream and one connection. One chunk per direction is held here. */
class Splice {
  readonly #stream: WireStream;
  readonly #local: Transport;
  readonly #role: StreamRole;
  #first: Promise<Uint8Array | null> | undefined;
  #broken: { readonly error: unknown } | undefined;
  /** Whether everything that the peer said has come to the local end, or never will. */
  #isInwardOver = false;
  #isOutwardOver = false;
  /** Whether the local end is waited for, to say something. */
  #isListening = false;
  #lastWords: ReturnType<typeof setTimeout> | undefined;

  constructor(stream: WireStream, local: Transport, { role, first }: JoinTunnelOptions) {
    this.#stream = stream;
    this.#local = local;
    this.#role = role;
    this.#first = first;
  }

  async run(): Promise<unknown> {
    // A break is passed on even while nothing flows.
    void this.#stream.closed.then((error) => error !== undefined && this.#onStreamBroken(error));
    await Promise.all([this.#inward(), this.#outward()]);
    clearTimeout(this.#lastWords);
    if (this.#broken === undefined) this.#local.close();
    else cut(this.#local);
    return this.#broken?.error;
  }

  /** What the peer says, to the local end. */
  async #inward(): Promise<void> {
    const [stream, local] = [this.#stream, this.#local];
    let isWriting = false;
    try {
      const next = () => readJoined(stream, CHUNK_BYTES);
      for (let chunk = await next(); chunk !== null; chunk = await next()) {
        isWriting = true;
        await local.write(chunk);
        isWriting = false;
      }
      this.#isInwardOver = true;
      isWriting = true;
      if (this.#broken === undefined) await local.closeWrite();
      else cut(local);
    } catch (error) {
      this.#isInwardOver = true;
      this.#broken ??= { error };
      if (isWriting) this.#onDeaf();
      else cut(local);
    }
  }

  /** What the local end says, to the peer. */
  async #outward(): Promise<void> {
    const stream = this.#stream;
    try {
      for (let chunk = await this.#listen(); chunk !== null; chunk = await this.#listen()) {
        this.#isListening = false;
        await stream.write(chunk);
      }
      this.#isListening = false;
      // After a write that failed, an end may be a reset.
      if (this.#broken === undefined) await stream.closeWrite();
    } catch (error) {
      this.#broken ??= { error };
      // A stream that takes nothing more is over, and what it brought may still be read.
      if (!this.#isListening) return;
    } finally {
      this.#isOutwardOver = true;
    }
    if (this.#broken !== undefined) this.#breakStream();
  }

  #listen(): Promise<Uint8Array | null> {
    this.#isListening = true;
    const first = this.#first;
    this.#first = undefined;
    return first ?? this.#local.read();
  }

  #onStreamBroken(error: unknown): void {
    this.#broken ??= { error };
    // What was said before is brought to its end first.
    if (this.#isInwardOver || !hasPeerEnded(this.#stream)) cut(this.#local);
  }

  /** The local end takes nothing any more. What it has said is still heard: it may be why. */
  #onDeaf(): void {
    if (this.#isOutwardOver) return this.#breakStream();
    this.#lastWords = setTimeout(() => {
      if (this.#isListening) cut(this.#local);
      else this.#onDeaf();
    }, LAST_WORDS_MS);
  }

  #breakStream(): void {
    if (this.#role === "served") breakOff(this.#stream, this.#broken?.error);
    else this.#stream.abort(this.#broken?.error);
  }
}
