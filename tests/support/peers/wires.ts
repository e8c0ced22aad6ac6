// Wires for tests: a server with peers that joined, ended with the scope.
import {
  hub,
  type HubOptions,
  join,
  type JoinedWire,
  type JoinOptions,
  mount,
  type MountedWire,
  type MountOptions,
  sameToken,
} from "@parley/parley/wire";
import type { WireStream } from "@parley/parley/wire";
import { MuxSession, type MuxStream } from "@parley/parley/mux";
import { dial } from "../../../net/dial.ts";
import { FrameChannel } from "../../../wire/protocol/frame_stream.ts";

/** Each client's token is its identity with this behind it. */
export const TOKEN = "-secret";

/** Accepts clients with the right token, which may open everything but `forbidden`. */
export const authorize: NonNullable<MountOptions["authorize"]> = ({ identity, token, name }) =>
  sameToken(token, identity + TOKEN) && name !== "forbidden";

/** A server or a hub, and the clients that joined it. */
export class TestWire implements AsyncDisposable {
  readonly server: MountedWire;
  readonly #joined: JoinedWire[] = [];

  constructor(server: MountedWire) {
    this.server = server;
  }

  /** Joins, and waits until the session is open. */
  async join(identity: string, options: Partial<JoinOptions> = {}): Promise<JoinedWire> {
    const wire = this.joining(identity, options);
    await wire.ready;
    return wire;
  }

  /** Joins without waiting. */
  joining(identity: string, options: Partial<JoinOptions> = {}): JoinedWire {
    const quick = { minDelayMs: 5, maxDelayMs: 50 };
    const wire = join({
      ...this.server.addr,
      identity,
      token: identity + TOKEN,
      reconnect: quick,
      onError: () => {},
      ...options,
    });
    this.#joined.push(wire);
    return wire;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const wire of this.#joined) wire.abort();
    await Promise.all(this.#joined.map((wire) => wire.closed));
    this.server.abort();
    await this.server.finished;
  }
}

/** A server that listens. */
export async function mounted(options: Partial<MountOptions> = {}): Promise<TestWire> {
  const given = options.insecureAnyone === true ? options : { authorize, ...options };
  const server = mount({ onError: () => {}, ...given });
  await server.ready;
  return new TestWire(server);
}

/** A hub that listens. */
export async function hubbed(options: Partial<HubOptions> = {}): Promise<TestWire> {
  const server = hub({ authorize, onError: () => {}, ...options });
  await server.ready;
  return new TestWire(server);
}

/** The rest of a stream as text. */
export async function readText(stream: WireStream): Promise<string> {
  return await new Response(stream.readable).text();
}

/** Sends a text, ends our direction, and returns the answer. */
export async function askStream(stream: WireStream, question: string): Promise<string> {
  await stream.write(question);
  await stream.closeWrite();
  return await readText(stream);
}

/** Sends everything back. */
export async function echoStream(stream: WireStream): Promise<void> {
  for await (const chunk of stream) await stream.write(chunk);
}

/** A peer that scripts its frames by hand, over TCP. */
export class RawWire implements AsyncDisposable {
  readonly mux: MuxSession;

  constructor(mux: MuxSession) {
    this.mux = mux;
  }

  static async dial(port: number): Promise<RawWire> {
    const transport = await dial({ port }, { signal: new AbortController().signal });
    return new RawWire(new MuxSession(transport, { role: "client" }));
  }

  /** Opens a stream and sends `frame` on it, as JSON or as the bytes given. */
  async send(frame: object | Uint8Array): Promise<FrameChannel> {
    const stream: MuxStream = await this.mux.openStream();
    const channel = new FrameChannel(stream);
    if (frame instanceof Uint8Array) await stream.write(frame);
    else await channel.write(frame);
    return channel;
  }

  /**
   * Opens a stream, sends a frame, and returns the answer; `null` when the stream or session ended
   * instead.
   */
  async ask(frame: object | Uint8Array): Promise<Record<string, unknown> | null> {
    return await answer(await this.send(frame));
  }

  /** Joins as `identity`. */
  async hello(
    identity: string,
    token: string = identity + TOKEN,
  ): Promise<Record<string, unknown> | null> {
    return await this.ask({ parley: 1, identity, token, streams: [] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.mux.abort();
    await this.mux.closed;
  }
}

/** The next frame of a channel; `null` when it ended instead. */
export async function answer(channel: FrameChannel): Promise<Record<string, unknown> | null> {
  const text = await channel.read().catch(() => null);
  return text === null ? null : JSON.parse(new TextDecoder().decode(text));
}
