// WirePeer: another peer at the hub, as a joined wire reaches it.
import {
  checkOpen,
  type OpenOptions,
  openStream,
  setRoute,
  type StreamRoute,
} from "./session/open_stream.ts";
import type { WireStream } from "./session/stream.ts";

/** Another peer at the hub, whether there or not. */
export class WirePeer {
  /** Its identity. */
  readonly identity: string;
  readonly #route: StreamRoute;

  /** @ignore peers come from `wire.peer(identity)` */
  constructor(identity: string, route: StreamRoute) {
    this.identity = identity;
    this.#route = route;
    setRoute(this, route);
  }

  /**
   * Opens a stream to the peer's handler of this name, through the hub. With `waitForPeer` the hub holds
   * it until the peer is there.
   *
   * @throws {RemoteError} `ERR_NO_PEER` without the peer, and as {@linkcode WireSession.open} does
   */
  async open(name: string, options: OpenOptions = {}): Promise<WireStream> {
    return await openStream(this.#route, checkOpen(name, this.identity, options));
  }
}
