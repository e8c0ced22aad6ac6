// The greeting: HELLO and its answer over a fresh connection, on the server's side and on the joining one.
import { AddressError, ClosedError, ProtocolError } from "../../errors.ts";
import { MuxSession } from "../../mux/session.ts";
import type { MuxSessionOptions } from "../../mux/options.ts";
import { describeFirstBytes } from "../../net/transport/first_bytes.ts";
import type { Address, Incoming, TlsInfo, Transport } from "../../net/transport/transport.ts";
import { FrameChannel } from "../protocol/frame_stream.ts";
import {
  CONTROL_STREAMS,
  type Hello,
  type Limits,
  readHello,
  readReply,
  type SessionRefusal,
  type Welcome,
  WIRE_VERSION,
} from "../protocol/frames.ts";
import { GatedTransport } from "./read_limit.ts";
import { sessionRefused } from "../protocol/refusals.ts";

/** Time that a refused peer gets to read why. */
const LAST_WORDS_MS = 500;

/** A session whose handshake has succeeded: what both sides said, and what carries it. */
export interface EstablishedSession {
  readonly id: string;
  /** Who the joined side is, as authenticated. */
  readonly identity: string;
  readonly token: string;
  /** Names that the peer handles. */
  readonly offers: readonly string[];
  /** What the peer takes, as far as it says. */
  readonly limits: Limits;
  /** Streams of ours that these limits do not count: 1 where this side opened the control stream. */
  readonly uncounted: number;
  /** Names that we handle, as announced to the peer. */
  readonly announced: readonly string[];
  readonly mux: MuxSession;
  readonly control: FrameChannel;
  /** The connection. */
  readonly transport: { readonly remoteAddr: Address; readonly tls?: TlsInfo | undefined };
}

/** A HELLO, and over what it came. */
export interface Greeting {
  readonly hello: Hello;
  readonly transport: Transport;
  /** When the handshake began, by `performance.now`. */
  readonly startedMs: number;
}

/** What the server does with a HELLO. */
export interface Reception {
  /** Decides about it; nothing is registered yet. */
  judge(greeting: Greeting, signal: AbortSignal): Promise<SessionRefusal | undefined>;
  /** Takes the name, or refuses the session. */
  admit(established: EstablishedSession): SessionRefusal | undefined;
  /** Registers the session. Called in the moment WELCOME goes out. */
  register(established: EstablishedSession): void;
  /** Names that this side handles. */
  names(): readonly string[];
  /** Streams that a peer may have open. */
  readonly maxStreams: number;
  /** Memory for a peer whose streams start with the window of yamux, where it may be raised. */
  readonly plainBufferedBytes: number | undefined;
  /** Streams that a hub brings from one peer to another at a time; `undefined` where there is no hub. */
  readonly maxStreamsPerPair: number | undefined;
}

/**
 * A connection whose handshake ends with WELCOME: {@linkcode Incoming.open} covers TLS and HELLO, so one deadline, one slot and
 * one penalty cover both. `established` stays empty when the peer was refused in order.
 */
export class GreetedIncoming implements Incoming {
  readonly #incoming: Incoming;
  readonly #reception: Reception;
  readonly #mux: Omit<MuxSessionOptions, "role">;

  /** As in {@linkcode Incoming}: absent where no header of a balancer is expected. */
  readonly identify?: Incoming["identify"] | undefined;

  constructor(incoming: Incoming, reception: Reception, mux: Omit<MuxSessionOptions, "role">) {
    this.#incoming = incoming;
    this.#reception = reception;
    this.#mux = mux;
    if (incoming.identify !== undefined) this.identify = (options) => incoming.identify!(options);
  }

  get localAddr(): Incoming["localAddr"] {
    return this.#incoming.localAddr;
  }

  get remoteAddr(): Incoming["remoteAddr"] {
    return this.#incoming.remoteAddr;
  }

  refuse(): void {
    this.#incoming.refuse();
  }

