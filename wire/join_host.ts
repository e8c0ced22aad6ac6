// JoinHost: what a joined side decides about the streams that come to it, and which hooks it calls for them.
import type { WireCounters } from "../stats/data/counters.ts";
import type { Control, Open, StreamRefusal } from "./protocol/frames.ts";
import type { HandlerTable } from "./session/handlers.ts";
import type { Link, LinkHost } from "./session/link.ts";
import { BUSY_MS } from "./plan.ts";
import type { NameTraffic } from "./observe/name_traffic.ts";
import type { JoinOptions } from "./options.ts";
import type { WireReporter } from "./observe/reporter.ts";
import type { WireTally } from "./observe/tally.ts";

/** What {@linkcode JoinHost} works with. */
export interface JoinHostParts {
  readonly options: JoinOptions;
  readonly handlers: HandlerTable;
  readonly maxHandlers: number;
  readonly tally: WireTally;
  readonly reporter: WireReporter;
  readonly onControl: (link: Link, control: Control) => void;
}

/** Judges what the server, and others through it, ask for. */
export class JoinHost implements LinkHost {
  readonly counters: WireCounters;
  readonly names: NameTraffic;
  readonly handlers: HandlerTable;
  readonly maxHandlers: number;
  readonly busyMs: number = BUSY_MS;
  readonly #parts: JoinHostParts;

  constructor(parts: JoinHostParts) {
    this.#parts = parts;
    this.counters = parts.tally.counters;
    this.names = parts.tally.names;
    this.handlers = parts.handlers;
    this.maxHandlers = parts.maxHandlers;
  }

  async authorizeStream(link: Link, { name, from }: Open): Promise<StreamRefusal | undefined> {
    const { authorize, identity } = this.#parts.options;
    if (authorize === undefined) return undefined;
    const { remoteAddr, tls } = link.session;
    const request = { kind: "stream" as const, identity: from ?? "", token: "", name, from, to: identity };
    return await authorize({ ...request, remoteAddr, tls }) === true ? undefined : "ERR_FORBIDDEN";
  }

  defaultOpener(): undefined {
    return undefined;
  }

  /** No peer is behind a joined side. */
  route(): Promise<StreamRefusal | undefined> {
    return Promise.resolve("ERR_NO_PEER");
  }

  onControl(link: Link, control: Control): void {
    this.#parts.onControl(link, control);
  }

  onStreamError(link: Link, error: unknown): void {
    this.#parts.reporter.report(error, { phase: "stream", session: link.session });
  }

  onSessionError(link: Link, error: unknown): void {
    this.#parts.reporter.report(error, { phase: "session", session: link.session });
  }
}
