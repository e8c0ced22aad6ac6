// Ticket: a connection that an Admission let in, and its answer.
import type { RefusalReason } from "./refusal.ts";

/** A connection that was let in. */
export interface Ticket<Owner> {
  /** Key of its source; see `sourceKey`. */
  readonly source: string | null;
  /** When it was let in. */
  readonly admittedAtMs: number;
  /** Where it is: `"pending"` until its handshake has finished, `"gone"` once released or cut for another. */
  readonly state: "pending" | "established" | "gone";
  /** What the server needs to cut it, such as an `AbortController`; set by the server. */
  owner: Owner | undefined;
}

/** What the caller must do with a connection that the kernel accepted. */
export type AdmitResult<Owner> =
  | {
    /** Go on with its handshake. */
    readonly kind: "admitted";
    /** To be given back with {@linkcode Admission.release}. */
    readonly ticket: Ticket<Owner>;
    /** A pending connection to be cut now; it has been released already. */
    readonly replaced: Ticket<Owner> | null;
  }
  | {
    /**
     * Accept nothing more and ask again after `waitMs`, or as soon as a ticket was released or established.
     */
    readonly kind: "wait";
    /** At most `stallMs`. */
    readonly waitMs: number;
  }
  | {
    /**
     * Its source has no room just now, while others have: ask again for it after `waitMs`, and accept others
     * meanwhile.
     */
    readonly kind: "hold";
    /** At most ten times `stallMs`. */
    readonly waitMs: number;
  }
  | {
    /** Close it without a word. */
    readonly kind: "refused";
    /** Why. */
    readonly reason: RefusalReason;
  };
