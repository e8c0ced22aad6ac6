// Handshakes: brings admitted connections through their handshake, each within its deadline, off the accept loop.
import { pause } from "../async/pause.ts";
import { AuthError, ClosedError, TimeoutError } from "../errors.ts";
import type { Admission, RefusalReason, Ticket } from "../limits/admission.ts";
import type { Penalties } from "../limits/penalties.ts";
import { sourceKey } from "../limits/source_key.ts";
import { isHangUp } from "../net/transport/faults.ts";
import type { Incoming } from "../net/transport/transport.ts";
import type { ServerCounters } from "../stats/data/counters.ts";
import type { DurationHistogram } from "../stats/data/duration_histogram.ts";
import { Deadlines } from "./deadlines.ts";
import type { Handshake } from "./handshake.ts";

/** Ends a handshake that stalled while others wait for its place. */
const REPLACED = new ClosedError("ERR_CLOSED", "The handshake gave way to another connection's");

/** Where {@linkcode Handshakes} counts. */
export interface HandshakesTally {
  /** Handshakes that went wrong. */
  readonly counters: Pick<
    ServerCounters,
    "connectionsReplaced" | "handshakeFailures" | "handshakeTimeouts"
  >;
  /** How long those took that succeeded. */
  readonly handshakes: DurationHistogram;
}

/** Options of {@linkcode Handshakes}. */
export interface HandshakesOptions<Link> {
  /** What each connection goes through. */
  readonly handshake: Handshake<Link>;
  /** Longest time of one handshake in ms; the header of a balancer before it counts. */
  readonly timeoutMs: number;
  /** Ends all of them. */
  readonly stopping: AbortSignal;
  /** Called when a handshake came to nothing, by the client's fault or by its leaving. */
  readonly onFailed: (error: unknown, incoming: Incoming) => void;
  /** Called when a connection is refused for the source that the header of a balancer named. */
  readonly onRefused: (incoming: Incoming, reason: RefusalReason) => void;
}

/** The handshakes of one server. They run side by side: every method may be called at any moment. */
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
    this.#deadlines = new Deadlines(timeoutMs, (controller) => controller.abort(tooLate(timeoutMs)));
    stopping.addEventListener("abort", () => {
      for (const controller of this.#deadlines.works) controller.abort(stopping.reason);
    }, { once: true });
  }

  /**
   * Returns the link, or `null` when there is none; then the descriptor and the ticket are free. Never rejects.
   */
  finish(incoming: Incoming, ticket: Ticket<AbortController>): Promise<Link | null> {
    const isInstant = this.#options.handshake.isInstant && incoming.identify === undefined;
    return isInstant ? this.#take(incoming, ticket) : this.#shake(incoming, ticket);
  }

  /** There is nothing to wait for, and so no time to be kept. */
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
      const isOurs = stopping.aborted || error === REPLACED;
      // What a balancer does wrong is no offence of any client's.
      if (!isOurs) this.#fail(error, incoming, error === signal.reason, isKnown ? ticket : undefined);
    } finally {
      this.#deadlines.delete(controller);
      ticket.owner = undefined;
    }
    this.#admission.release(ticket);
    return null;
  }

  /** Hears for whom a balancer stands; `false` when that source is refused: then the ticket is free. */
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
      const result = this.#admission.rekey(ticket, sourceKey(incoming.remoteAddr), performance.now());
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

  /** Ends the handshake that another connection takes the place of. */
  replace(ticket: Ticket<AbortController>): void {
    this.#tally.counters.connectionsReplaced++;
    ticket.owner?.abort(REPLACED);
  }

  /** Counts and reports; the source of a known client owes time, but not for hanging up: probes do, and clients that give up. */
  #fail(error: unknown, incoming: Incoming, isLate = false, ticket?: Ticket<AbortController>): void {
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
