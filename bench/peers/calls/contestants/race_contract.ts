// The contract of the race: a text there, the same text back.
import { call, type CallDefinition, type Contract, contract } from "../../../../calls/mod.ts";
import type { PlainTypes } from "../../../../calls/contract.ts";

/** A text there, the same text back; types only, as those of the peers. */
export const race: Contract<{ echo: CallDefinition<"call", PlainTypes<string, string>> }> =
  contract({ echo: call<string, string>() }, { name: "race" });

/** Its handlers. */
export const handlers = { echo: (text: string): string => text };
