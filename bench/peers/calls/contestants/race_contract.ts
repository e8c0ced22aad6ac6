// The contract of the race: a text there, the same text back.
import { call, type CallOf, type Contract, contract } from "../../../../calls/mod.ts";

/** A text there, the same text back; types only, as those of the peers. */
export const race: Contract<{ echo: CallOf<"call", string, string> }> = contract({
  echo: call<string, string>(),
}, { name: "race" });

/** Its handlers. */
export const handlers = { echo: (text: string): string => text };
