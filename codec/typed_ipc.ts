// TypedIpc and TypedIpcServer: IPC channels whose messages are values, by type.
import type { CloseOptions } from "../options/close.ts";
import type { ReceiveBatchOptions, ReceiveOptions } from "../connection/waiter.ts";
import { checkIterable } from "../options/check.ts";
import { Refusals } from "../async/rejections.ts";
import type { ServerState } from "../accept/server_state.ts";
import type { IpcChannel } from "../ipc/channel.ts";
import type { IpcMessage } from "../ipc/link/inbox.ts";
import type { IpcBatchMessage } from "../ipc/sending.ts";
import type { IpcServer } from "../ipc/server.ts";
import type { IpcServerClient, IpcServerMessage } from "../ipc/server_client.ts";
import type { Encodable } from "./codec.ts";
import {
  type IpcCodecs,
  IpcCodecTable,
  type IpcReceived,
  type IpcSent,
  type IpcType,
} from "./ipc_codecs.ts";
import { MessageReader } from "./reader.ts";
import type { TypedOptions } from "./typed_link.ts";

/** What typed messages need of an endpoint of IPC. */
export interface IpcEndpoint<Message> {
  /** Sends a message of a type. */
  send(type: number, data: Uint8Array): Promise<void>;
  /** Waits for the next message; `null` at the end. */
  receive(options?: ReceiveOptions): Promise<Message | null>;
  /** Waits for all messages that are here, at least one; `null` at the end. */
  receiveBatch(options?: ReceiveBatchOptions): Promise<Message[] | null>;
  /** Ends the endpoint now. */
  abort(reason?: unknown): void;
}

/**
 * What all typed endpoints of IPC have in common. One reader at a time; `send` may be called concurrently,
 * and messages leave in the order of the calls. A message that does not decode, or whose type has no codec,
 * costs that one message.
 *
 * @template Codecs the codec of each type
 * @template Message what the endpoint itself receives
 * @template Link the endpoint beneath
 */
export abstract class TypedIpcMessages<
  Codecs extends IpcCodecs,
  Message extends IpcMessage,
  Link extends IpcEndpoint<Message>,
