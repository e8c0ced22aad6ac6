// validate(): checks a value by a Standard Schema, and says what is wrong with it; pure.
import { SchemaError, type SchemaErrorCode, type SchemaIssue } from "../errors.ts";
import { escapeForLog } from "../log/text.ts";

/**
 * A schema of any library that follows Standard Schema (https://standardschema.dev), version 1: zod,
 * valibot, arktype and others. It is written out here so that no package is needed for it.
 *
 * @template Input what it takes
 * @template Output what it makes of that
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What all libraries have in common. */
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** What all schemas have in common. */
export interface StandardSchemaProps<Input = unknown, Output = Input> {
  /** Version of the standard. */
  readonly version: 1;
  /** Name of the library. */
  readonly vendor: string;
  /** Types alone; there need be no value. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  /** Validates a value, at once or by a promise. */
  readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
}

/** What a schema says of a value: what it makes of it, or what is wrong with it. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** One thing that is wrong with a value, as a schema says it. */
export interface StandardIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where it is, from the outside in. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema takes. */
export type SchemaInput<Schema extends StandardSchema> = NonNullable<
  Schema["~standard"]["types"]
>["input"];

/** What a schema makes of what it takes. */
export type SchemaOutput<Schema extends StandardSchema> = NonNullable<
  Schema["~standard"]["types"]
>["output"];

/** Most issues of one value that an error holds: a peer chooses how many there are. */
const MAX_ISSUES = 16;
/** Most characters of one issue's message. */
const MAX_MESSAGE_CHARACTERS = 256;
/** Most segments of one issue's path; those beyond are left out. */
const MAX_PATH_SEGMENTS = 32;
/** Most characters of one segment: keys of records come from the peer. */
const MAX_SEGMENT_CHARACTERS = 64;
/** Most characters of the path that the text of an error shows. */
const MAX_PATH_CHARACTERS = 128;

/** A key that a path shows behind a dot; others are shown in brackets. */
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/**
 * Validates a value by its schema. Returns what the schema makes of it, at once or as a promise, as
 * the schema does. Each transform of the schema runs as often as the schema itself runs it for one
 * validation.
 *
 * @param action What is tried, such as `Cannot read the message`; the error message begins with it
 * @throws {SchemaError} with `code` when the value does not fit, or the schema itself fails; the
 * promise rejects with it when the schema validates asynchronously
 */
export function validate<Schema extends StandardSchema>(
  schema: Schema,
  value: unknown,
  code: SchemaErrorCode,
  action: string,
): SchemaOutput<Schema> | Promise<SchemaOutput<Schema>> {
  type Output = SchemaOutput<Schema>;
  const settle = (result: StandardResult<unknown>): Output => {
    const error = refusal(result, code, action);
    if (error !== null) throw error;
    return (result as { readonly value: Output }).value;
  };
  const schemaFailed = (cause: unknown): never => {
    if (cause instanceof SchemaError) throw cause;
    throw new SchemaError(code, `${action}: its schema failed`, { cause });
  };
  try {
    const result = schema["~standard"].validate(value);
    if (!isPromise(result)) return settle(result);
    return Promise.resolve(result).then(settle).catch(schemaFailed);
  } catch (error) {
    return schemaFailed(error);
  }
}

/** Whether a schema or a codec returned a promise, also one of another realm. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise ||
    typeof value === "object" && value !== null &&
      typeof (value as Partial<PromiseLike<T>>).then === "function";
}

/** Whether a value is a Standard Schema: an object, or a function as those of arktype are. */
export function isSchema(value: unknown): value is StandardSchema {
  if (typeof value !== "object" && typeof value !== "function" || value === null) return false;
  const standard = (value as Partial<StandardSchema>)["~standard"];
  return typeof standard?.validate === "function";
}

/** Why a value does not fit, or `null` when it does. */
function refusal(
  result: StandardResult<unknown>,
  code: SchemaErrorCode,
  action: string,
): SchemaError | null {
  if (result.issues === undefined) return null;
  const issues = [...take(result.issues, MAX_ISSUES)].map(cleanIssue);
  const path = pathText(issues[0]?.path ?? []);
  const place = path === "" ? "the value" : `"${path}"`;
  const { length } = result.issues;
  const more = length > 1 ? `, the first of ${length} issues` : "";
  return new SchemaError(code, `${action}: ${place} does not fit the schema${more}`, { issues });
}

function* take<T>(values: Iterable<T>, most: number): Iterable<T> {
  let taken = 0;
  for (const value of values) {
    yield value;
    if (++taken === most) return;
  }
}

function cleanIssue({ path, message }: StandardIssue): SchemaIssue {
  const segments = [...take(path ?? [], MAX_PATH_SEGMENTS)].map((segment) => {
    const key = typeof segment === "object" ? segment.key : segment;
    return typeof key === "number" ? key : escapeForLog(String(key), MAX_SEGMENT_CHARACTERS);
  });
  return { path: segments, message: escapeForLog(String(message), MAX_MESSAGE_CHARACTERS) };
}

/** A path as a program would write it: `items[2].price`. */
export function pathText(path: SchemaIssue["path"]): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else if (!IDENTIFIER.test(segment)) text += `['${segment}']`;
    else text += text === "" ? segment : `.${segment}`;
  }
  return text.length <= MAX_PATH_CHARACTERS ? text : `${text.slice(0, MAX_PATH_CHARACTERS - 1)}…`;
}
