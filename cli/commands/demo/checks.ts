// Checks: what the demo claims, each with whether it held.
import { paint, print } from "../../output/talk.ts";

/** One claim. */
export interface Check {
  /** What was claimed, for people. */
  readonly claim: string;
  /** Whether it was so. */
  readonly held: boolean;
}

/** The claims of one run, shown as they come. */
export class Checks {
  readonly #all: Check[] = [];
  readonly #show: boolean;

  /** Shows each check unless the result is for a machine. */
  constructor(options: { readonly show: boolean }) {
    this.#show = options.show;
  }

  /** All so far. */
  get all(): readonly Check[] {
    return this.#all;
  }

  /** Whether all held. */
  get held(): boolean {
    return this.#all.every((check) => check.held);
  }

  /** Notes whether a claim held. */
  that(claim: string, held: boolean): void {
    this.#all.push({ claim, held });
    if (!this.#show) return;
    print(held ? `   ${paint("✓", "green")} ${claim}` : `   ${paint("✗ FAILED:", "red")} ${claim}`);
  }
}
