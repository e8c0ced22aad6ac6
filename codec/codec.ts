// Codec: values to bytes and back; JSON, text and bytes.
import { decodeText } from "../collections/short_text.ts";
import { SchemaError } from "../errors.ts";
import {
  isPromise,
  isSchema,
  type SchemaInput,
  type SchemaOutput,
  type StandardSchema,
  validate,
} from "./schema.ts";

/**
 * Turns values into the bytes of a message, and back. {@linkcode json}, {@linkcode text} and
 * {@linkcode bytes} make one; write your own by implementing this interface. Both directions are
 * stateless: a codec may serve any number of links at once.
 *
 * @example A codec of one's own
 * ```ts
 * import { SchemaError } from "@parley/parley";
 * import type { Codec } from "@parley/parley/codec";
 * import { assertEquals } from "@std/assert";
 *
 * const celsius: Codec<number> = {
 *   encode: (degrees) => new Uint8Array([degrees + 100]),
 *   decode(bytes) {
 *     if (bytes.length === 1) return bytes[0]! - 100;
 *     throw new SchemaError("ERR_MESSAGE_MALFORMED", "Cannot read the message: it must be 1 byte");
 *   },
 * };
 * assertEquals(celsius.decode(celsius.encode(-7)), -7);
 * ```
 *
 * @template T what is received
 * @template In what is sent; differs from `T` where a schema transforms values or fills in defaults
 */
export interface Codec<T, In = T> {
  /**
   * Returns the bytes of a value.
   *
   * @throws {TypeError} when the value has no such form; nothing is sent then
   */
  encode(value: In): Uint8Array;
  /**
   * Returns the value that the bytes are.
   *
   * @throws {SchemaError} `ERR_MESSAGE_MALFORMED` when the bytes are no value, `ERR_MESSAGE_INVALID` when the
   * value does not fit
   * @throws {TypeError} when this codec can decode asynchronously only: see {@linkcode decodeAsync}
   */
  decode(bytes: Uint8Array): T;
  /**
   * The same as {@linkcode decode}, for a codec that may have to wait: returns the value at once
   * where it can, else a promise. Where a codec has it, links and calls use it in place of
   * {@linkcode decode}.
   */
  decodeAsync?(bytes: Uint8Array): T | Promise<T>;
}

/** A codec for any values: what a codec must be where its types do not matter. */
// deno-lint-ignore no-explicit-any -- `encode` takes what only the exact type knows
export type AnyCodec = Codec<any, any>;

/** What a codec receives. */
export type Decoded<C extends AnyCodec> = C extends Codec<infer T, infer _In> ? T : never;

/** What a codec sends. */
export type Encodable<C extends AnyCodec> = C extends Codec<infer _T, infer In> ? In : never;

/** Drops a byte order mark, as readers of JSON may (RFC 8259, section 8.1). */
const jsonDecoder = new TextDecoder("utf-8", { fatal: true });
/** Keeps a byte order mark, so that text comes back as it was sent. */
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const encoder = new TextEncoder();
const READ = "Cannot read the message";

/**
 * Values as JSON, with their type alone: what is received is not checked.
 *
 * `encode` throws a `TypeError` for what JSON cannot say as a whole: `undefined`, a function, a symbol, a
 * `bigint`, a circle. Inside a value JSON has its own ways: a property that is `undefined` is left out, `NaN`
 * becomes `null`, a `Date` its text.
 *
 * @example
 * ```ts
 * import { json } from "@parley/parley/codec";
 * import { assertEquals } from "@std/assert";
 *
 * const codec = json<{ name: string }>();
 * assertEquals(codec.decode(codec.encode({ name: "Ada" })), { name: "Ada" });
 * ```
 */
export function json<T = unknown>(): Codec<T>;
/**
 * Values as JSON that fit a Standard Schema (zod, valibot, arktype and others). A value is validated where
 * it is received, and there alone: `decode` returns what the schema makes of it, and `encode` takes what the
 * schema takes. So transforms and defaults run once, and both sides may be of different versions.
 *
 * @example A message that does not fit
 * ```ts
 * import { SchemaError } from "@parley/parley";
 * import { json } from "@parley/parley/codec";
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { z } from "zod";
 *
 * const order = json(z.object({ items: z.array(z.object({ price: z.number() })) }));
 * const sent = new TextEncoder().encode(`{ "items": [{ "price": "7" }] }`);
 * const error = assertThrows(() => order.decode(sent), SchemaError);
 * assertEquals(error.code, "ERR_MESSAGE_INVALID");
 * assertEquals(error.message, `Cannot read the message: "items[0].price" does not fit the schema`);
 * assertEquals(error.issues[0]?.path, ["items", 0, "price"]);
 * ```
 *
 * @throws {TypeError} when `schema` is no Standard Schema
 */
