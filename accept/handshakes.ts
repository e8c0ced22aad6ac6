// Handshakes: performs the handshakes of admitted connections, each within its deadline.
import { pause } from "../async/pause.ts";
import { AuthError, ClosedError, TimeoutError } from "../errors.ts";
import type { Admission, RefusalReason } from "../limits/admission.ts";
import type { Ticket } from "../limits/ticket.ts";
import type { Penalties } from "../limits/penalties.ts";
import { sourceKey } from "../limits/source_key.ts";
import { isHangUp } from "../net/transport/faults.ts";
import type { Incoming } from "../net/transport/transport.ts";
import type { ServerCounters } from "../stats/data/counters.ts";
import type { DurationHistogram } from "../stats/data/duration_histogram.ts";
import { Deadlines } from "./deadlines.ts";
import type { Handshake } from "./handshake.ts";

/**
 * The reason of a handshake that was cut because it stalled while newcomers waited for its place.
 */
const REPLACED = new ClosedError("ERR_CLOSED", "The handshake gave way to another connection's");

/** Where {@linkcode Handshakes} counts. */
export interface HandshakesTally {
  /** Handshakes that failed, were late, or were replaced. */
  readonly counters: Pick<
    ServerCounters,
    "connectionsReplaced" | "handshakeFailures" | "handshakeTimeouts"
  >;
  /** How long successful ones took. */
  readonly handshakes: DurationHistogram;
}

/** Options of {@linkcode Handshakes}. */
export interface HandshakesOptions<Link> {
  /** Performs one handshake. */
  readonly handshake: Handshake<Link>;
  /** Longest time of one handshake in ms, with the header of a balancer that comes before it. */
  readonly timeoutMs: number;
  /** Cuts all handshakes. */
  readonly stopping: AbortSignal;
  /** Called when a handshake failed, by the client's fault or because it left. */
  readonly onFailed: (error: unknown, incoming: Incoming) => void;
  /** Called when a connection is refused because of the source that a balancer's header named. */
  readonly onRefused: (incoming: Incoming, reason: RefusalReason) => void;
  /** Called when a handshake was cut because it stalled while newcomers waited for its place. */
  readonly onReplaced: (incoming: Incoming) => void;
}

/**
 * The handshakes of one server. They run side by side: every method may be called at any moment.
 */
export class Handshakes<Link> {
  readonly #admission: Admission<AbortController>;
  readonly #penalties: Penalties;
  readonly #tally: HandshakesTally;
  readonly #options: HandshakesOptions<Link>;
  readonly #deadlines: Deadlines<AbortController>;

  constructor(
    admission: Admission<AbortController>,
    penalties: Penalties,
    tally: HandshakesTally,
    options: HandshakesOptions<Link>,
  ) {
    this.#admission = admission;
    this.#penalties = penalties;
    this.#tally = tally;
    this.#options = options;
    const { stopping, timeoutMs } = options;
    this.#deadlines = new Deadlines(
      timeoutMs,
      (controller) => controller.abort(tooLate(timeoutMs)),
    );
    stopping.addEventListener("abort", () => {
      for (const controller of this.#deadlines.works) controller.abort(stopping.reason);
    }, { once: true });
  }

  /**
   * Takes over an admitted connection that has no handshake, at once: most servers have only such,
   * and promises for them cost as much as the connection itself. Returns `null` where
   * {@linkcode finish} must do it.
   */
  finishNow(incoming: Incoming, ticket: Ticket<AbortController>): Link | null {
    const { handshake, stopping } = this.#options;
    if (!handshake.isInstant || incoming.identify !== undefined || stopping.aborted) return null;
    let link: Link | null;
    try {
      link = handshake.performNow?.(incoming) ?? null;
    } catch {
      // The accept loop must go on. The second attempt fails as well, and its fault is reported.
      return null;
    }
    if (link === null) return null;
    this.#admission.established(ticket, ticket.admittedAtMs);
    this.#tally.handshakes.add(0);
    return link;
  }

  /**
   * Performs the handshake of an admitted connection. Returns its link. Returns `null` when there
   * is none: then the descriptor and the ticket are free. Never rejects.
   */
  finish(incoming: Incoming, ticket: Ticket<AbortController>): Promise<Link | null> {
    const isInstant = this.#options.handshake.isInstant && incoming.identify === undefined;
    return isInstant ? this.#take(incoming, ticket) : this.#shake(incoming, ticket);
  }

