/** Options for {@linkcode Buffer.bytes}. */
export interface BufferBytesOptions {
  /** Whether the caller gets a copy. @default {true} */
  copy?: boolean;
}

/** Bytes in memory that can be read and written as streams. */
export class Buffer {
  /** Bytes not read yet. */
  get readable(): ReadableStream<Uint8Array>;
  /** Where bytes are added. */
  get writable(): WritableStream<Uint8Array>;
  constructor(ab?: ArrayBufferLike | ArrayLike<number>);
  /** The bytes not read yet. */
  bytes(options?: BufferBytesOptions): Uint8Array;
  /** Whether all was read. */
  empty(): boolean;
  /** Number of bytes not read yet. */
  get length(): number;
  /** Number of bytes that fit without growth. */
  get capacity(): number;
  /** Keeps only the first `n` unread bytes. */
  truncate(n: number): void;
  /** Forgets everything. */
  reset(): void;
  /** Makes room for `n` more bytes. */
  grow(n: number): void;
}
