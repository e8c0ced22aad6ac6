// Key schedule of EIPC/1: HKDF with SHA-384 (RFC 5869), chained as in RFC 8446 section 7.1.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** Bytes of SHA-384. */
export const HASH_BYTES = 48;
/** Bytes of an AES-256 key. */
const KEY_BYTES = 32;
/** Bytes of a GCM nonce. */
const IV_BYTES = 12;
/** Bytes of a session id. */
const SESSION_ID_BYTES = 16;
/** What TH0 binds: protocol, key exchange, cipher, hash. */
const PROTOCOL = new TextEncoder().encode("eipc1 P384+PSK AES256GCM SHA384");
/** Stands before every label, so that no other protocol can derive the same keys. */
const LABEL_PREFIX = "eipc1 ";
const EMPTY: Uint8Array = new Uint8Array(0);
const ZEROS: Uint8Array = new Uint8Array(HASH_BYTES);

/** Which side of the channel: the one that connected, or the one that listened. */
export type Role = "client" | "server";

/**
 * What a finished handshake leaves: the secrets of both directions, and what the application may
 * use.
 */
export interface SessionSecrets {
  /** Secret of the client's records. */
  readonly clientTraffic: Uint8Array;
  /** Secret of the server's records. */
  readonly serverTraffic: Uint8Array;
  /** 16 bytes, the same on both sides, not secret. */
  readonly sessionId: Uint8Array;
  /** 48 secret bytes, the same on both sides, for keys that the application derives. */
  readonly exporter: Uint8Array;
}

/** SHA-384 of the parts in a row. */
export function hash(...parts: readonly Uint8Array[]): Uint8Array {
  const sum = createHash("sha384");
  for (const part of parts) sum.update(part);
  return bytes(sum.digest());
}

/** HMAC-SHA384. */
export function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return bytes(createHmac("sha384", key).update(data).digest());
}

/** HKDF-Extract (RFC 5869 section 2.2). */
export function extract(salt: Uint8Array, input: Uint8Array): Uint8Array {
  return hmac(salt, input);
}

/**
 * EL: HKDF-Expand (RFC 5869 section 2.3) under a label and a context; at most one block, 48 bytes.
 */
export function expandLabel(
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const name = new TextEncoder().encode(LABEL_PREFIX + label);
  const info = new Uint8Array(2 + 1 + name.length + 1 + context.length + 1);
  info[0] = length >>> 8;
  info[1] = length;
  info[2] = name.length;
  info.set(name, 3);
  info[3 + name.length] = context.length;
  info.set(context, 4 + name.length);
  info[info.length - 1] = 1; // the number of the one block
  const block = hmac(secret, info);
  return length === HASH_BYTES ? block : block.subarray(0, length);
}

/** TH0: what both sides start from, the protocol and the channel name. */
export function startTranscript(context: Uint8Array): Uint8Array {
  return hash(PROTOCOL, new Uint8Array([context.length]), context);
}

/**
 * HS, from the shared secret (`null` for none: 48 zero bytes, as RFC 8446 does) and the ECDH
 * result.
 */
export function handshakeSecret(
  secret: Uint8Array | null,
  th0: Uint8Array,
  z: Uint8Array,
): Uint8Array {
  const early = extract(th0, secret ?? ZEROS);
  const salt = expandLabel(early, "derived", th0, HASH_BYTES);
  const result = extract(salt, z);
  wipe(early, salt);
  return result;
}

/** The proof of one side over the transcript so far: the body of M3 or M4. */
export function finished(handshake: Uint8Array, role: Role, transcript: Uint8Array): Uint8Array {
  const key = expandLabel(
    handshake,
    role === "client" ? "c finished" : "s finished",
    transcript,
    HASH_BYTES,
  );
  const proof = hmac(key, transcript);
  wipe(key);
  return proof;
}

/** All that lasts longer than the handshake. */
export function sessionSecrets(
  handshake: Uint8Array,
  th0: Uint8Array,
  th4: Uint8Array,
): SessionSecrets {
  const salt = expandLabel(handshake, "derived", th0, HASH_BYTES);
  const master = extract(salt, ZEROS);
  const secrets: SessionSecrets = {
    clientTraffic: expandLabel(master, "c traffic", th4, HASH_BYTES),
    serverTraffic: expandLabel(master, "s traffic", th4, HASH_BYTES),
    sessionId: expandLabel(master, "session id", th4, SESSION_ID_BYTES).slice(),
    exporter: expandLabel(master, "exporter", th4, HASH_BYTES),
  };
  wipe(salt, master);
  return secrets;
}

/** TS_{n+1} from TS_n. */
export function nextTrafficSecret(traffic: Uint8Array): Uint8Array {
  return expandLabel(traffic, "traffic upd", EMPTY, HASH_BYTES);
}

/** Key and initial vector of one traffic secret. */
export function trafficKeys(traffic: Uint8Array): { key: Uint8Array; iv: Uint8Array } {
  return {
    key: expandLabel(traffic, "key", EMPTY, KEY_BYTES),
    iv: expandLabel(traffic, "iv", EMPTY, IV_BYTES),
  };
}

/** Compares in a time that does not reveal where they differ. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Overwrites secrets that are of no more use. Copies that the platform made cannot be reached. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

/** A Buffer as what it is, without its own methods. */
function bytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength) as Uint8Array;
}
