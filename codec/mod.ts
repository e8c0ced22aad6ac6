/**
 * Codecs: values in place of bytes. `json(schema)` validates what is received by any Standard Schema (zod,
 * valibot, arktype), `json<T>()` trusts the peer, {@linkcode text} is UTF-8 and {@linkcode bytes} is what it
 * says.
 *
 * A message that does not fit is a `SchemaError` with the path of what is wrong in it: that one message is
 * lost, and the link goes on.
 *
 * @example A codec for the messages of a chat
 * ```ts
 * import { json } from "@parley/parley/codec";
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 *
 * const codec = json(z.object({ from: z.string(), text: z.string().trim() }));
 * const bytes = codec.encode({ from: "Ada", text: " Hi! " });
 * assertEquals(codec.decode(bytes), { from: "Ada", text: "Hi!" });
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
