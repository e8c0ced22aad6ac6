// Flows: both contestants behind the same few calls, each used the way it is fastest.
import type { Socket } from "node:net";
import type { Buffer } from "node:buffer";
import { yamux } from "@libp2p/yamux";
import { MuxMemory, MuxSession, type MuxStream } from "../../../mux/mod.ts";
import type { Transport } from "../../../net/transport/transport.ts";

/** One stream of either contestant. */
export interface Flow {
  /** Sends bytes; resolves when more may follow. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends our direction. */
  closeWrite(): Promise<void>;
  /** Passes on bytes as they come; resolves at the peer's end. Called once. */
  receive(onBytes: (bytes: Uint8Array) => void): Promise<void>;
  /** As {@linkcode receive}, for bytes that are looked at and not kept. */
  receiveBulk(onBytes: (bytes: Uint8Array) => void): Promise<void>;
}

/** Memory of a reader of bulk bytes. */
const BULK_READ_BYTES = 65536;

/** One session of either contestant. */
export interface Session {
  /** Opens a stream. */
  open(): Promise<Flow>;
  /** Ends it. */
  stop(): void;
}

/** Who is measured. */
export type Contestant = "parley" | "libp2p";

/** Which side a session is, and who takes the streams that the peer opens. */
export interface SessionPlan {
  readonly contestant: Contestant;
  readonly role: "client" | "server";
  readonly onFlow: (flow: Flow) => void;
  /** Whether thousands of streams are open at once: then memory is set aside for what they receive. */
  readonly isCrowded: boolean;
}

const MAX_STREAMS = 20_000;
/** What so many streams may receive at first. */
const CROWD_BYTES = MAX_STREAMS * 256 * 1024;
/** A session may reserve as much as it leaves free. */
const CROWD_MEMORY = new MuxMemory({ maxBytes: 2 * CROWD_BYTES });
/** Bytes joined into one write of the peer's transport, and kept before its streams have to wait. */
const JOIN_BYTES = 65536;
const HIGH_WATER_BYTES = 1 << 20;

/** Starts a session over a transport. */
export function startSession(transport: Transport, plan: SessionPlan): Session {
  return plan.contestant === "parley" ? startParley(transport, plan) : startLibp2p(transport, plan);
}

function startParley(transport: Transport, { role, onFlow, isCrowded }: SessionPlan): Session {
  const session = new MuxSession(transport, {
    role,
    maxStreams: MAX_STREAMS,
    ...isCrowded ? { maxBufferedBytes: CROWD_BYTES, memory: CROWD_MEMORY } : {},
  });
  void (async () => {
    for await (const stream of session) onFlow(flowOf(stream));
  })();
  return {
    open: async () => flowOf(await session.openStream()),
    stop: () => session.abort(),
  };
}

function flowOf(stream: MuxStream): Flow {
  return {
    write: (bytes) => stream.write(bytes),
    closeWrite: () => stream.closeWrite(),
    async receive(onBytes) {
      for (let bytes = await stream.read(); bytes !== null; bytes = await stream.read()) {
        onBytes(bytes);
      }
    },
    async receiveBulk(onBytes) {
      const memory = new Uint8Array(BULK_READ_BYTES);
      for (let count; (count = await stream.readInto(memory)) !== null;) {
        onBytes(count === memory.length ? memory : memory.subarray(0, count));
      }
    },
  };
}

/** Bytes as libp2p passes them: a view, or a list of views. */
type Bytes = Uint8Array | (Iterable<Uint8Array> & { readonly byteLength: number });

/** What we use of a stream of libp2p's. */
interface Libp2pStream extends EventTarget {
  send(bytes: Uint8Array): boolean;
  onDrain(): Promise<void>;
  close(): Promise<void>;
}

/** What we use of a muxer of libp2p's. */
interface Libp2pMuxer extends EventTarget {
  createStream(): Promise<Libp2pStream>;
}

function startLibp2p(transport: Transport, plan: SessionPlan): Session {
  const connection = new Connection(transport, directionOf(plan));
  const session = muxOver(connection, plan);
  connection.start();
  return session;
}

/** Starts a session of libp2p's over a socket of Node's: the way that programs on libp2p have it. */
export function startLibp2pOverNode(socket: Socket, plan: SessionPlan): Session {
  return muxOver(new NodeConnection(socket, directionOf(plan)), plan);
}

function directionOf({ role }: SessionPlan): "outbound" | "inbound" {
  return role === "client" ? "outbound" : "inbound";
}

