// Authorize: the question who may join, and who may open which stream.
import type { Address, TlsInfo } from "../../net/transport/transport.ts";

/** What may be allowed or not. */
export interface AuthorizeRequest {
  /** `"session"` once per HELLO, `"stream"` once per stream. */
  readonly kind: "session" | "stream";
  /** Who asks: claimed for a session, proven for a stream. */
  readonly identity: string;
  /** The token of HELLO. Compare it with {@linkcode sameToken}. */
  readonly token: string;
  /** Name of the stream. */
  readonly name?: string | undefined;
  /** Who opens the stream; the same as `identity`. */
  readonly from?: string | undefined;
  /** Whom the stream is for, through a hub; absent when it is for this side. */
  readonly to?: string | undefined;
  /** Where the peer is. */
  readonly remoteAddr: Address;
  /** What TLS knows of the peer, such as its certificate. */
  readonly tls?: TlsInfo | undefined;
}

/**
 * Decides, within five seconds. What is not `true` refuses. An error is no verdict: a session is refused
 * with `ERR_BUSY`, so that the client tries again, and a stream with `ERR_HANDLER`.
 */
export type Authorize = (request: AuthorizeRequest) => boolean | Promise<boolean>;
