// ItemStream: items over a stream of bytes: a varint length, and the bytes of the item.
import type { WaitOptions } from "../../async/wait.ts";
import { FramingError, ProtocolError } from "../../errors.ts";
import type { FrameDecoder } from "../../framing/types.ts";
import { varintPrefixed } from "../../framing/varint_prefixed.ts";
import { varintBytes, writeVarint } from "../../framing/varint.ts";
import type { CallStream, OutgoingCall } from "./port.ts";

/** A stream of bytes, both ways: what a `WireStream` is. */
export interface ByteStream {
  /** Waits for the next bytes; `null` at the end of the peer's direction. */
  read(options?: WaitOptions): Promise<Uint8Array | null>;
  /** Resolves when the bytes were taken over, which waits for the peer to read. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends our direction. */
  closeWrite(): Promise<void>;
  /** Ends in order; reads no more. */
  close(): Promise<void>;
  /** Ends now. */
  abort(reason?: unknown): void;
  /** Fires when it ends other than in order. */
  readonly signal: AbortSignal;
}

/** Longest item, in bytes. */
export const MAX_ITEM_BYTES: number = 1 << 20;

/** Longest length before an item, in bytes. */
export const LENGTH_BYTES: number = varintBytes(MAX_ITEM_BYTES);

const FRAMING = varintPrefixed();

/** Items over one stream. One read at a time. */
export class ItemStream implements CallStream {
  readonly #bytes: ByteStream;
  readonly #decoder: FrameDecoder;

  /** Makes items of a stream of which nothing was read. */
  constructor(bytes: ByteStream, maxItemBytes: number = MAX_ITEM_BYTES) {
    this.#bytes = bytes;
    this.#decoder = FRAMING.decoder({ maxMessageBytes: maxItemBytes });
  }

  get signal(): AbortSignal {
    return this.#bytes.signal;
  }

  async readItem(options?: WaitOptions): Promise<Uint8Array | null> {
    for (;;) {
      const item = this.#next();
      if (item !== undefined) return item;
      const chunk = await this.#bytes.read(options);
      if (chunk !== null) {
        this.#decoder.push(chunk);
        continue;
      }
      if (this.#decoder.heldBytes === 0) return null;
      throw new ProtocolError("ERR_CALL_FRAME", "Cannot read an item: the stream ended inside it");
    }
  }

  async writeItem(bytes: Uint8Array): Promise<void> {
    await this.#bytes.write(encodeItem(bytes));
  }

  async closeWrite(): Promise<void> {
    await this.#bytes.closeWrite();
  }

  async close(): Promise<void> {
    await this.#bytes.close();
  }

  abort(reason?: unknown): void {
    this.#bytes.abort(reason);
  }

  /** The next item that is here. What is no item ends the stream. */
  #next(): Uint8Array | undefined {
    try {
      return this.#decoder.next();
    } catch (error) {
      this.#bytes.abort(error);
      throw error;
    }
  }
}

/** An item as it is sent. @throws {FramingError} `ERR_FRAME_TOO_LARGE` */
export function encodeItem(bytes: Uint8Array, maxItemBytes: number = MAX_ITEM_BYTES): Uint8Array {
  checkLength("a value", bytes.length, maxItemBytes);
  const item = new Uint8Array(varintBytes(bytes.length) + bytes.length);
  item.set(bytes, writeVarint(bytes.length, item, 0));
  return item;
}

/** The request of a call as the first item of its stream. @throws {FramingError} `ERR_FRAME_TOO_LARGE` */
export function requestItem(call: OutgoingCall): Uint8Array {
  const bytes = call.request(LENGTH_BYTES);
  const length = bytes.length - LENGTH_BYTES;
  checkLength("a request", length, MAX_ITEM_BYTES);
  const start = LENGTH_BYTES - varintBytes(length);
  writeVarint(length, bytes, start);
  return bytes.subarray(start);
}

function checkLength(what: string, length: number, maxBytes: number): void {
  if (length <= maxBytes) return;
  throw new FramingError(
    "ERR_FRAME_TOO_LARGE",
    `Cannot send ${what}: the most is ${maxBytes} bytes, it has ${length}`,
  );
}
