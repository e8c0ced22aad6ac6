// Pairs of mux sessions for tests.
import { assertRejects } from "@std/assert";
import { ParleyError } from "../../../errors.ts";
import { memoryPair } from "../../../net/transport/memory_pair.ts";
import { MuxSession, type MuxSessionOptions, type MuxStream } from "../../../mux/mod.ts";
import { RawPeer } from "./raw_mux.ts";
import { type SimLink, simLink } from "../simulation/sim_link.ts";
import { TestClock } from "../simulation/test_clock.ts";
import { settles } from "../wait.ts";

/** The code of the error that a promise rejects with; it must do so soon. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => settles("the call", promise), ParleyError)).code;
}

/** Two sessions over a simulated link. */
export interface TimedPair {
  readonly clock: TestClock;
  readonly link: SimLink;
  readonly client: MuxSession;
  readonly server: MuxSession;
  end(): Promise<void>;
}

/** Two sessions over a simulated link whose time the test advances. */
export function timedPair(options: Partial<MuxSessionOptions> = {}): TimedPair {
  const clock = new TestClock();
  const link = simLink({ clock, random: () => 0.5, latencyMs: 10 });
  const shared = { clock, random: () => 0.5, keepAliveMs: 0, ...options };
  const client = new MuxSession(link.left, { ...shared, role: "client" });
  const server = new MuxSession(link.right, { ...shared, role: "server" });
  const end = async () => {
    client.abort();
    server.abort();
    await Promise.all([client.closed, server.closed]);
  };
  return { clock, link, client, server, end };
}

/** Two sessions over memory, ended with the scope. */
export class MuxPair implements AsyncDisposable {
  readonly client: MuxSession;
  readonly server: MuxSession;

  constructor(
    options: Partial<MuxSessionOptions> = {},
    serverOptions: Partial<MuxSessionOptions> = options,
  ) {
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

/** Two sessions over memory that have agreed on terms. */
export function agreedPair(...options: ConstructorParameters<typeof MuxPair>): MuxPair {
  const pair = new MuxPair(...options);
  pair.client.agree(pair.server.terms);
  pair.server.agree(pair.client.terms);
  return pair;
}

/** A session with a scripted peer on the other side. */
export function sessionWithRawPeer(
  options: Partial<MuxSessionOptions> = {},
): [MuxSession, RawPeer] {
  const [left, right] = memoryPair({ bufferBytes: 1 << 20 });
  return [new MuxSession(left, { role: "server", ...options }), new RawPeer(right)];
}

/** Reads a stream to its end. */
export async function readAll(stream: MuxStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
    parts.push(chunk);
  }
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
