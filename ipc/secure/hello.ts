// Hellos M1 and M2 of EIPC/1: their layout, and the checks of what a peer sent.
import { equalInConstantTime } from "./key_schedule.ts";

/** The first bytes of a hello. The zero byte and the line ends show tools that mangle bytes. */
export const MAGIC: Uint8Array = new Uint8Array([0x00, 0x45, 0x49, 0x50, 0x43, 0x0d, 0x0a, 0x01]);

/** Types of handshake messages, byte 8 of a hello and byte 0 of a proof. */
export const MessageType = {
  clientHello: 1,
  serverHello: 2,
  clientProof: 3,
  serverProof: 4,
} as const;

/** How the bytes after the handshake are carried. */
export const Suite = {
  /** Frames in the clear. */
  plain: 0x00,
  /** ECDH P-384 and the secret, AES-256-GCM, SHA-384. */
  sealed: 0x01,
  /** Plain handshake, records through the user's own provider. */
  provider: 0xf0,
} as const;

/** One of {@linkcode Suite}. */
export type Suite = typeof Suite[keyof typeof Suite];

/** Bytes of a hello without and with the P-384 point. */
const HEAD_BYTES = 52;
/** Bytes of an uncompressed P-384 point: 04, X, Y. */
export const POINT_BYTES = 97;
/** Bytes of the random value in a hello. */
export const RANDOM_BYTES = 32;
/** Bytes of a proof: type and HMAC-SHA384. */
export const PROOF_BYTES = 49;
/** First byte of an uncompressed point; others (compressed) would be accepted by some platforms. */
const UNCOMPRESSED = 4;

/** What a record may hold, as plaintext. */
export const RECORD_LIMITS: Readonly<Record<"min" | "max", number>> = { min: 1024, max: 2 ** 20 };
/** What a message may hold. */
export const MESSAGE_LIMITS: Readonly<Record<"min" | "max", number>> = { min: 1024, max: 2 ** 30 };

/** Why a handshake failed. For local counters and logs only: a peer never learns it. */
export type HandshakeReason =
  | "not our protocol"
  | "wrong type"
  | "other suite"
  | "unknown flag"
  | "limit out of range"
  | "bad point"
  | "reflected"
  | "early bytes"
  | "wrong proof"
  | "closed early"
  | "timed out";

/**
 * Ends a handshake. It never leaves `ipc/secure/secure_link.ts`, which turns it into a typed error.
 */
export class HandshakeFailure extends Error {
  /** What was wrong. */
  readonly reason: HandshakeReason;

  /** Makes a failure. */
  constructor(reason: HandshakeReason) {
    super(`Cannot finish the handshake: ${reason}`);
    this.name = "HandshakeFailure";
    this.reason = reason;
  }
}

/** What a hello says. */
export interface Hello {
  /** Plaintext bytes that its sender accepts in a record. */
  readonly maxRecordBytes: number;
  /** Bytes that its sender accepts in a message. */
  readonly maxMessageBytes: number;
  /** 32 fresh random bytes. */
  readonly random: Uint8Array;
  /** Ephemeral P-384 point; `null` in a suite without. */
  readonly point: Uint8Array | null;
}

/** Bytes of a hello in a suite. */
export function helloBytes(suite: Suite): number {
  return suite === Suite.sealed ? HEAD_BYTES + POINT_BYTES : HEAD_BYTES;
}

/** Lays out a hello. */
export function encodeHello(type: 1 | 2, suite: Suite, hello: Hello): Uint8Array {
  const bytes = new Uint8Array(helloBytes(suite));
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes[8] = type;
  bytes[9] = suite;
  view.setUint32(12, hello.maxRecordBytes);
  view.setUint32(16, hello.maxMessageBytes);
  bytes.set(hello.random, 20);
  if (hello.point !== null) bytes.set(hello.point, HEAD_BYTES);
  return bytes;
}

/**
 * Reads and judges a hello of exactly {@linkcode helloBytes} bytes. Whether the point is on the
 * curve is left to the key agreement.
 *
 * @throws {HandshakeFailure}
 */
export function decodeHello(type: 1 | 2, suite: Suite, bytes: Uint8Array): Hello {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!startsWithMagic(bytes)) throw new HandshakeFailure("not our protocol");
  if (bytes[8] !== type) throw new HandshakeFailure("wrong type");
  if (bytes[9] !== suite || bytes.length !== helloBytes(suite)) {
    throw new HandshakeFailure("other suite");
  }
  if (view.getUint16(10) !== 0) throw new HandshakeFailure("unknown flag");
  const maxRecordBytes = view.getUint32(12);
  const maxMessageBytes = view.getUint32(16);
  if (!within(RECORD_LIMITS, maxRecordBytes) || !within(MESSAGE_LIMITS, maxMessageBytes)) {
    throw new HandshakeFailure("limit out of range");
  }
  const random = bytes.slice(20, HEAD_BYTES);
  const point = suite === Suite.sealed ? bytes.slice(HEAD_BYTES) : null;
  if (point !== null && point[0] !== UNCOMPRESSED) throw new HandshakeFailure("bad point");
  return { maxRecordBytes, maxMessageBytes, random, point };
}

/**
 * Refuses a peer that sent our own values back.
 *
 * @throws {HandshakeFailure}
 */
export function refuseReflection(ours: Hello, theirs: Hello): void {
  const samePoint = ours.point !== null && theirs.point !== null &&
    equalInConstantTime(ours.point, theirs.point);
  if (samePoint || equalInConstantTime(ours.random, theirs.random)) {
    throw new HandshakeFailure("reflected");
  }
}

/**
 * Checks the first bytes of a hello as they come: another program, or a peer that wants another
 * suite, is recognized without waiting for more.
 *
 * @throws {HandshakeFailure}
 */
export function judgeHelloStart(bytes: Uint8Array, suite: Suite): void {
  if (!startsWithMagic(bytes)) throw new HandshakeFailure("not our protocol");
  if (bytes.length > 9 && bytes[9] !== suite) throw new HandshakeFailure("other suite");
}

function startsWithMagic(bytes: Uint8Array): boolean {
  const count = Math.min(bytes.length, MAGIC.length);
  for (let i = 0; i < count; i++) if (bytes[i] !== MAGIC[i]) return false;
  return true;
}

function within(limits: { min: number; max: number }, value: number): boolean {
  return value >= limits.min && value <= limits.max;
}
