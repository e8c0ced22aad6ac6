// Frames of calls over one connection: each message is a type, an id and what belongs to it; pure.
import { ProtocolError } from "../../errors.ts";

/**
 * ```
 *  0      1          5
 *  ├ type ┼ id (u32) ┼ request or reply …
 * ```
 *
 * Both sides call and answer over the same connection, each with ids of its own. The rules:
 *
 * - `request`: the id MUST be after the one of the caller's last request, by {@linkcode isAfter}; the
 *   first one is after 0. At most {@linkcode MAX_OUTSTANDING} requests MAY be without a reply or a cancel.
 * - `reply`: the id MUST be one of a request. One for a call that was given up is ignored, because
 *   it crossed the cancel.
 * - `cancel`: the caller has given a call up. No reply comes after it. One for a call that was
 *   answered is ignored, because it crossed the reply.
 * - `goingAway`: the sender asks for no more requests. Those that were sent are still answered,
 *   unless a `last` says otherwise. The id is 0.
 * - `last`: no request after this id was begun, and none will be.
 * - `limit`: the sender takes no message of more bytes than the number in place of the id. It comes
 *   before the sender's first request. Who does not say it takes as much as it sends.
 * - A side that ends its direction has given up its calls.
 *
 * Any other message ends the connection with `ERR_CALL_FRAME`.
 */
export const CallFrame = {
  request: 1,
  reply: 2,
  cancel: 3,
  goingAway: 4,
  last: 5,
  limit: 6,
} as const;

/** The type of a frame. */
export type CallFrameType = (typeof CallFrame)[keyof typeof CallFrame];

/** Bytes of type and id, before a request or a reply. */
export const FRAME_HEAD_BYTES = 5;

/**
 * Most requests of one caller that are neither answered nor given up: more would only wait at the
 * answerer.
 */
export const MAX_OUTSTANDING = 1024;

/** Writes type and id into the first bytes of `frame`, and returns it. */
export function writeFrameHead(frame: Uint8Array, type: CallFrameType, id: number): Uint8Array {
  frame[0] = type;
  frame[1] = id >>> 24;
  frame[2] = id >>> 16;
  frame[3] = id >>> 8;
  frame[4] = id;
  return frame;
}

/** Makes the frame of a reply, in `into` if it fits in there; the bytes are copied. */
export function replyFrame(id: number, reply: Uint8Array, into?: Uint8Array): Uint8Array {
  const length = FRAME_HEAD_BYTES + reply.length;
  const frame = into !== undefined && length <= into.length
    ? into.subarray(0, length)
    : new Uint8Array(length);
  frame.set(reply, FRAME_HEAD_BYTES);
  return writeFrameHead(frame, CallFrame.reply, id);
}

/** Makes a frame that has nothing behind its id. */
export function bareFrame(type: 3 | 4 | 5 | 6, id: number): Uint8Array {
  return writeFrameHead(new Uint8Array(FRAME_HEAD_BYTES), type, id);
}

/**
 * Returns the type of a frame, whose length fits it.
 *
 * @throws {ProtocolError} `ERR_CALL_FRAME` when it is none
 */
export function frameType(frame: Uint8Array): CallFrameType {
  const type = frame[0];
  const length = frame.length;
  switch (type) {
    case CallFrame.request:
    case CallFrame.reply:
      if (length > FRAME_HEAD_BYTES) return type;
      throw badFrame(`it is cut after ${length} bytes`);
    case CallFrame.cancel:
    case CallFrame.goingAway:
    case CallFrame.last:
    case CallFrame.limit:
      if (length === FRAME_HEAD_BYTES) return type;
      throw badFrame(`one of type ${type} must have ${FRAME_HEAD_BYTES} bytes, and has ${length}`);
    case undefined:
      throw badFrame("it is empty");
    default:
      throw badFrame(`type ${type} is unknown: the peer must speak calls, too`);
  }
}

/** Returns the id of a frame whose type was read. */
export function frameId(frame: Uint8Array): number {
  return ((frame[1]! << 24) | (frame[2]! << 16) | (frame[3]! << 8) | frame[4]!) >>> 0;
}

/** Whether `id` comes after `last`. Ids begin again behind the largest one. */
export function isAfter(id: number, last: number): boolean {
  return ((id - last) | 0) > 0;
}

/** The error of a frame that breaks the rules. */
export function badFrame(why: string): ProtocolError {
  return new ProtocolError("ERR_CALL_FRAME", `Cannot read a message of calls: ${why}`);
}
