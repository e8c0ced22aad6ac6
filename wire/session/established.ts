// EstablishedSession: what a handshake results in.
import type { MuxSession } from "../../mux/session.ts";
import type { Address, TlsInfo } from "../../net/transport/transport.ts";
import type { FrameChannel } from "../protocol/frame_stream.ts";
import type { Limits } from "../protocol/frames.ts";

/** A session whose handshake has succeeded: what both sides said, and what carries it. */
export interface EstablishedSession {
  readonly id: string;
  /** Who the joined side is, as authenticated. */
  readonly identity: string;
  readonly token: string;
  /** Names that the peer handles. */
  readonly offers: readonly string[];
  /** What the peer takes, as far as it says. */
  readonly limits: Limits;
  /** Streams of ours that these limits do not count: 1 where this side opened the control stream. */
  readonly uncounted: number;
  /** Names that the peer was told we handle. */
  readonly announced: readonly string[];
  readonly mux: MuxSession;
  readonly control: FrameChannel;
  /** The connection. */
  readonly transport: { readonly remoteAddr: Address; readonly tls?: TlsInfo | undefined };
}
