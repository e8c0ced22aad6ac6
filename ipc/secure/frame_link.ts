// FrameLink: the flow of frames after a handshake, whatever carries it; and the plain one.
import { ClosedError, FramingError } from "../../errors.ts";
import type { Transport } from "../../net/transport/transport.ts";

/** What a handshake agreed on. */
export interface LinkInfo {
  /** Which side of the handshake we were: the client is the side that connected. */
  readonly role: "client" | "server";
  /** 16 bytes, the same on both sides. Not secret. */
  readonly sessionId: Uint8Array;
  /** 48 secret bytes, the same on both sides. */
  readonly exporter: Uint8Array;
  /** Bytes that the peer accepts in a message. */
  readonly peerMaxMessageBytes: number;
  /** Plaintext bytes that the peer accepts in a record. */
  readonly peerMaxRecordBytes: number;
  /** Plaintext bytes that we accept in a record. */
  readonly maxRecordBytes: number;
}

/** The flow of frames in both directions, opened and sealed. One read at a time. */
export interface FrameLink {
  /** What the handshake agreed on. */
  readonly info: LinkInfo;
  /**
   * Whether the flow itself distinguishes an orderly end from a cut; where it does not, the closing
   * frame does.
   */
  readonly marksItsEnd: boolean;
  /** Writes that may be under way at a time; they are sent in the order of the calls. */
  readonly maxWrites: number;
  /**
   * Bytes of a write that is neither cut nor worth joining with another; `null` where any size is
   * as good.
   */
  readonly writeBytes: number | null;
  /** Whether a record has begun whose rest is to come. */
  readonly inRecord: boolean;
  /**
   * Waits for the next bytes of the flow; `null` at its end. They belong to the caller.
   *
   * @throws {ClosedError} `ERR_RESET` when the peer vanished or the flow was cut
   * @throws {ProtocolError} `ERR_IPC_RECORD` when a record is not what the peer sealed
   */
  read(): Promise<Uint8Array | null>;
  /** Sends bytes of the flow; they may be changed once it resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends our direction in order, with a reason. */
  end(reason: number): Promise<void>;
  /** Frees the descriptor now and wipes the keys. Idempotent. */
  close(): void;
}

/** Suite 00: the frames in the clear. */
export class PlainLink implements FrameLink {
  readonly info: LinkInfo;
  readonly marksItsEnd = false;
  readonly maxWrites = 1;
  readonly writeBytes = null;
  readonly inRecord = false;
  readonly #transport: Transport;
  #rest: Uint8Array;

  /** Makes a link over `transport`, beginning with the bytes that came behind the handshake. */
  constructor(transport: Transport, info: LinkInfo, rest: Uint8Array) {
    this.#transport = transport;
    this.info = info;
    this.#rest = rest;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#rest.length === 0) return this.#transport.read();
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    return Promise.resolve(rest);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#transport.write(bytes);
  }

  end(_reason: number): Promise<void> {
    return this.#transport.closeWrite();
  }

  close(): void {
    this.#transport.close();
  }
}

/**
 * The other side went without a word: it died, or the flow was cut on the way. The two look the
 * same.
 */
export function cutShort(): ClosedError {
  return new ClosedError(
    "ERR_RESET",
    "The other side went away without closing: it ended, or the connection was cut",
    {
      cause: new FramingError(
        "ERR_FRAME_TRUNCATED",
        "Cannot read on: the input ended without a close",
      ),
    },
  );
}
