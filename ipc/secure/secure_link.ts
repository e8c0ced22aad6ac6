// EIPC/1 over a transport: performs the handshake in time and returns the flow of frames.
import { randomBytes } from "node:crypto";
import { systemClock } from "../../async/clock.ts";
import { watchWait } from "../../async/wait.ts";
import { AddressError, AuthError, ClosedError, ParleyError, TimeoutError } from "../../errors.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { type FrameLink, type LinkInfo, PlainLink } from "./frame_link.ts";
import {
  ClientHandshake,
  type Handshaken,
  type HandshakeParameters,
  hasProofs,
  SCALAR_BYTES,
  ServerHandshake,
} from "./handshake.ts";
import {
  HandshakeFailure,
  type HandshakeReason,
  helloBytes,
  judgeHelloStart,
  PROOF_BYTES,
  RANDOM_BYTES,
  Suite,
} from "./hello.ts";
import type { Role } from "./key_schedule.ts";
import { type EncryptionProvider, ProviderLink } from "./provider_link.ts";
import type { RekeyLimits } from "./records.ts";
import { SealedLink } from "./sealed_link.ts";

/** Options of {@linkcode secure}. */
export interface SecureOptions {
  /** Our side: the one that connected is the client. */
  readonly role: Role;
  /** The channel name as UTF-8. */
  readonly context: Uint8Array;
  /** Secrets of 32 bytes, up to 4; none is anonymous. */
  readonly secrets: readonly Uint8Array[];
  /** `true` for suite 01, `false` for plain, or the user's own cipher. */
  readonly encryption: boolean | EncryptionProvider;
  /** Plaintext bytes we accept in a record. */
  readonly maxRecordBytes: number;
  /** Bytes we accept in a message. */
  readonly maxMessageBytes: number;
  /** Longest time in ms for the whole handshake. @default {as long as `signal` lets it} */
  readonly timeoutMs?: number | undefined;
  /** Ends the handshake; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called with the reason when a handshake failed, for counters and logs. The peer learns nothing.
   */
  readonly onFailure?: ((reason: HandshakeReason) => void) | undefined;
  /** When to move on to new keys. */
  readonly rekey?: RekeyLimits | undefined;
}

/**
 * Performs the handshake. Whatever fails closes the transport at once and sends nothing.
 *
 * @throws {AuthError} `ERR_AUTH` when the other side does not know the secret, wants other
 * encryption, or a byte was changed on the way
 * @throws {AddressError} `ERR_NOT_OUR_PROTOCOL` when another program listens there
 * @throws {TimeoutError} `ERR_HANDSHAKE_TIMEOUT`
 */
export async function secure(transport: Transport, options: SecureOptions): Promise<FrameLink> {
  const { role, signal } = options;
  if (signal?.aborted) {
    transport.close();
    throw signal.reason;
  }
  let stopped = null as { readonly error: unknown } | null;
  const cancel = (error: unknown) => {
    stopped = { error };
    transport.close();
  };
  const unwatch = watchWait(options, { clock: systemClock, cancel, timeout: handshakeTimeout });
  try {
    const input = new HandshakeInput(transport);
    const session = role === "client"
      ? await handshakeAsClient(transport, input, options)
      : await handshakeAsServer(transport, input, options);
    if (stopped !== null) throw stopped.error;
    return makeLink(transport, session, input.rest, options);
  } catch (error) {
    transport.close();
    if (stopped === null) throw explain(error, options);
    if (!signal?.aborted) options.onFailure?.("timed out");
    throw stopped.error;
  } finally {
    unwatch();
  }
}

/** The client's part of the handshake. */
async function handshakeAsClient(
  transport: Transport,
  input: HandshakeInput,
  options: SecureOptions,
): Promise<Handshaken> {
  const parameters = makeParameters(options);
  const machine = new ClientHandshake(parameters);
  await transport.write(machine.start());
  const proofs = hasProofs(parameters.suite, parameters.secrets);
  const m2 = await input.takeHello(parameters.suite);
  if (proofs) input.refuseMore();
  const answered = machine.receiveHello(m2);
  if ("session" in answered) return answered.session;
  await transport.write(answered.m3);
  return machine.receiveProof(await input.take(PROOF_BYTES, "wrong proof"));
}

/** The server's part of the handshake. */
async function handshakeAsServer(
  transport: Transport,
  input: HandshakeInput,
  options: SecureOptions,
): Promise<Handshaken> {
  const parameters = makeParameters(options);
  const m1 = await input.takeHello(parameters.suite);
  input.refuseMore(); // nothing can answer M2 before M2 was sent
  const machine = new ServerHandshake(parameters);
  const { m2, session } = machine.receiveHello(m1);
  await transport.write(m2);
  if (session !== null) return session;
  const m3 = await input.take(PROOF_BYTES);
  input.refuseMore(); // nothing may be sent before M4 either
  const proven = machine.receiveProof(m3);
  await transport.write(proven.m4);
  return proven.session;
}

