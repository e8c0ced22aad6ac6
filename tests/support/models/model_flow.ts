// The naive reference model of streams: what each direction had to carry, what came of it, and what may
// excuse a loss.
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";

/**
 * The content repeats after so many bytes: a prime, so that no round number of lost or doubled bytes hides
 * in it.
 */
const PERIOD = 65_521;
/** Most bytes of one write. */
export const MAX_WRITE_BYTES: number = 1 << 20;

const TABLE = makeTable();

function makeTable(): Uint8Array {
  const table = new Uint8Array(PERIOD + MAX_WRITE_BYTES);
  for (let index = 0; index < table.length; index++) {
    table[index] = index < PERIOD
      ? Math.imul(index + 1, 0x9e3779b1) >>> 13
      : table[index - PERIOD]!;
  }
  return table;
}

/** The bytes that belong at `offset` of the direction with this salt: a view, not to be changed. */
export function contentAt(salt: number, offset: number, length: number): Uint8Array {
  const start = (salt + offset) % PERIOD;
  return TABLE.subarray(start, start + length);
}

/** Why a direction may end other than in order, or a stream not come about. */
export interface Excuse {
  readonly why: string;
}

/** One direction of a stream. */
export class Flow {
  readonly salt: number;
  readonly name: string;
  /** Bytes of writes that were taken over whole. */
  written = 0;
  /** Bytes of writes that were begun. */
  attempted = 0;
  /** Bytes that the reader got, each of them checked. */
  read = 0;
  /** FIN was asked for behind `written` bytes. */
  finished = false;
  /** The reader saw the orderly end. */
  ended = false;
  /** The reader stopped on its own, and what comes after that is not its loss. */
  abandoned = false;
  /** What the writer got, by `write`, `closeWrite` or `close`. */
  writeError: unknown;
  /** What the reader got. */
  readError: unknown;
  excuse: string | undefined;

  constructor(salt: number, name: string) {
    this.salt = salt;
    this.name = name;
  }

  /** The next bytes to write; the caller counts them in `written` once they are taken. */
  next(length: number): Uint8Array {
    this.attempted = Math.max(this.attempted, this.written + length);
    return contentAt(this.salt, this.written, length);
  }

  /** Checks a chunk that came. */
  take(chunk: Uint8Array): void {
    const wanted = contentAt(this.salt, this.read % PERIOD, chunk.length);
    if (Buffer.compare(chunk, wanted) !== 0) {
      const index = chunk.findIndex((byte, at) => byte !== wanted[at]);
      throw new Error(`Wrong byte at ${this.read + index} of ${this.name}`);
    }
    this.read += chunk.length;
    assert(this.read <= this.attempted, `${this.name} returned bytes that were never written`);
  }

  /** Checks an orderly end: every byte arrived, or it is a lie, whatever happened to the session. */
  end(): void {
    assert(this.finished, `${this.name} ended in order though its writer did not end it`);
    assertEquals(this.read, this.written, `${this.name} ended in order without all its bytes`);
    this.ended = true;
  }

  /** May end other than in order from now on. */
  allow(why: string): void {
    this.excuse ??= why;
  }

  /** Whether bytes were lost that the reader waited for. */
  get hasLoss(): boolean {
    return !this.ended && !this.abandoned;
  }
}

/** A code of an error, or what else it is. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error) return String(error.code);
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
