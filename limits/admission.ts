// Admission: decides which accepted connections are let in, and who makes room for them.
import {
  type AdmissionLimits,
  type AdmissionOptions,
  resolveAdmission,
} from "./admission_options.ts";
import type { AdmitResult, Ticket } from "./ticket.ts";
import type { Penalties } from "./penalties.ts";
import { noRefusals, type RefusalReason } from "./refusal.ts";
import { RecencyMap } from "../collections/recency_map.ts";
import { SourceExemptions } from "./source_exemptions.ts";
import { TokenBucket } from "../collections/token_bucket.ts";

export type { RefusalReason } from "./refusal.ts";

/** Connections that several servers have together, and that `maxConnections` limits together. */
export interface SharedConnections {
  /** Connections that all of them have let in now. */
  readonly current: number;
  /** Counts one more, unless there are `most` already. */
  tryAdd(most: number): boolean;
  /** Counts one less. */
  subtract(): void;
}

/** What {@linkcode Admission} works with beside its options. */
export interface AdmissionParts {
  /** The count that `maxConnections` limits. @default {that of this admission alone} */
  readonly shared?: SharedConnections | undefined;
  /** Where refusals are counted. @default {a record of its own} */
  readonly refused?: Record<RefusalReason, number> | undefined;
  /** Penalties to ask; none when absent. */
  readonly penalties?: Penalties | undefined;
  /** Sources that the cap of pending connections per source leaves alone. @default {loopback} */
  readonly exemptions?: SourceExemptions | undefined;
  /** Returns a number from 0 to below 1. @default {Math.random} */
  readonly random?: (() => number) | undefined;
}

/** A connection that has been pending this many times `stallMs` gives way even while handshakes finish. */
const SLOW_STALLS = 20;

/**
 * Times `stallMs` without a finished handshake of its source after which a connection gives way to another of
 * the same source: handshakes of a burst all run at once, so that for a while none finishes.
 */
const SOURCE_STALLS = 10;

interface SourceState<Owner> {
  /** Connections in all. */
  total: number;
  /** When one of its handshakes finished last. */
  establishedAtMs: number;
  /** Pending ones, the oldest first. */
  readonly pending: Set<MutableTicket<Owner>>;
}

interface MutableTicket<Owner> extends Ticket<Owner> {
  source: string | null;
  state: "pending" | "established" | "gone";
}

