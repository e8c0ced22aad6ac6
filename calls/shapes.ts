// Shapes: what describes the values of a call, and the types that follow on both sides.
import type { Codec } from "../codec/codec.ts";
import type { SchemaInput, SchemaOutput, StandardSchema } from "../codec/schema.ts";

/** What describes a value: a Standard Schema (zod, valibot, arktype and others), or a codec. */
// deno-lint-ignore no-explicit-any -- any schema, any codec
export type Shape = StandardSchema | Codec<any, any>;

/** Schemas of the data of the errors that a call declares, by code. */
export type ErrorShapes = { readonly [code: string]: StandardSchema };

/** Data of errors of a call that declares none. */
// deno-lint-ignore ban-types -- no code at all
export type NoErrors = {};

/** The types of one call's values, on both sides. */
export interface CallTypes {
  /** What the caller passes in. */
  readonly input: unknown;
  /** What the handler receives: the input once it was validated. */
  readonly received: unknown;
  /** What the handler returns. */
  readonly output: unknown;
  /** What the caller gets: the output once it was validated. */
  readonly result: unknown;
  /** The data of declared errors, by code. */
  readonly errors: unknown;
}

/** Types where both sides have the same, because no schema changes a value. */
export interface PlainTypes<Input, Output, Errors = NoErrors> extends CallTypes {
  /** What the caller passes in. */
  readonly input: Input;
  /** What the handler receives. */
  readonly received: Input;
  /** What the handler returns. */
  readonly output: Output;
  /** What the caller gets. */
  readonly result: Output;
  /** The data of declared errors, by code. */
  readonly errors: Errors;
}

/** Types that follow from shapes. */
export interface ShapedTypes<Input, Output, Errors> extends CallTypes {
  /** What the caller passes in. */
  readonly input: SentAs<Input>;
  /** What the handler receives: the input once it was validated. */
  readonly received: ReceivedAs<Input>;
  /** What the handler returns. */
  readonly output: SentAs<Output>;
  /** What the caller gets: the output once it was validated. */
  readonly result: ReceivedAs<Output>;
  /** The data of declared errors, by code, once it was validated. */
  readonly errors: { readonly [Code in keyof Errors]: ReceivedAs<Errors[Code]> };
}

/** The value that is sent under a shape. */
export type SentAs<S> = S extends StandardSchema ? SchemaInput<S>
  // deno-lint-ignore no-explicit-any -- what it decodes to does not matter
  : S extends Codec<any, infer In> ? In
  : void;

/** The value that arrives under a shape. */
export type ReceivedAs<S> = S extends StandardSchema ? SchemaOutput<S>
  // deno-lint-ignore no-explicit-any -- what it encodes does not matter
  : S extends Codec<infer Out, any> ? Out
  : void;
