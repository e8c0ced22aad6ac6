// EstablishedSession: what a handshake results in.
import type { MuxSession } from "../../mux/session.ts";
import type { Address, TlsInfo } from "../../net/transport/transport.ts";
import type { FrameChannel } from "../protocol/frame_stream.ts";
import type { Limits } from "../protocol/frames.ts";

/** A session whose handshake has succeeded: what both sides said, and what carries it. */
export interface EstablishedSession {
  /** The id that the server made. */
  readonly id: string;
  /** Who the joined side is, as authenticated. */
  readonly identity: string;
  /** What proved the identity. */
  readonly token: string;
  /** Who the other side is: the identity of a peer that joined here, `undefined` for the server. */
  readonly peer: string | undefined;
  /** Names that the peer handles. */
  readonly offers: readonly string[];
  /** What the peer takes, as far as it says. */
  readonly limits: Limits;
  /** Streams of ours that these limits do not count: 1 where this side opened the control stream. */
  readonly uncounted: number;
  /** Names that this side handles, as it announced them. */
  readonly announced: readonly string[];
  /** Carries the streams. */
  readonly mux: MuxSession;
  /** The control stream, with HELLO and WELCOME read off it. */
  readonly control: FrameChannel;
  /** The connection. */
  readonly transport: { readonly remoteAddr: Address; readonly tls?: TlsInfo | undefined };
}
