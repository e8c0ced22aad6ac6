// Admission: decides which accepted connections are let in, and who makes room for them.
import { type AdmissionLimits, type AdmissionOptions, resolveAdmission } from "./admission_options.ts";
import type { Penalties } from "./penalties.ts";
import { RecencyMap } from "./recency_map.ts";
import { SourceExemptions } from "./source_exemptions.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Why a connection was refused, or cut for another before its handshake had finished. */
export type RefusalReason =
  | "draining"
  | "penalized"
  | "rate_limited"
  | "too_many_from_source"
  | "too_many_pending_from_source"
  | "too_many_connections"
  | "too_many_pending"
  | "early_drop";

/** What {@linkcode Admission} works with beside its options. */
export interface AdmissionParts {
  /** Penalties to ask; none when absent. */
  readonly penalties?: Penalties;
  /** Sources that the cap of pending connections per source leaves alone. @default {loopback} */
  readonly exemptions?: SourceExemptions;
  /** Gives a number from 0 to below 1. @default {Math.random} */
  readonly random?: () => number;
}

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

/** What is to be done with a connection that the kernel accepted. */
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
    /** Accept nothing more and ask again after `waitMs`, or as soon as a ticket was released or established. */
    readonly kind: "wait";
    /** At most `stallMs`. */
    readonly waitMs: number;
  }
  | {
    /** Close it without a word. */
    readonly kind: "refused";
    /** Why. */
    readonly reason: RefusalReason;
  };

/** A connection that has been pending this many times `stallMs` gives way even while handshakes finish. */
const SLOW_STALLS = 20;

interface SourceState<Owner> {
  /** Connections in all. */
  total: number;
  /** Pending ones, the oldest first. */
  readonly pending: Set<MutableTicket<Owner>>;
}

interface MutableTicket<Owner> extends Ticket<Owner> {
  source: string | null;
  state: "pending" | "established" | "gone";
}

/**
 * Decides which connections are let in. Every operation takes constant time; memory is bounded by `maxConnections`
 * and `maxSources`.
 *
 * ```text
 *            admit()           established()
 *  accepted ────────▶ pending ──────────────▶ established
 *     │ refused          │ release() or           │ release()
 *     ▼                  │ replaced by another    ▼
 *   closed               └──────────────────▶   gone
 * ```
 *
 * Time comes in as `nowMs` from a clock that does not go back, such as `performance.now()`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const admission = new Admission<AbortController>({ maxConnections: 1 });
 * const first = admission.admit("192.0.2.7", 0);
 * if (first.kind !== "admitted") throw new Error("there was room");
 * admission.established(first.ticket, 5);
 * assertEquals(admission.admit("192.0.2.8", 6), { kind: "refused", reason: "too_many_connections" });
 * admission.release(first.ticket);
 * assertEquals(admission.connections, 0);
 * ```
 */
export class Admission<Owner = unknown> {
  readonly #limits: AdmissionLimits;
  readonly #penalties: Penalties | undefined;
  readonly #exemptions: SourceExemptions;
  readonly #random: () => number;
  readonly #pending: RecencyMap<MutableTicket<Owner>, true> = new RecencyMap();
  readonly #sources: Map<string, SourceState<Owner>> = new Map();
  readonly #rates: RecencyMap<string, TokenBucket> = new RecencyMap();
  readonly #refused: Record<RefusalReason, number> = noRefusals();
  #connections = 0;
  #replaced = 0;
  #establishedAtMs = -Infinity;
  #draining = false;

  /**
   * Checks the options.
   *
   * @throws {TypeError} when an option has the wrong type
   * @throws {RangeError} when an option is out of range
   */
  constructor(options: AdmissionOptions = {}, parts: AdmissionParts = {}) {
    this.#limits = resolveAdmission(options);
    this.#penalties = parts.penalties;
    this.#exemptions = parts.exemptions ?? new SourceExemptions();
    this.#random = parts.random ?? Math.random;
  }

  /** Connections that are let in now, pending ones included. */
  get connections(): number {
    return this.#connections;
  }

  /** Connections whose handshake has not finished. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Sources that have connections now. */
  get sources(): number {
    return this.#sources.size;
  }

  /** Pending connections that were cut to make room for others. */
  get replaced(): number {
    return this.#replaced;
  }

