// Transport: the interface of a connection for protocol code.

/** An address of one end of a connection. */
export type Address =
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string }
  | { readonly transport: "memory"; readonly name: string };

/** Facts about a certificate from the TLS handshake. The field names are those of X.509. */
export interface PeerCertificate {
  /** Subject as one line, such as `CN=agent-7,O=Example`. */
  readonly subject: string;
  /** Issuer as one line. */
  readonly issuer: string;
  /** Subject alternative names, such as `DNS:localhost`. */
  readonly subjectAltNames: readonly string[];
  /** Serial number in upper-case hex. */
  readonly serialNumber: string;
  /** SHA-256 over the DER bytes, lower-case hex without colons. */
  readonly fingerprint256: string;
  /** First moment of validity. */
  readonly notBefore: Date;
  /** Last moment of validity. */
  readonly notAfter: Date;
  /** The certificate itself, DER encoded. */
  readonly raw: Uint8Array;
}

/** The results of a TLS handshake. */
export interface TlsInfo {
  /** Which implementation carries the session. */
  readonly backend: "deno" | "node";
  /** Negotiated protocol, such as `TLSv1.3`; `null` where the platform does not say. */
  readonly protocol: string | null;
  /** Negotiated application protocol (ALPN), `null` when there is none. */
  readonly alpnProtocol: string | null;
  /** The peer's verified certificate, `null` when it sent none or the platform does not say. */
  readonly peerCertificate: PeerCertificate | null;
}

/**
 * Whether the kernel probes a silent peer (SO_KEEPALIVE), and after how long a silence it begins.
 *
 * `{ delayMs }` sets the silence before the first probe, in whole seconds, 1000 to 32 767 000 ms.
 * Only sockets of `node:net` take it, TLS by the `node` backend included; where a socket is one of
 * Deno's, it is refused. `true` is 60 s where it can be set, and else the system's time: two hours
 * on Linux. After the first probe the system decides: Linux probes nine times, every 75 s
 * (`net.ipv4.tcp_keepalive_probes` and `_intvl`), and then resets the connection.
 */
export type KeepAlive = boolean | { readonly delayMs: number };

/**
 * Socket options that can be changed on a live connection. What a transport lacks is refused.
 *
 * Sizes of the socket's buffers, the user timeout of TCP, the number of keepalive probes and cipher
 * suites are not among them: Deno passes none of them on.
 */
export interface SocketTuning {
  /** Sends small writes at once (TCP_NODELAY). */
  noDelay?: boolean | undefined;
  /** Lets the kernel probe a silent peer. */
  keepAlive?: KeepAlive | undefined;
}

/** Gets what a read brings, in place of a promise: see {@linkcode Transport.readTo}. */
export interface ChunkReader {
  /** The read is over: the next bytes, or `null` at an orderly end. It must not throw. */
  onChunk(chunk: Uint8Array | null): void;
  /** The read failed, for one of the reasons of {@linkcode Transport.read}. */
  onReadFailed(error: Error): void;
}

/** Learns that a write is over, in place of a promise: see {@linkcode Transport.writeFor}. */
export interface ChunkWriter {
  /** The kernel has all bytes. It must not throw. */
  onWritten(): void;
  /** The write failed, for one of the reasons of {@linkcode Transport.write}. */
  onWriteFailed(error: Error): void;
}

/**
 * An ordered, reliable, bidirectional flow of bytes: the one thing that protocol code knows of a
 * socket. One read and one write may be under way at a time.
 */
