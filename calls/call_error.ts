// CallError: the failure of a call that its handler chose, with a code and data of its own.
import { ParleyError } from "../errors.ts";
import type { CallDefinition } from "./contract.ts";
import { checkType } from "../options/check.ts";

/** Marks a `CallError` for every copy of this package. */
const BRAND = Symbol.for("@parley/parley/calls.CallError");

/** What a code may look like. */
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/**
 * `ParleyError` with a code of any kind: what {@linkcode CallError} extends, because its codes are
 * those of handlers, which `ParleyErrorCode` does not know.
 */
export const CallErrorBase: new (
  code: string,
  message: string,
  options?: ErrorOptions,
) => Omit<ParleyError, "code"> = ParleyError as unknown as new (
  code: string,
  message: string,
  options?: ErrorOptions,
) => Omit<ParleyError, "code">;

/**
 * A handler throws one to choose what its caller learns. It crosses as it is: the caller catches a
 * `CallError` with the same code, text and data. Anything else that a handler throws reaches the
 * caller as `ERR_HANDLER`, without its text.
 *
 * @typeParam Code the code
 * @typeParam Data what `data` holds; JSON, because it crosses
 *
 * @example
 * ```ts
 * import { CallError } from "@parley/parley/calls";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new CallError("ERR_NO_STOCK", "Only 3 are left", { left: 3 });
 * assertEquals([error.code, error.data.left], ["ERR_NO_STOCK", 3]);
 * ```
 */
export class CallError<Code extends string = string, Data = unknown> extends CallErrorBase {
  /** What went wrong, as the two programs agree. */
  declare readonly code: Code;
  /** What the handler adds. */
  readonly data: Data;

  /**
   * Makes an error of a handler.
   *
   * @param code capital letters, digits and underscores, at most 64
   * @param message for people; 1024 characters of it cross
   * @param data JSON
   * @throws {TypeError | RangeError} when the code cannot be one
   */
  constructor(code: Code, message: string, data?: Data, options?: ErrorOptions) {
    super(code, message, options);
    if (!CODE.test(checkType("Cannot fail the call", "code", code, "string"))) {
      throw new RangeError(
        `Cannot fail the call: "code" must be capital letters, digits and underscores, at most 64: current value is ${
          JSON.stringify(code.slice(0, 64))
        }`,
      );
    }
    this.data = data as Data;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /**
   * Whether a value is a `CallError`, also one that another copy of this package made: two versions
   * in one program are easily had.
   */
  static override [Symbol.hasInstance](value: unknown): value is CallError {
    if (this !== CallError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && BRAND in value;
  }
}

/** The errors that a call declares, as a union of `CallError` types. */
export type DeclaredError<Definition> = Definition extends CallDefinition<infer _, infer Types> ? {
    [Code in keyof Types["errors"] & string]: CallError<Code, Types["errors"][Code]>;
  }[keyof Types["errors"] & string]
  : never;

/**
 * Whether `error` is one of those that a call declares; then its `code` and `data` have their
 * types.
 *
 * @example
 * ```ts
 * import { call, CallError, isCallError } from "@parley/parley/calls";
 * import { z } from "zod";
 * import { assertEquals } from "@std/assert";
 *
 * const buy = call({
 *   input: z.string(),
 *   output: z.number(),
 *   errors: { ERR_NO_STOCK: z.object({ left: z.number() }) },
 * });
 * const error: unknown = new CallError("ERR_NO_STOCK", "Only 3 are left", { left: 3 });
 * assertEquals(isCallError(error, buy) && error.data.left, 3);
 * ```
 */
export function isCallError<Definition extends CallDefinition>(
  error: unknown,
  definition: Definition,
): error is DeclaredError<Definition> {
  return error instanceof CallError && Object.hasOwn(definition.errors, error.code);
}
