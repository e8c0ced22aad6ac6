// The handshake: HELLO and its answer over a fresh connection, as a server and as a joining client.
import { AddressError, ClosedError, ProtocolError } from "../../errors.ts";
import { unlessAborted } from "../../async/deadline.ts";
import { MuxSession } from "../../mux/session.ts";
import type { MuxSessionOptions } from "../../mux/options.ts";
import { describeFirstBytes } from "../../net/transport/first_bytes.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { FrameChannel } from "../protocol/frame_stream.ts";
import {
  CONTROL_STREAMS,
  type Hello,
  type Limits,
  readHello,
  readReply,
  type SessionRefusal,
  WIRE_VERSION,
} from "../protocol/frames.ts";
import { sessionRefused } from "../protocol/refusals.ts";
import type { EstablishedSession } from "./established.ts";
import { Link, type LinkHost } from "./link.ts";
import { ReadLimitedTransport } from "./read_limit.ts";
import type { Registry, SharedNames } from "./registry.ts";

/** Time that a refused peer gets to read why, in ms. */
const LAST_WORDS_MS = 500;

/** What a side announces in its handshake, and applies to its mux. */
export interface HandshakePlan {
  /** Options of the mux. */
  readonly mux: Omit<MuxSessionOptions, "role">;
  /** Streams that the peer may have open. */
  readonly maxStreams: number;
  /** Memory for a peer whose streams start with the window of yamux, where it may be raised. */
  readonly plainBufferedBytes: number | undefined;
}

/** What a server announces in its handshake. */
export interface ServerHandshakePlan extends HandshakePlan {
  /** Streams that a hub brings from one peer to another at a time; `undefined` where there is no hub. */
  readonly maxStreamsPerPair: number | undefined;
}

/** A peer whose HELLO has come, and that waits for the answer. */
export interface Greeting {
  readonly hello: Hello;
  readonly transport: Transport;
  /** When the handshake began, by `performance.now`. */
  readonly startedMs: number;
}

/** Decides about sessions, and about the streams of each: `MountHost` is the one. */
export interface SessionHost extends LinkHost {
  /**
   * Refuses a session with a code, or lets it begin. Nothing is registered at that moment.
   *
   * @throws the reason of `signal` when it has aborted
   */
  authorizeSession(greeting: Greeting, signal: AbortSignal): Promise<SessionRefusal | undefined>;
}

/** What a server does its handshakes with. */
export interface ServerHandshakeParts {
  readonly plan: ServerHandshakePlan;
  readonly host: SessionHost;
  /** Where the session claims its name, and is listed. */
  readonly registry: Registry;
  /** Where it claims its name before, if other threads serve the same port. */
  readonly names?: SharedNames | undefined;
}

/** A handshake under way, as its server sees it. */
interface PendingHandshake {
  readonly mux: MuxSession;
  readonly control: FrameChannel;
  readonly transport: ReadLimitedTransport;
  readonly startedMs: number;
}

/**
 * Brings a connection of a stranger through HELLO and WELCOME. Returns the session, which is listed
 * in the registry; `null` when the peer was refused for no fault of its own. The connection is
 * closed then, and after each error. `startedMs` is when the handshake began, TLS included, by
 * `performance.now`.
 *
 * ```text
 *  HELLO ──▶ authorizeSession ──▶ claim of the name ──▶ WELCOME written, session listed ──▶ read limit lifted
 *                    └─────────────────────┴──▶ REFUSED, closed
 * ```
 *
 * @throws {AuthError} when identity or token are not accepted
 * @throws {AddressError} `ERR_NOT_OUR_PROTOCOL` when the peer speaks another protocol
 * @throws the reason of `signal` when it aborts meanwhile
 */