export interface Transport {
  /** The near end. */
  readonly localAddr: Address;
  /** The far end. */
  readonly remoteAddr: Address;
  /** Facts of the TLS handshake; absent without TLS. */
  readonly tls?: TlsInfo | undefined;
  /**
   * Waits for the next bytes; `null` at an orderly end. The chunk belongs to the caller and is never
   * written to again.
   *
   * @throws {ClosedError} `ERR_RESET` when the peer vanished, `ERR_CLOSED` after {@linkcode close}
   */
  read(): Promise<Uint8Array | null>;
  /**
   * Gives back the chunk that the last read brought, of which nothing is kept: its memory may be
   * read into again. No read may be under way. Absent where it would save nothing.
   */
  reuse?(chunk: Uint8Array): void;
  /**
   * Writes all of `bytes`; resolves when the kernel has them, and only then may they be changed.
   *
   * @throws {ClosedError} `ERR_RESET` when the peer vanished, `ERR_CLOSED` after {@linkcode close}
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * The same as {@linkcode read}, for a caller to whom a promise for each read is too dear. The
   * reader is never called within this call. Absent where it would save nothing.
   */
  readTo?(reader: ChunkReader): void;
  /**
   * The same as {@linkcode write}, for a caller to whom a promise for each write is too dear. The
   * writer is never called within this call. Absent where it would save nothing.
   */
  writeFor?(bytes: Uint8Array, writer: ChunkWriter): void;
  /**
   * Bytes of the current write that the kernel has taken so far: the rest waits for the peer.
   * Absent where a write is all or nothing.
   */
  readonly takenBytes?: number | undefined;
  /**
   * Bytes that the kernel holds until the peer's kernel has acknowledged them; `null` where the
   * system does not report them. Expensive: it searches the system's list of all sockets. Absent
   * where there is no kernel in between.
   */
  unacknowledgedBytes?(): number | null;
  /** Ends our direction: the peer reads to the end. Reading goes on. No write may be under way. */
  closeWrite(): Promise<void>;
  /**
   * Removes the mark of an orderly end from our direction: after that, {@linkcode closeWrite} and
   * {@linkcode close} end it so that the peer's `read` rejects once it has read what was written
   * before. Called when a fault ends the connection. Absent where an end carries no mark: plain TCP
   * without `canReset` and unix sockets have one kind of end only. Over plain TCP with `canReset`
   * the end is a reset at {@linkcode close}, which may overtake the last bytes.
   */
  unsign?(): void;
  /** Frees the descriptor now. Current reads and writes reject with `ERR_CLOSED`. Idempotent. */
  close(): void;
  /**
   * Frees the descriptor and resets the connection, so that the peer reads no orderly end. Absent
   * where there are no resets.
   */
  reset?(): void;
  /** Changes socket options; absent where there are none. */
  tune?(tuning: SocketTuning): void;
  /** Keeps the process alive while a read is under way (the default). Absent where that has no meaning. */
  ref?(): void;
  /** Lets the process end while a read is under way. */
  unref?(): void;
}

/** A connection that the kernel accepted, before its TLS handshake. Cheap to refuse. */
export interface Incoming {
  /** The near end. */
  readonly localAddr: Address;
  /** The far end. */
  readonly remoteAddr: Address;
  /**
   * Reads the PROXY protocol header, after which `remoteAddr` and `localAddr` are those of the
   * client's own connection; call it once, before {@linkcode open}. Absent where no header is
   * expected. When `signal` aborts, the descriptor is freed at once and the call rejects with
   * `signal.reason`.
   *
   * @throws {ProtocolError} `ERR_PROXY_HEADER` when it is missing, wrong or cut short; the
   * descriptor is free by then
   * @throws {ClosedError} `ERR_RESET` when the source left without a byte, as health checks do; the
   * descriptor is free by then
   */
  identify?: ((options: { signal: AbortSignal }) => Promise<void>) | undefined;
  /**
   * Finishes the handshake, if there is one. When `signal` aborts, the descriptor is freed at once and the
   * call rejects with `signal.reason`.
   *
   * @throws {TlsError} when the handshake fails; the descriptor is free by then
   */
  open(options: { signal: AbortSignal }): Promise<Transport>;
  /**
   * Takes over a connection that has no handshake, at once. Absent where {@linkcode open} takes
   * time. Never throws: a peer that has left shows at the first read.
   */
  openNow?: (() => Transport) | undefined;
  /** Closes the connection without sending anything. */
  refuse(): void;
}

/** A listening socket. */
export interface Listener {
  /** Where it listens; the port is the real one. */
  readonly addr: Address;
  /**
   * Waits for the next connection; `null` once {@linkcode close} was called. Connections that end
   * before they are accepted are passed over. A rejection is a passing fault of the process, such
   * as no free descriptor: wait a moment and call again. One call at a time.
   */
  accept(): Promise<Incoming | null>;
  /**
   * Stops listening now and frees the descriptor. A waiting {@linkcode accept} resolves with
   * `null`. Idempotent.
   */
  close(): void;
  /** Keeps the process alive (the default). */
  ref(): void;
  /** Lets the process end while listening. */
  unref(): void;
}
