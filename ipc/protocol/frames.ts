// Frames of the IPC protocol: their layout, their writer and their reader.
import { FramingError, ProtocolError } from "../../errors.ts";
import { MAX_TRACE_CONTEXT_BYTES } from "../../stats/telemetry/trace_context.ts";
import { Gather } from "./gather.ts";

/** Bytes before the data of a frame: u32 length, u8 kind, u32 tag. */
export const FRAME_HEAD_BYTES = 9;
/** What the length field counts beside the data: kind and tag. */
const COUNTED_HEAD_BYTES = 5;
/** Most bytes of the text in a failed answer: what a peer puts into the other side's log. */
export const MAX_FAILURE_BYTES = 1024;
/** Message types and query ids are 1 to this. */
export const MAX_TAG: number = 2 ** 32 - 1;
/** The ping by which a side says that it takes context frames; it is answered as any other. */
export const TAKES_CONTEXTS_TAG: number = MAX_TAG;
/** The ping by which a side says that it takes cancel frames; it is answered as any other. */
export const TAKES_CANCELS_TAG: number = MAX_TAG - 1;
/** The ping by which a side says that it takes stream frames; it is answered as any other. */
export const TAKES_STREAMS_TAG: number = MAX_TAG - 2;
/** Most data of a stream frame. */
export const MAX_STREAM_FRAME_BYTES: number = 64 * 1024;

/** Kinds of frames, as they are on the wire. */
export const FrameKind = {
  /** A message; the tag is its type, 1 or more. */
  message: 1,
  /** A query; the tag is its id, chosen by the caller. */
  query: 2,
  /** The answer to the query of that id. */
  answer: 3,
  /** The query of that id failed; the data is a short text. */
  failure: 4,
  /** Asks for a pong with the same tag. No data. */
  ping: 5,
  /** Answers a ping. A pong that no ping asked for says "still here, not reading". No data. */
  pong: 6,
  /**
   * No more frames but pongs follow from this side; the tag is a {@linkcode ClosingReason}. No
   * data.
   */
  closing: 7,
  /**
   * The trace context of the query of that id, which comes next. Sent only to a side that said that
   * it takes them.
   */
  context: 8,
  /**
   * The caller of the query of that id no longer waits. No data. Sent only to a side that said that
   * it takes them.
   */
  cancel: 9,
  /**
   * The next bytes of the yamux session inside the link, 1 to 65536 of them; the tag is 0. Sent only
   * to a side that said that it takes them.
   */
  stream: 10,
} as const;

/** One of {@linkcode FrameKind}. */
export type FrameKind = typeof FrameKind[keyof typeof FrameKind];

/** Why a side closes: the tag of a closing frame, and the byte in a CLOSE record. */
export const ClosingReason = {
  /** Done. */
  done: 0,
  /** The server takes no more clients, or the pair has its two processes. */
  busy: 1,
  /**
   * The server turns this client out for good. A client that does not know this reason takes it for
   * 0.
   */
  turnedOut: 2,
} as const;

/** Takes one frame. The data is a view that belongs to the taker and is never overwritten. */
export type FrameSink = (kind: FrameKind, tag: number, data: Uint8Array) => void;

/** Writes the nine bytes before the data of a frame. */
export function writeFrameHead(
  target: Uint8Array,
  at: number,
  frame: { kind: FrameKind; tag: number; dataBytes: number },
): void {
  const length = frame.dataBytes + COUNTED_HEAD_BYTES;
  target[at] = length >>> 24;
  target[at + 1] = length >>> 16;
  target[at + 2] = length >>> 8;
  target[at + 3] = length;
  target[at + 4] = frame.kind;
  target[at + 5] = frame.tag >>> 24;
  target[at + 6] = frame.tag >>> 16;
  target[at + 7] = frame.tag >>> 8;
  target[at + 8] = frame.tag;
}

/** One whole frame in bytes of its own. */
export function encodeFrame(kind: FrameKind, tag: number, data: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + data.length);
  writeFrameHead(frame, 0, { kind, tag, dataBytes: data.length });
  frame.set(data, FRAME_HEAD_BYTES);
  return frame;
}

/**
 * Cuts a flow of bytes into frames. The head is checked before any byte of the data is held. A
 * frame that spans chunks takes memory as its bytes come, not as its length announces. An error
 * poisons the reader.
 */
export class IpcFrameReader {
  readonly #maxDataBytes: number;
  readonly #gather = new Gather();
  /** Frames that have ended, of every kind. */
  framesIn = 0;
  #part: "none" | "head" | "data" = "none";
  #kind: FrameKind = FrameKind.message;
  #tag = 0;
  #length = 0;
  #broken: Error | null = null;