/**
 * Decides which connections are let in. Every operation takes constant time; memory is bounded by
 * `maxConnections` and `maxSources`.
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
  readonly #refused: Record<RefusalReason, number>;
  readonly #shared: SharedConnections | undefined;
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
    this.#refused = parts.refused ?? noRefusals();
    this.#shared = parts.shared;
  }

  /** The limits in force. */
  get limits(): AdmissionLimits {
    return this.#limits;
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
    const entry = this.#enter(source, nowMs);
    if (entry.kind === "refused") return this.#refuse(entry.reason);
    if (entry.kind === "hold") return entry;
    const room = entry.replace === null ? this.#findRoom(nowMs) : entry;
    if (room.kind === "refused") return this.#refuse(room.reason);
    if (room.kind === "wait") return room;
    // Another thread may have taken the last place meanwhile. A connection that gives way leaves its place.
    if (room.replace === null && this.#shared?.tryAdd(this.#limits.maxConnections) === false) {
      return this.#refuse("too_many_connections");
    }
    const replaced = this.#replace(room.replace);
    entry.bucket?.spend(1);
    return { kind: "admitted", ticket: this.#letIn(source, nowMs), replaced };
  }

  /**
   * Assigns to a pending connection the source that the header of a balancer names, and decides on it anew:
   * penalties, rates and caps of that source hold for it. A ticket that is refused has been released.
   *
   * @param ticket A pending ticket, let in under another source or none
   */
  rekey(ticket: Ticket<Owner>, source: string | null, nowMs: number): AdmitResult<Owner> {
    const mutable: MutableTicket<Owner> = ticket;
    if (mutable.state !== "pending" || mutable.source === source) {
      return { kind: "admitted", ticket, replaced: null };
    }
    const entry = this.#enter(source, nowMs);
    if (entry.kind === "hold") return entry;
    if (entry.kind === "refused") {
      this.release(ticket);
      return this.#refuse(entry.reason);
    }
    entry.bucket?.spend(1);
    const replaced = this.#replace(entry.replace);
    if (replaced !== null) this.#shared?.subtract();
    this.#leaveSource(mutable);
    mutable.source = source;
    this.#joinSource(mutable);
    return { kind: "admitted", ticket, replaced };
  }

  /** Counts a connection that was refused by its server for this reason, without having asked. */
  countRefusal(reason: RefusalReason): void {
    this.#refused[reason]++;
  }

  /** Counts a handshake that has finished. Returns `false` when the ticket is not pending (any more). */
  established(ticket: Ticket<Owner>, nowMs: number): boolean {
    const mutable: MutableTicket<Owner> = ticket;
    if (mutable.state !== "pending") return false;
    mutable.state = "established";
    this.#pending.delete(mutable);
    this.#establishedAtMs = nowMs;
    if (mutable.source === null) return true;
    const state = this.#sources.get(mutable.source);
    if (state === undefined) return true;
    state.pending.delete(mutable);
    state.establishedAtMs = nowMs;
    return true;
  }

  /** Takes a ticket back because its connection has ended. Idempotent. */
  release(ticket: Ticket<Owner>): void {
    const mutable: MutableTicket<Owner> = ticket;
    if (mutable.state === "gone") return;
    this.#shared?.subtract();
    this.#remove(mutable);
  }

  #remove(ticket: MutableTicket<Owner>): void {
    this.#pending.delete(ticket);
    ticket.state = "gone";
    this.#connections--;
    this.#leaveSource(ticket);
  }

  /** Whether this source may have one more, by what is known of it alone. */
  #enter(source: string | null, nowMs: number): Entry<Owner> {
    if (source === null) return { kind: "found", replace: null, bucket: undefined };
    const state = this.#sources.get(source);
    // An address with open connections brings good clients, whatever others behind it do.
    const isProven = state !== undefined && state.total > state.pending.size;
    if (!isProven && (this.#penalties?.remainingMs(source, nowMs) ?? 0) > 0) {
      return refused("penalized");
    }
    // Behind a balancer that was listed stand all its clients: what holds for one source must not hold for
    // it.
    const isListed = this.#exemptions.lists(source);
    const bucket = isListed ? undefined : this.#rateOf(source, nowMs);
    if (bucket !== undefined && !bucket.has(1, nowMs)) return refused("rate_limited");
    const found = { kind: "found", replace: null, bucket } as const;
    if (state === undefined) return found;
    const { maxConnectionsPerSource, maxPendingPerSource, pendingDrop } = this.#limits;
    if (!isListed && state.total >= maxConnectionsPerSource) return refused("too_many_from_source");
    if (state.pending.size < maxPendingPerSource || this.#exemptions.has(source)) return found;
    if (pendingDrop === "newest") return refused("too_many_pending_from_source");
    // A flooding source loses its own slots; other sources keep theirs. While its handshakes finish, its
    // newcomers wait: behind one address may stand an office that comes back after an outage.
    const [own] = state.pending;
    if (own === undefined) return refused("too_many_pending_from_source");
    const waitMs = this.#untilStalled(own, state.establishedAtMs, nowMs, SOURCE_STALLS);
    return waitMs === 0 ? { kind: "found", replace: own, bucket } : { kind: "hold", waitMs };
  }

  #findRoom(nowMs: number): Room<Owner> {
    const limits = this.#limits;
    if ((this.#shared?.current ?? this.#connections) >= limits.maxConnections) {
      const stalled = limits.pendingDrop === "oldest" ? this.#stalled(nowMs) : null;
      if (stalled?.waitMs === 0) return { kind: "found", replace: stalled.ticket };
      return refused("too_many_connections");
    }
    return this.#findPendingRoom(nowMs);
  }

  /** Cuts a connection that gives way to another, which takes over its place in the shared count. */
  #replace(ticket: MutableTicket<Owner> | null): MutableTicket<Owner> | null {
    if (ticket === null) return null;
    this.#remove(ticket);
    this.#replaced++;
    return ticket;
  }

  #findPendingRoom(nowMs: number): Room<Owner> {
    const { maxPending, pendingDropStart, pendingDrop } = this.#limits;
    const pending = this.#pending.size;
    const full = pending >= maxPending;
    const struck = full || pending >= pendingDropStart &&
        this.#random() < (pending - pendingDropStart) / (maxPending - pendingDropStart);
    if (!struck) return { kind: "found", replace: null };
    if (pendingDrop === "newest") {
      return refused(full ? "too_many_pending" : "early_drop");
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
    return { ticket, waitMs: this.#untilStalled(ticket, this.#establishedAtMs, nowMs) };
  }

  /** Time until a pending connection gives way, unless handshakes finish meanwhile; 0 for at once. */
  #untilStalled(ticket: Ticket<Owner>, establishedAtMs: number, nowMs: number, stalls = 1): number {
    const { stallMs } = this.#limits;
    const ageMs = nowMs - ticket.admittedAtMs;
    const quietMs = Math.min(ageMs, nowMs - establishedAtMs);
    // A source that finishes a handshake now and then must not thereby keep the door for its silent ones.
    const waitMs = Math.min(stalls * stallMs - quietMs, SLOW_STALLS * stallMs - ageMs);
    return Math.min(stalls * stallMs, Math.max(0, waitMs));
  }

  #letIn(source: string | null, nowMs: number): MutableTicket<Owner> {
    const ticket: MutableTicket<Owner> = {
      source,
      admittedAtMs: nowMs,
      state: "pending",
      owner: undefined,
    };
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
      state = { total: 0, establishedAtMs: -Infinity, pending: new Set() };
      this.#sources.set(source, state);
    }
    state.total++;
    state.pending.add(ticket);
  }

  #leaveSource(ticket: MutableTicket<Owner>): void {
    const { source } = ticket;
    if (source === null) return;
    const state = this.#sources.get(source);
    if (state === undefined) return;
    state.pending.delete(ticket);
    if (--state.total === 0) this.#sources.delete(source);
  }

  #rateOf(source: string, nowMs: number): TokenBucket | undefined {
    const { rate, maxSources } = this.#limits;
    if (rate === null) return undefined;
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

/** The same for one source; with its rate, which a connection that is let in pays. */
type Entry<Owner> =
  | { readonly kind: "hold"; readonly waitMs: number }
  | { readonly kind: "refused"; readonly reason: RefusalReason }
  | {
    readonly kind: "found";
    readonly replace: MutableTicket<Owner> | null;
    readonly bucket: TokenBucket | undefined;
  };

function refused(
  reason: RefusalReason,
): { readonly kind: "refused"; readonly reason: RefusalReason } {
  return { kind: "refused", reason };
}