function makeParameters(options: SecureOptions): HandshakeParameters {
  const suite = options.encryption === true
    ? Suite.sealed
    : options.encryption === false
    ? Suite.plain
    : Suite.provider;
  return {
    context: options.context,
    suite,
    secrets: options.secrets,
    maxRecordBytes: options.maxRecordBytes,
    maxMessageBytes: options.maxMessageBytes,
    random: new Uint8Array(randomBytes(RANDOM_BYTES)),
    privateKey: new Uint8Array(randomBytes(SCALAR_BYTES)),
  };
}

function makeLink(
  transport: Transport,
  { secrets, peer }: Handshaken,
  rest: Uint8Array,
  options: SecureOptions,
): FrameLink {
  const { role, encryption, maxRecordBytes, rekey } = options;
  const info: LinkInfo = {
    role,
    sessionId: secrets.sessionId,
    exporter: secrets.exporter,
    peerMaxMessageBytes: peer.maxMessageBytes,
    peerMaxRecordBytes: peer.maxRecordBytes,
    maxRecordBytes,
  };
  if (encryption === false) return new PlainLink(transport, info, rest);
  if (encryption !== true) {
    return new ProviderLink(transport, info, { role, provider: encryption, rest });
  }
  const now = () => performance.now();
  return new SealedLink(transport, info, {
    role,
    secrets,
    rest,
    now,
    ...(rekey === undefined ? {} : { rekey }),
  });
}

/** What is read during the handshake, in exact amounts. */
class HandshakeInput {
  readonly #transport: Transport;
  #held: Uint8Array = new Uint8Array(0);

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** What came behind the handshake. */
  get rest(): Uint8Array {
    return this.#held;
  }

  /** Waits for a hello, and checks its first bytes as they come. */
  async takeHello(suite: Suite): Promise<Uint8Array> {
    const count = helloBytes(suite);
    do {
      await this.#readMore("closed early");
      judgeHelloStart(this.#held, suite);
    } while (this.#held.length < count);
    return this.#cut(count);
  }

  /**
   * Waits for `count` bytes. A server that goes away in answer to our proof has refused it: `atEnd`
   * says so.
   */
  async take(count: number, atEnd: HandshakeReason = "closed early"): Promise<Uint8Array> {
    while (this.#held.length < count) await this.#readMore(atEnd);
    return this.#cut(count);
  }

  #cut(count: number): Uint8Array {
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  async #readMore(atEnd: HandshakeReason): Promise<void> {
    const chunk = await this.#read();
    if (chunk === null) throw new HandshakeFailure(atEnd);
    const joined = new Uint8Array(this.#held.length + chunk.length);
    joined.set(this.#held);
    joined.set(chunk, this.#held.length);
    this.#held = joined;
  }

  /** Refuses bytes that came too early. */
  refuseMore(): void {
    if (this.#held.length > 0) throw new HandshakeFailure("early bytes");
  }

  /** A reset is an end here. */
  async #read(): Promise<Uint8Array | null> {
    try {
      return await this.#transport.read();
    } catch (error) {
      if (error instanceof ParleyError && error.code === "ERR_RESET") return null;
      throw error;
    }
  }
}

/** One class of error for the application; the reason goes to counters only. */
function explain(error: unknown, options: SecureOptions): unknown {
  const what = options.role === "client" ? "connect" : "let a client in";
  if (error instanceof ParleyError && error.code === "ERR_RESET") {
    error = new HandshakeFailure("closed early");
  }
  if (!(error instanceof HandshakeFailure)) return error;
  options.onFailure?.(error.reason);
  if (error.reason === "not our protocol") {
    return new AddressError(
      "ERR_NOT_OUR_PROTOCOL",
      `Cannot ${what}: the other side speaks another protocol`,
    );
  }
  if (error.reason === "closed early") {
    if (options.role === "server") {
      return new ClosedError(
        "ERR_RESET",
        `Cannot ${what}: it went away before the handshake ended`,
      );
    }
    return new AddressError(
      "ERR_NOT_OUR_PROTOCOL",
      `Cannot ${what}: the other side closed without a hello, it is another program, wants other encryption, or is full`,
    );
  }
  return new AuthError(
    "ERR_AUTH",
    `Cannot ${what}: the other side did not prove that it knows the secret`,
  );
}

function handshakeTimeout(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_HANDSHAKE_TIMEOUT",
    `Cannot finish the handshake: the other side did not do its part within ${timeoutMs} ms`,
  );
}
