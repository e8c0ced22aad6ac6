// Suite 01: the flow of frames as sealed records, small ones on this thread, large ones off it.
import { returnBuffer, takeBuffer } from "../../net/transport/buffers.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { cutShort, type FrameLink, type LinkInfo } from "./frame_link.ts";
import type { Role, SessionSecrets } from "./key_schedule.ts";
import { RecordType } from "./record_reader.ts";
import {
  ASYNC_BYTES,
  RECORD_OVERHEAD_BYTES,
  RecordOpener,
  RecordSealer,
  REKEY_LIMITS,
  type RekeyLimits,
} from "./records.ts";

/** Records that are sealed or opened ahead of the one that is written or handed out. */
const MAX_AHEAD = 2;
/** More in one record keeps the other processor waiting longer than it saves. */
const MAX_SEALED_AT_ONCE = 129 * 1024;
const END = Symbol("end");

/** Options of a {@linkcode SealedLink}. */
export interface SealedLinkOptions {
  /** Our side. */
  readonly role: Role;
  /** What the handshake left. The traffic secrets are taken over and wiped. */
  readonly secrets: SessionSecrets;
  /** Bytes that came behind the handshake. */
  readonly rest: Uint8Array;
  /** A clock in ms. */
  readonly now: () => number;
  /** When to move on to new keys. @default {REKEY_LIMITS} */
  readonly rekey?: RekeyLimits | undefined;
}

/**
 * A flow of frames that cannot be read, changed, replayed or cut unseen on the way between the two
 * processes.
 */
export class SealedLink implements FrameLink {
  readonly info: LinkInfo;
  readonly marksItsEnd = true;
  readonly maxWrites: number = MAX_AHEAD;
  readonly writeBytes: number;
  readonly #transport: Transport;
  readonly #sealer: RecordSealer;
  readonly #opener: RecordOpener;
  readonly #now: () => number;
  /** The last write, and how many are under way. */
  #lastWrite: Promise<void> = Promise.resolve();
  #writes = 0;
  /** Records being opened, in order. */
  #opening: Promise<Uint8Array | typeof END>[] = [];
  #reading: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;
  /** A CLOSE record was opened. */
  #closing = false;
  /** … and handed out. */
  #ended = false;

  /** Makes a link over `transport`. */
  constructor(transport: Transport, info: LinkInfo, options: SealedLinkOptions) {
    const { role, secrets, rest, now } = options;
    const [ours, theirs] = role === "client"
      ? [secrets.clientTraffic, secrets.serverTraffic]
      : [secrets.serverTraffic, secrets.clientTraffic];
    this.info = info;
    this.#transport = transport;
    this.#now = now;
    this.#sealer = new RecordSealer(ours, now(), options.rekey ?? REKEY_LIMITS);
    this.#opener = new RecordOpener(theirs, info.maxRecordBytes);
    this.#opener.input.push(rest);
    this.writeBytes = Math.min(info.peerMaxRecordBytes, MAX_SEALED_AT_ONCE);
  }

