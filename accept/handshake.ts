// Handshake: how an accepted connection becomes a link, by TLS alone or by a greeting as well.
import type { Incoming, Transport } from "../net/transport/transport.ts";
import {
  measure,
  type Measured,
  peerDetails,
  serverLabels,
  telemetryOn,
  tlsLabels,
} from "../stats/telemetry/telemetry.ts";

/**
 * The handshake of one protocol, for all connections of one server. Calls of {@linkcode perform}
 * run side by side.
 *
 * @typeParam Link What a finished handshake results in, such as a {@linkcode Transport} or a
 * session
 */
export interface Handshake<Link> {
  /**
   * Whether connections are ready as they come, without TLS and greeting. Then there is no
   * deadline.
   */
  readonly isInstant: boolean;
  /**
   * Performs the handshake of one connection. Returns `null` when the peer was refused in order:
   * then the connection is closed, and the penalties of its source stay as they are. When `signal`
   * aborts, the descriptor is freed and the call rejects with `signal.reason`.
   *
   * @throws when the peer failed the handshake or left; the descriptor is free by then
   */
  perform(incoming: Incoming, signal: AbortSignal): Promise<Link | null>;
  /**
   * Takes over a connection that is ready as it came; `null` where {@linkcode perform} must do it.
   * Never throws.
   *
   * @default {always `null`}
   */
  performNow?(incoming: Incoming): Link | null;
  /** Closes a link whose handshake finished in the moment in which it was cut. Never throws. */
  discard(link: Link): void;
}

/** Options of {@linkcode TransportHandshake}. */
export interface TransportHandshakeOptions {
  /** Whether connections speak TLS. */
  readonly isTls: boolean;
  /** Name of the protocol above, for telemetry; `null` where handshakes are not measured. */
  readonly protocol: string | null;
}

/** The handshake of TLS, or none without TLS. Its result is the bare transport. */
export class TransportHandshake implements Handshake<Transport> {
  readonly isInstant: boolean;
  readonly #protocol: string | null;

  /** Makes the handshake of one server. */
  constructor({ isTls, protocol }: TransportHandshakeOptions) {
    this.isInstant = !isTls;
    // Without TLS there is nothing to measure.
    this.#protocol = isTls ? protocol : null;
  }

  /** Finishes the TLS handshake, if there is one. */
  perform(incoming: Incoming, signal: AbortSignal): Promise<Transport> {
    if (this.#protocol === null) return incoming.open({ signal });
    return measureHandshake(this.#protocol, incoming, async (measured) => {
      const transport = await incoming.open({ signal });
      measured?.add(tlsLabels(transport.tls));
      return transport;
    });
  }

  /** Takes over a connection without TLS. */
  performNow(incoming: Incoming): Transport | null {
    return this.isInstant ? incoming.openNow?.() ?? null : null;
  }

  /** Closes the transport. */
  discard(transport: Transport): void {
    transport.close();
  }
}

/**
 * Measures the handshake of a connection for telemetry.
 *
 * @param work The handshake. It may add labels to its argument, which is absent without telemetry
 */
export function measureHandshake<Result>(
  protocol: string,
  { localAddr, remoteAddr }: Incoming,
  work: (measured: Measured | undefined) => Promise<Result>,
): Promise<Result> {
  if (!telemetryOn()) return work(undefined);
  return measure({
    name: "handshake",
    kind: "server",
    labels: { "parley.protocol": protocol, ...serverLabels(localAddr) },
    details: peerDetails(remoteAddr),
    duration: "parley.handshake.duration",
  }, work);
}
