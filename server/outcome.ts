// Outcome: a promise of a server that knows whether its caller has asked for it.
import { ClosedError, ParleyError } from "../errors.ts";
import type { ServerState } from "../accept/server_state.ts";

/**
 * The outcome of a server's start or end. When the caller has asked for the promise, its rejection
 * is the report. Otherwise the server must report the error. A rejection that no code handles does
 * not end the process.
 */
export class Outcome {
  readonly #settling: PromiseWithResolvers<void> = Promise.withResolvers();
  #isAsked = false;

  constructor() {
    this.#settling.promise.catch(() => {});
  }

  /** Whether the caller has asked for the promise. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** Returns the promise to the caller. */
  ask(): Promise<void> {
    this.#isAsked = true;
    return this.#settling.promise;
  }

  /** The promise for the server's own use, which does not count as asked. */
  get promise(): Promise<void> {
    return this.#settling.promise;
  }

  /** Resolves the promise. */
  resolve(): void {
    this.#settling.resolve();
  }

  /** Rejects the promise. */
  reject(error: unknown): void {
    this.#settling.reject(error);
  }
}

/**
 * Whether the text of an error says what to do. Then a stack of Parley's own files only hides it.
 */
function saysAll(error: unknown): boolean {
  return error instanceof ParleyError || error instanceof Deno.errors.NotCapable;
}

/** Most stack frames of the caller that an error shows. */
const MAX_FRAMES = 3;

/**
 * Returns the stack frames of the code that makes a server. Call it in the constructor of that
 * server.
 */
export function callerOf(constructor: new (...args: never[]) => unknown): string {
  const here = { stack: "" };
  Error.captureStackTrace(here, constructor);
  return here.stack.split("\n").filter((line) => /^\s+at /.test(line)).slice(0, MAX_FRAMES).join(
    "\n",
  );
}

/**
 * Replaces the stack of an error whose text says what to do by the place at which the server was
 * made: the report of a taken port needs three lines. Other errors, such as a fault of Parley's,
 * keep their stack.
 */
export function pointToCaller(error: unknown, caller: string): void {
  for (
    let each: unknown = error, isFirst = true;
    each instanceof Error;
    each = each.cause, isFirst = false
  ) {
    if (isFirst && !saysAll(each)) return;
    each.stack = `${each.name}: ${each.message}${isFirst && caller !== "" ? `\n${caller}` : ""}`;
  }
}

/**
 * The error of a property that is read before the server listens, or after the end of one that
 * never did.
 */
export function noAddress(what: string, state: ServerState): ClosedError {
  const why = state === "created"
    ? "does not listen yet: await `ready` first"
    : `does not listen: its state is "${state}"`;
  return new ClosedError("ERR_CLOSED", `Cannot tell the address: the ${what} ${why}`);
}
