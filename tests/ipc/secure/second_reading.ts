// EIPC/1 read a second time, from its text and with node:crypto alone: what the library must agree with.
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createECDH, createHash, createHmac } from "node:crypto";

const sha384 = (...parts: Uint8Array[]) =>
  createHash("sha384").update(Buffer.concat(parts)).digest();
const hmac384 = (key: Uint8Array, data: Uint8Array) =>
  createHmac("sha384", key).update(data).digest();
const ascii = (text: string) => Buffer.from(text, "ascii");

/** RFC 5869 section 2.3, with any number of blocks. */
function hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Buffer {
  let okm = Buffer.alloc(0);
  let block: Buffer = Buffer.alloc(0);
  for (let i = 1; okm.length < length; i++) {
    block = hmac384(prk, Buffer.concat([block, info, Buffer.from([i])]));
    okm = Buffer.concat([okm, block]);
  }
  return okm.subarray(0, length);
}

/** EL(S, label, c, L). */
function expandLabel(
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Buffer {
  const name = ascii("eipc1 " + label);
  const size = Buffer.alloc(2);
  size.writeUInt16BE(length);
  const info = Buffer.concat([
    size,
    Buffer.from([name.length]),
    name,
    Buffer.from([context.length]),
    context,
  ]);
  return hkdfExpand(secret, info, length);
}

/** Everything that one side chose. */
export interface Side {
  random: Uint8Array;
  /** Private scalar, absent in suites without key agreement. */
  scalar?: Uint8Array | undefined;
  maxRecord: number;
  maxMessage: number;
}

/** Lays out M1 (`type` 1) or M2 (`type` 2). */
export function hello(type: number, suite: number, side: Side): Buffer {
  const head = Buffer.alloc(20);
  head.set([0x00, 0x45, 0x49, 0x50, 0x43, 0x0d, 0x0a, 0x01, type, suite, 0, 0]);
  head.writeUInt32BE(side.maxRecord, 12);
  head.writeUInt32BE(side.maxMessage, 16);
  const parts: Uint8Array[] = [head, side.random];
  if (side.scalar !== undefined) {
    const ecdh = createECDH("secp384r1");
    ecdh.setPrivateKey(side.scalar);
    parts.push(ecdh.getPublicKey());
  }
  return Buffer.concat(parts);
}

/** All values of one whole handshake. */
export function handshake(run: {
  context: Uint8Array;
  suite: number;
  psk: Uint8Array;
  client: Side;
  server: Side;
}): Record<
  | "m1"
  | "m2"
  | "m3"
  | "m4"
  | "z"
  | "th0"
  | "th2"
  | "th3"
  | "th4"
  | "early_secret"
  | "handshake_secret"
  | "master_secret"
  | "client_traffic_0"
  | "server_traffic_0"
  | "session_id"
  | "exporter",
  Buffer
> {
  const { context, suite, psk, client, server } = run;
  const m1 = hello(1, suite, client);
  const m2 = hello(2, suite, server);
  let z = Buffer.alloc(48);
  if (client.scalar !== undefined) {
    const ecdh = createECDH("secp384r1");
    ecdh.setPrivateKey(client.scalar);
    z = Buffer.from(ecdh.computeSecret(m2.subarray(52, 149)));
  }
  const th0 = sha384(
    ascii("eipc1 P384+PSK AES256GCM SHA384"),
    Buffer.from([context.length]),
    context,
  );
  const th2 = sha384(th0, m1, m2);
  const es = hmac384(th0, psk);
  const hs = hmac384(expandLabel(es, "derived", th0, 48), z);
  const m3 = Buffer.concat([
    Buffer.from([3]),
    hmac384(expandLabel(hs, "c finished", th2, 48), th2),
  ]);
  const th3 = sha384(th2, m3);
  const m4 = Buffer.concat([
    Buffer.from([4]),
    hmac384(expandLabel(hs, "s finished", th3, 48), th3),
  ]);
  const th4 = sha384(th3, m4);
  const ms = hmac384(expandLabel(hs, "derived", th0, 48), Buffer.alloc(48));
  return {
    ...{
      m1,
      m2,
      m3,
      m4,
      z,
      th0,
      th2,
      th3,
      th4,
      early_secret: es,
      handshake_secret: hs,
      master_secret: ms,
    },
    client_traffic_0: expandLabel(ms, "c traffic", th4, 48),
    server_traffic_0: expandLabel(ms, "s traffic", th4, 48),
    session_id: expandLabel(ms, "session id", th4, 16),
    exporter: expandLabel(ms, "exporter", th4, 48),
  };
}

/** One direction of records, seen from either end. */
export class Direction {
  #traffic: Uint8Array;
  #sequence = 0n;

  constructor(traffic: Uint8Array) {
    this.#traffic = traffic;
  }

  /** Key and nonce of the next record. */
  #next(): [Buffer, Buffer] {
    const key = expandLabel(this.#traffic, "key", Buffer.alloc(0), 32);
    const nonce = Buffer.from(expandLabel(this.#traffic, "iv", Buffer.alloc(0), 12));
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.#sequence++, 4);
    return [key, nonce];
  }

  #update(): void {
    this.#traffic = expandLabel(this.#traffic, "traffic upd", Buffer.alloc(0), 48);
    this.#sequence = 0n;
  }

  /** The secret now in use. */
  get traffic(): Uint8Array {
    return this.#traffic;
  }

  seal(type: number, plain: Uint8Array): Buffer {
    const [key, nonce] = this.#next();
    const head = Buffer.alloc(5);
    head[0] = type;
    head.writeUInt32BE(plain.length + 16, 1);
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(head);
    const record = Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    if (type === 0x11) this.#update();
    return record;
  }

  /** Opens the record that `bytes` begin with; returns its type, its plaintext and the rest. */
  open(bytes: Uint8Array): { type: number; plain: Uint8Array; rest: Uint8Array } {
    const buffer = Buffer.from(bytes);
    const end = 5 + buffer.readUInt32BE(1);
    const [key, nonce] = this.#next();
    const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAAD(buffer.subarray(0, 5));
    decipher.setAuthTag(buffer.subarray(end - 16, end));
    const plain = Buffer.concat([decipher.update(buffer.subarray(5, end - 16)), decipher.final()]);
    const type = buffer[0]!;
    if (type === 0x11) this.#update();
    return { type, plain: new Uint8Array(plain), rest: bytes.subarray(end) };
  }
}
