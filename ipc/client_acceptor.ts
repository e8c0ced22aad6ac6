// ClientAcceptor: accepts connections at a claimed endpoint, and reports those that became no client.
import { AuthError, ClosedError, LimitError, ParleyError } from "../errors.ts";
import { addressText } from "../net/transport/faults.ts";
import type { Address, Incoming } from "../net/transport/transport.ts";
import { Door, type DoorReporter } from "../accept/door.ts";
import { Listening } from "../accept/listening.ts";
import { type IpcCounters, newServerCounters } from "../stats/data/counters.ts";
import { DurationHistogram } from "../stats/data/duration_histogram.ts";
import { IpcHandshake } from "./ipc_handshake.ts";
import type { Claim } from "./endpoint/claim.ts";
import type { ResolvedIpcOptions } from "./options.ts";
import type { SecretSource } from "./endpoint/secrets.ts";
import type { FrameLink } from "./secure/frame_link.ts";
import type { HandshakeReason } from "./secure/hello.ts";

/** Where an acceptor counts the connections that did not become clients. */
export interface ClientAcceptorTally {
  /** Connections that were turned away before the handshake, and handshakes that failed. */
  readonly counters: Pick<IpcCounters, "connectionsRefused" | "handshakeFailures">;
  /** Handshakes that failed, by reason. Known to this side only. */
  readonly failed: Partial<Record<HandshakeReason, number>>;
}

/** Options of {@linkcode ClientAcceptor}. */
export interface ClientAcceptorOptions {
  readonly resolved: ResolvedIpcOptions;
  readonly claim: Claim;
  readonly secrets: SecretSource;
  readonly maxClients: number;
  readonly maxPending: number;
  readonly tally: ClientAcceptorTally;
  /** Takes a link that has proven itself; resolves when it has ended. */
  readonly onFrames: (frames: FrameLink, incoming: Incoming) => Promise<void>;
}

/** Accepts until `stop`. Handshakes run concurrently, at most `maxPending` of them. */
export class ClientAcceptor implements DoorReporter {
  readonly #options: ClientAcceptorOptions;
  readonly #door: Door<FrameLink>;

  /** Starts to accept. */
  constructor(options: ClientAcceptorOptions) {
    this.#options = options;
    const { claim, maxClients, maxPending, onFrames, resolved, secrets } = options;
    this.#door = new Door({
      admission: {
        // A client of a full server learns that after its handshake: that takes some room beyond
        // `maxClients`.
        maxConnections: maxClients + maxPending,
        maxPending,
        maxPendingPerSource: maxPending,
      },
      // Programs on one machine share a source: the fault of one must not shut out the others.
      penalties: { enabled: false },
      exemptions: {},
      handshakeTimeoutMs: resolved.handshakeTimeoutMs,
    }, {
      handshake: new IpcHandshake({
        resolved,
        secrets,
        onFailure: (reason) => this.#count(reason),
      }),
      reporter: this,
      // A channel counts by reason, in its own tally.
      tally: { counters: newServerCounters(), handshakes: new DurationHistogram() },
      serve: onFrames,
    });
    this.#door.take(new Listening(claim.listener));
    this.#door.start();
  }

  /** Stops to accept, frees the endpoint, and cuts handshakes under way. */
  stop(): void {
    // The claim closes the listener in the order in which the socket's file must go.
    this.#options.claim.release();
    this.#door.close(new ClosedError("ERR_CLOSED", "The server was closed"));
  }

  /** Resolves when every connection that it accepted has ended. */
  finished(): Promise<void> {
    return this.#door.idle();
  }

  /** @ignore reports a fault of the listener, or a failed handshake */
  report(error: unknown, { phase, remoteAddr }: Parameters<DoorReporter["report"]>[1]): void {
    const { reporter } = this.#options.resolved;
    if (phase !== "handshake") return reporter.report(error, "accept");
    // A process that leaves without a word is no fault: a server that starts looks so whether
    // another one lives.
    const isReset = error instanceof ParleyError && error.code === "ERR_RESET";
    if (isReset && !(error instanceof AuthError)) return;
    reporter.report(error, "handshake", peerOf(remoteAddr));
  }

  /** @ignore counts and reports a connection for whose handshake there was no room */
  refused(_reason: unknown, remoteAddr: Address): void {
    const { resolved, tally, maxPending } = this.#options;
    tally.counters.connectionsRefused++;
    if (this.#door.isClosed) return;
    const error = new LimitError(
      "ERR_TOO_MANY_CONNECTIONS",
      `Cannot let a client in: too many handshakes are under way: at most ${maxPending} may be`,
    );
    resolved.reporter.report(error, "refused", peerOf(remoteAddr));
  }

  /** @ignore a newcomer took the place of this connection's handshake */
  replaced(remoteAddr: Address): void {
    this.refused("too_many_pending", remoteAddr);
  }

  #count(reason: HandshakeReason): void {
    const { resolved: { reporter }, tally: { counters, failed } } = this.#options;
    counters.handshakeFailures++;
    failed[reason] = (failed[reason] ?? 0) + 1;
    reporter.debug(`A handshake failed: ${reason}`);
  }
}

/** The address of the other side; a unix socket has none. */
function peerOf(remoteAddr: Address | undefined): string | undefined {
  if (remoteAddr === undefined || remoteAddr.transport === "unix") return undefined;
  return addressText(remoteAddr);
}
