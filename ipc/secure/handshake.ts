// Handshake of EIPC/1 as two machines without I/O: bytes in, bytes out, secrets at the end.
import { createECDH } from "node:crypto";
import {
  decodeHello,
  encodeHello,
  HandshakeFailure,
  type Hello,
  MessageType,
  PROOF_BYTES,
  refuseReflection,
  Suite,
} from "./hello.ts";
import {
  equalInConstantTime,
  finished,
  handshakeSecret,
  hash,
  HASH_BYTES,
  type SessionSecrets,
  sessionSecrets,
  startTranscript,
  wipe,
} from "./key_schedule.ts";

/** Bytes of a private P-384 scalar. */
export const SCALAR_BYTES = 48;
/** Z of the suites without key agreement. */
const NO_AGREEMENT: Uint8Array = new Uint8Array(HASH_BYTES);

/** What a side brings to a handshake. */
export interface HandshakeParameters {
  /** The channel name as UTF-8, at most 255 bytes. */
  readonly context: Uint8Array;
  /** How records are carried; both sides must want the same. */
  readonly suite: Suite;
  /** Secrets of 32 bytes. A client uses the first, a server accepts any. None: anonymous. */
  readonly secrets: readonly Uint8Array[];
  /** Plaintext bytes we accept in a record. */
  readonly maxRecordBytes: number;
  /** Bytes we accept in a message. */
  readonly maxMessageBytes: number;
  /** 32 fresh random bytes. */
  readonly random: Uint8Array;
  /**
   * 48 fresh random bytes, a P-384 scalar; wiped once used. Unused in suites without key agreement.
   */
  readonly privateKey: Uint8Array;
}

/** A finished handshake. */
export interface Handshaken {
  /** The session's secrets. */
  readonly secrets: SessionSecrets;
  /** What the peer said in its hello, now proven unless both are anonymous and plain. */
  readonly peer: Hello;
}

/** Whether the proofs M3 and M4 are exchanged: not when nothing could be proven. */
export function hasProofs(suite: Suite, secrets: readonly Uint8Array[]): boolean {
  return suite === Suite.sealed || secrets.length > 0;
}

/** What both machines share: our hello, and the key agreement. */
class Half {
  readonly parameters: HandshakeParameters;
  readonly th0: Uint8Array;
  readonly hello: Hello;
  readonly #ecdh: ReturnType<typeof createECDH> | null = null;

