// MountHandshake: how an accepted connection becomes a session of a mounted wire: TLS, HELLO and WELCOME.
import { type Handshake, measureHandshake } from "../accept/handshake.ts";
import type { Incoming } from "../net/transport/transport.ts";
import { tlsLabels } from "../stats/telemetry/telemetry.ts";
import { handshakeAsServer, type ServerHandshakeParts } from "./session/handshake.ts";
import type { Link } from "./session/link.ts";

/** The handshakes of one mounted wire. Calls of {@linkcode perform} run side by side. */
export class MountHandshake implements Handshake<Link> {
  readonly isInstant = false;
  readonly #parts: ServerHandshakeParts;

  /** Makes the handshake of one mounted wire. */
  constructor(parts: ServerHandshakeParts) {
    this.#parts = parts;
  }

  /** Returns the session, which is listed by then; `null` when the peer was refused in order. */
  perform(incoming: Incoming, signal: AbortSignal): Promise<Link | null> {
    return measureHandshake("wire", incoming, async (measured) => {
      const startedMs = performance.now();
      const transport = await incoming.open({ signal });
      measured?.add(tlsLabels(transport.tls));
      return await handshakeAsServer(transport, this.#parts, { startedMs, signal });
    });
  }

  /** Cuts a session that has begun as the wire was closed. */
  discard(link: Link): void {
    link.abort();
  }
}
