// Outcome: a promise of a server to its caller, which knows whether the caller has asked for it.
import { ClosedError, ParleyError } from "../errors.ts";
import type { ServerState } from "../accept/server_state.ts";

/**
 * What becomes of a server. Where the caller has asked for the promise, its rejection is the report; where not, the server reports by
 * itself. Its rejection may go unheard: it never ends the process by itself.
 */
export class Outcome {
  readonly #settling: PromiseWithResolvers<void> = Promise.withResolvers();
  #isAsked = false;

  constructor() {
    this.#settling.promise.catch(() => {});
  }

  /** Whether the caller has the promise. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** For the caller. */
  ask(): Promise<void> {
    this.#isAsked = true;
    return this.#settling.promise;
  }

  /** For the server itself. */
  get promise(): Promise<void> {
    return this.#settling.promise;
  }

  /** It came about. */
  resolve(): void {
    this.#settling.resolve();
  }

  /** It cannot come about. */
  reject(error: unknown): void {
    this.#settling.reject(error);
  }
}

/** Whether the text of an error says what to do; then a stack of our own files only hides it. */
function saysAll(error: unknown): boolean {
  return error instanceof ParleyError || error instanceof Deno.errors.NotCapable;
}

/** Frames of the caller that an error shows. */
const MAX_FRAMES = 3;

/** The place in the program that made a server, as a stack has it. Call it in the constructor of the server. */
export function callerOf(constructor: new (...args: never[]) => unknown): string {
  const here = { stack: "" };
  Error.captureStackTrace(here, constructor);
  return here.stack.split("\n").filter((line) => /^\s+at /.test(line)).slice(0, MAX_FRAMES).join("\n");
}

/**
 * Makes the stack of an error that says all by its text lead to where the server was made, in place of our own files: who reads the
 * report of a taken port wants three lines. Other errors, such as a mistake of ours, keep their stack.
 */
export function pointToCaller(error: unknown, caller: string): void {
  for (let each: unknown = error, isFirst = true; each instanceof Error; each = each.cause, isFirst = false) {
    if (isFirst && !saysAll(each)) return;
    each.stack = `${each.name}: ${each.message}${isFirst && caller !== "" ? `\n${caller}` : ""}`;
  }
}

/** The error of a question that comes before there is an answer, or after the end of one that never listened. */
export function noAddress(what: string, state: ServerState): ClosedError {
  const why = state === "created"
    ? "does not listen yet: await `ready` first"
    : `does not listen: its state is "${state}"`;
  return new ClosedError("ERR_CLOSED", `Cannot tell the address: the ${what} ${why}`);
}