> implements AsyncIterable<IpcReceived<Codecs, Message>> {
  /** The endpoint beneath, with all that it can do. Reading from both at a time divides the messages. */
  readonly link: Link;
  readonly #table: IpcCodecTable<Codecs, Message>;
  readonly #reader: MessageReader<Message, IpcReceived<Codecs, Message>>;
  #refusals: Refusals | undefined;
  #readable: ReadableStream<IpcReceived<Codecs, Message>> | undefined;

  /** @ignore use `typed` */
  constructor(link: Link, codecs: Codecs, options: TypedOptions<Message>) {
    this.link = link;
    this.#table = new IpcCodecTable(codecs);
    this.#reader = new MessageReader(link, this.#table, options.onInvalid);
  }

  /**
   * Sends one value of a type. Resolves when it was accepted. A rejection for a value that has no encoding,
   * and that no code handles, is logged to the console.
   *
   * @throws {TypeError} when the type has no codec, or the codec cannot encode the value; nothing
   * is sent then
   * @throws what the endpoint throws
   */
  send<Type extends IpcType<Codecs>>(type: Type, data: Encodable<Codecs[Type]>): Promise<void> {
    let message: Uint8Array;
    try {
      message = this.#table.encode(type, data);
    } catch (error) {
      return this.refuse(error);
    }
    return this.link.send(type, message);
  }

  /** @ignore encodes values for a batch */
  protected encodeAll(messages: Iterable<IpcSent<Codecs>>): IpcBatchMessage[] {
    checkIterable("Cannot send", "messages", messages);
    return Array.from(
      messages,
      ({ type, data }) => ({ type, data: this.#table.encode(type, data) }),
    );
  }

  /** @ignore a rejection that is logged when no code handles it */
  protected refuse(error: unknown): Promise<never> {
    return (this.#refusals ??= new Refusals()).reject(error);
  }

  /**
   * Waits for the next message: `switch` on its `type`. `null` at the end. A wait that ends early loses
   * nothing.
   *
   * @throws {SchemaError} when the message does not decode, or its type has no codec; it is consumed, and the
   * channel goes on
   * @throws {TimeoutError} `ERR_READ_TIMEOUT` after `timeoutMs`
   * @throws {TypeError} when another reader waits already
   * @throws what the endpoint throws
   */
  receive(options?: ReceiveOptions): Promise<IpcReceived<Codecs, Message> | null> {
    return this.#reader.receive(options);
  }

  /**
   * Waits for all messages that are here, at least one; `null` at the end. Messages before one that does not
   * decode come first, in a batch of their own.
   *
   * @throws as {@linkcode receive} does
   */
  receiveBatch(
    options?: ReceiveBatchOptions,
  ): Promise<IpcReceived<Codecs, Message>[] | null> {
    return this.#reader.receiveBatch(options);
  }

  /** Iterates over batches to the end. Throws as {@linkcode receiveBatch} does; another loop goes on. */
  batches(): AsyncIterableIterator<IpcReceived<Codecs, Message>[], undefined> {
    return this.#reader.batches();
  }

  /**
   * Iterates to the end. Throws a `SchemaError` for a message that does not decode, unless `onInvalid` takes
   * it; another loop then goes on with the next message. Leaving the loop closes nothing.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcReceived<Codecs, Message>, undefined> {
    return this.#reader.iterate();
  }

  /**
   * Messages as a stream, read on demand. A message that does not decode ends the stream with a
   * `SchemaError`, unless `onInvalid` takes it. Cancelling it aborts the endpoint.
   */
  get readable(): ReadableStream<IpcReceived<Codecs, Message>> {
    return this.#readable ??= this.#reader.readable((reason) => this.abort(reason));
  }

  /** Ends the endpoint now, as its own `abort` does. */
  abort(reason?: unknown): void {
    this.link.abort(reason);
  }
}

/** An endpoint of IPC with one other process: a client, a pair, or a client of a server. */
export type IpcLinkEndpoint = IpcChannel | IpcServerClient;

/** What such an endpoint itself receives. */
export type IpcMessageOf<Link extends IpcLinkEndpoint> = NonNullable<
  Awaited<ReturnType<Link["receive"]>>
>;

/**
 * An `IpcClient`, an `IpcPeer` or an `IpcServerClient` whose messages are values; `typed` makes it.
 *
 * @template Codecs the codec of each type
 * @template Link the endpoint beneath
 */
export class TypedIpc<Codecs extends IpcCodecs, Link extends IpcLinkEndpoint = IpcChannel>
  extends TypedIpcMessages<Codecs, IpcMessageOf<Link>, Link & IpcEndpoint<IpcMessageOf<Link>>>
  implements AsyncDisposable {
  #writable: WritableStream<IpcSent<Codecs>> | undefined;

  /**
   * Sends values one after the other, all or none, each with its type.
   *
   * @throws {TypeError} when a type has no codec, or the codec cannot encode the value; nothing is sent then
   * @throws what the endpoint throws
   */
  sendBatch(messages: Iterable<IpcSent<Codecs>>): Promise<void> {
    try {
      return this.link.sendBatch(this.encodeAll(messages));
    } catch (error) {
      return this.refuse(error);
    }
  }

  /** What the endpoint is doing. */
  get status(): Link["status"] {
    return this.link.status;
  }

  /** Resolves when the endpoint has ended. Never rejects. */
  get closed(): Promise<void> {
    return this.link.closed;
  }

  /**
   * Resolves when the other process has received all that was sent before. @throws as its own
   * `flush` does
   */
  flush(): Promise<void> {
    return this.link.flush();
  }

  /** A stream that takes messages. Closing it closes the endpoint; aborting it aborts it. */
  get writable(): WritableStream<IpcSent<Codecs>> {
    return this.#writable ??= new WritableStream<IpcSent<Codecs>>({
      write: ({ type, data }) => this.send(type, data as Encodable<Codecs[typeof type]>),
      close: () => this.close(),
      abort: (reason) => this.abort(reason),
    });
  }

  /** Closes in order, as the endpoint does. */
  close(options?: CloseOptions): Promise<void> {
    return this.link.close(options);
  }

  /** The same as the endpoint's own disposal. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.link[Symbol.asyncDispose]();
  }
}

/**
 * An `IpcServer` whose messages are values; `typed` makes it. A message has the `client` that sent it, which
 * `typed` makes typed in turn to answer it alone.
 *
 * @template Codecs the codec of each type
 */
export class TypedIpcServer<Codecs extends IpcCodecs>
  extends TypedIpcMessages<Codecs, IpcServerMessage, IpcServer>
  implements AsyncDisposable {
  /** `listening` while it takes clients, `draining` while it shuts down, `stopped` after that. */
  get state(): ServerState {
    return this.link.state;
  }

  /** Resolved: the server listens already. */
  get ready(): Promise<void> {
    return this.link.ready;
  }

  /** Resolves when the server has ended for good. Never rejects. */
  get finished(): Promise<void> {
    return this.link.finished;
  }

  /** Lets the process live while the server listens (the default). */
  ref(): void {
    this.link.ref();
  }

  /** Lets the process end although the server listens. */
  unref(): void {
    this.link.unref();
  }

  /** Closes in order, as `IpcServer.shutdown` does. */
  shutdown(options?: CloseOptions): Promise<void> {
    return this.link.shutdown(options);
  }

  /** The same as {@linkcode shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.link.shutdown();
  }
}
