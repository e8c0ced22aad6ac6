// Records of EIPC/1 without I/O: sealing and opening in order, key updates, limits.
import { createCipheriv, createDecipheriv } from "node:crypto";
import { ProtocolError } from "../../errors.ts";
import { Gather } from "../protocol/gather.ts";
import { nextTrafficSecret, trafficKeys, wipe } from "./key_schedule.ts";

/** Types of records. */
export const RecordType = {
  /** A part of the flow of frames. */
  data: 0x10,
  /** The sender's next record uses the next secret, its numbers from 0 on. */
  keyUpdate: 0x11,
  /** The end of the flow, with a reason. */
  close: 0x12,
} as const;

/** One of {@linkcode RecordType}. */
export type RecordType = typeof RecordType[keyof typeof RecordType];

/** Bytes before the ciphertext: u8 type, u32 length. */
export const RECORD_HEAD_BYTES = 5;
/** Bytes of the GCM tag. */
export const TAG_BYTES = 16;
/** What a record costs beside its plaintext. */
export const RECORD_OVERHEAD_BYTES: number = RECORD_HEAD_BYTES + TAG_BYTES;
/** Records under one secret, after which neither side goes on. */
const HARD_RECORD_LIMIT = 2 ** 24;
/** Key updates in a row without data, after which the peer is only making us work. */
const MAX_IDLE_KEY_UPDATES = 16;
/**
 * Where WebCrypto, off this thread, begins to beat `node:crypto` on it: both need some 55 µs there.
 */
export const ASYNC_BYTES: number = 8 * 1024;

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
  #webKey: Promise<CryptoKey> | null = null;
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

  /** The key as WebCrypto wants it, imported once. */
  webKey(): Promise<CryptoKey> {
    return this.#webKey ??= importKey(this.key.slice());
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
   * Seals DATA off this thread. The number is taken now: the records must be sent in the order of
   * the calls.
   */
  async sealAsync(plain: Uint8Array): Promise<Uint8Array> {
    const head = new Uint8Array(RECORD_HEAD_BYTES);
    writeRecordHead(head, RecordType.data, plain.length);
    this.#bytes += plain.length;
    const iv = this.#epoch.nextNonce().slice();
    const key = await this.#epoch.webKey();
    const sealed = await crypto.subtle.encrypt(
      { name: "AES-GCM", iv: own(iv), additionalData: own(head) },
      key,
      own(plain),
    );
    const record = new Uint8Array(RECORD_HEAD_BYTES + sealed.byteLength);
    record.set(head);
    record.set(new Uint8Array(sealed), RECORD_HEAD_BYTES);
    return record;
  }

  /** Overwrites the key. */
  wipe(): void {
    this.#epoch.wipe();
  }
}

/** A whole record, not yet opened. */
export interface SealedRecord {
  /** Its type. */
  readonly type: RecordType;
  /** The five bytes before the rest: what is authenticated beside it. */
  readonly head: Uint8Array;
  /** Ciphertext and tag. */
  readonly body: Uint8Array;
}

/** What a record turned out to be. */
export type Opened =
  | { readonly type: "data"; readonly plain: Uint8Array }
  | { readonly type: "data later"; readonly plain: Promise<Uint8Array> }
  | { readonly type: "close"; readonly reason: number };

/** Cuts a flow of bytes into records. A length is judged before any byte of the record is held. */
export class RecordReader {
  readonly #check: (type: number, length: number) => boolean;
  readonly #gather = new Gather();
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #head: Uint8Array | null = null;
  #gathering = false;

  /** Makes a reader of records whose type and length of ciphertext and tag pass `check`. */
  constructor(check: (type: number, length: number) => boolean) {
    this.#check = check;
  }

  /** Takes the next bytes, once {@linkcode next} returned `null`. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Whether the input ended between records. */
  get atBoundary(): boolean {
    return this.#head === null && !this.#gathering && this.#at === this.#chunk.length;
  }

  /**
   * The next whole record, `null` when more bytes are needed.
   *
   * @throws {ProtocolError} `ERR_IPC_RECORD`
   */
  next(): SealedRecord | null {
    const head = this.#head ??= this.#unit(RECORD_HEAD_BYTES);
    if (head === null) return null;
    const length = (head[1]! << 24 | head[2]! << 16 | head[3]! << 8 | head[4]!) >>> 0;
    if (!this.#gathering && !this.#check(head[0]!, length)) throw notOpened();
    const body = this.#unit(length);
    if (body === null) return null;
    this.#head = null;
    return { type: head[0] as RecordType, head, body };
  }

  /** The next `length` bytes: a view where one chunk holds them all. */
  #unit(length: number): Uint8Array | null {
    const end = this.#at + length;
    if (!this.#gathering) {
      if (end <= this.#chunk.length) {
        const unit = this.#chunk.subarray(this.#at, end);
        this.#at = end;
        return unit;
      }
      if (this.#at === this.#chunk.length) return null;
      this.#gather.start(length);
      this.#gathering = true;
    }
    this.#at = this.#gather.add(this.#chunk, this.#at);
    if (!this.#gather.complete) return null;
    this.#gathering = false;
    return this.#gather.take();
  }
}

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

  /** Takes the next bytes, once {@linkcode next} returned `null`. They must not be changed later. */
  push(chunk: Uint8Array): void {
    this.#reader.push(chunk);
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
    const decipher = createDecipheriv("aes-256-gcm", this.#epoch.key, this.#epoch.nextNonce(), {
      authTagLength: TAG_BYTES,
    });
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

  async #openAsync({ head, body }: SealedRecord): Promise<Uint8Array> {
    const iv = this.#epoch.nextNonce().slice();
    const key = await this.#epoch.webKey();
    try {
      const options = { name: "AES-GCM", iv: own(iv), additionalData: own(head) };
      return new Uint8Array(await crypto.subtle.decrypt(options, key, own(body)));
    } catch {
      throw notOpened();
    }
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

function notOpened(): ProtocolError {
  return new ProtocolError(
    "ERR_IPC_RECORD",
    "Cannot open a record: it is not what the other side sealed next",
  );
}

/** The same bytes, as a type that says their buffer is not shared; it never is. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
