// Records of EIPC/1 without I/O: sealing and opening in order, key updates, limits.
import { createCipheriv, createDecipheriv } from "node:crypto";
import { ProtocolError } from "../../errors.ts";
import { nextTrafficSecret, trafficKeys, wipe } from "./key_schedule.ts";
import {
  notOpened,
  RECORD_HEAD_BYTES,
  RecordReader,
  RecordType,
  type SealedRecord,
} from "./record_reader.ts";

/** Bytes of the GCM tag. */
export const TAG_BYTES = 16;
/** What a record costs beside its plaintext. */
export const RECORD_OVERHEAD_BYTES: number = RECORD_HEAD_BYTES + TAG_BYTES;
/** Records under one secret, after which neither side goes on. */
const HARD_RECORD_LIMIT = 2 ** 24;
/** Key updates in a row without data, after which the peer is only making us work. */
const MAX_IDLE_KEY_UPDATES = 16;
/**
 * Where WebCrypto, off this thread, begins to take less of a processor than `node:crypto` on it:
 * both need some 20 µs there.
 */
export const ASYNC_BYTES: number = 2 * 1024;

/** When a sender moves on to its next secret: whatever comes first. */
export interface RekeyLimits {
  /** Records under one secret. @default {2^20} */
  readonly records: number;
  /** Plaintext bytes under one secret. @default {2^32} */
  readonly bytes: number;
  /** Age of a secret in ms. @default {3600000} */
  readonly ageMs: number;
}

/** What the specification asks for. */
export const REKEY_LIMITS: RekeyLimits = { records: 2 ** 20, bytes: 2 ** 32, ageMs: 3_600_000 };

/**
 * The nonce of a record: `iv` XOR its number as a u64 in the last eight bytes. It is written to
 * `nonce`, whose other bytes are those of `iv` already, and returned.
 *
 * @throws {ProtocolError} `ERR_IPC_RECORD` from number 2^24 on
 */
export function nonceOf(iv: Uint8Array, sequence: number, nonce: Uint8Array): Uint8Array {
  if (sequence >= HARD_RECORD_LIMIT) {
    throw new ProtocolError(
      "ERR_IPC_RECORD",
      `Cannot go on: a key may serve ${HARD_RECORD_LIMIT} records at most`,
    );
  }
  // Numbers end far below 2^32: the upper half of the u64 is zero.
  nonce[8] = iv[8]! ^ sequence >>> 24;
  nonce[9] = iv[9]! ^ sequence >>> 16;
  nonce[10] = iv[10]! ^ sequence >>> 8;
  nonce[11] = iv[11]! ^ sequence;
  return nonce;
}

/** Key material of one direction under one traffic secret. */
class Epoch {
  readonly key: Uint8Array;
  readonly #traffic: Uint8Array;
  readonly #iv: Uint8Array;
  /** The last nonce. Making an array of bytes costs 1 to 2 µs, a third of sealing a small record. */
  readonly #nonce: Uint8Array;
  #webKey: CryptoKey | null = null;
  #importing: Promise<CryptoKey> | null = null;
  #sequence = 0;

  constructor(traffic: Uint8Array) {
    this.#traffic = traffic;
    const { key, iv } = trafficKeys(traffic);
    this.key = key;
    this.#iv = iv;
    this.#nonce = iv.slice();
  }

