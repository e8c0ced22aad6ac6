// StreamTransport: the bytes of one yamux session as stream frames of a link, bounded both ways.
import { Fifo } from "../../collections/fifo.ts";
import { ClosedError } from "../../errors.ts";
import type { Address, Transport } from "../../net/transport/transport.ts";
import { frameError } from "./link_errors.ts";
import { FRAME_HEAD_BYTES, FrameKind } from "../protocol/frames.ts";
import type { Outbox } from "./outbox.ts";

/** Data of a stream frame that this side sends: an outbox copies so much, and joins it. */
const FRAME_BYTES = 16 * 1024;
/**
 * Bytes of stream frames that may wait to be written. Queries and messages behind them wait for no
 * more than these; and no queue of messages keeps streams from their share.
 */
const MAX_SHARE_BYTES = 256 * 1024;
/** Bytes that came and were not read above which the link reads no more for now. */
const HIGH_WATER_BYTES = 1024 * 1024;
/**
 * Bytes that came and were not read above which the other side broke the rules. The session reads
 * at once, and holds no more than its windows: a peer that keeps to them never gets there.
 */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** What the address of a session in a link says. */
const ADDRESS: Address = { transport: "memory", name: "ipc" };

/** What a {@linkcode StreamTransport} uses of its link. */
export interface StreamTransportOptions {
  /** Where stream frames go. */
  readonly outbox: Outbox;
  /** From this many bytes on, messages wait. */
  readonly highWaterBytes: number;
  /** Bytes that the other side takes in a frame. */
  readonly maxFrameBytes: number;
  /** Called when it is no longer full. */
  readonly onRoom: () => void;
}

/** Carries a session over a link. One read and one write at a time, as every transport. */
export class StreamTransport implements Transport {
  readonly localAddr: Address = ADDRESS;
  readonly remoteAddr: Address = ADDRESS;
  readonly #options: StreamTransportOptions;
  readonly #frameBytes: number;
  readonly #shareBytes: number;
  readonly #unread = new Fifo<Uint8Array>();
  #unreadBytes = 0;
  #reader: PromiseWithResolvers<Uint8Array | null> | undefined;
  /** Sizes of the frames in the outbox, and where each ends among all bytes pushed. */
  readonly #unwritten = new Fifo<{ readonly bytes: number; readonly endAt: number }>();
  #room: PromiseWithResolvers<void> | undefined;
  #end: { readonly error: Error | null } | undefined;

  /** Begins without bytes. */
  constructor(options: StreamTransportOptions) {
    const { highWaterBytes, maxFrameBytes, outbox } = options;
    this.#options = options;
    this.#frameBytes = Math.min(FRAME_BYTES, maxFrameBytes);
    this.#shareBytes = Math.min(MAX_SHARE_BYTES, highWaterBytes / 2);
    outbox.onWritten = () => this.#onWritten();
  }

  /** Whether the link should read no more for now. */
  get full(): boolean {
    return this.#unreadBytes > HIGH_WATER_BYTES;
  }

  /**
   * Takes the data of a stream frame.
   *
   * @throws {ProtocolError} `ERR_IPC_FRAME` when far more came than any window allows
   */
  receive(data: Uint8Array): void {
    if (this.#end !== undefined) return;
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      return reader.resolve(data);
    }
    this.#unread.push(data);
    this.#unreadBytes += data.length;
    if (this.#unreadBytes > MAX_UNREAD_BYTES) {
      throw frameError("Cannot take a stream frame: more came than any window allows");
    }
  }

  read(): Promise<Uint8Array | null> {
    const data = this.#unread.shift();
    if (data !== undefined) {
      const wasFull = this.full;
      this.#unreadBytes -= data.length;
      if (wasFull && !this.full) this.#options.onRoom();
      return Promise.resolve(data);
    }
    if (this.#end !== undefined) {
      const { error } = this.#end;
      return error === null ? Promise.resolve(null) : Promise.reject(error);
    }
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { outbox } = this.#options;
    for (let at = 0; at < bytes.length;) {
      const data = bytes.subarray(at, at + this.#frameBytes);
      while (!this.#hasRoomFor(data.length)) {
        this.#room ??= Promise.withResolvers();
        await this.#room.promise;
      }
      if (this.#end !== undefined) throw this.#end.error ?? ended();
      at += data.length;
      outbox.add(FrameKind.stream, 0, data);
      const size = FRAME_HEAD_BYTES + data.length;
      outbox.streamBytes += size;
      this.#unwritten.push({ bytes: size, endAt: outbox.pushedBytes });
    }
  }

  /** Ends the session's flow: its end is that of the link, so the other side's ends with it. */
  closeWrite(): Promise<void> {
    this.#finish(null);
    return Promise.resolve();
  }

  close(): void {
    this.#finish(ended());
  }

  /** Ends both directions with an error: the link has ended. */
  fail(error: Error): void {
    this.#finish(error);
  }

  #finish(error: Error | null): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    if (error === null) this.#reader?.resolve(null);
    else {
      this.#unread.clear();
      this.#unreadBytes = 0;
      this.#reader?.reject(error);
    }
    this.#reader = undefined;
    this.#room?.resolve();
    this.#room = undefined;
    this.#options.onRoom();
  }

  #hasRoomFor(bytes: number): boolean {
    const { streamBytes } = this.#options.outbox;
    return streamBytes === 0 || streamBytes + bytes <= this.#shareBytes || this.#end !== undefined;
  }

  /** Some bytes of the outbox are in the kernel: those of stream frames make room for others. */
  #onWritten(): void {
    const { outbox } = this.#options;
    for (
      let first = this.#unwritten.peek();
      first !== undefined && first.endAt <= outbox.writtenBytes;
      first = this.#unwritten.peek()
    ) {
      outbox.streamBytes -= first.bytes;
      this.#unwritten.shift();
    }
    this.#room?.resolve();
    this.#room = undefined;
  }
}

/** Made late: after an orderly end mostly no code looks at it. */
function ended(): ClosedError {
  return new ClosedError("ERR_CLOSED", "Cannot go on: the streams of this connection have ended");
}
