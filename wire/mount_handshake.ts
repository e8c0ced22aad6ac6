// MountHandshake: how an accepted connection becomes a session of a mounted wire: TLS, HELLO and WELCOME.
import { type Handshake, measureHandshake } from "../accept/handshake.ts";
import type { Incoming, Transport } from "../net/transport/transport.ts";
import { tlsLabels } from "../stats/telemetry/telemetry.ts";
import type { MountHost } from "./mount_host.ts";
import type { MountPlan } from "./plan.ts";
import { GreetedIncoming } from "./session/handshake.ts";
import type { HandlerTable } from "./session/handlers.ts";
import { Link } from "./session/link.ts";
import type { Registry } from "./session/registry.ts";

/** A session that has begun, and the connection that carries it. */
export interface Arrival {
  readonly link: Link;
  readonly transport: Transport;
}

/** What {@linkcode MountHandshake} works with. */
export interface MountHandshakeParts {
  readonly plan: MountPlan;
  readonly host: MountHost;
  readonly handlers: HandlerTable;
  readonly registry: Registry;
}

/** The handshakes of one mounted wire; they run side by side. */
export class MountHandshake implements Handshake<Arrival> {
  readonly isInstant = false;
  readonly #parts: MountHandshakeParts;

  /** Makes the handshake of one mounted wire. */
  constructor(parts: MountHandshakeParts) {
    this.#parts = parts;
  }

  /** Returns the session, which is registered by then; `null` when the peer was refused in order. */
  perform(incoming: Incoming, signal: AbortSignal): Promise<Arrival | null> {
    return measureHandshake("wire", incoming, async (measured) => {
      const { plan, host, handlers, registry } = this.#parts;
      let link: Link | undefined;
      const greeted = new GreetedIncoming(incoming, {
        names: () => handlers.names,
        maxStreams: plan.maxStreams,
        plainBufferedBytes: plan.plainBufferedBytes,
        maxStreamsPerPair: plan.maxStreamsPerPair,
        judge: (greeting, signal) => host.judgeSession(greeting, signal),
        admit: (established) => registry.claim(established) ? undefined : "ERR_NAME_TAKEN",
        register: (established) => {
          link = new Link(established, host);
          if (!registry.add(link)) link.abort();
        },
      }, plan.mux);
      const transport = await greeted.open({ signal });
      measured?.add(tlsLabels(transport.tls));
      if (link !== undefined) return { link, transport };
      transport.close();
      return null;
    });
  }

  /** Closes the connection; its session ends by that. */
  discard({ transport }: Arrival): void {
    transport.close();
  }
}
