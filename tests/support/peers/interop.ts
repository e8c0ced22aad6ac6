// Interop: a session of ours and libp2p's yamux, joined over TCP, with what passes between them.
import { MuxSession, type MuxSessionOptions } from "@parley/parley/mux";
import { dial } from "../../../net/dial.ts";
import { listen } from "../../../net/listen.ts";
import type { Transport } from "../../../net/transport/transport.ts";
import { libp2pMux, type Libp2pMuxer } from "./libp2p_mux.ts";
import { FrameLog } from "../simulation/frame_log.ts";
import { TappedTransport } from "../simulation/tapped_transport.ts";

/** Two ends of a TCP connection over loopback. */
export async function tcpPair(): Promise<[Transport, Transport]> {
  const { signal } = new AbortController();
  const listener = await listen({ port: 0 });
  const port = listener.addr.transport === "tcp" ? listener.addr.port : 0;
  const [near, incoming] = await Promise.all([dial({ port }, { signal }), listener.accept()]);
  listener.close();
  if (incoming === null) throw new Error("Nobody came");
  return [near, await incoming.open({ signal })];
}

/** How an {@linkcode Interop} works. */
export interface InteropOptions {
  /** What libp2p's side does with streams that are opened to it. @default {"echo"} */
  readonly theirs?: "echo" | "leave" | undefined;
  /** Added to the round trip, in ms. @default {0} */
  readonly delayMs?: number | undefined;
  /** Keep the frames, with their bodies. @default {false} */
  readonly keepsFrames?: boolean | undefined;
  readonly mux?: Partial<MuxSessionOptions> | undefined;
}

/** Our session and theirs, ended with the scope. */
export class Interop implements AsyncDisposable {
  readonly ours: MuxSession;
  readonly theirs: Libp2pMuxer;
  /** What passed, as frames. */
  readonly log: FrameLog;
  readonly #tap: TappedTransport;

  private constructor(
    [near, far]: [Transport, Transport],
    role: "client" | "server",
    options: InteropOptions,
  ) {
    this.log = new FrameLog(options.keepsFrames === true);
    const onBytes = this.log.push.bind(this.log);
    this.#tap = new TappedTransport(near, { onBytes, delayMs: options.delayMs });
    this.ours = new MuxSession(this.#tap, {
      maxStreams: 256,
      keepAliveMs: 0,
      ...options.mux,
      role,
    });
    this.theirs = libp2pMux(far, role === "client" ? "server" : "client", options.theirs);
  }

  static async start(role: "client" | "server", options: InteropOptions = {}): Promise<Interop> {
    return new Interop(await tcpPair(), role, options);
  }

  /** Sends bytes to libp2p that our session knows nothing of. */
  async inject(bytes: Uint8Array): Promise<void> {
    await this.#tap.inject(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ours.abort();
    await this.ours.closed;
    this.theirs.abort(new Error("The test is over"));
  }
}
