// IpcCodecs: a codec for each type of IPC message, and the types that follow from them.
import { SchemaError } from "../errors.ts";
import type { IpcMessage } from "../ipc/link/inbox.ts";
import { checkInteger } from "../options/check.ts";
import { type AnyCodec, type Decoded, decodeReceived, type Encodable, isCodec } from "./codec.ts";
import type { MessageDecoder } from "./reader.ts";
import { isPromise } from "./schema.ts";

/** A codec for each type of message: `{ 1: json(Order), 2: text() }`. Types are 1 to 4294967295. */
export type IpcCodecs = Readonly<Record<number, AnyCodec>>;

/** The types that have a codec. */
export type IpcType<Codecs extends IpcCodecs> = keyof Codecs & number;

/**
 * A received message: a union that `type` narrows. It has what the message of the channel has beside it, such
 * as the `client` of a server's.
 */
export type IpcReceived<Codecs extends IpcCodecs, Message extends IpcMessage = IpcMessage> = {
  readonly [Type in IpcType<Codecs>]: Omit<Message, "type" | "data"> & {
    /** Its type. */
    readonly type: Type;
    /** What its codec made of its data. */
    readonly data: Decoded<Codecs[Type]>;
  };
}[IpcType<Codecs>];

/** A message to send: its type, and data that the codec of this type takes. */
export type IpcSent<Codecs extends IpcCodecs> = {
  readonly [Type in IpcType<Codecs>]: {
    /** Its type. */
    readonly type: Type;
    /** What its codec encodes. */
    readonly data: Encodable<Codecs[Type]>;
  };
}[IpcType<Codecs>];

/** Largest type of an IPC message. */
const MAX_TYPE = 2 ** 32 - 1;

/** Encodes and decodes messages by their type. */
export class IpcCodecTable<Codecs extends IpcCodecs, Message extends IpcMessage>
  implements MessageDecoder<Message, IpcReceived<Codecs, Message>> {
  readonly #codecs = new Map<number, AnyCodec>();

  /** Copies the codecs. @throws {TypeError | RangeError} when one is none, or its type out of range */
  constructor(codecs: Codecs) {
    const action = "Cannot make the link typed";
    for (const [key, codec] of Object.entries<unknown>(codecs)) {
      const type = checkInteger(action, "type", Number(key), 1, MAX_TYPE);
      if (!isCodec(codec)) {
        throw new TypeError(`${action}: type ${type} must have a codec such as json()`);
      }
      this.#codecs.set(type, codec);
    }
  }

  /** Returns the bytes of a value. @throws {TypeError} when its type has no codec, or the codec refuses it */
  encode(type: number, data: unknown): Uint8Array {
    const codec = this.#codecs.get(type);
    if (codec !== undefined) return codec.encode(data);
    throw new TypeError(`Cannot send: type ${String(type)} has no codec`);
  }

  /** Returns the message with its value. @throws {SchemaError} when its type has no codec either */
  decode(
    message: Message,
  ): IpcReceived<Codecs, Message> | Promise<IpcReceived<Codecs, Message>> {
    const codec = this.#codecs.get(message.type);
    if (codec === undefined) {
      const text = `Cannot read the message: its type ${message.type} has no codec`;
      throw new SchemaError("ERR_MESSAGE_INVALID", text);
    }
    const withData = (data: unknown) =>
      ({ ...message, data }) as unknown as IpcReceived<Codecs, Message>;
    const value: unknown = decodeReceived(codec, message.data);
    return isPromise(value) ? value.then(withData) : withData(value);
  }
}
