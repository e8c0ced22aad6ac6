// Handshakes: brings admitted connections through their TLS handshake, each within its deadline, off the accept loop.
import { ClosedError, TimeoutError } from "../errors.ts";
import type { Admission, Ticket } from "../limits/admission.ts";
import type { Penalties } from "../limits/penalties.ts";
import { sourceKey } from "../limits/source_key.ts";
import { isHangUp } from "../net/faults.ts";
import type { Incoming, Transport } from "../net/transport.ts";
import type { ServerCounters } from "../stats/counters.ts";
import type { DurationHistogram } from "../stats/duration_histogram.ts";
import { measure, peerDetails, serverLabels, telemetryOn, tlsLabels } from "../stats/telemetry.ts";

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
  /** Longest time of one handshake in ms. */
  readonly timeoutMs: number;
  /** Ends all of them. */
  readonly stopping: AbortSignal;
  /** What is spoken, for telemetry; `null` where there is no handshake to measure. */
  readonly protocol: string | null;
  /** Called when a handshake failed by the client's fault. */
  readonly onFailed: (error: unknown, incoming: Incoming) => void;
  /** Called when the source that a PROXY header named is refused. */
  readonly onRefused: (incoming: Incoming) => void;
}

/** The handshakes of one server. */
export class Handshakes {
  readonly #admission: Admission<AbortController>;
  readonly #penalties: Penalties;
  readonly #tally: HandshakesTally;
  readonly #options: HandshakesOptions;

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
  }

  /** Gives the transport, or `null` when there is none; then the descriptor and the ticket are free. Never rejects. */
  async finish(incoming: Incoming, ticket: Ticket<AbortController>): Promise<Transport | null> {
    const { timeoutMs, stopping } = this.#options;
    const controller = ticket.owner = new AbortController();
    const startedMs = performance.now();
    const onStop = () => controller.abort(stopping.reason);
    stopping.addEventListener("abort", onStop, { once: true });
    const late = new TimeoutError(
      "ERR_HANDSHAKE_TIMEOUT",
      `The connection was closed as its handshake took longer than ${timeoutMs} ms`,
    );
    const timer = setTimeout(() => controller.abort(late), timeoutMs);
    // The balancer that speaks first is no source of its clients' faults.
    let source = incoming.identify === undefined ? sourceKey(incoming.remoteAddr) : null;
    try {
      if (incoming.identify !== undefined) {
        await incoming.identify({ signal: controller.signal });
        source = sourceKey(incoming.remoteAddr);
        if (this.#admission.rekey(ticket, source, performance.now()) !== null) {
          incoming.refuse();
          this.#admission.release(ticket);
          this.#options.onRefused(incoming);
          return null;
        }
      }
      const transport = await this.#open(incoming, controller.signal);
      const nowMs = performance.now();
      if (!controller.signal.aborted && this.#admission.established(ticket, nowMs)) {
        this.#tally.handshakes.add(nowMs - startedMs);
        return transport;
      }
      transport.close();
    } catch (error) {
      const ours = stopping.aborted || error === REPLACED;
      if (!ours) this.#fail(incoming, source, error, error === late);
    } finally {
      clearTimeout(timer);
      stopping.removeEventListener("abort", onStop);
      ticket.owner = undefined;
    }
    this.#admission.release(ticket);
    return null;
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

  /** Counts and tells; punishes the source, but not for hanging up: probes of balancers do, and clients that give up. */
  #fail(incoming: Incoming, source: string | null, error: unknown, late: boolean): void {
    if (late) this.#tally.counters.handshakeTimeouts++;
    else this.#tally.counters.handshakeFailures++;
    if (late || !isHangUp(error)) {
      const offence = late ? "handshake_timeout" : "failed_handshake";
      this.#penalties.punish(source, offence, performance.now());
    }
    this.#options.onFailed(error, incoming);
  }
}
