// Handshakes: brings admitted connections through their TLS handshake, each within its deadline, off the accept loop.
import { pause } from "../async/pause.ts";
import { AuthError, ClosedError, TimeoutError } from "../errors.ts";
import type { Admission, RefusalReason, Ticket } from "../limits/admission.ts";
import type { Penalties } from "../limits/penalties.ts";
import { sourceKey } from "../limits/source_key.ts";
import { isHangUp } from "../net/transport/faults.ts";
import type { Incoming, Transport } from "../net/transport/transport.ts";
import type { ServerCounters } from "../stats/data/counters.ts";
import type { DurationHistogram } from "../stats/data/duration_histogram.ts";
import { Deadlines } from "./deadlines.ts";
import { measure, peerDetails, serverLabels, telemetryOn, tlsLabels } from "../stats/telemetry/telemetry.ts";

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
export interface HandshakesOptions {
  /** Longest time of one handshake in ms; the header of a balancer before it counts. */
  readonly timeoutMs: number;
  /** Ends all of them. */
  readonly stopping: AbortSignal;
  /** Whether connections are ready as they come: there is no TLS, and nothing of our own. */
  readonly isInstant: boolean;
  /** What is spoken, for telemetry; `null` where nothing is measured. */
  readonly protocol: string | null;
  /** Called when a handshake came to nothing, by the client's fault or by its leaving. */
  readonly onFailed: (error: unknown, incoming: Incoming) => void;
  /** Called when a connection is refused for the source that the header of a balancer named. */
  readonly onRefused: (incoming: Incoming, reason: RefusalReason) => void;
}

/** The handshakes of one server. */
export class Handshakes {
  readonly #admission: Admission<AbortController>;
  readonly #penalties: Penalties;
  readonly #tally: HandshakesTally;
  readonly #options: HandshakesOptions;
  readonly #deadlines: Deadlines<AbortController>;

  constructor(
    admission: Admission<AbortController>,
    penalties: Penalties,
    tally: HandshakesTally,
    options: HandshakesOptions,
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
   * Returns the transport, or `null` when there is none; then the descriptor and the ticket are free. Never rejects.
   *
   * @param isGood Whether a handshake that ended without an error was a good one, for which nothing more is owed
   */
  finish(
    incoming: Incoming,
    ticket: Ticket<AbortController>,
    isGood: () => boolean = () => true,
  ): Promise<Transport | null> {
    const isInstant = this.#options.isInstant && incoming.identify === undefined;
    return isInstant ? this.#take(incoming, ticket) : this.#shake(incoming, ticket, isGood);
  }

  /** There is nothing to wait for, and so no time to be kept. */
  async #take(incoming: Incoming, ticket: Ticket<AbortController>): Promise<Transport | null> {
    const { stopping } = this.#options;
    try {
      const transport = await incoming.open({ signal: stopping });
      const nowMs = performance.now();
      if (!stopping.aborted && this.#admission.established(ticket, nowMs)) {
        this.#tally.handshakes.add(nowMs - ticket.admittedAtMs);
        return transport;
      }
      transport.close();
    } catch (error) {
      if (!stopping.aborted) this.#fail(error, incoming);
    }
    this.#admission.release(ticket);
    return null;
  }

  async #shake(
    incoming: Incoming,
    ticket: Ticket<AbortController>,
    isGood: () => boolean,
  ): Promise<Transport | null> {
    const controller = ticket.owner = new AbortController();
    const { signal } = controller;
    const startedMs = performance.now();
    this.#deadlines.add(controller, startedMs);
    let isKnown = incoming.identify === undefined;
    try {
      if (!isKnown && !await this.#identify(incoming, ticket, signal)) return null;
      isKnown = true;
      const transport = await this.#open(incoming, signal);
      const nowMs = performance.now();
      if (!signal.aborted && this.#admission.established(ticket, nowMs)) {
        this.#tally.handshakes.add(nowMs - startedMs);
        if (isGood()) this.#penalties.credit(ticket.source, nowMs);
        return transport;
      }
      transport.close();
    } catch (error) {
      const ours = this.#options.stopping.aborted || error === REPLACED;
      // What a balancer does wrong is no offence of any client's.
      if (!ours) this.#fail(error, incoming, error === signal.reason, isKnown ? ticket : undefined);
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

  #open(incoming: Incoming, signal: AbortSignal): Promise<Transport> {
    const { protocol } = this.#options;
    if (protocol === null || !telemetryOn()) return incoming.open({ signal });
    const { localAddr, remoteAddr } = incoming;
    return measure({
      name: "handshake",
      kind: "server",
      labels: { "parley.protocol": protocol, ...serverLabels(localAddr) },
      details: peerDetails(remoteAddr),
      duration: "parley.handshake.duration",
    }, async (measured) => {
      const transport = await incoming.open({ signal });
      measured.add(tlsLabels(transport.tls));
      return transport;
    });
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
    `The connection was closed as its handshake took longer than ${timeoutMs} ms`,
  );
}
