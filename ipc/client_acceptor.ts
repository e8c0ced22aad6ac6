// ClientAcceptor: accepts connections at a claimed endpoint, and performs their handshakes.
import { AuthError, ClosedError, LimitError, ParleyError, TimeoutError } from "../errors.ts";
import { Admission, type Ticket } from "../limits/admission.ts";
import { addressText } from "../net/transport/faults.ts";
import type { Address, Incoming } from "../net/transport/transport.ts";
import { acceptLoop } from "../accept/accept_loop.ts";
import type { IpcCounters } from "../stats/data/counters.ts";
import { measure, peerDetails, telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { Claim } from "./endpoint/claim.ts";
import type { ResolvedIpcOptions } from "./options.ts";
import type { SecretSource } from "./endpoint/secrets.ts";
import { secure } from "./secure/secure_link.ts";
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

/** Ends a handshake that stalled while others wait for its slot. */
const REPLACED = new ClosedError("ERR_CLOSED", "The handshake gave way to another");

/** Accepts until `stop`. Handshakes run concurrently, at most `maxPending` of them. */
export class ClientAcceptor {
  readonly #options: ClientAcceptorOptions;
  readonly #admission: Admission<AbortController>;
  readonly #stopping = new AbortController();
  readonly #handshakes = new Set<AbortController>();
  readonly #running = new Set<Promise<void>>();
  readonly #loop: Promise<void>;

  /** Starts to accept. */
  constructor(options: ClientAcceptorOptions) {
    this.#options = options;
    const { maxClients, maxPending } = options;
    // A client of a full server learns that after its handshake: that takes some room beyond
    // `maxClients`.
    this.#admission = new Admission({
      maxConnections: maxClients + maxPending,
      maxPending,
      maxPendingPerSource: maxPending,
    });
    this.#loop = acceptLoop(options.claim.listener, this.#admission, {
      onAdmitted: (incoming, ticket) => this.#admit(incoming, ticket),
      onRefused: ({ remoteAddr }) => this.#turnAway(remoteAddr),
      onReplaced: (ticket) => ticket.owner?.abort(REPLACED),
      onFault: (error) => options.resolved.reporter.report(error, "accept"),
    }, this.#stopping.signal);
  }

  /** Stops to accept, frees the endpoint, and cuts handshakes under way. */
  stop(): void {
    if (this.#stopping.signal.aborted) return;
    const reason = new ClosedError("ERR_CLOSED", "The server was closed");
    this.#stopping.abort(reason);
    this.#options.claim.release();
    for (const handshake of this.#handshakes) handshake.abort(reason);
  }

  /** Resolves when every connection that it accepted has ended. */
  async finished(): Promise<void> {
    await this.#loop;
    await Promise.all(this.#running);
  }

  #admit(incoming: Incoming, ticket: Ticket<AbortController>): void {
    const controller = new AbortController();
    ticket.owner = controller;
    const running = this.#receive(incoming, ticket, controller).finally(() => {
      this.#admission.release(ticket);
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  /** From the accepted socket to the end of its link. Never rejects. */
  async #receive(
    incoming: Incoming,
    ticket: Ticket<AbortController>,
    controller: AbortController,
  ): Promise<void> {
    let frames: FrameLink;
    this.#handshakes.add(controller);
    try {
      frames = await this.#measured(incoming, controller);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      if (error === REPLACED) this.#turnAway(incoming.remoteAddr);
      else this.#report(error, incoming.remoteAddr);
      return;
    } finally {
      this.#handshakes.delete(controller);
    }
    this.#admission.established(ticket, performance.now());
    await this.#options.onFrames(frames, incoming);
  }

  #measured(incoming: Incoming, controller: AbortController): Promise<FrameLink> {
    if (!telemetryOn()) return this.#handshake(incoming, controller);
    const { channel } = this.#options.resolved.link;
    return measure({
      name: "handshake",
      kind: "server",
      labels: { "parley.protocol": "ipc", "parley.ipc.channel": channel },
      details: peerDetails(incoming.remoteAddr),
      duration: "parley.handshake.duration",
    }, () => this.#handshake(incoming, controller));
  }

  /** TLS, where there is any, and our own handshake, under one deadline. */
  async #handshake(incoming: Incoming, controller: AbortController): Promise<FrameLink> {
    const { resolved, secrets } = this.#options;
    const late = new TimeoutError(
      "ERR_HANDSHAKE_TIMEOUT",
      `Cannot let a client in: it did not finish its handshake within ${resolved.handshakeTimeoutMs} ms`,
    );
    const timer = setTimeout(() => controller.abort(late), resolved.handshakeTimeoutMs);
    let secretsNow: readonly Uint8Array[];
    try {
      secretsNow = await secrets.get("server");
    } catch (error) {
      clearTimeout(timer);
      incoming.refuse();
      throw error;
    }
    try {
      const transport = await incoming.open({ signal: controller.signal });
      return await secure(transport, {
        role: "server",
        ...resolved.handshake,
        secrets: secretsNow,
        signal: controller.signal,
        onFailure: (reason) => this.#count(reason),
      });
    } catch (error) {
      if (error === late) this.#count("timed out");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #count(reason: HandshakeReason): void {
    const { counters, failed } = this.#options.tally;
    counters.handshakeFailures++;
    failed[reason] = (failed[reason] ?? 0) + 1;
    this.#options.resolved.reporter.debug(`A handshake failed: ${reason}`);
  }

  /** Counts and reports a connection for whose handshake there was no room. */
  #turnAway(remoteAddr: Address): void {
    const { resolved, tally, maxPending } = this.#options;
    tally.counters.connectionsRefused++;
    if (this.#stopping.signal.aborted) return;
    const error = new LimitError(
      "ERR_TOO_MANY_CONNECTIONS",
      `Cannot let a client in: too many handshakes are under way: at most ${maxPending} may be`,
    );
    resolved.reporter.report(error, "refused", peerOf(remoteAddr));
  }

  #report(error: unknown, remoteAddr: Address): void {
    // A process that leaves without a word is no fault: a server that starts looks so whether
    // another one lives.
    if (error instanceof ParleyError && error.code === "ERR_RESET" && !(error instanceof AuthError)) return;
    this.#options.resolved.reporter.report(error, "handshake", peerOf(remoteAddr));
  }
}

/** The address of the other side; a unix socket has none. */
function peerOf(remoteAddr: Address): string | undefined {
  return remoteAddr.transport === "unix" ? undefined : addressText(remoteAddr);
}