  /** Opens a connection that has no handshake, and therefore no deadline. */
  async #take(incoming: Incoming, ticket: Ticket<AbortController>): Promise<Link | null> {
    const { handshake, stopping } = this.#options;
    try {
      const link = await handshake.perform(incoming, stopping);
      const nowMs = performance.now();
      if (!stopping.aborted && this.#admission.established(ticket, nowMs)) {
        this.#tally.handshakes.add(nowMs - ticket.admittedAtMs);
        if (link !== null) return link;
      } else if (link !== null) handshake.discard(link);
    } catch (error) {
      if (!stopping.aborted) this.#fail(error, incoming);
    }
    this.#admission.release(ticket);
    return null;
  }

  /** Performs a handshake within its deadline. */
  async #shake(incoming: Incoming, ticket: Ticket<AbortController>): Promise<Link | null> {
    const { handshake, stopping } = this.#options;
    const controller = ticket.owner = new AbortController();
    const { signal } = controller;
    const startedMs = performance.now();
    this.#deadlines.add(controller, startedMs);
    let isKnown = incoming.identify === undefined;
    try {
      if (!isKnown && !await this.#identify(incoming, ticket, signal)) return null;
      isKnown = true;
      const link = await handshake.perform(incoming, signal);
      const nowMs = performance.now();
      if (!signal.aborted && this.#admission.established(ticket, nowMs)) {
        this.#tally.handshakes.add(nowMs - startedMs);
        if (link !== null) {
          this.#penalties.credit(ticket.source, nowMs);
          return link;
        }
      } else if (link !== null) handshake.discard(link);
    } catch (error) {
      if (!stopping.aborted) {
        if (error === REPLACED) this.#options.onReplaced(incoming);
        // A fault of a balancer is no offence of its clients.
        else this.#fail(error, incoming, error === signal.reason, isKnown ? ticket : undefined);
      }
    } finally {
      this.#deadlines.delete(controller);
      ticket.owner = undefined;
    }
    this.#admission.release(ticket);
    return null;
  }

  /**
   * Reads which client a balancer's connection is of. Returns `false` when that source is refused:
   * then the ticket is free.
   */
  async #identify(
    incoming: Incoming,
    ticket: Ticket<AbortController>,
    signal: AbortSignal,
  ): Promise<boolean> {
    await incoming.identify?.({ signal });
    for (;;) {
      if (signal.aborted) {
        incoming.refuse();
        throw signal.reason;
      }
      const result = this.#admission.rekey(
        ticket,
        sourceKey(incoming.remoteAddr),
        performance.now(),
      );
      switch (result.kind) {
        case "wait":
        case "hold":
          await pause(Math.max(1, result.waitMs), signal);
          break;
        case "refused":
          incoming.refuse();
          this.#options.onRefused(incoming, result.reason);
          return false;
        case "admitted":
          if (result.replaced !== null) this.replace(result.replaced);
          return true;
      }
    }
  }

  /** Cuts the handshake whose place a newcomer takes. */
  replace(ticket: Ticket<AbortController>): void {
    this.#tally.counters.connectionsReplaced++;
    ticket.owner?.abort(REPLACED);
  }

  /**
   * Counts, reports, and penalizes the source, if it is known. Hanging up costs nothing: probes do
   * it, and clients that give up.
   */
  #fail(
    error: unknown,
    incoming: Incoming,
    isLate = false,
    ticket?: Ticket<AbortController>,
  ): void {
    if (isLate) this.#tally.counters.handshakeTimeouts++;
    else this.#tally.counters.handshakeFailures++;
    if (ticket !== undefined && (isLate || !isHangUp(error))) {
      const offence = isLate
        ? "handshake_timeout"
        : error instanceof AuthError
        ? "failed_auth"
        : "failed_handshake";
      this.#penalties.punish(ticket.source, offence, performance.now(), ticket.admittedAtMs);
    }
    this.#options.onFailed(error, incoming);
  }
}

function tooLate(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_HANDSHAKE_TIMEOUT",
    `The connection was closed because its handshake took longer than ${timeoutMs} ms`,
  );
}
