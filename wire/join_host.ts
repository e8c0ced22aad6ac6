// JoinHost: what a joined side decides about the streams that come to it, and what it does with
// news of the server.
import type { ParleyError } from "../errors.ts";
import type { WireCounters } from "../stats/data/counters.ts";
import type { NameTraffic } from "./observe/name_traffic.ts";
import type { WireReporter } from "./observe/reporter.ts";
import type { WireTally } from "./observe/tally.ts";
import type { JoinOptions } from "./options.ts";
import type { PeerList } from "./peer_list.ts";
import { BUSY_MS } from "./plan.ts";
import type { Control, Open, StreamRefusal } from "./protocol/frames.ts";
import { sessionEnded } from "./protocol/refusals.ts";
import type { Authorize } from "./session/authorize.ts";
import type { HandlerTable } from "./session/handlers.ts";
import type { Link, LinkHost } from "./session/link.ts";

/** What {@linkcode JoinHost} works with. */
export interface JoinHostParts {
  readonly options: JoinOptions;
  readonly handlers: HandlerTable;
  readonly maxHandlers: number;
  readonly peers: PeerList;
  readonly tally: WireTally;
  readonly reporter: WireReporter;
}

/** The joined side, as its sessions see it: one for all of them, each after the other. */
export class JoinHost implements LinkHost {
  readonly counters: WireCounters;
  readonly names: NameTraffic;
  readonly handlers: HandlerTable;
  readonly maxHandlers: number;
  readonly busyMs: number = BUSY_MS;
  readonly #parts: JoinHostParts;
  #dismissed: ParleyError | undefined;

  constructor(parts: JoinHostParts) {
    this.#parts = parts;
    this.counters = parts.tally.counters;
    this.names = parts.tally.names;
    this.handlers = parts.handlers;
    this.maxHandlers = parts.maxHandlers;
  }

  /** Why the server ended the session for good; `undefined` while it has not. */
  get dismissed(): ParleyError | undefined {
    return this.#dismissed;
  }

  authorizeStream(
    link: Link,
    open: Open,
  ): undefined | Promise<StreamRefusal | undefined> {
    const { authorize } = this.#parts.options;
    return authorize === undefined ? undefined : this.#ask(authorize, link, open);
  }

  /** No peer is behind a joined side. */
  route(): Promise<StreamRefusal | undefined> {
    return Promise.resolve("ERR_NO_PEER");
  }

  onControl(link: Link, { streams, peers, gone, ended }: Control): void {
    const { options, reporter } = this.#parts;
    if (ended !== undefined) {
      this.#dismissed = sessionEnded(ended);
      reporter.report(this.#dismissed, { phase: "session", session: link.session });
      return link.abort(this.#dismissed);
    }
    if (streams !== undefined) {
      link.offers = streams;
      reporter.guard(() => options.onOffers?.(link.session));
    }
    if (this.#parts.peers.take({ peers, gone })) this.announcePeers();
  }

  /** Announces to the application who else is at the hub. */
  announcePeers(): void {
    const { options, peers, reporter } = this.#parts;
    reporter.guard(() => options.onPeers?.(peers.peers));
  }

  onStreamError(link: Link, error: unknown): void {
    this.#parts.reporter.report(error, { phase: "stream", session: link.session });
  }

  onSessionError(link: Link, error: unknown): void {
    this.#parts.reporter.report(error, { phase: "session", session: link.session });
  }

  async #ask(
    authorize: Authorize,
    link: Link,
    { name, from }: Open,
  ): Promise<StreamRefusal | undefined> {
    const { identity } = this.#parts.options;
    const { remoteAddr, tls } = link.session;
    const request = {
      kind: "stream" as const,
      identity: from ?? "",
      token: "",
      name,
      from,
      to: identity,
    };
    return await authorize({ ...request, remoteAddr, tls }) === true ? undefined : "ERR_FORBIDDEN";
  }
}
