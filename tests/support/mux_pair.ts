// Pairs of mux sessions for tests.
import { memoryPair } from "../../net/transport.ts";
import { MuxSession, type MuxSessionOptions, type MuxStream } from "../../mux/mod.ts";
import { RawPeer } from "./raw_mux.ts";

/** Two sessions over memory, ended with the scope. */
export class MuxPair implements AsyncDisposable {
  readonly client: MuxSession;
  readonly server: MuxSession;

  constructor(options: Partial<MuxSessionOptions> = {}, serverOptions: Partial<MuxSessionOptions> = options) {
    const [left, right] = memoryPair();
    this.client = new MuxSession(left, { ...options, role: "client" });
    this.server = new MuxSession(right, { ...serverOptions, role: "server" });
  }

  /** A stream that the client opened and the server accepted. */
  async open(): Promise<[MuxStream, MuxStream]> {
    const near = await this.client.openStream();
    const far = await this.server.acceptStream();
    if (far === null) throw new Error("The session is over");
    return [near, far];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.abort();
    this.server.abort();
    await Promise.all([this.client.closed, this.server.closed]);
  }
}

/** A session with a scripted peer on the other side. */
export function sessionWithRawPeer(options: Partial<MuxSessionOptions> = {}): [MuxSession, RawPeer] {
  const [left, right] = memoryPair({ bufferBytes: 1 << 20 });
  return [new MuxSession(left, { role: "server", ...options }), new RawPeer(right)];
}

/** Reads a stream to its end. */
export async function readAll(stream: MuxStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) parts.push(chunk);
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

/** Answers every incoming stream with what it sends, until the session is over. */
export async function serveEcho(session: MuxSession): Promise<void> {
  const running: Promise<void>[] = [];
  for await (const stream of session) running.push(echo(stream).catch(() => {}));
  await Promise.all(running);
}

async function echo(stream: MuxStream): Promise<void> {
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
    await stream.write(chunk);
  }
  await stream.closeWrite();
}
