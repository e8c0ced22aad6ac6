// IpcHandshake: brings an accepted connection through TLS and the handshake of the channel.
import { TimeoutError } from "../errors.ts";
import type { Incoming } from "../net/transport/transport.ts";
import type { Handshake } from "../accept/handshake.ts";
import { measure, peerDetails, telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { ResolvedIpcOptions } from "./options.ts";
import type { SecretSource } from "./endpoint/secrets.ts";
import { secure } from "./secure/secure_link.ts";
import type { FrameLink } from "./secure/frame_link.ts";
import type { HandshakeReason } from "./secure/hello.ts";

/** What an {@linkcode IpcHandshake} works with. */
export interface IpcHandshakeOptions {
  readonly resolved: ResolvedIpcOptions;
  readonly secrets: SecretSource;
  /** Called when a handshake failed for a reason that is counted. */
  readonly onFailure: (reason: HandshakeReason) => void;
}

/** The handshakes of one endpoint of a channel. They run side by side. */
export class IpcHandshake implements Handshake<FrameLink> {
  readonly isInstant = false;
  readonly #options: IpcHandshakeOptions;

  /** Makes the handshake of one endpoint. */
  constructor(options: IpcHandshakeOptions) {
    this.#options = options;
  }

  /** Performs TLS, if there is any, and the handshake of the channel. */
  perform(incoming: Incoming, signal: AbortSignal): Promise<FrameLink> {
    if (!telemetryOn()) return this.#secure(incoming, signal);
    const { channel } = this.#options.resolved.link;
    return measure({
      name: "handshake",
      kind: "server",
      labels: { "parley.protocol": "ipc", "parley.ipc.channel": channel },
      details: peerDetails(incoming.remoteAddr),
      duration: "parley.handshake.duration",
    }, () => this.#secure(incoming, signal));
  }

  /** Closes the link. */
  discard(link: FrameLink): void {
    link.close();
  }

  async #secure(incoming: Incoming, signal: AbortSignal): Promise<FrameLink> {
    const { resolved, secrets, onFailure } = this.#options;
    const secretsNow = await secrets.get("server").catch((error) => {
      incoming.refuse();
      throw error;
    });
    try {
      const transport = await incoming.open({ signal });
      const keys = { ...resolved.handshake, secrets: secretsNow };
      return await secure(transport, { role: "server", ...keys, signal, onFailure });
    } catch (error) {
      if (error === signal.reason && error instanceof TimeoutError) onFailure("timed out");
      throw error;
    }
  }
}
