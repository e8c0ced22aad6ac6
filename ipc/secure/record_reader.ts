// RecordReader: cuts a flow of bytes into records, in one buffer that is read into again and again.
import {
  HUGE_BYTES,
  LARGE_BYTES,
  returnBuffer,
  SMALL_BYTES,
  takeBuffer,
} from "../../net/transport/buffers.ts";
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
/** Least room in bytes for a read: with less, what is held moves to the front first. */
const MIN_ROOM_BYTES = 4 * 1024;

/** A whole record, not yet opened. Its bytes hold until the next read. */
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
 * Bytes come by {@linkcode push}, or are read into {@linkcode space} and announced by
 * {@linkcode filled}. Then {@linkcode next} is called until it returns `null`. What it returned is a
 * view of a buffer of the process, which the next bytes overwrite: opening a record makes bytes of
 * their own.
 */
export class RecordReader {
  readonly #check: (type: number, length: number) => boolean;
  #buffer: Uint8Array = EMPTY;
  /** Where the bytes that are held begin and end. */
  #start = 0;
  #end = 0;
  /** The length of the last read, and whether it took all the room there was. */
  #lastBytes = 0;
  #wasFull = false;

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
    if (this.#start === this.#end) this.#begin();
    const held = this.#end - this.#start;
    if (held + chunk.length > this.#buffer.length) this.#moveTo(held + chunk.length);
    else if (this.#end + chunk.length > this.#buffer.length) this.#moveToFront();
    this.#buffer.set(chunk, this.#end);
    this.filled(chunk.length);
  }

  /** Returns a place to read the next bytes into. It holds until {@linkcode filled}. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#start === this.#end) this.#begin();
    else this.#makeRoom();
    const { buffer, byteOffset, length } = this.#buffer;
    // Faster than `subarray`, which looks up the class of the array.
    return new Uint8Array(buffer as ArrayBuffer, byteOffset + this.#end, length - this.#end);
  }

  /** Takes the first `count` bytes of the last {@linkcode space}. */
  filled(count: number): void {
    this.#end += count;
    this.#lastBytes = count;
    this.#wasFull = this.#end === this.#buffer.length;
  }

  /**
   * The next whole record, `null` when more bytes are needed.
   *
   * @throws {ProtocolError} `ERR_IPC_RECORD`
   */
  next(): SealedRecord | null {
    const start = this.#start;
    const held = this.#end - start;
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

  /** Gives the buffer back. No read may be under way. */
  release(): void {
    giveBack(this.#buffer);
    this.#buffer = EMPTY;
    this.#start = this.#end = 0;
  }

  /** Nothing is held: begins a buffer anew, a small one unless the last read was large. */
  #begin(): void {
    this.#start = this.#end = 0;
    const isSmall = this.#lastBytes <= SMALL_BYTES / 2 ||
      this.#lastBytes <= SMALL_BYTES && !this.#wasFull;
    const wanted = isSmall ? SMALL_BYTES : LARGE_BYTES;
    if (this.#buffer.length === wanted) return;
    giveBack(this.#buffer);
    this.#buffer = takeBuffer(wanted);
  }

  /** A record has begun: makes room for its rest. */
  #makeRoom(): void {
    const held = this.#end - this.#start;
    const size = this.#buffer.length;
    const recordBytes = RECORD_HEAD_BYTES + (held < RECORD_HEAD_BYTES ? 0 : this.#bodyBytes());
    if (recordBytes > size) {
      // The announced length is not believed: room grows with what has come.
      const wanted = Math.min(recordBytes, Math.max(LARGE_BYTES, held * 4));
      if (wanted > size) return this.#moveTo(wanted);
    } else if (this.#wasFull && size < LARGE_BYTES) return this.#moveTo(LARGE_BYTES);
    const roomBytes = Math.max(MIN_ROOM_BYTES, recordBytes - held);
    if (this.#start > 0 && this.#end + roomBytes > size) this.#moveToFront();
  }

  /** Moves what is held into a buffer for `bytes`. */
  #moveTo(bytes: number): void {
    const old = this.#buffer;
    this.#buffer = bytes > HUGE_BYTES ? new Uint8Array(bytes) : takeBuffer(bytes);
    this.#buffer.set(old.subarray(this.#start, this.#end));
    this.#end -= this.#start;
    this.#start = 0;
    giveBack(old);
  }

  #moveToFront(): void {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** Bytes of ciphertext and tag that the head announces. */
  #bodyBytes(): number {
    const bytes = this.#buffer;
    const at = this.#start;
    return (bytes[at + 1]! << 24 | bytes[at + 2]! << 16 | bytes[at + 3]! << 8 | bytes[at + 4]!) >>>
      0;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);

/** Returns a buffer that came from the store; larger buffers never did. */
function giveBack(buffer: Uint8Array): void {
  if (buffer.length > 0 && buffer.length <= HUGE_BYTES) returnBuffer(buffer);
}

/** The error of a record that is not the one that the other side sealed next. */
export function notOpened(): ProtocolError {
  return new ProtocolError(
    "ERR_IPC_RECORD",
    "Cannot open a record: it is not what the other side sealed next",
  );
}
