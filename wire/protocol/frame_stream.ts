// FrameChannel: frames over one mux stream, one at a time. Bytes behind a frame stay in the stream.
import { ProtocolError } from "../../errors.ts";
import type { MuxStream } from "../../mux/stream.ts";
import type { WaitOptions } from "../../async/wait.ts";
import { encodeFrame, FrameBuffer } from "./frames.ts";

const ACCEPT = encodeFrame({});

/** Reads and writes the frames of a stream. */
export class FrameChannel {
  readonly mux: MuxStream;
  readonly #buffer = new FrameBuffer();

  constructor(mux: MuxStream) {
    this.mux = mux;
  }

  /**
   * Waits for the next frame; `null` at the end.
   *
   * @throws {ProtocolError} `ERR_WIRE_FRAME` when it is too long, or cut
   */
  async read(options?: WaitOptions): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = await this.mux.read(options);
      if (chunk === null) {
        if (this.#buffer.atBoundary) return null;
        throw new ProtocolError(
          "ERR_WIRE_FRAME",
          "Cannot read a frame: the stream ended inside it",
        );
      }
      const frame = this.#buffer.push(chunk);
      if (frame === undefined) continue;
      this.mux.unread(this.#buffer.rest());
      return frame;
    }
  }

  /** Sends ACCEPT. */
  async accept(): Promise<void> {
    await this.mux.write(ACCEPT);
  }

  /** Sends a frame. @throws {RangeError} when it is over 16 KiB */
  async write(value: object, options?: WaitOptions): Promise<void> {
    await this.mux.write(encodeFrame(value), options);
  }
}