export async function handshakeAsServer(
  stranger: Transport,
  parts: ServerHandshakeParts,
  { startedMs, signal }: { readonly startedMs: number; readonly signal: AbortSignal },
): Promise<Link | null> {
  const transport = new ReadLimitedTransport(stranger);
  const mux = new MuxSession(transport, { ...parts.plan.mux, role: "server" });
  const onAbort = () => mux.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const stream = await mux.acceptStream({ signal });
    if (stream === null) throw left();
    const control = new FrameChannel(stream);
    const answer = await answerHello({ mux, control, transport, startedMs }, parts, signal);
    if (answer instanceof Link) return answer;
    await refuse(mux, control, answer);
    if (answer === "ERR_AUTH" || answer === "ERR_FORBIDDEN") throw sessionRefused(answer);
    return null;
  } catch (error) {
    const otherProtocol = await otherProtocolOf(mux, transport);
    mux.abort(error);
    throw signal.aborted ? signal.reason : otherProtocol ?? error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Reads HELLO, and answers with WELCOME; returns the session, or with which code the peer must be
 * refused.
 */
async function answerHello(
  { mux, control, transport, startedMs }: PendingHandshake,
  { plan, host, registry, names }: ServerHandshakeParts,
  signal: AbortSignal,
): Promise<Link | SessionRefusal> {
  const text = await control.read({ signal });
  if (text === null) throw left();
  const hello = readHello(text);
  if (hello.parley !== WIRE_VERSION) return "ERR_VERSION";
  const refusal = await host.authorizeSession({ hello, transport, startedMs }, signal);
  if (refusal !== undefined) return refusal;
  signal.throwIfAborted();
  const { identity, token, streams: offers, limits: theirs = {} } = hello;
  const [id, announced] = [crypto.randomUUID(), host.handlers.announced];
  const established: EstablishedSession = {
    id,
    identity,
    token,
    peer: identity,
    offers,
    limits: theirs,
    uncounted: 0,
    announced,
    mux,
    control,
    transport,
  };
  if (names !== undefined && !await unlessAborted(names.claim(established), signal)) {
    return "ERR_NAME_TAKEN";
  }
  if (!registry.claim(established)) return "ERR_NAME_TAKEN";
  // In one turn: what this side opens from here on comes behind WELCOME, by which the peer knows our terms.
  mux.agree(theirs);
  makeRoom(mux, theirs, plan.plainBufferedBytes);
  const { maxStreams, maxStreamsPerPair } = plan;
  const limits = { maxStreams, windowBytes: mux.terms.windowBytes, maxStreamsPerPair };
  const written = control.write({ session: id, identity, streams: announced, limits }, { signal });
  const link = new Link(established, host);
  if (!registry.add(link)) link.abort();
  await written;
  transport.liftLimit();
  return link;
}

/** A peer that knows of no small windows has the same number of streams, each with 256 KiB. */
function makeRoom(
  mux: MuxSession,
  { windowBytes }: Limits,
  plainBufferedBytes: number | undefined,
): void {
  if (windowBytes === undefined && plainBufferedBytes !== undefined) {
    mux.raiseMaxBufferedBytes(plainBufferedBytes);
  }
}

function left(): ClosedError {
  return new ClosedError("ERR_RESET", "The peer left before its HELLO");
}

/** The error of a peer that does not speak the wire at all: this side ended the connection, and says why. */
async function otherProtocolOf(
  mux: MuxSession,
  gate: ReadLimitedTransport,
): Promise<AddressError | undefined> {
  if (mux.status !== "ended") return undefined;
  // Not `closed`: that waits until the connection is gone, which the peer can delay.
  const cause = await mux.ping().catch((error) => error);
  if (!(cause instanceof ProtocolError)) return undefined;
  const what = describeFirstBytes(gate.firstBytes);
  // A yamux frame that breaks the rules later on is no other protocol.
  if (what === undefined || what === "a yamux frame") return undefined;
  const text = `Cannot let a peer join: it does not speak the wire: it sent ${what}`;
  return new AddressError("ERR_NOT_OUR_PROTOCOL", text, { cause });
}

/**
 * Sends REFUSED, and closes the connection. Never rejects: a peer that was refused in order has
 * done nothing wrong, though the time may run out meanwhile.
 */
async function refuse(mux: MuxSession, control: FrameChannel, code: SessionRefusal): Promise<void> {
  try {
    await control.write({ code }, { timeoutMs: LAST_WORDS_MS });
    await control.mux.closeWrite();
    await mux.close({ timeoutMs: LAST_WORDS_MS });
  } catch {
    // The peer has gone, or does not read.
  } finally {
    mux.abort();
  }
}

/**
 * Joins over a connection: HELLO, and waits for WELCOME. Closes the connection when that fails.
 *
 * @throws {AuthError} when identity or token are not accepted
 * @throws {ProtocolError} when the far side is no server of ours
 */
export async function handshakeAsClient(
  transport: Transport,
  hello: Omit<Hello, "parley" | "limits">,
  options: HandshakePlan & { readonly signal: AbortSignal },
): Promise<EstablishedSession> {
  const { signal } = options;
  const mux = new MuxSession(transport, { ...options.mux, role: "client" });
  try {
    const stream = await mux.openStream({ signal });
    const control = new FrameChannel(stream);
    const limits = { maxStreams: options.maxStreams, windowBytes: mux.terms.windowBytes };
    await control.write({ parley: WIRE_VERSION, ...hello, limits }, { signal });
    const text = await control.read({ signal });
    if (text === null) {
      throw new ClosedError("ERR_RESET", "Cannot join: the server ended the connection");
    }
    const reply = readReply(text);
    if ("code" in reply) throw sessionRefused(reply.code);
    if (reply.identity !== hello.identity) {
      const text =
        `Cannot join: ${JSON.stringify(hello.identity)} as the server took this side for ` +
        JSON.stringify(reply.identity);
      throw new ProtocolError("ERR_WIRE_FRAME", text);
    }
    const { limits: theirs = {} } = reply;
    const { maxStreams, windowBytes } = theirs;
    mux.agree({
      maxStreams: maxStreams === undefined ? undefined : maxStreams + CONTROL_STREAMS,
      windowBytes,
    });
    makeRoom(mux, theirs, options.plainBufferedBytes);
    return {
      id: reply.session,
      identity: reply.identity,
      token: hello.token,
      peer: undefined,
      offers: reply.streams,
      limits: theirs,
      uncounted: CONTROL_STREAMS,
      announced: hello.streams,
      mux,
      control,
      transport,
    };
  } catch (error) {
    mux.abort(error);
    await mux.closed;
    throw error;
  }
}
