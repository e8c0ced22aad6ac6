// RawPeer: a yamux peer of single frames, for tests that script every byte.
import type { Transport } from "../../../net/transport/transport.ts";
import { encodeHeader, type FrameHeader, FrameReader, FrameType } from "../../../mux/header.ts";

/** A frame as it came. */
export interface RawFrame extends FrameHeader {
  readonly body: Uint8Array;
}

/** A header, and zeros or given bytes behind it. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  length: number,
  body?: Uint8Array,
): Uint8Array {
  const header = encodeHeader({ type: type as FrameHeader["type"], flags, streamId, length });
  const bytes = body ?? (type === FrameType.data ? new Uint8Array(length) : new Uint8Array(0));
  const joined = new Uint8Array(header.length + bytes.length);
  joined.set(header);
  joined.set(bytes, header.length);
  return joined;
}

/** Speaks raw frames over a transport. */
export class RawPeer {
  readonly transport: Transport;
  readonly #frames: RawFrame[] = [];
  readonly #reader: FrameReader;
  #partial: { header: FrameHeader; body: Uint8Array; filled: number } | undefined;

  constructor(transport: Transport) {
    this.transport = transport;
    this.#reader = new FrameReader({
      onHeader: (header) => {
        const body = new Uint8Array(header.type === FrameType.data ? header.length : 0);
        if (body.length === 0) this.#frames.push({ ...header, body });
        else this.#partial = { header, body, filled: 0 };
      },
      onBody: (bytes) => {
        const partial = this.#partial;
        if (partial === undefined) return;
        partial.body.set(bytes, partial.filled);
        partial.filled += bytes.length;
        if (partial.filled === partial.body.length) {
          this.#frames.push({ ...partial.header, body: partial.body });
        }
      },
    });
  }

  /** Writes bytes as they are. */
  send(...parts: Uint8Array[]): Promise<void> {
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let offset = 0;
    for (const part of parts) {
      joined.set(part, offset);
      offset += part.length;
    }
    return this.transport.write(joined);
  }

  /** The next frame; `null` at the end or when the connection is gone. */
  async next(): Promise<RawFrame | null> {
    while (this.#frames.length === 0) {
      const chunk = await this.transport.read().catch(() => null);
      if (chunk === null) return null;
      this.#reader.push(chunk);
    }
    return this.#frames.shift() as RawFrame;
  }

  /** The next frame that `wanted` likes; the ones before it are dropped. `null` at the end. */
  async find(wanted: (frame: RawFrame) => boolean): Promise<RawFrame | null> {
    for (let next = await this.next(); next !== null; next = await this.next()) {
      if (wanted(next)) return next;
    }
    return null;
  }

  /** Reads to the end and returns the go-away code that came before it, `undefined` when there was none. */
  async goAwayCode(): Promise<number | undefined> {
    let code: number | undefined;
    for (let next = await this.next(); next !== null; next = await this.next()) {
      if (next.type === FrameType.goAway) code = next.length;
    }
    return code;
  }
}
