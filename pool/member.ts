// Member: one backend as the dispatcher knows it, and the callers and dials that concern it.
import type { Candidate } from "./balance.ts";

/** Whether a member may get work. `trial`: one piece, to see if it has recovered; `pending`: that runs. */
export type Readiness = "ready" | "trial" | "pending" | "down";

/** Learns how a trial went; only the first time counts. */
export type Trial = (ok: boolean) => void;

/** One backend, as far as the dispatcher knows it. */
export abstract class Member<Link> implements Candidate {
  /** Its share of the work, compared with others. */
  abstract readonly weight: number;
  /** Most links to it, whatever they do. */
  abstract readonly maxLinks: number;
  /** Whether it may get work now. */
  abstract readonly readiness: Readiness;
  /** Whether returned links must be closed. */
  abstract readonly leaving: boolean;
  /** Links that are not in use; the one used last is at the end, and is taken first. */
  readonly idle: Link[] = [];
  /** Links that are leased. */
  busy = 0;
  /** Links that are being opened. */
  dialling = 0;
  /** Links that are being closed. */
  closing = 0;

  /** Called when it gets work; returns the trial when that is one. */
  abstract begin(): Trial | null;

  /** Pieces of work in hand. */
  get load(): number {
    return this.busy + this.dialling;
  }

  /** Links of all kinds. */
  get links(): number {
    return this.idle.length + this.busy + this.dialling + this.closing;
  }
}

/** A caller that waits for a link. */
export class Waiter<M> {
  /** Dials for it that failed. */
  attempts = 0;
  /** Members whose dial failed for it: others come first. */
  readonly tried: Set<M> = new Set();
  /** The dial that is under way for it. */
  dial: Dial<M> | null = null;
}

/** A link that is being opened. */
export interface Dial<M> {
  readonly member: M;
  readonly trial: Trial | null;
  /** Whom a failure concerns; `null` when no caller waits for it any more. */
  waiter: Waiter<M> | null;
}