  async open({ signal }: { signal: AbortSignal }): Promise<Transport> {
    const startedMs = performance.now();
    const gate = new GatedTransport(await this.#incoming.open({ signal }));
    const mux = new MuxSession(gate, { ...this.#mux, role: "server" });
    const onAbort = () => mux.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const stream = await mux.acceptStream({ signal });
      if (stream === null) throw left();
      const control = new FrameChannel(stream);
      const refusal = await this.#receive({ mux, control, gate, signal, startedMs });
      if (refusal !== undefined) {
        // A peer that was refused in order has done nothing wrong, though the time may run out meanwhile.
        await farewell(mux, control, refusal).catch(() => {});
        if (refusal === "ERR_AUTH" || refusal === "ERR_FORBIDDEN") throw sessionRefused(refusal);
      }
      return gate;
    } catch (error) {
      const stranger = await strangerOf(mux, gate);
      mux.abort(error);
      throw signal.aborted ? signal.reason : stranger ?? error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #receive(
    { mux, control, gate: transport, signal, startedMs }: {
      readonly mux: MuxSession;
      readonly control: FrameChannel;
      readonly gate: GatedTransport;
      readonly signal: AbortSignal;
      readonly startedMs: number;
    },
  ): Promise<SessionRefusal | undefined> {
    const text = await control.read({ signal });
    if (text === null) throw left();
    const hello = readHello(text);
    if (hello.parley !== WIRE_VERSION) return "ERR_VERSION";
    const reception = this.#reception;
    const refusal = await reception.judge({ hello, transport, startedMs }, signal);
    if (refusal !== undefined) return refusal;
    signal.throwIfAborted();
    const { identity, token } = hello;
    const id = crypto.randomUUID();
    const announced = reception.names();
    const { streams: offers, limits: theirs = {} } = hello;
    const established = {
      id,
      identity,
      token,
      offers,
      limits: theirs,
      uncounted: 0,
      announced,
      mux,
      control,
      transport,
    };
    const taken = reception.admit(established);
    if (taken !== undefined) return taken;
    // In one turn: what this side opens from here on comes behind WELCOME, by which the peer knows our terms.
    mux.agree(theirs);
    makeRoom(mux, theirs, reception.plainBufferedBytes);
    const { maxStreams, maxStreamsPerPair } = reception;
    const limits = { maxStreams, windowBytes: mux.terms.windowBytes, maxStreamsPerPair };
    const written = control.write({ session: id, identity, streams: announced, limits }, { signal });
    reception.register(established);
    await written;
    transport.open();
    return undefined;
  }
}

/** A peer that knows of no small windows has the same number of streams, each with 256 KiB. */
function makeRoom(mux: MuxSession, { windowBytes }: Limits, plainBufferedBytes: number | undefined): void {
  if (windowBytes === undefined && plainBufferedBytes !== undefined) {
    mux.raiseMaxBufferedBytes(plainBufferedBytes);
  }
}

function left(): ClosedError {
  return new ClosedError("ERR_RESET", "The peer left before its HELLO");
}

/** The error of a peer that does not speak the wire at all: this side ended the connection, and says why. */
async function strangerOf(mux: MuxSession, gate: GatedTransport): Promise<AddressError | undefined> {
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

/** REFUSED, and the end. */
async function farewell(mux: MuxSession, control: FrameChannel, code: SessionRefusal): Promise<void> {
  await control.write({ code }, { timeoutMs: LAST_WORDS_MS });
  await control.mux.closeWrite();
  await mux.close({ timeoutMs: LAST_WORDS_MS }).catch(() => {});
}

/**
 * Joins over a connection: HELLO, and waits for WELCOME. Closes the connection when that fails.
 *
 * @throws {AuthError} when identity or token are not accepted
 * @throws {ProtocolError} when the far side is no server of ours
 */
export async function greet(
  transport: Transport,
  hello: Omit<Hello, "parley" | "limits">,
  options: {
    readonly mux: Omit<MuxSessionOptions, "role">;
    /** Streams that the server may have open. */
    readonly maxStreams: number;
    /** Memory for a server whose streams start with the window of yamux, where it may be raised. */
    readonly plainBufferedBytes: number | undefined;
    readonly signal: AbortSignal;
  },
): Promise<EstablishedSession> {
  const { signal } = options;
  const mux = new MuxSession(transport, { ...options.mux, role: "client" });
  try {
    const stream = await mux.openStream({ signal });
    const control = new FrameChannel(stream);
    const limits = { maxStreams: options.maxStreams, windowBytes: mux.terms.windowBytes };
    await control.write({ parley: WIRE_VERSION, ...hello, limits }, { signal });
    const text = await control.read({ signal });
    if (text === null) throw new ClosedError("ERR_RESET", "Cannot join: the server ended the connection");
    const reply: Welcome | { readonly code: SessionRefusal } = readReply(text);
    if ("code" in reply) throw sessionRefused(reply.code);
    if (reply.identity !== hello.identity) {
      const text = `Cannot join: ${JSON.stringify(hello.identity)} as the server took this side for ` +
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