  get inRecord(): boolean {
    return !this.#opener.atBoundary;
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const plain = this.#openAhead(true);
      if (plain !== null) return plain;
      const first = this.#opening.shift();
      if (first !== undefined) {
        const opened = await first;
        if (opened !== END) return opened;
        this.#ended = true;
        return null;
      }
      if (this.#ended) return null;
      if (this.#failure !== null) throw this.#failure.error;
      await this.#readAhead();
    }
  }

  write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.writeBytes) return this.#writeParts(bytes);
    if (bytes.length === 0) return this.#lastWrite;
    const update = this.#sealer.updateIfDue(this.#now());
    if (update !== null) void this.#sendCopy(update);
    const target = takeBuffer(bytes.length + RECORD_OVERHEAD_BYTES);
    const sealed = bytes.length > ASYNC_BYTES
      ? this.#sealer.sealAsync(target, bytes)
      : this.#sealer.sealInto(target, RecordType.data, bytes);
    return this.#send(target, sealed);
  }

  async end(reason: number): Promise<void> {
    const update = this.#sealer.updateIfDue(this.#now());
    if (update !== null) void this.#sendCopy(update);
    await this.#sendCopy(this.#sealer.seal(RecordType.close, new Uint8Array([reason])));
    await this.#transport.closeWrite();
  }

  close(): void {
    this.#transport.close();
    this.#sealer.wipe();
    this.#opener.wipe();
    this.#opener.input.release();
  }

  /** Sends the record in front of `buffer`, or the one that is being sealed there, behind those before. */
  #send(buffer: Uint8Array, length: number | Promise<number>): Promise<void> {
    const isFirst = this.#writes++ === 0;
    const sent = typeof length === "number" && isFirst
      ? this.#transport.write(buffer.subarray(0, length))
      : this.#sendAfter(this.#lastWrite, buffer, length);
    this.#lastWrite = sent;
    // The caller of `write` gets its failure. What failed may still be in use by the platform.
    sent.then(() => this.#onSent(buffer), this.#onSendFailed);
    return sent;
  }

  #sendCopy(record: Uint8Array): Promise<void> {
    const buffer = takeBuffer(record.length);
    buffer.set(record);
    return this.#send(buffer, record.length);
  }

  #onSent(buffer: Uint8Array): void {
    this.#writes--;
    returnBuffer(buffer);
  }

  readonly #onSendFailed = (): void => {
    this.#writes--;
  };

  async #sendAfter(
    before: Promise<void>,
    buffer: Uint8Array,
    length: number | Promise<number>,
  ): Promise<void> {
    const [sealed] = await Promise.all([length, before]);
    await this.#transport.write(buffer.subarray(0, sealed));
  }

  /** Writes what is larger than a record, two parts ahead at most. */
  async #writeParts(bytes: Uint8Array): Promise<void> {
    const under: Promise<void>[] = [];
    for (let at = 0; at < bytes.length; at += this.writeBytes) {
      if (under.length === MAX_AHEAD) await under.shift();
      const written = this.write(bytes.subarray(at, at + this.writeBytes));
      written.catch(() => {}); // awaited when its turn comes
      under.push(written);
    }
    for (const written of under) await written;
  }

  /**
   * Begins to open what is here, two records at most, and to read on meanwhile. A small record that
   * is the next one comes back at once when it is `wanted`.
   */
  #openAhead(wanted: boolean): Uint8Array | null {
    // While a read is under way, all that came before is being opened.
    while (
      this.#reading === null && this.#opening.length < MAX_AHEAD && this.#failure === null &&
      !this.#closing
    ) {
      const opened = this.#next();
      if (opened === null) {
        if (this.#opening.length > 0 && this.#failure === null) void this.#readAhead();
        return null;
      }
      if (opened.type === "data" && wanted && this.#opening.length === 0) return opened.plain;
      if (opened.type === "close") {
        this.#closing = true;
        this.#opening.push(Promise.resolve(END));
        return null;
      }
      const later = Promise.resolve(opened.plain);
      later.catch(() => {}); // awaited when its turn comes
      this.#opening.push(later);
    }
    return null;
  }

  #next(): ReturnType<RecordOpener["next"]> {
    try {
      return this.#opener.next();
    } catch (error) {
      this.#failure = { error }; // records before it are good and come first
      return null;
    }
  }

  /** Resolves when the next bytes are here and being opened, or the input has failed. */
  #readAhead(): Promise<void> {
    return this.#reading ??= this.#transport.read().then(this.#onChunk, this.#onReadFailed);
  }

  readonly #onChunk = (chunk: Uint8Array | null): void => {
    this.#reading = null;
    if (chunk === null) {
      this.#failure = { error: cutShort() };
      return;
    }
    this.#opener.input.push(chunk);
    this.#transport.reuse?.(chunk);
    if (this.#opening.length > 0) this.#openAhead(false);
  };

  readonly #onReadFailed = (error: unknown): void => {
    this.#reading = null;
    this.#failure = { error };
  };
}