  /** Connections that were refused, by reason. A copy. */
  get refused(): Record<RefusalReason, number> {
    return { ...this.#refused };
  }

  /** Refuses every connection from now on. */
  drain(): void {
    this.#draining = true;
  }

  /**
   * Decides on a connection that the kernel accepted.
   *
   * @param source Key of its source, see `sourceKey`
   */
  admit(source: string | null, nowMs: number): AdmitResult<Owner> {
    if (this.#draining) return this.#refuse("draining");
    if ((this.#penalties?.remainingMs(source, nowMs) ?? 0) > 0) return this.#refuse("penalized");
    const bucket = this.#rateOf(source, nowMs);
    if (bucket !== undefined && !bucket.has(1, nowMs)) return this.#refuse("rate_limited");
    const room = this.#findRoom(source, nowMs);
    switch (room.kind) {
      case "refused":
        return this.#refuse(room.reason);
      case "wait":
        return room;
      case "found": {
        bucket?.take(1, nowMs);
        if (room.replace !== null) {
          this.release(room.replace);
          this.#replaced++;
        }
        return { kind: "admitted", ticket: this.#letIn(source, nowMs), replaced: room.replace };
      }
    }
  }

  /**
   * Counts a pending connection for its real source, which the header of a balancer named. The limits per source and penalties hold for
   * that one; the limits over all sources were kept when the connection was let in. A ticket that is refused is still to be released.
   *
   * @param source Key of the real source, see `sourceKey`
   * @returns why this source may have no further connection now, or `null`
   */
  rekey(ticket: Ticket<Owner>, source: string | null, nowMs: number): RefusalReason | null {
    const mutable: MutableTicket<Owner> = ticket;
    if (mutable.state !== "pending" || mutable.source === source) return null;
    const reason = this.#reasonAgainst(source, nowMs);
    if (reason !== null) {
      this.#refused[reason]++;
      return reason;
    }
    this.#rateOf(source, nowMs)?.take(1, nowMs);
    this.#leaveSource(mutable);
    mutable.source = source;
    this.#joinSource(mutable);
    return null;
  }

  /** Counts a handshake that has finished. Gives `false` when the ticket is not pending (any more). */
  established(ticket: Ticket<Owner>, nowMs: number): boolean {
    const mutable: MutableTicket<Owner> = ticket;
    if (mutable.state !== "pending") return false;
    mutable.state = "established";
    this.#leavePending(mutable);
    this.#establishedAtMs = nowMs;
    return true;
  }

  /** Gives a ticket back as its connection has ended. Idempotent. */
  release(ticket: Ticket<Owner>): void {
    const mutable: MutableTicket<Owner> = ticket;
    if (mutable.state === "gone") return;
    if (mutable.state === "pending") this.#leavePending(mutable);
    mutable.state = "gone";
    this.#connections--;
    this.#leaveSource(mutable);
  }

  /** Why a source may have no further connection, whatever room there is. */
  #reasonAgainst(source: string | null, nowMs: number): RefusalReason | null {
    if ((this.#penalties?.remainingMs(source, nowMs) ?? 0) > 0) return "penalized";
    if (this.#rateOf(source, nowMs)?.has(1, nowMs) === false) return "rate_limited";
    const state = source === null ? undefined : this.#sources.get(source);
    if (state === undefined) return null;
    const { maxConnectionsPerSource, maxPendingPerSource } = this.#limits;
    if (state.total >= maxConnectionsPerSource) return "too_many_from_source";
    const isFull = state.pending.size >= maxPendingPerSource && !this.#exemptions.has(source);
    return isFull ? "too_many_pending_from_source" : null;
  }

  #findRoom(source: string | null, nowMs: number): Room<Owner> {
    const limits = this.#limits;
    const state = source === null ? undefined : this.#sources.get(source);
    if (state !== undefined && state.total >= limits.maxConnectionsPerSource) {
      return { kind: "refused", reason: "too_many_from_source" };
    }
    if (
      state !== undefined && state.pending.size >= limits.maxPendingPerSource &&
      !this.#exemptions.has(source)
    ) {
      // Whoever floods makes room out of his own: no other source loses anything.
      const [own] = state.pending;
      const had = own === undefined ? 0 : nowMs - own.admittedAtMs;
      if (own !== undefined && limits.pendingDrop === "oldest" && had >= limits.stallMs) {
        return { kind: "found", replace: own };
      }
      return { kind: "refused", reason: "too_many_pending_from_source" };
    }
    if (this.#connections >= limits.maxConnections) {
      const stalled = limits.pendingDrop === "oldest" ? this.#stalled(nowMs) : null;
      if (stalled?.waitMs === 0) return { kind: "found", replace: stalled.ticket };
      return { kind: "refused", reason: "too_many_connections" };
    }
    return this.#findPendingRoom(nowMs);
  }

  #findPendingRoom(nowMs: number): Room<Owner> {
    const { maxPending, pendingDropStart, pendingDrop } = this.#limits;
    const pending = this.#pending.size;
    const full = pending >= maxPending;
    const struck = full || pending >= pendingDropStart &&
        this.#random() < (pending - pendingDropStart) / (maxPending - pendingDropStart);
    if (!struck) return { kind: "found", replace: null };
    if (pendingDrop === "newest") {
      return { kind: "refused", reason: full ? "too_many_pending" : "early_drop" };
    }
    const stalled = this.#stalled(nowMs);
    if (stalled?.waitMs === 0) return { kind: "found", replace: stalled.ticket };
    if (!full || stalled === null) return { kind: "found", replace: null };
    return { kind: "wait", waitMs: stalled.waitMs };
  }

  /** The oldest pending connection, and how long handshakes have to stall yet before it gives way. */
  #stalled(nowMs: number): { ticket: MutableTicket<Owner>; waitMs: number } | null {
    const oldest = this.#pending.oldest();
    if (oldest === undefined) return null;
    const [ticket] = oldest;
    const { stallMs } = this.#limits;
    const ageMs = nowMs - ticket.admittedAtMs;
    const quietMs = Math.min(ageMs, nowMs - this.#establishedAtMs);
    // Whoever finishes a handshake now and then must not thereby keep the door for his silent ones.
    const waitMs = Math.min(stallMs - quietMs, SLOW_STALLS * stallMs - ageMs);
    return { ticket, waitMs: Math.min(stallMs, Math.max(0, waitMs)) };
  }

  #letIn(source: string | null, nowMs: number): MutableTicket<Owner> {
    const ticket: MutableTicket<Owner> = { source, admittedAtMs: nowMs, state: "pending", owner: undefined };
    this.#connections++;
    this.#pending.set(ticket, true);
    this.#joinSource(ticket);
    return ticket;
  }

  #joinSource(ticket: MutableTicket<Owner>): void {
    const { source } = ticket;
    if (source === null) return;
    let state = this.#sources.get(source);
    if (state === undefined) {
      state = { total: 0, pending: new Set() };
      this.#sources.set(source, state);
    }
    state.total++;
    state.pending.add(ticket);
  }

  #leaveSource(ticket: MutableTicket<Owner>): void {
    if (ticket.source === null) return;
    const state = this.#sources.get(ticket.source);
    if (state === undefined) return;
    state.pending.delete(ticket);
    if (--state.total === 0) this.#sources.delete(ticket.source);
  }

  #leavePending(ticket: MutableTicket<Owner>): void {
    this.#pending.delete(ticket);
    if (ticket.source !== null) this.#sources.get(ticket.source)?.pending.delete(ticket);
  }

  #rateOf(source: string | null, nowMs: number): TokenBucket | undefined {
    const { rate, maxSources } = this.#limits;
    if (rate === null || source === null) return undefined;
    const known = this.#rates.touch(source);
    if (known !== undefined) return known;
    if (this.#rates.size >= maxSources) {
      const oldest = this.#rates.oldest();
      if (oldest !== undefined) this.#rates.delete(oldest[0]);
    }
    const bucket = new TokenBucket(rate, nowMs);
    this.#rates.set(source, bucket);
    return bucket;
  }

  #refuse(reason: RefusalReason): AdmitResult<Owner> {
    this.#refused[reason]++;
    return { kind: "refused", reason };
  }
}

/** Whether there is room, and who has to give way for it. */
type Room<Owner> =
  | { readonly kind: "found"; readonly replace: MutableTicket<Owner> | null }
  | { readonly kind: "wait"; readonly waitMs: number }
  | { readonly kind: "refused"; readonly reason: RefusalReason };

function noRefusals(): Record<RefusalReason, number> {
  return {
    draining: 0,
    penalized: 0,
    rate_limited: 0,
    too_many_from_source: 0,
    too_many_pending_from_source: 0,
    too_many_connections: 0,
    too_many_pending: 0,
    early_drop: 0,
  };
}
