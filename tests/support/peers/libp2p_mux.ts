// The yamux of libp2p over a transport of ours, as the far side of interop tests.
import { AbstractMultiaddrConnection } from "@libp2p/utils";
import { yamux } from "@libp2p/yamux";
import type { Transport } from "../../../net/transport/transport.ts";

type Init = ConstructorParameters<typeof AbstractMultiaddrConnection>[0];
type Chunks = Parameters<AbstractMultiaddrConnection["sendData"]>[0];

/** Bytes that may wait to be written before the muxer has to wait. */
const HIGH_WATER_BYTES = 1 << 20;

const silent: Init["log"] = Object.assign(() => {}, {
  trace() {},
  error() {},
  enabled: false,
  newScope: (): Init["log"] => silent,
});

/** A connection as libp2p sees it. */
class TransportConnection extends AbstractMultiaddrConnection {
  readonly #transport: Transport;
  #writing: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(transport: Transport, direction: "inbound" | "outbound") {
    super({ direction, log: silent, remoteAddr: {} as Init["remoteAddr"] });
    this.#transport = transport;
    void this.#read();
  }

  sendData(data: Chunks): { sentBytes: number; canSendMore: boolean } {
    const bytes = data.slice();
    this.#waiting += bytes.length;
    this.#writing = this.#writing.then(() => this.#transport.write(bytes)).then(
      () => {
        const before = this.#waiting;
        this.#waiting -= bytes.length;
        if (before >= HIGH_WATER_BYTES && this.#waiting < HIGH_WATER_BYTES) {
          this.safeDispatchEvent("drain");
        }
      },
      () => {},
    );
    return { sentBytes: bytes.length, canSendMore: this.#waiting < HIGH_WATER_BYTES };
  }

  sendReset(): void {
    // What was said last, such as a go-away, goes out first.
    void this.#writing.finally(() => this.#transport.close());
  }

  async sendClose(): Promise<void> {
    await this.#writing;
    await this.#transport.closeWrite().catch(() => {});
  }

  sendPause(): void {}

  sendResume(): void {}

  async #read(): Promise<void> {
    try {
      for (
        let chunk = await this.#transport.read();
        chunk !== null;
        chunk = await this.#transport.read()
      ) {
        this.onData(chunk);
      }
    } catch {
      // The other side is gone.
    }
    this.#transport.close();
    this.onTransportClosed();
  }
}

/** What {@linkcode libp2pMux} makes. */
export type Libp2pMuxer = ReturnType<ReturnType<ReturnType<typeof yamux>>["createStreamMuxer"]>;

type Libp2pChunk = Parameters<Libp2pStream["send"]>[0];

/** A stream of {@linkcode Libp2pMuxer}. */
export type Libp2pStream = Awaited<ReturnType<Libp2pMuxer["createStream"]>>;

/**
 * Starts libp2p's muxer over a transport; it echoes, swallows or leaves alone what comes on streams
 * that are opened to it.
 */
export function libp2pMux(
  transport: Transport,
  role: "client" | "server",
  how: "echo" | "swallow" | "leave" = "echo",
): Libp2pMuxer {
  const direction = role === "client" ? "outbound" : "inbound";
  const connection = new TransportConnection(transport, direction);
  const init = {
    enableKeepAlive: false,
    maxMessageSize: 65_536,
    streamOptions: { maxReadBufferLength: 1 << 26 },
  };
  const muxer = yamux(init)().createStreamMuxer(connection);
  muxer.addEventListener("stream", ({ detail: stream }) => {
    if (how !== "leave") void serve(stream, how === "echo").catch(() => {}); // The test reset it.
  });
  return muxer;
}

async function serve(stream: Libp2pStream, echoes: boolean): Promise<void> {
  for await (const chunk of stream) {
    if (echoes) await sendLibp2p(stream, chunk);
  }
  await stream.close();
}

/** Sends, and waits until the stream takes more. Its own `onDrain()` stays resolved after the first time. */
export async function sendLibp2p(stream: Libp2pStream, chunk: Libp2pChunk): Promise<void> {
  stream.send(chunk);
  while (stream.writableNeedsDrain && stream.status === "open") {
    await new Promise<void>((resolve) => {
      const wake = () => {
        stream.removeEventListener("drain", wake);
        stream.removeEventListener("close", wake);
        resolve();
      };
      stream.addEventListener("drain", wake);
      stream.addEventListener("close", wake);
    });
    // What waited is sent a microtask after the event.
    await Promise.resolve();
    await Promise.resolve();
  }
}