function muxOver(connection: Connection | NodeConnection, { onFlow }: SessionPlan): Session {
  const limits = { maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS };
  const factory = yamux(limits)() as unknown as {
    createStreamMuxer(connection: EventTarget): Libp2pMuxer;
  };
  const muxer = factory.createStreamMuxer(connection);
  muxer.addEventListener(
    "stream",
    (event) => onFlow(libp2pFlow((event as CustomEvent<Libp2pStream>).detail)),
  );
  return {
    open: async () => libp2pFlow(await muxer.createStream()),
    stop: () => connection.abort(),
  };
}

function libp2pFlow(stream: Libp2pStream): Flow {
  const receive = (onBytes: (bytes: Uint8Array) => void): Promise<void> =>
    new Promise((resolve) => {
      stream.addEventListener("message", (event) => {
        const data = (event as MessageEvent<Bytes>).data;
        if (data instanceof Uint8Array) onBytes(data);
        else for (const part of data) onBytes(part);
      });
      stream.addEventListener("remoteCloseWrite", () => resolve());
      stream.addEventListener("close", () => resolve());
    });
  return {
    receive,
    receiveBulk: receive,
    write: (bytes) => stream.send(bytes) ? Promise.resolve() : stream.onDrain(),
    closeWrite: () => stream.close(),
  };
}

function silent(): void {}

/** A log that costs nothing. */
const LOG = Object.assign(silent, { trace: silent, error: silent, newScope: () => LOG });

/** The connection that libp2p wants, over a transport. Frames that wait are joined into one write. */
class Connection extends EventTarget {
  readonly log = LOG;
  readonly direction: "inbound" | "outbound";
  readonly #transport: Transport;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #writing = false;
  #full = false;

  constructor(transport: Transport, direction: "inbound" | "outbound") {
    super();
    this.#transport = transport;
    this.direction = direction;
  }

  start(): void {
    void (async () => {
      for (let data = await this.#read(); data !== null; data = await this.#read()) {
        this.dispatchEvent(new MessageEvent("message", { data }));
      }
      this.dispatchEvent(new Event("close"));
    })();
  }

  send(data: Bytes): boolean {
    if (data instanceof Uint8Array) this.#parts.push(data);
    else for (const part of data) this.#parts.push(part);
    this.#bytes += data.byteLength;
    if (!this.#writing) void this.#write();
    this.#full ||= this.#bytes > HIGH_WATER_BYTES;
    return !this.#full;
  }

  abort(): void {
    this.#transport.close();
  }

  #read(): Promise<Uint8Array | null> {
    return this.#transport.read().catch(() => null);
  }

  async #write(): Promise<void> {
    this.#writing = true;
    // As with ours, every writer that wakes in this turn is still joined in.
    for (let hop = 0; hop < 3; hop++) await undefined;
    try {
      while (this.#bytes > 0) {
        await this.#transport.write(this.#join());
        if (this.#full && this.#bytes < HIGH_WATER_BYTES / 2) {
          this.#full = false;
          this.dispatchEvent(new Event("drain"));
        }
      }
    } catch {
      this.abort();
    }
    this.#writing = false;
  }

  #join(): Uint8Array {
    let count = 0;
    let bytes = 0;
    while (
      count < this.#parts.length &&
      (count === 0 || bytes + this.#parts[count]!.length <= JOIN_BYTES)
    ) {
      bytes += this.#parts[count]!.length;
      count += 1;
    }
    const parts = this.#parts.splice(0, count);
    this.#bytes -= bytes;
    if (parts.length === 1) return parts[0]!;
    const joined = new Uint8Array(bytes);
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }
}

/** The same over a socket of Node's, which joins what waits by itself. */
class NodeConnection extends EventTarget {
  readonly log = LOG;
  readonly direction: "inbound" | "outbound";
  readonly #socket: Socket;

  constructor(socket: Socket, direction: "inbound" | "outbound") {
    super();
    this.direction = direction;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on(
      "data",
      (data: Buffer) => void this.dispatchEvent(new MessageEvent("message", { data })),
    );
    socket.on("drain", () => void this.dispatchEvent(new Event("drain")));
    socket.on("close", () => void this.dispatchEvent(new Event("close")));
    socket.on("error", () => {});
  }

  send(data: Bytes): boolean {
    if (data instanceof Uint8Array) this.#socket.write(data);
    else for (const part of data) this.#socket.write(part);
    return !this.#socket.writableNeedDrain;
  }

  abort(): void {
    this.#socket.destroy();
  }
}
