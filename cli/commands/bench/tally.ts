// Tally: what a load has seen so far, over all its connections.
import { ParleyError } from "../../../errors.ts";
import { Latencies } from "./latencies.ts";

/** Code under which an end counts that the server made in order, before the load was over. */
const ENDED_BY_PEER = "ERR_CLOSED";

/** So much of a wrong answer is kept, in bytes. */
const SHOWN_BYTES = 64;

/** Counts of one load. Hot paths add to them. */
export class Tally {
  /** Latencies of requests that count. */
  readonly latencies: Latencies = new Latencies();
  /** By how much requests that count were sent late, for a load of a fixed rate. */
  readonly lateness: Latencies = new Latencies();
  /** Requests sent. */
  sent = 0;
  /** Answers that have come. */
  answered = 0;
  /** Answers within the measurement. */
  answersInTime = 0;
  /** Bytes of those answers, without what the framing adds. */
  bytesIn = 0;
  /** Bytes of the requests that they answer. */
  bytesOut = 0;
  /** Answers that were not what was sent, or to nothing. */
  mismatches = 0;
  /** What the first of them was. */
  firstMismatch: { readonly wanted: Uint8Array | null; readonly got: Uint8Array } | null = null;
  /** Requests without an answer when the load was over. */
  unanswered = 0;
  /** Requests that were due and never sent, as their connection was full. */
  unsent = 0;
  /** How many connections failed, by code. */
  readonly errors: Map<string, number> = new Map();

  /** Counts a connection that ended too early; `null` for an end in order. */
  countError(error: unknown): void {
    const code = error === null
      ? ENDED_BY_PEER
      : error instanceof ParleyError
      ? error.code
      : error instanceof Error
      ? error.name
      : String(error);
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }

  /** Counts an answer that is not what was sent. */
  countMismatch(wanted: Uint8Array, got: Uint8Array): void {
    this.mismatches++;
    this.firstMismatch ??= { wanted, got: got.slice(0, SHOWN_BYTES) };
  }

  /** Counts answers to nothing, in bytes that hold them. */
  countUnasked(count: number, bytes: Uint8Array): void {
    this.mismatches += count;
    this.firstMismatch ??= { wanted: null, got: bytes.slice(0, SHOWN_BYTES) };
  }
}