  /** Makes a reader of frames with up to `maxDataBytes` of data. */
  constructor(maxDataBytes: number) {
    this.#maxDataBytes = maxDataBytes;
  }

  /** Bytes held of a frame that has not ended. */
  get heldBytes(): number {
    return this.#part === "none" ? 0 : this.#gather.heldBytes;
  }

  /** Whether a frame has begun whose rest is to come. */
  get inFrame(): boolean {
    return this.#part !== "none";
  }

  /**
   * Takes the next bytes and passes each frame that is complete with them to `sink`. `chunk` must
   * not be changed later.
   *
   * @throws {FramingError} `ERR_FRAME_TOO_LARGE`, `ERR_FRAME_MALFORMED`
   * @throws {ProtocolError} `ERR_IPC_FRAME` for a kind or tag that the protocol does not have
   */
  push(chunk: Uint8Array, sink: FrameSink): void {
    if (this.#broken !== null) throw this.#broken;
    try {
      let at = this.#part === "none" ? 0 : this.#resume(chunk, sink);
      while (chunk.length - at >= FRAME_HEAD_BYTES) {
        this.#readHead(chunk, at);
        const start = at + FRAME_HEAD_BYTES;
        at = start + this.#length;
        if (at > chunk.length) {
          this.#part = "data";
          this.#gather.start(this.#length);
          this.#gather.add(chunk, start);
          return;
        }
        this.framesIn++;
        sink(this.#kind, this.#tag, chunk.subarray(start, at));
      }
      if (at < chunk.length) {
        this.#part = "head";
        this.#gather.start(FRAME_HEAD_BYTES);
        this.#gather.add(chunk, at);
      }
    } catch (error) {
      this.#broken = error as Error;
      throw error;
    }
  }

  /** The input ended: fails when that was inside a frame. */
  end(): void {
    if (this.#part === "none") return;
    throw new FramingError(
      "ERR_FRAME_TRUNCATED",
      "Cannot read the frame: the input ended inside it",
    );
  }

  /**
   * Goes on with a frame that began in an earlier chunk. Returns where the next frame starts in
   * `chunk`.
   */
  #resume(chunk: Uint8Array, sink: FrameSink): number {
    let at = 0;
    if (this.#part === "head") {
      at = this.#gather.add(chunk, at);
      if (!this.#gather.complete) return at;
      this.#readHead(this.#gather.take(), 0);
      this.#gather.start(this.#length);
      this.#part = "data";
    }
    at = this.#gather.add(chunk, at);
    if (this.#gather.complete) {
      this.#part = "none";
      this.framesIn++;
      sink(this.#kind, this.#tag, this.#gather.take());
    }
    return at;
  }

  /** Reads and checks a head. */
  #readHead(bytes: Uint8Array, at: number): void {
    const length = readU32(bytes, at) - COUNTED_HEAD_BYTES;
    const kind = bytes[at + 4]!;
    const tag = readU32(bytes, at + 5);
    if (length < 0) {
      throw new FramingError(
        "ERR_FRAME_MALFORMED",
        `Cannot read the frame: its length must be 5 or more, current value is ${
          length + COUNTED_HEAD_BYTES
        }`,
      );
    }
    if (length > this.#maxDataBytes) {
      throw new FramingError(
        "ERR_FRAME_TOO_LARGE",
        `Cannot read the frame: it may hold at most ${this.#maxDataBytes} bytes, it announces ${length}`,
      );
    }
    if (!isLegal(kind, tag, length)) {
      throw new ProtocolError(
        "ERR_IPC_FRAME",
        `Cannot read the frame: kind ${kind} is unknown or not like that`,
      );
    }
    this.#kind = kind as FrameKind;
    this.#tag = tag;
    this.#length = length;
  }
}

function isLegal(kind: number, tag: number, length: number): boolean {
  switch (kind) {
    case FrameKind.message:
      return tag !== 0;
    case FrameKind.query:
    case FrameKind.answer:
      return true;
    case FrameKind.failure:
      return length <= MAX_FAILURE_BYTES;
    case FrameKind.context:
      return length <= MAX_TRACE_CONTEXT_BYTES;
    case FrameKind.stream:
      return tag === 0 && length > 0 && length <= MAX_STREAM_FRAME_BYTES;
    case FrameKind.ping:
    case FrameKind.pong:
    case FrameKind.closing:
    case FrameKind.cancel:
      return length === 0;
    default:
      return false;
  }
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}
