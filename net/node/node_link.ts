// NodeLink: a socket of node:net, with or without a TLS session on it, and what Deno's node:net and
// node:tls lack.
import type net from "node:net";
import type { Address, SocketTuning } from "../transport/transport.ts";

/** The link that watches a handle. */
const WATCHER: unique symbol = Symbol("watcher");

/**
 * The part of node:net's handles that is used here. It is not public: `tests/net/canary_test.ts`
 * checks that it still is there.
 */
interface StreamHandle {
  [WATCHER]?: NodeLink | undefined;
  onread: (...args: unknown[]) => unknown;
  readStart(): number;
  readStop(): number;
  useUserBuffer(buffer: Uint8Array): void;
}

/** A buffer without room: with it the platform reads nothing, and does not take that for an end. */
const NO_ROOM = new Uint8Array(new ArrayBuffer(1), 0, 0);

/** Makes the platform allocate its own read buffers again. */
const OWN_ROOM = new Uint8Array(0);

/**
 * How long a peer is silent before the kernel probes it, in ms, where probes are on: Linux would
 * wait for two hours.
 */
const KEEPALIVE_DELAY_MS = 60_000;

/**
 * A socket of node:net, which may carry a TLS session.
 *
 * In Deno 2.9 `tlsSocket.pause()` stops the delivery of bytes but not the reading of them, so that
 * a peer that sends without pause fills our memory; and the end of the socket, even by a reset,
 * counts as the end of the session, so that an attacker on the way can cut it short unseen. A link
 * stops the reading itself, and tells the end of the socket from the end of the session.
 *
 * And a write that has to wait fails with EPIPE when the peer has ended its direction without
 * having sent a byte, before or meanwhile: the platform takes that for a broken connection, unless
 * it is reading. So it is kept reading, without room for bytes: see {@linkcode hold}.
 */
export class NodeLink {
  /** The socket; a session on it owns its life. */
  readonly socket: net.Socket;
  /** The near end. */
  localAddr: Address;
  /** The far end. */
  remoteAddr: Address;
  /** True while the platform handles the end of the socket, in order or by a reset. */
  ending = false;
  /** Called when the socket has ended, after the platform has handled it. */
  onEnd: () => void = nothing;
  readonly #handle: StreamHandle;
  /** What the platform does with what comes on the handle. */
  #feed: StreamHandle["onread"] = nothing;
  /** Addresses may be those of a proxied connection: they do not say what socket this is. */
  readonly #isTcp: boolean;
  #reading = true;
  #referenced = true;
  #hasReceived = false;
  /** Whether the platform reads into a buffer without room. */
  #isHeld = false;
  #hasEnded = false;

  /**
   * Takes over a connected socket, before its TLS session is made. `listening` is the address of its
   * listener: connections that have the same one share it.
   *
   * @throws {TypeError} when the platform's sockets lack what this class uses
   */
  constructor(socket: net.Socket, path?: string, listening?: Address) {
    const handle = handleOf(socket);
    if (handle === undefined) {
      throw new TypeError(
        `Cannot use a socket of node:net as this version of the runtime lacks what it needs: for TLS, use the "deno" backend`,
      );
    }
    this.socket = socket;
    this.#handle = handle;
    this.#isTcp = path === undefined;
    // A socket without a listener ends the process when its peer resets it.
    socket.on("error", nothing);
    this.localAddr = path === undefined
      ? tcpAddress(socket.localAddress, socket.localPort, listening)
      : { transport: "unix", path };
    this.remoteAddr = path === undefined
      ? tcpAddress(socket.remoteAddress, socket.remotePort)
      : { transport: "unix", path };
  }

  /**
   * Passes what the peer sends to `take`, before the platform's streams see any of it, until the
   * returned function is called; `null` is the end or an error. Bytes that are not for `take` go
   * back by `socket.unshift`. Call it before {@linkcode watch}.
   */
  intercept(take: (bytes: Uint8Array | null) => void): () => void {
    const handle = this.#handle;
    const feed = handle.onread;
    handle.onread = (...args: unknown[]) => {
      const [bytes] = args;
      if (bytes instanceof ArrayBuffer) this.#hasReceived = true;
      take(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : null);
    };
    this.#restart();
    return () => {
      handle.readStop();
      handle.onread = feed;
    };
  }

