// ValueCodec: turns the values of a call into bytes and back, by its schema or its codec.
import { type AnyCodec, decodeReceived, json, stringify } from "../codec/codec.ts";
import { isPromise, isSchema, type StandardSchema, validate } from "../codec/schema.ts";
import { takeText } from "../collections/short_text.ts";
import { SchemaError, type SchemaErrorCode } from "../errors.ts";
import type { Shape } from "./shapes.ts";

const EMPTY: Uint8Array = new Uint8Array(0);
const JSON_CODEC = json();

/** What is read, for the errors of a value that is not as agreed. */
export interface ReadValue {
  /** `ERR_INPUT_INVALID` or `ERR_OUTPUT_INVALID`. */
  readonly code: SchemaErrorCode;
  /** What is being done, such as `Cannot call "add"`. */
  readonly action: string;
}

/** Encodes and decodes the values of one direction of a call. */
export class ValueCodec {
  readonly #codec: AnyCodec;
  readonly #schema: StandardSchema | undefined;
  /** Whether `undefined` is no bytes at all: JSON has no text for it. */
  readonly #isJson: boolean;

  /** Makes the codec of a shape: JSON, unless the shape is a codec itself. */
  constructor(shape: Shape | undefined) {
    this.#schema = isSchema(shape) ? shape : undefined;
    this.#isJson = shape === undefined || this.#schema !== undefined;
    this.#codec = this.#isJson ? JSON_CODEC : shape as AnyCodec;
  }

  /** Returns the bytes of a value. @throws {TypeError} when it has none */
  encode(value: unknown): Uint8Array {
    if (!this.#isJson) return this.#codec.encode(value);
    return value === undefined ? EMPTY : takeText(stringify(value));
  }

  /**
   * Decodes and validates; returns a promise where the schema or the codec needs time.
   *
   * @throws {SchemaError} when the bytes are no value, or one that does not fit
   */
  decode(bytes: Uint8Array, what: ReadValue): unknown {
    const value = this.#read(bytes, what);
    if (this.#schema === undefined) return value;
    return validate(this.#schema, value, what.code, what.action);
  }

  #read(bytes: Uint8Array, what: ReadValue): unknown {
    if (bytes.length === 0 && this.#isJson) return undefined;
    try {
      const value = decodeReceived(this.#codec, bytes);
      if (!isPromise(value)) return value;
      return value.then(undefined, (error) => {
        throw refusal(error, what);
      });
    } catch (error) {
      throw refusal(error, what);
    }
  }
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
