// Answers: prints what a call returns, or fails with, as JSON on standard output.
import { CallError } from "../../../calls/mod.ts";
import { pathText } from "../../../codec/schema.ts";
import { ParleyError, SchemaError } from "../../../errors.ts";
import { UsageError } from "../../command/usage.ts";
import { addDetails } from "../../output/hints.ts";
import { jsonText } from "../../output/json_text.ts";
import { Output } from "../connect/standard.ts";
import type { OutputForm } from "./request.ts";

const encoder = new TextEncoder();

/** Prints answers; a reader of standard output that is slow makes the call wait. */
export class Answers {
  readonly #form: OutputForm;
  readonly #output = new Output();

  /** Prints nothing yet. */
  constructor(form: OutputForm) {
    this.#form = form;
  }

  /** Resolves when no program reads standard output any more. */
  get gone(): Promise<void> {
    return this.#output.gone;
  }

  /** Prints the one answer of a call; nothing where it returns none. */
  async result(output: unknown): Promise<void> {
    await this.#write(this.#form.events ? { event: "output", output } : output);
  }

  /** Prints one of many answers. */
  async item(item: unknown): Promise<void> {
    // A line for each, one without a value too: readers count them.
    await this.#write(this.#form.events ? { event: "item", item } : item ?? null);
  }

  /** Resolves when everything is printed. */
  async flush(): Promise<void> {
    await this.#output.flush();
  }

  /** Adds to an error of a call what its last lines report, and prints it where objects are wanted. */
  async failed(error: unknown): Promise<void> {
    if (error instanceof UsageError || !(error instanceof Error)) return;
    const fields = fieldsOf(error);
    addDetails(error, detailsOf(fields));
    if (!this.#form.events) return;
    await this.#write({ event: "error", ...fields, message: error.message });
    await this.flush();
  }

  async #write(value: unknown): Promise<void> {
    if (value === undefined) return;
    await this.#output.write(encoder.encode(`${jsonText(value, this.#form.indent)}\n`));
  }
}

/** What an error has beside its text. */
interface ErrorFields {
  readonly code: string | null;
  readonly data?: unknown;
  readonly issues?: SchemaError["issues"] | undefined;
}

function fieldsOf(error: Error): ErrorFields {
  if (error instanceof CallError) return { code: error.code, data: error.data };
  if (error instanceof SchemaError) return { code: error.code, issues: error.issues };
  return { code: error instanceof ParleyError ? error.code : null };
}

/** Lines for people. */
function detailsOf({ code, data, issues = [] }: ErrorFields): string[] {
  return [
    ...code === null ? [] : [`Code: ${code}`],
    ...data === undefined ? [] : [`Data: ${jsonText(data)}`],
    ...issues.map(({ path, message }) => `Issue: ${pathText(path) || "the value"}: ${message}`),
  ];
}
