// validate(): checks a value by a Standard Schema, and says what is wrong with it; pure.
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { SchemaError, type SchemaErrorCode, type SchemaIssue } from "../errors.ts";
import { escapeForLog } from "../log/text.ts";

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
export function validate<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: unknown,
  code: SchemaErrorCode,
  action: string,
): StandardSchemaV1.InferOutput<Schema> | Promise<StandardSchemaV1.InferOutput<Schema>> {
  type Output = StandardSchemaV1.InferOutput<Schema>;
  const settle = (result: StandardSchemaV1.Result<unknown>): Output => {
    const error = refusal(result, code, action);
    if (error !== null) throw error;
    return (result as StandardSchemaV1.SuccessResult<Output>).value;
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
export function isSchema(value: unknown): value is StandardSchemaV1 {
  if (typeof value !== "object" && typeof value !== "function" || value === null) return false;
  const standard = (value as Partial<StandardSchemaV1>)["~standard"];
  return typeof standard?.validate === "function";
}

/** Why a value does not fit, or `null` when it does. */
function refusal(
  result: StandardSchemaV1.Result<unknown>,
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

function cleanIssue({ path, message }: StandardSchemaV1.Issue): SchemaIssue {
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