  /** Records numbered so far. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Takes the next number and returns its nonce: iv XOR (0^4 | u64 number). It holds until the next
   * call.
   */
  nextNonce(): Uint8Array {
    return nonceOf(this.#iv, this.#sequence++, this.#nonce);
  }

  /** The key as WebCrypto wants it, once it is imported; `null` before. */
  get webKey(): CryptoKey | null {
    return this.#webKey;
  }

  /** Imports the key for WebCrypto, once. */
  importWebKey(): Promise<CryptoKey> {
    return this.#importing ??= importKey(this.key.slice()).then((key) => this.#webKey = key);
  }

  /** The next epoch; this one keeps its key only for what is under way. */
  next(): Epoch {
    return new Epoch(nextTrafficSecret(this.#traffic));
  }

  wipe(): void {
    wipe(this.#traffic, this.key);
  }
}

/** Seals the records of one direction, each with the next number. */
export class RecordSealer {
  #epoch: Epoch;
  readonly #limits: RekeyLimits;
  #bytes = 0;
  #since: number;

  /**
   * Makes a sealer under `traffic`, which it owns and wipes. `nowMs` is any clock that only goes
   * forward.
   */
  constructor(traffic: Uint8Array, nowMs: number, limits: RekeyLimits = REKEY_LIMITS) {
    this.#epoch = new Epoch(traffic);
    this.#limits = limits;
    this.#since = nowMs;
  }

  /** A KEY_UPDATE when one is due; it must be sent before the next record. */
  updateIfDue(nowMs: number): Uint8Array | null {
    const { records, bytes, ageMs } = this.#limits;
    if (this.#epoch.sequence < records && this.#bytes < bytes && nowMs - this.#since < ageMs) {
      return null;
    }
    const record = this.seal(RecordType.keyUpdate, new Uint8Array(0));
    const old = this.#epoch;
    this.#epoch = old.next();
    // What is being sealed off this thread imported the old key already.
    old.wipe();
    this.#bytes = 0;
    this.#since = nowMs;
    return record;
  }

  /** Seals on this thread: best up to {@linkcode ASYNC_BYTES}. */
  seal(type: RecordType, plain: Uint8Array): Uint8Array {
    const record = new Uint8Array(RECORD_OVERHEAD_BYTES + plain.length);
    this.sealInto(record, type, plain);
    return record;
  }

  /** The same into the front of `target`, which has room; returns the bytes of the record. */
  sealInto(target: Uint8Array, type: RecordType, plain: Uint8Array): number {
    writeRecordHead(target, type, plain.length);
    this.#bytes += plain.length;
    const cipher = createCipheriv("aes-256-gcm", this.#epoch.key, this.#epoch.nextNonce());
    cipher.setAAD(target.subarray(0, RECORD_HEAD_BYTES));
    if (plain.length > 0) target.set(cipher.update(plain), RECORD_HEAD_BYTES);
    cipher.final();
    target.set(cipher.getAuthTag(), RECORD_HEAD_BYTES + plain.length);
    return RECORD_OVERHEAD_BYTES + plain.length;
  }

  /**
   * Seals DATA off this thread, into the front of `target`, and returns the bytes of the record. The
   * number is taken now: the records must be sent in the order of the calls.
   */
  async sealAsync(target: Uint8Array, plain: Uint8Array): Promise<number> {
    writeRecordHead(target, RecordType.data, plain.length);
    this.#bytes += plain.length;
    const iv = own(this.#epoch.nextNonce().slice());
    const additionalData = own(target.subarray(0, RECORD_HEAD_BYTES));
    const key = this.#epoch.webKey ?? await this.#epoch.importWebKey();
    const options = { name: "AES-GCM", iv, additionalData };
    const sealed = await crypto.subtle.encrypt(options, key, own(plain));
    target.set(new Uint8Array(sealed), RECORD_HEAD_BYTES);
    return RECORD_HEAD_BYTES + sealed.byteLength;
  }

  /** Overwrites the key. */
  wipe(): void {
    this.#epoch.wipe();
  }
}

/** What a record turned out to be. */
export type Opened =
  | { readonly type: "data"; readonly plain: Uint8Array }
  | { readonly type: "data later"; readonly plain: Promise<Uint8Array> }
  | { readonly type: "close"; readonly reason: number };

/** Opens the records of one direction, in order. Any record that does not open ends it. */
export class RecordOpener {
  #epoch: Epoch;
  readonly #reader: RecordReader;
  #idleUpdates = 0;

  /**
   * Makes an opener under `traffic`, which it owns and wipes, of records with up to
   * `maxRecordBytes` of plaintext.
   */
  constructor(traffic: Uint8Array, maxRecordBytes: number) {
    this.#epoch = new Epoch(traffic);
    this.#reader = new RecordReader((type, length) =>
      isLegal(type, length - TAG_BYTES, maxRecordBytes)
    );
  }

  /** Whether the input ended between records. */
  get atBoundary(): boolean {
    return this.#reader.atBoundary;
  }

  /** Where the bytes of the records come in. */
  get input(): Pick<RecordReader, "push" | "release"> {
    return this.#reader;
  }

  /**
   * Opens the next record, a large one off this thread; `null` when more bytes are needed.
   *
   * @throws {ProtocolError} `ERR_IPC_RECORD` for anything but the record that the peer sealed next
   */
  next(): Opened | null {
    for (;;) {
      const record = this.#reader.next();
      if (record === null) return null;
      switch (record.type) {
        case RecordType.data:
          this.#idleUpdates = 0;
          if (record.body.length > ASYNC_BYTES) {
            return { type: "data later", plain: this.#openAsync(record) };
          }
          return { type: "data", plain: this.#open(record) };
        case RecordType.close:
          return { type: "close", reason: this.#open(record)[0]! };
        case RecordType.keyUpdate: {
          this.#open(record);
          if (++this.#idleUpdates > MAX_IDLE_KEY_UPDATES) throw notOpened();
          const old = this.#epoch;
          this.#epoch = old.next();
          old.wipe();
        }
      }
    }
  }

  /** Overwrites the key. */
  wipe(): void {
    this.#epoch.wipe();
  }

  #open({ head, body }: SealedRecord): Uint8Array {
    const end = body.length - TAG_BYTES;
    // The tag has its full length: a record is cut by it.
    const decipher = createDecipheriv("aes-256-gcm", this.#epoch.key, this.#epoch.nextNonce());
    decipher.setAAD(head);
    decipher.setAuthTag(body.subarray(end));
    try {
      const plain = end > 0 ? decipher.update(body.subarray(0, end)) : new Uint8Array(0);
      decipher.final();
      return new Uint8Array(plain.buffer as ArrayBuffer, plain.byteOffset, plain.byteLength);
    } catch {
      throw notOpened();
    }
  }

  #openAsync({ head, body }: SealedRecord): Promise<Uint8Array> {
    const epoch = this.#epoch;
    const iv = own(epoch.nextNonce().slice());
    // The platform copies the record before it returns; until the key is there, we must.
    if (epoch.webKey !== null) return decrypt(epoch.webKey, iv, head, body);
    const kept: SealedRecord = { type: RecordType.data, head: head.slice(), body: body.slice() };
    return epoch.importWebKey().then((key) => decrypt(key, iv, kept.head, kept.body));
  }
}

async function decrypt(
  key: CryptoKey,
  iv: Uint8Array<ArrayBuffer>,
  head: Uint8Array,
  body: Uint8Array,
): Promise<Uint8Array> {
  try {
    const options = { name: "AES-GCM", iv, additionalData: own(head) };
    return new Uint8Array(await crypto.subtle.decrypt(options, key, own(body)));
  } catch {
    throw notOpened();
  }
}

/** Imports a copy of a key, and wipes the copy. */
async function importKey(key: Uint8Array): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey("raw", own(key), "AES-GCM", false, ["encrypt", "decrypt"]);
  } finally {
    wipe(key);
  }
}

/** Writes the five bytes before a record's ciphertext. */
function writeRecordHead(target: Uint8Array, type: RecordType, plainBytes: number): void {
  const length = plainBytes + TAG_BYTES;
  target[0] = type;
  target[1] = length >>> 24;
  target[2] = length >>> 16;
  target[3] = length >>> 8;
  target[4] = length;
}

function isLegal(type: number, plainBytes: number, maxRecordBytes: number): boolean {
  switch (type) {
    case RecordType.data:
      return plainBytes >= 1 && plainBytes <= maxRecordBytes;
    case RecordType.keyUpdate:
      return plainBytes === 0;
    case RecordType.close:
      return plainBytes === 1;
    default:
      return false;
  }
}

/** The same bytes, as a type that says their buffer is not shared; it never is. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
