// Listening: a listener and the certificates that it uses, which begin and end together.
import { listen, type ListenOptions, type ListenTarget } from "../net/listen.ts";
import type { Listener } from "../net/transport/transport.ts";
import type { CredentialSource, ServerTlsOptions } from "../tls/handshake/options.ts";
import { openServerCredentials } from "../tls/load.ts";

/** Where and how to listen. */
export interface ListenPlan {
  /** The address, without TLS. */
  readonly where: ListenTarget;
  /** Certificates; `undefined` for plain connections. */
  readonly tls: ServerTlsOptions | undefined;
  /** Certificates in force, where another thread loads them. @default {loaded as `tls` says} */
  readonly credentials?: CredentialSource | undefined;
  /** What holds for every connection. */
  readonly listenOptions: ListenOptions;
}

/** Options of {@linkcode Listening.open}. */
export interface OpenListeningOptions {
  /** Ends the attempt: it rejects with `signal.reason`, and nothing stays open. */
  readonly signal: AbortSignal;
  /**
   * Called when new certificate files cannot be used, and when a certificate ends soon or has
   * ended.
   */
  readonly onCertificateError: (error: unknown) => void;
}

/** A listening socket whose certificates, if it has any, are renewed and watched. */
export class Listening {
  /** What accepts. */
  readonly listener: Listener;
  /** Certificates in force; `null` without TLS. */
  readonly credentials: CredentialSource | null;

  /** Takes over a listener; closing it, and these certificates, is then this object's work. */
  constructor(listener: Listener, credentials: CredentialSource | null = null) {
    this.listener = listener;
    this.credentials = credentials;
  }

  /**
   * Loads the certificates, if there are any, and listens.
   *
   * @throws as {@linkcode listen} and `loadTls` do, and the reason of `signal`; nothing is open
   * then
   */
  static async open(plan: ListenPlan, options: OpenListeningOptions): Promise<Listening> {
    const { signal, onCertificateError } = options;
    signal.throwIfAborted();
    const credentials = plan.tls === undefined ? null : plan.credentials ??
      await openServerCredentials(plan.tls, { onError: onCertificateError });
    try {
      signal.throwIfAborted();
      const tls = credentials === null ? undefined : { ...plan.tls, credentials };
      const listener = await listen({ ...plan.where, tls }, plan.listenOptions);
      if (signal.aborted) listener.close();
      signal.throwIfAborted();
      return new Listening(listener, credentials);
    } catch (error) {
      credentials?.close();
      throw error;
    }
  }

  /** Stops listening, and stops watching the certificates. Idempotent. */
  close(): void {
    this.listener.close();
    this.credentials?.close();
  }
}
