// Suite F0: the flow of frames through a cipher that the user brings.
import { ProtocolError } from "../../errors.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { cutShort, type FrameLink, type LinkInfo } from "./frame_link.ts";
import type { Role } from "./key_schedule.ts";
import { RECORD_HEAD_BYTES, RecordReader, RecordType } from "./record_reader.ts";

/** What a provider may add to a record, in bytes. */
export const MAX_PROVIDER_OVERHEAD_BYTES = 1024;

/** What a provider knows of the record it seals or opens. */
export interface EncryptionContext {
  /** 16 bytes, the same on both sides, different for each connection. Not secret. */
  readonly sessionId: Uint8Array;
  /**
   * 48 bytes that only processes with the secret know; different for each connection. Derive keys
   * from it.
   */
  readonly exporter: Uint8Array;
  /** Which side sealed the record. Both sides must not use the same key and nonce. */
  readonly sender: "client" | "server";
  /**
   * Number of the record in its direction, from 0 on. Never used twice with one session id and
   * sender.
   */
  readonly sequence: number;
  /** Type and number of the record: authenticate them with it. */
  readonly additionalData: Uint8Array;
}

/**
 * A cipher of the user's own, in the place of the built-in one. Both sides need the same. The
 * handshake proves the shared secret, but makes no keys beyond `exporter`: forward secrecy is up to
 * the provider.
 */
export interface EncryptionProvider {
  /** A name for logs, 1 to 64 characters. */
  readonly name: string;
  /**
   * Seals 1 to `maxRecordBytes` bytes; may add up to 1024. What it returns is not changed later.
   */
  seal(plain: Uint8Array, context: EncryptionContext): Uint8Array | Promise<Uint8Array>;
  /** Opens what the other side sealed; throws when it is anything else. */
  open(sealed: Uint8Array, context: EncryptionContext): Uint8Array | Promise<Uint8Array>;
}

/** A flow of frames in records whose bodies a provider seals and opens. */
export class ProviderLink implements FrameLink {
  readonly info: LinkInfo;
  readonly marksItsEnd = true;
  readonly maxWrites = 1;
  readonly writeBytes: number;
  readonly #transport: Transport;
  readonly #provider: EncryptionProvider;
  readonly #role: Role;
  readonly #reader: RecordReader;
  #sealed = 0;
  #opened = 0;
  #ended = false;

  /** Makes a link over `transport`, beginning with the bytes that came behind the handshake. */
  constructor(
    transport: Transport,
    info: LinkInfo,
    options: { role: Role; provider: EncryptionProvider; rest: Uint8Array },
  ) {
    this.info = info;
    this.writeBytes = info.peerMaxRecordBytes;
    this.#transport = transport;
    this.#provider = options.provider;
    this.#role = options.role;
    const most = info.maxRecordBytes + MAX_PROVIDER_OVERHEAD_BYTES;
    this.#reader = new RecordReader((type, length) =>
      (type === RecordType.data || type === RecordType.close) && length >= 1 && length <= most
    );
    this.#reader.push(options.rest);
  }

  get inRecord(): boolean {
    return !this.#reader.atBoundary;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#ended) return null;
    for (;;) {
      const record = this.#reader.next();
      if (record === null) {
        const chunk = await this.#transport.read();
        if (chunk === null) throw cutShort();
        this.#reader.push(chunk);
        continue;
      }
      const plain = await this.#open(record.type, record.body.slice()); // the provider's own
      if (record.type === RecordType.data) return plain;
      this.#ended = true;
      return null;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += this.info.peerMaxRecordBytes) {
      await this.#write(RecordType.data, bytes.subarray(at, at + this.info.peerMaxRecordBytes));
    }
  }

  async end(reason: number): Promise<void> {
    await this.#write(RecordType.close, new Uint8Array([reason]));
    await this.#transport.closeWrite();
  }

  close(): void {
    this.#transport.close();
  }

  async #write(type: RecordType, plain: Uint8Array): Promise<void> {
    let sealed: Uint8Array;
    try {
      sealed = await this.#provider.seal(plain, this.#context(type, this.#role, this.#sealed++));
    } catch (error) {
      throw new ProtocolError(
        "ERR_IPC_PROVIDER",
        "Cannot send: the provider failed to seal a record",
        {
          cause: error,
        },
      );
    }
    const most = plain.length + MAX_PROVIDER_OVERHEAD_BYTES;
    if (!(sealed instanceof Uint8Array) || sealed.length < 1 || sealed.length > most) {
      throw new ProtocolError(
        "ERR_IPC_PROVIDER",
        `Cannot send: a provider must make 1 to ${most} bytes of ${plain.length}: it made ${sealed?.length}`,
      );
    }
    const record = new Uint8Array(RECORD_HEAD_BYTES + sealed.length);
    record[0] = type;
    new DataView(record.buffer).setUint32(1, sealed.length);
    record.set(sealed, RECORD_HEAD_BYTES);
    await this.#transport.write(record);
  }

  async #open(type: RecordType, body: Uint8Array): Promise<Uint8Array> {
    const sender = this.#role === "client" ? "server" : "client";
    let plain: Uint8Array;
    try {
      plain = await this.#provider.open(body, this.#context(type, sender, this.#opened++));
    } catch (error) {
      throw new ProtocolError("ERR_IPC_RECORD", "Cannot open a record: the provider refused it", {
        cause: error,
      });
    }
    const fits = plain instanceof Uint8Array && plain.length >= 1 &&
      plain.length <= (type === RecordType.close ? 1 : this.info.maxRecordBytes);
    if (!fits) {
      throw new ProtocolError("ERR_IPC_RECORD", "Cannot open a record: its size is out of range");
    }
    return plain;
  }

  #context(type: RecordType, sender: Role, sequence: number): EncryptionContext {
    const additionalData = new Uint8Array(9);
    additionalData[0] = type;
    new DataView(additionalData.buffer).setBigUint64(1, BigInt(sequence));
    return {
      sessionId: this.info.sessionId,
      exporter: this.info.exporter,
      sender,
      sequence,
      additionalData,
    };
  }
}
