/**
 * Codecs, and links whose messages are values. `json(schema)` validates what is received by any
 * Standard Schema (zod, valibot, arktype), `json<T>()` trusts the peer, {@linkcode text} is UTF-8
 * and {@linkcode bytes} is what it says. {@linkcode typed} puts a codec on a connection, a client,
 * a wire stream or an endpoint of IPC.
 *
 * A message that does not fit is a `SchemaError` with the path of what is wrong in it: that one message is
 * lost, and the link goes on.
 *
 * @example A connection of messages that are checked
 * ```ts
 * import { Connection, memoryPair } from "@parley/parley";
 * import { json, typed } from "@parley/parley/codec";
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 *
 * const message = json(z.object({ from: z.string(), text: z.string().trim() }));
 * const [near, far] = memoryPair();
 * const ada = typed(new Connection(near), message);
 * const bob = typed(new Connection(far), message);
 * await ada.send({ from: "Ada", text: " Hi! " });
 * assertEquals(await bob.receive(), { from: "Ada", text: "Hi!" });
 * await Promise.all([ada.close(), bob.close()]);
 * ```
 *
 * @module
 */
export {
  type AnyCodec,
  bytes,
  type Codec,
  type Decoded,
  type Encodable,
  json,
  text,
} from "./codec.ts";
export { type IpcCodecs, type IpcReceived, type IpcSent, type IpcType } from "./ipc_codecs.ts";
export { type InvalidHandler } from "./reader.ts";
export { typed } from "./typed.ts";
export { TypedClient, TypedConnection } from "./typed_connection.ts";
export {
  type IpcEndpoint,
  type IpcLinkEndpoint,
  type IpcMessageOf,
  TypedIpc,
  TypedIpcMessages,
  TypedIpcServer,
} from "./typed_ipc.ts";
export { type BaseLink, TypedLink, type TypedOptions } from "./typed_link.ts";
export { TypedStream, type TypedStreamOptions } from "./typed_stream.ts";
export {
  type SchemaInput,
  type SchemaOutput,
  type StandardIssue,
  type StandardResult,
  type StandardSchema,
  type StandardSchemaProps,
} from "./schema.ts";
