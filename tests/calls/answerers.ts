// Answerers: one program that answers for many carriers in turn, and a new one where it failed.
import { Child } from "../ipc/children.ts";

/** Starts the program that answers. */
export function startAnswerer(): Child {
  return new Child("tests/calls/programs/answerer.ts");
}

/** The program that answers, for one carrier after the other: most of what a carrier costs is its start. */
export class Answerers implements AsyncDisposable {
  #program: Child | null = null;

  /** A program that runs. */
  get program(): Child {
    if (this.#program?.running !== true) this.#program = startAnswerer();
    return this.#program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
  }
}
