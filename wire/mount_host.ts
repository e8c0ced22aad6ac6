// MountHost: decides who may join a mounted wire, and which streams a peer may open.
import { TimeoutError } from "../errors.ts";
import type { WireCounters } from "../stats/data/counters.ts";
import { timeLeft, withDeadline } from "../async/deadline.ts";
import type { FrameChannel } from "./protocol/frame_stream.ts";
import type { Control, Open, SessionRefusal, StreamRefusal } from "./protocol/frames.ts";
import type { Greeting, SessionHost } from "./session/handshake.ts";
import type { HandlerTable } from "./session/handlers.ts";
import type { Link } from "./session/link.ts";
import type { MountPlan } from "./plan.ts";
import type { NameTraffic } from "./observe/name_traffic.ts";
import type { Authorize } from "./session/authorize.ts";
import type { Registry } from "./session/registry.ts";
import type { WireReporter } from "./observe/reporter.ts";
import type { WireTally } from "./observe/tally.ts";

/**
 * Part of the time of a handshake within which `authorize` must decide: the rest is for the answer
 * to the peer that it did not. A peer must not pay for our own time with the penalty of one that is
 * silent.
 */
const VERDICT_SHARE = 0.9;

/** What a hub adds to a server. */
export interface Router {
  /** Brings a stream to another peer, to its end; returns the code when it cannot. */
  route(link: Link, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined>;
  /** A peer has joined. */
  onOpen(link: Link): void;
  /** A peer handles other names. */
  onOffers(link: Link): void;
  /** A peer has left. */
  onClose(link: Link): void;
  /** The server has ended. */
  stop(): void;
}

/** What a router works with. */
export interface RouterParts {
  /** Where it finds sessions. */
  readonly registry: Registry;
  /** Where it counts. */
  readonly tally: WireTally;
  /** Where it reports. */
  readonly reporter: WireReporter;
}

/** Makes the router of a hub. */
export type MakeRouter = (parts: RouterParts) => Router;

/** What {@linkcode MountHost} works with. */
export interface MountHostParts {
  readonly plan: MountPlan;
  readonly handlers: HandlerTable;
  readonly tally: WireTally;
  readonly reporter: WireReporter;
  readonly router: Router | null;
  /** Fires when no peer is let in any more. */
  readonly stopping: AbortSignal;
}

/** A mounted wire, as its sessions see it: one for all of them. Calls run side by side. */
export class MountHost implements SessionHost {
  readonly counters: WireCounters;
  readonly names: NameTraffic;
  readonly handlers: HandlerTable;
  readonly maxHandlers: number;
  readonly busyMs: number;
  readonly #parts: MountHostParts;

  constructor(parts: MountHostParts) {
    this.#parts = parts;
    this.counters = parts.tally.counters;
    this.names = parts.tally.names;
    this.handlers = parts.handlers;
    this.maxHandlers = parts.plan.maxHandlers;
    this.busyMs = parts.plan.busyMs;
  }

  /** Asks who may join; an error is no verdict, and the client tries again. */
  async authorizeSession(
    { hello, transport, startedMs }: Greeting,
    signal: AbortSignal,
  ): Promise<SessionRefusal | undefined> {
    const { plan, reporter, stopping } = this.#parts;
    if (stopping.aborted) return "ERR_BUSY";
    const { identity, token } = hello;
    const { remoteAddr, tls } = transport;
    const timeoutMs = timeLeft(plan.listen.handshakeTimeoutMs * VERDICT_SHARE, startedMs);
    const late = (ms: number) =>
      new TimeoutError("ERR_HANDSHAKE_TIMEOUT", `Cannot authorize the session within ${ms} ms`);
    try {
      const allowed = await withDeadline(
        { signal, timeoutMs, late },
        () => this.#ask({ kind: "session", identity, token, remoteAddr, tls }),
      );
      return allowed ? undefined : "ERR_AUTH";
    } catch (error) {
      if (signal.aborted) throw error;
      reporter.report(error, { phase: "handshake", remoteAddr });
      return "ERR_BUSY";
    }
  }

  authorizeStream(
    link: Link,
    open: Open,
  ): StreamRefusal | undefined | Promise<StreamRefusal | undefined> {
    // Who opens a stream is known already: a peer that says it itself lies.
    if (open.from !== undefined) return "ERR_FORBIDDEN";
    if (this.#parts.plan.given.authorize === undefined) return undefined;
    return this.#authorizeStream(link, open);
  }

  async route(link: Link, channel: FrameChannel, open: Open): Promise<StreamRefusal | undefined> {
    const { router } = this.#parts;
    return router === null ? "ERR_NO_PEER" : await router.route(link, channel, open);
  }

  onControl(link: Link, { streams }: Control): void {
    if (streams === undefined) return;
    link.offers = streams;
    const { plan, reporter, router } = this.#parts;
    router?.onOffers(link);
    reporter.guard(() => plan.given.onOffers?.(link.session));
  }

  onStreamError(link: Link, error: unknown): void {
    this.#parts.reporter.report(error, { phase: "stream", session: link.session });
  }

  onSessionError(link: Link, error: unknown): void {
    this.#parts.reporter.report(error, { phase: "session", session: link.session });
  }

  async #authorizeStream(link: Link, { name, to }: Open): Promise<StreamRefusal | undefined> {
    const { identity, token, transport: { remoteAddr, tls } } = link.established;
    const request = {
      kind: "stream" as const,
      identity,
      token,
      name,
      from: identity,
      to,
      remoteAddr,
      tls,
    };
    return await this.#ask(request) ? undefined : "ERR_FORBIDDEN";
  }

  async #ask(request: Parameters<Authorize>[0]): Promise<boolean> {
    const { authorize } = this.#parts.plan.given;
    return authorize === undefined ? true : await authorize(request) === true;
  }
}
