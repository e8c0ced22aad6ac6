// ValueCodec: turns the values of a call into bytes and back, by its schema or its codec.
import { type AnyCodec, decodeReceived, parseJson, stringify } from "../codec/codec.ts";
import { isPromise, isSchema, type StandardSchema, validate } from "../codec/schema.ts";
import { takeBytes, takeText } from "../collections/short_text.ts";
import { SchemaError, type SchemaErrorCode } from "../errors.ts";
import type { Shape } from "./shapes.ts";

const EMPTY: Uint8Array = new Uint8Array(0);

/** What is read, for the errors of a value that is not as agreed. */
export interface ReadValue {
  /** `ERR_INPUT_INVALID` or `ERR_OUTPUT_INVALID`. */
  readonly code: SchemaErrorCode;
  /** What is being done, such as `Cannot call "add"`. */
  readonly action: string;
}

/** Encodes and decodes the values of one direction of a call. */
export class ValueCodec {
  /** What encodes and decodes; `undefined` for JSON. */
  readonly #codec: AnyCodec | undefined;
  readonly #schema: StandardSchema | undefined;

  /** Makes the codec of a shape: JSON, unless the shape is a codec itself. */
  constructor(shape: Shape | undefined) {
    this.#schema = isSchema(shape) ? shape : undefined;
    const isJson = shape === undefined || this.#schema !== undefined;
    this.#codec = isJson ? undefined : shape as AnyCodec;
  }

  /**
   * Returns the bytes of a value, behind `leadBytes` zeros. JSON has no text for `undefined`: it is no
   * bytes at all.
   *
   * @throws {TypeError} when it has none
   */
  encode(value: unknown, leadBytes: number = 0): Uint8Array {
    if (this.#codec !== undefined) return behind(leadBytes, this.#codec.encode(value));
    return value === undefined ? behind(leadBytes, EMPTY) : takeText(stringify(value), leadBytes);
  }

  /**
   * Decodes and validates the bytes from `start` on; returns a promise where the schema or the
   * codec needs time.
   *
   * @throws {SchemaError} when the bytes are no value, or one that does not fit
   */
  decode(bytes: Uint8Array, what: ReadValue, start: number = 0): unknown {
    const value = this.#read(bytes, what, start);
    if (this.#schema === undefined) return value;
    return validate(this.#schema, value, what.code, what.action);
  }

  #read(bytes: Uint8Array, what: ReadValue, start: number): unknown {
    try {
      if (this.#codec === undefined) {
        return bytes.length === start ? undefined : parseJson(bytes, start);
      }
      const value = decodeReceived(this.#codec, start === 0 ? bytes : bytes.subarray(start));
      if (!isPromise(value)) return value;
      return value.then(undefined, (error) => {
        throw refusal(error, what);
      });
    } catch (error) {
      throw refusal(error, what);
    }
  }
}

function behind(leadBytes: number, value: Uint8Array): Uint8Array {
  if (leadBytes === 0) return value;
  const bytes = takeBytes(leadBytes + value.length);
  bytes.set(value, leadBytes);
  return bytes;
}

/** The error of a codec, as that of this value. */
function refusal(error: unknown, { code, action }: ReadValue): SchemaError {
  const isIssue = error instanceof SchemaError;
  const text = isIssue
    ? error.message.replace(/^Cannot read the message: /, "")
    : "its codec failed";
  return new SchemaError(code, `${action}: ${text}`, {
    cause: error,
    issues: isIssue ? error.issues : [],
  });
}