  /** Watches the end of the socket. Call it right after making the TLS session, if there will be one. */
  watch(): void {
    const handle = this.#handle;
    this.#feed = handle.onread;
    handle[WATCHER] = this;
    handle.onread = NodeLink.#onRead;
    // The callback is looked up when reading starts.
    handle.readStop();
    handle.readStart();
  }

  /**
   * What the platform calls with bytes, or without any at the end and at errors. All links share
   * it, because else each would hold a function of its own.
   */
  static #onRead(this: unknown, ...args: unknown[]): unknown {
    const handle = this as StreamHandle;
    const link = handle[WATCHER]!;
    if (args[0] !== undefined) {
      link.#hasReceived = true;
      return link.#feed.apply(handle, args);
    }
    return link.#isHeld ? undefined : link.#finish(args);
  }

  #finish(args: unknown[]): unknown {
    this.#hasEnded = true;
    this.ending = true;
    try {
      return this.#feed.apply(this.#handle, args);
    } finally {
      this.ending = false;
      // The platform lets go of the event loop here, although our direction may still be open.
      if (this.#referenced && !this.socket.destroyed) this.socket.ref();
      this.onEnd();
    }
  }

  /** Stops reading from the kernel. */
  pause(): void {
    if (!this.#reading || this.socket.destroyed) return;
    this.#reading = false;
    this.#handle.readStop();
  }

  /** Reads from the kernel again. */
  resume(): void {
    if (this.#reading || this.socket.destroyed) return;
    this.#reading = true;
    this.#handle.readStart();
  }

  /** Whether the peer has sent nothing yet: then a write that waits must {@linkcode hold}. */
  get isPeerSilent(): boolean {
    return !this.#hasReceived;
  }

  /** Whether the peer has ended its direction. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /**
   * Takes nothing from the kernel until {@linkcode release}, not even an end, although the platform
   * is reading. The platform looks for room again and again while there is something to read, so
   * this is for the time of a write only.
   */
  hold(): void {
    if (this.#isHeld || this.socket.destroyed) return;
    this.#isHeld = true;
    this.#handle.useUserBuffer(NO_ROOM);
    if (this.#hasEnded) this.#restart();
  }

  /** Ends {@linkcode hold}. After the end there is nothing to read. */
  release(): void {
    if (!this.#isHeld || this.socket.destroyed) return;
    this.#isHeld = false;
    this.#handle.useUserBuffer(OWN_ROOM);
    if (this.#hasEnded) this.#handle.readStop();
    else this.#restart();
  }

  /**
   * Makes the platform read at once. A start alone would do nothing where a part of the platform
   * assumes that reading has begun.
   */
  #restart(): void {
    this.#handle.readStop();
    this.#handle.readStart();
  }

  /** Changes socket options; a unix socket has none. */
  tune(tuning: SocketTuning): void {
    if (!this.#isTcp) return;
    if (tuning.noDelay !== undefined) this.socket.setNoDelay(tuning.noDelay);
    const { keepAlive } = tuning;
    if (keepAlive === undefined) return;
    const delayMs = typeof keepAlive === "object" ? keepAlive.delayMs : KEEPALIVE_DELAY_MS;
    this.socket.setKeepAlive(keepAlive !== false, delayMs);
  }

  /** Sets whether the open socket keeps the process alive. */
  setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    if (this.socket.destroyed) return;
    if (referenced) this.socket.ref();
    else this.socket.unref();
  }

  /**
   * Frees the descriptor and resets the connection. Unix sockets have no resets: there it closes
   * with unread bytes.
   */
  reset(): void {
    if (this.#isTcp) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  /** Frees the descriptor. */
  destroy(): void {
    this.socket.destroy();
  }
}

/** Does nothing. It is shared, because else each connection would hold a function of its own. */
export const nothing = (): void => {};

function handleOf(socket: net.Socket): StreamHandle | undefined {
  const handle =
    (socket as unknown as { _handle?: Partial<StreamHandle> | null | undefined })._handle;
  const needed = ["readStart", "readStop", "useUserBuffer"] as const;
  const fit = needed.every((name) => typeof handle?.[name] === "function");
  return fit ? handle as StreamHandle : undefined;
}

function tcpAddress(hostname = "", port = 0, known?: Address): Address {
  const isKnown = known?.transport === "tcp" && known.port === port && known.hostname === hostname;
  return isKnown ? known : { transport: "tcp", hostname, port };
}
