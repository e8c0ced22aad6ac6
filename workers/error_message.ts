// Errors as messages between threads: a structured clone drops their class, their code and their fields.
import * as errors from "../errors.ts";
import { ParleyError } from "../errors.ts";

/** Most causes of an error that go with it. */
const MAX_CAUSES = 8;

/** Members of Parley's errors beside code and text. */
const FIELDS = [
  "unsentBytes",
  "cutConnections",
  "cutBytes",
  "droppedMessages",
  "droppedBytes",
  "issues",
] as const;

/** An error, or any other value that was thrown, as plain data. */
export type ErrorMessage =
  | { readonly kind: "value"; readonly text: string }
  | {
    readonly kind: "error";
    readonly name: string;
    readonly message: string;
    readonly stack: string | undefined;
    readonly code: string | undefined;
    readonly fields: Readonly<Record<string, unknown>>;
    readonly cause: ErrorMessage | undefined;
  };

type ErrorMaker = new (code: never, message: string, options: ErrorOptions) => Error;

const OWN_CLASSES: Readonly<Record<string, ErrorMaker>> = { ...errors };

type PlainMaker = new (message: string, options: ErrorOptions) => Error;

const PLAIN_CLASSES: Readonly<Record<string, PlainMaker>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** Returns what a thread threw as plain data. Never throws. */
export function encodeError(error: unknown, depth: number = 0): ErrorMessage {
  try {
    if (!(error instanceof Error)) return { kind: "value", text: String(error) };
    const { name, message, stack, cause } = error;
    const { code } = error as { code?: unknown };
    const own = error instanceof ParleyError ? error as unknown as Record<string, unknown> : {};
    const fields = FIELDS.filter((field) => own[field] !== undefined && canPost(own[field]));
    return {
      kind: "error",
      name: String(name),
      message: String(message),
      stack: stack === undefined ? undefined : String(stack),
      code: typeof code === "string" ? code : undefined,
      fields: Object.fromEntries(fields.map((field) => [field, own[field]])),
      cause: cause === undefined || depth >= MAX_CAUSES ? undefined : encodeError(cause, depth + 1),
    };
  } catch {
    // Errors of an application may have getters that throw.
    return { kind: "value", text: "an error that cannot be read" };
  }
}

/** Whether a value can go to another thread: issues of a program's own making may hold functions. */
function canPost(value: unknown): boolean {
  if (typeof value !== "object") return true;
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

/** Returns an error of the same class, with the same code, text, stack and causes. */
export function decodeError(message: ErrorMessage): unknown {
  if (message.kind === "value") return message.text;
  const { name, code, stack, fields, cause } = message;
  const options = { ...fields, ...cause !== undefined && { cause: decodeError(cause) } };
  const error = make(name, code, message.message, options);
  if (stack !== undefined) error.stack = stack;
  return error;
}

function make(name: string, code: string | undefined, text: string, options: ErrorOptions): Error {
  if (code !== undefined && Object.hasOwn(OWN_CLASSES, name)) {
    return new OWN_CLASSES[name]!(code as never, text, options);
  }
  const platform = Deno.errors as unknown as Readonly<Record<string, PlainMaker>>;
  const Class = [PLAIN_CLASSES, platform].find((classes) => Object.hasOwn(classes, name))?.[name];
  const error = new (Class ?? Error)(text, options);
  if (error.name !== name) error.name = name;
  if (code !== undefined) Object.assign(error, { code });
  return error;
}
