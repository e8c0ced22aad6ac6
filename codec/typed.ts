// typed(): a link whose messages are values.
import type { Client } from "../client/client.ts";
import type { Connection } from "../connection.ts";
import type { IpcChannel } from "../ipc/channel.ts";
import type { IpcServer } from "../ipc/server.ts";
import { checkFunction } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import type { WireStream } from "../wire/session/stream.ts";
import type { IpcServerMessage } from "../ipc/server_client.ts";
import { type AnyCodec, type Codec, isCodec } from "./codec.ts";
import type { IpcCodecs } from "./ipc_codecs.ts";
import { TypedClient, TypedConnection } from "./typed_connection.ts";
import { type IpcLinkEndpoint, type IpcMessageOf, TypedIpc, TypedIpcServer } from "./typed_ipc.ts";
import type { TypedOptions } from "./typed_link.ts";
import { TypedStream, type TypedStreamOptions } from "./typed_stream.ts";

const ACTION = "Cannot make the link typed";
const NAMES: OptionNames<TypedOptions> = { onInvalid: true };
const STREAM_NAMES: OptionNames<TypedStreamOptions> = { ...NAMES, maxMessageBytes: true };

/**
 * Makes the messages of a connection values, by a codec.
 *
 * A message that does not decode costs that one message: `receive` rejects with a `SchemaError`, a loop
 * throws it, and the connection goes on. `onInvalid` takes such messages in place of that.
 *
 * @example An echo of JSON that knows its messages
 * ```ts
 * import { connect, serve } from "@parley/parley";
 * import { json, typed } from "@parley/parley/codec";
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 *
 * const message = json(z.object({ from: z.string(), text: z.string() }));
 * await using server = serve(async (conn) => {
 *   const chat = typed(conn, message, { onInvalid: (error) => console.warn(error.message) });
 *   for await (const { from, text } of chat) await chat.send({ from: "server", text: `${from}: ${text}` });
 * });
 * await server.ready;
 *
 * await using chat = typed(await connect({ ...server.addr }), message);
 * await chat.send({ from: "Ada", text: "Hi!" });
 * assertEquals(await chat.receive(), { from: "server", text: "Ada: Hi!" });
 * ```
 *
 * @throws {TypeError | RangeError} when the codec is none, or an option is wrong
 */
export function typed<T, In, Data>(
  link: Connection<Data>,
  codec: Codec<T, In>,
  options?: TypedOptions,
): TypedConnection<T, In, Data>;
/** Makes the messages of a client values, by a codec, across its links. */
export function typed<T, In, Data>(
  link: Client<Data>,
  codec: Codec<T, In>,
  options?: TypedOptions,
): TypedClient<T, In, Data>;
/**
 * Sends and receives values over a wire stream, by a codec, each behind its length. Both sides do this; the
 * stream must not be read or written otherwise.
 */
export function typed<T, In>(
  link: WireStream,
  codec: Codec<T, In>,
  options?: TypedStreamOptions,
): TypedStream<T, In>;
/** Makes the messages of all clients of an IPC server values, by a codec for each type. */
export function typed<const Codecs extends IpcCodecs>(
  link: IpcServer,
  codecs: Codecs,
  options?: TypedOptions<IpcServerMessage>,
): TypedIpcServer<Codecs>;
/**
 * Makes the messages of an IPC client, a pair, or one client of a server values, by a codec for each type.
 *
 * @example
 * ```ts
 * import { json, text, typed } from "@parley/parley/codec";
 * import { connectIpc, listenIpc } from "@parley/parley/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const JOB = 1, NOTE = 2;
 * const codecs = { [JOB]: json<{ id: number }>(), [NOTE]: text() };
 * await using server = typed(await listenIpc({ name: `doc-${Deno.pid}-t` }), codecs);
 * await using client = typed(await connectIpc({ name: server.link.name }), codecs);
 *
 * await client.send(JOB, { id: 7 });
 * const message = await server.receive();
 * if (message?.type === JOB) assertEquals(message.data.id, 7);
 * ```
 */
export function typed<const Codecs extends IpcCodecs, Link extends IpcLinkEndpoint>(
  link: Link,
  codecs: Codecs,
  options?: TypedOptions<IpcMessageOf<Link>>,
): TypedIpc<Codecs, Link>;
export function typed(link: object, codec: AnyCodec | IpcCodecs, options: object = {}): unknown {
  const kind = kindOf(link);
  const given: TypedStreamOptions = options;
  checkOptionNames(ACTION, given, kind === "stream" ? STREAM_NAMES : NAMES);
  if (given.onInvalid !== undefined) checkFunction(ACTION, "onInvalid", given.onInvalid);
  switch (kind) {
    case "connection":
      return new TypedConnection(link as Connection, checkCodec(codec), given);
    case "client":
      return new TypedClient(link as Client, checkCodec(codec), given);
    case "stream":
      return new TypedStream(link as WireStream, checkCodec(codec), given);
    case "ipcServer":
      return new TypedIpcServer(link as IpcServer, checkCodecs(codec), options);
    case "ipc":
      return new TypedIpc(link as IpcChannel, checkCodecs(codec), options);
  }
}

function checkCodec(codec: unknown): AnyCodec {
  if (isCodec(codec)) return codec;
  throw new TypeError(`${ACTION}: "codec" must be a codec such as json(), got ${typeof codec}`);
}

function checkCodecs(codecs: unknown): IpcCodecs {
  if (typeof codecs === "object" && codecs !== null && !isCodec(codecs)) return codecs as IpcCodecs;
  throw new TypeError(
    `${ACTION}: "codecs" must have a codec for each type, such as { 1: json() }`,
  );
}

type LinkKind = "connection" | "client" | "stream" | "ipc" | "ipcServer";

/**
 * Which link it is, by what it can do: no class is loaded for it, and a second copy of this package
 * in one program does no harm.
 */
function kindOf(link: unknown): LinkKind {
  const can = (name: string) =>
    typeof (link as Record<string, unknown> | null)?.[name] === "function";
  if (can("receive") && can("query")) return can("shutdown") ? "ipcServer" : "ipc";
  if (can("receive") && can("send")) return can("closeWrite") ? "connection" : "client";
  if (can("read") && can("write") && can("closeWrite")) return "stream";
  throw new TypeError(
    `${ACTION}: "link" must be a connection, a client, a wire stream or an IPC endpoint, got ${typeof link}`,
  );
}
