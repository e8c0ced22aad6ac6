// RecordReader: cuts a flow of bytes into records, in one buffer that is read into again and again.
import { HUGE_BYTES, returnBuffer, takeBuffer } from "../../net/transport/buffers.ts";
import { ProtocolError } from "../../errors.ts";

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
/** A whole record, not yet opened. Its bytes hold until the next call. */
export interface SealedRecord {
  /** Its type. */
  readonly type: RecordType;
  /** The five bytes before the rest: what is authenticated beside it. */
  readonly head: Uint8Array;
  /** Ciphertext and tag. */
  readonly body: Uint8Array;
}

/**
 * Cuts a flow of bytes into records. A length is judged as soon as it is here, and takes memory as
 * the bytes of its record come.
 *
 * After each {@linkcode push}, {@linkcode next} is called until it returns `null`. What it returned is a
 * view of a buffer of the process, which the next call may overwrite: opening a record makes bytes of
 * their own.
 */
export class RecordReader {
  readonly #check: (type: number, length: number) => boolean;
  #buffer: Uint8Array = EMPTY;
  /** Where the bytes that are held begin and end. */
  #start = 0;
  #end = 0;

  /** Makes a reader of records whose type and length of ciphertext and tag pass `check`. */
  constructor(check: (type: number, length: number) => boolean) {
    this.#check = check;
  }

  /** Whether the input ended between records. */
  get atBoundary(): boolean {
    return this.#start === this.#end;
  }

  /** Copies the next bytes, once {@linkcode next} returned `null`. */
  push(chunk: Uint8Array): void {
    const held = this.#end - this.#start;
    const needed = held + chunk.length;
    if (needed > this.#buffer.length) {
      // The announced length is not believed: room grows with what has come.
      const recordBytes = held < RECORD_HEAD_BYTES ? 0 : RECORD_HEAD_BYTES + this.#bodyBytes();
      this.#moveTo(Math.max(needed, Math.min(recordBytes, held * 4)));
    } else if (this.#end + chunk.length > this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end = held;
      this.#start = 0;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next whole record, `null` when more bytes are needed.
   *
   * @throws {ProtocolError} `ERR_IPC_RECORD`
   */
  next(): SealedRecord | null {
    const start = this.#start;
    const held = this.#end - start;
    if (held === 0) this.release();
    if (held < RECORD_HEAD_BYTES) return null;
    const type = this.#buffer[start]!;
    const length = this.#bodyBytes();
    if (!this.#check(type, length)) throw notOpened();
    if (held < RECORD_HEAD_BYTES + length) return null;
    const body = start + RECORD_HEAD_BYTES;
    this.#start = body + length;
    return {
      type: type as RecordType,
      head: this.#buffer.subarray(start, body),
      body: this.#buffer.subarray(body, this.#start),
    };
  }

  /** Drops what is held, and returns the buffer to the store. */
  release(): void {
    returnToStore(this.#buffer);
    this.#buffer = EMPTY;
    this.#start = this.#end = 0;
  }

  /** Moves what is held into a buffer for `bytes`. */
  #moveTo(bytes: number): void {
    const old = this.#buffer;
    this.#buffer = bytes > HUGE_BYTES ? new Uint8Array(bytes) : takeBuffer(bytes);
    this.#buffer.set(old.subarray(this.#start, this.#end));
    this.#end -= this.#start;
    this.#start = 0;
    returnToStore(old);
  }

  /** Bytes of ciphertext and tag that the head announces. */
  #bodyBytes(): number {
    const bytes = this.#buffer;
    const at = this.#start;
    const low = bytes[at + 2]! << 16 | bytes[at + 3]! << 8 | bytes[at + 4]!;
    return (bytes[at + 1]! << 24 | low) >>> 0;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);

/** Returns a buffer that came from the store; a larger one never did. */
function returnToStore(buffer: Uint8Array): void {
  if (buffer.length > 0 && buffer.length <= HUGE_BYTES) returnBuffer(buffer);
}

/** The error of a record that is not the one that the other side sealed next. */
export function notOpened(): ProtocolError {
  return new ProtocolError(
    "ERR_IPC_RECORD",
    "Cannot open a record: it is not what the other side sealed next",
  );
}