export function json<Schema extends StandardSchema>(
  schema: Schema,
): Codec<SchemaOutput<Schema>, SchemaInput<Schema>>;
export function json(...given: readonly unknown[]): Codec<unknown> {
  if (given.length === 0) return { encode: encodeJson, decode: (bytes) => parseJson(bytes) };
  const [schema] = given;
  if (!isSchema(schema)) {
    throw new TypeError(
      `Cannot make a codec: "schema" must be a Standard Schema such as zod's, got ${typeof schema}`,
    );
  }
  return new SchemaCodec(schema);
}

/** JSON that fits a schema. */
class SchemaCodec implements Codec<unknown> {
  readonly #schema: StandardSchema;

  constructor(schema: StandardSchema) {
    this.#schema = schema;
  }

  encode(value: unknown): Uint8Array {
    return encodeJson(value);
  }

  decode(bytes: Uint8Array): unknown {
    const value = this.decodeAsync(bytes);
    if (!isPromise(value)) return value;
    value.catch(() => {});
    throw new TypeError(`${READ}: its schema validates asynchronously: use "decodeAsync"`);
  }

  decodeAsync(bytes: Uint8Array): unknown {
    return validate(this.#schema, parseJson(bytes), "ERR_MESSAGE_INVALID", READ);
  }
}

function encodeJson(value: unknown): Uint8Array {
  return encoder.encode(stringify(value));
}

/**
 * Returns the text of a value in JSON. For use inside this module.
 *
 * @throws {TypeError} when it has none
 */
export function stringify(value: unknown): string {
  let encoded: string | undefined;
  try {
    encoded = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError("Cannot send: the value has no form in JSON", { cause });
  }
  if (encoded !== undefined) return encoded;
  throw new TypeError(`Cannot send: the value must have a form in JSON, got ${typeof value}`);
}

/**
 * Returns the value that the bytes from `start` on are in JSON. For use inside this module.
 *
 * @throws {SchemaError} `ERR_MESSAGE_MALFORMED` when they are none
 */
export function parseJson(bytes: Uint8Array, start: number = 0): unknown {
  const source = decodeUtf8(jsonDecoder, bytes, start);
  try {
    return JSON.parse(source);
  } catch {
    // The platform's error quotes the message.
    throw malformed("it is no JSON");
  }
}

/**
 * Text as UTF-8.
 *
 * @example
 * ```ts
 * import { text } from "@parley/parley/codec";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(text().decode(new Uint8Array([0x48, 0x69])), "Hi");
 * ```
 */
export function text(): Codec<string> {
  return TEXT;
}

const TEXT: Codec<string> = {
  encode(value) {
    if (typeof value !== "string") {
      throw new TypeError(`Cannot send: the value must be a string, got ${typeof value}`);
    }
    // A lone surrogate has no UTF-8, and would arrive as U+FFFD.
    if (value.isWellFormed()) return encoder.encode(value);
    throw new TypeError("Cannot send: the text must be well-formed, it holds a lone surrogate");
  },
  decode: (bytes) => decodeUtf8(textDecoder, bytes),
};

/**
 * Bytes as they are: they are neither copied nor checked, and belong to their receiver.
 *
 * @example
 * ```ts
 * import { bytes } from "@parley/parley/codec";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(bytes().encode(new Uint8Array([1, 2])), new Uint8Array([1, 2]));
 * ```
 */
export function bytes(): Codec<Uint8Array> {
  return BYTES;
}

const BYTES: Codec<Uint8Array> = {
  encode(value) {
    if (value instanceof Uint8Array) return value;
    throw new TypeError(`Cannot send: the value must be a Uint8Array, got ${typeof value}`);
  },
  decode: (received) => received,
};

/**
 * Whether a value is a codec. A Standard Schema is none, although those of zod have methods named
 * `encode` and `decode`.
 */
export function isCodec(value: unknown): value is AnyCodec {
  if (typeof value !== "object" || value === null || isSchema(value)) return false;
  const { encode, decode } = value as Partial<AnyCodec>;
  return typeof encode === "function" && typeof decode === "function";
}

/** Decodes received bytes as the codec can: at once, or with a promise. */
export function decodeReceived<T>(codec: Codec<T, never>, received: Uint8Array): T | Promise<T> {
  return codec.decodeAsync === undefined ? codec.decode(received) : codec.decodeAsync(received);
}

function decodeUtf8(decoder: TextDecoder, received: Uint8Array, start = 0): string {
  try {
    return decodeText(received, decoder, start);
  } catch {
    throw malformed("it is no UTF-8");
  }
}

function malformed(why: string): SchemaError {
  return new SchemaError("ERR_MESSAGE_MALFORMED", `${READ}: ${why}`);
}