  constructor(parameters: HandshakeParameters) {
    this.parameters = parameters;
    this.th0 = startTranscript(parameters.context);
    let point: Uint8Array | null = null;
    if (parameters.suite === Suite.sealed) {
      this.#ecdh = createECDH("secp384r1");
      this.#ecdh.setPrivateKey(parameters.privateKey);
      point = new Uint8Array(this.#ecdh.getPublicKey());
    }
    const { maxRecordBytes, maxMessageBytes, random } = parameters;
    this.hello = { maxRecordBytes, maxMessageBytes, random, point };
  }

  /**
   * Z: the x-coordinate that both sides agree on, or zeros. Wipes our private key: it serves one
   * peer.
   */
  agree(peer: Hello): Uint8Array {
    if (this.#ecdh === null || peer.point === null) return NO_AGREEMENT.slice();
    try {
      return new Uint8Array(this.#ecdh.computeSecret(peer.point));
    } catch {
      throw new HandshakeFailure("bad point"); // not on the curve
    } finally {
      wipe(this.parameters.privateKey);
    }
  }
}

/**
 * The connecting side.
 * ```
 * start() ─M1─▶   ◀─M2─ receiveHello() ─M3─▶   ◀─M4─ receiveProof() ─▶ session
 * ```
 * A call that throws ends the handshake.
 */
export class ClientHandshake {
  readonly #half: Half;
  readonly #m1: Uint8Array;
  #awaiting: { peer: Hello; handshake: Uint8Array; th3: Uint8Array } | null = null;

  /** Makes a client's machine. */
  constructor(parameters: HandshakeParameters) {
    this.#half = new Half(parameters);
    this.#m1 = encodeHello(MessageType.clientHello, parameters.suite, this.#half.hello);
  }

  /** M1. */
  start(): Uint8Array {
    return this.#m1;
  }

  /**
   * Takes M2 and returns M3, or the session at once where nothing can be proven.
   *
   * @throws {HandshakeFailure}
   */
  receiveHello(m2: Uint8Array): { m3: Uint8Array } | { session: Handshaken } {
    const { parameters, th0, hello } = this.#half;
    const peer = decodeHello(MessageType.serverHello, parameters.suite, m2);
    refuseReflection(hello, peer);
    const th2 = hash(th0, this.#m1, m2);
    const z = this.#half.agree(peer);
    const handshake = handshakeSecret(parameters.secrets[0] ?? null, th0, z);
    wipe(z);
    if (!hasProofs(parameters.suite, parameters.secrets)) {
      return { session: { secrets: sessionSecrets(handshake, th0, th2), peer } };
    }
    const m3 = encodeProof(MessageType.clientProof, finished(handshake, "client", th2));
    this.#awaiting = { peer, handshake, th3: hash(th2, m3) };
    return { m3 };
  }

  /**
   * Takes M4: the server has proven that it knows the secret.
   *
   * @throws {HandshakeFailure}
   */
  receiveProof(m4: Uint8Array): Handshaken {
    const awaiting = this.#awaiting;
    this.#awaiting = null;
    if (awaiting === null) throw new HandshakeFailure("wrong type");
    const { peer, handshake, th3 } = awaiting;
    checkProof(MessageType.serverProof, m4, finished(handshake, "server", th3));
    const secrets = sessionSecrets(handshake, this.#half.th0, hash(th3, m4));
    wipe(handshake);
    return { secrets, peer };
  }
}

/**
 * The listening side. It sends nothing that depends on the secret before the client has proven that
 * it knows it.
 * ```
 * ─M1─▶ receiveHello() ─M2─▶   ─M3─▶ receiveProof() ─M4─▶ session
 * ```
 */
export class ServerHandshake {
  readonly #half: Half;
  #awaiting: { peer: Hello; z: Uint8Array; th2: Uint8Array } | null = null;

  /** Makes a server's machine. */
  constructor(parameters: HandshakeParameters) {
    this.#half = new Half(parameters);
  }

  /**
   * Takes M1 and returns M2, with the session at once where nothing can be proven.
   *
   * @throws {HandshakeFailure}
   */
  receiveHello(m1: Uint8Array): { m2: Uint8Array; session: Handshaken | null } {
    const { parameters, th0, hello } = this.#half;
    const peer = decodeHello(MessageType.clientHello, parameters.suite, m1);
    refuseReflection(hello, peer);
    const z = this.#half.agree(peer);
    const m2 = encodeHello(MessageType.serverHello, parameters.suite, hello);
    const th2 = hash(th0, m1, m2);
    if (!hasProofs(parameters.suite, parameters.secrets)) {
      const handshake = handshakeSecret(null, th0, z);
      return { m2, session: { secrets: sessionSecrets(handshake, th0, th2), peer } };
    }
    this.#awaiting = { peer, z, th2 };
    return { m2, session: null };
  }

  /**
   * Takes M3 and returns M4 with the session. All secrets are tried, so that the time does not
   * reveal which one fits.
   *
   * @throws {HandshakeFailure}
   */
  receiveProof(m3: Uint8Array): { m4: Uint8Array; session: Handshaken } {
    const awaiting = this.#awaiting;
    this.#awaiting = null;
    if (awaiting === null) throw new HandshakeFailure("wrong type");
    const { peer, z, th2 } = awaiting;
    const { th0, parameters } = this.#half;
    let handshake: Uint8Array | null = null;
    for (const secret of parameters.secrets.length === 0 ? [null] : parameters.secrets) {
      const candidate = handshakeSecret(secret, th0, z);
      if (isProof(MessageType.clientProof, m3, finished(candidate, "client", th2))) {
        handshake = candidate;
      } else wipe(candidate);
    }
    wipe(z);
    if (handshake === null) throw new HandshakeFailure("wrong proof");
    const th3 = hash(th2, m3);
    const m4 = encodeProof(MessageType.serverProof, finished(handshake, "server", th3));
    const secrets = sessionSecrets(handshake, th0, hash(th3, m4));
    wipe(handshake);
    return { m4, session: { secrets, peer } };
  }
}

function encodeProof(type: 3 | 4, proof: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PROOF_BYTES);
  bytes[0] = type;
  bytes.set(proof, 1);
  return bytes;
}

function checkProof(type: 3 | 4, bytes: Uint8Array, expected: Uint8Array): void {
  if (!isProof(type, bytes, expected)) throw new HandshakeFailure("wrong proof");
}

/** Type and proof in one comparison, in constant time. */
function isProof(type: 3 | 4, bytes: Uint8Array, expected: Uint8Array): boolean {
  return equalInConstantTime(bytes, encodeProof(type, expected));
}
