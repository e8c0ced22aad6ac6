// A contract whose type is written out, as `isolatedDeclarations` and JSR want it of what is exported:
// the options of this project have that too.
import {
  call,
  type Caller,
  caller,
  type CallOf,
  type CallVia,
  collect,
  type Contract,
  contract,
  feed,
  talk,
} from "@parley/parley/calls";
import { z } from "zod";

/** What is exported under a type that is written out. */
export const clock: Contract<{
  now: CallOf<"call", void, string>;
  add: CallOf<"call", { a: number; b: number }, number, { ERR_TOO_BIG: { max: number } }>;
  ticks: CallOf<"feed", { everyMs: number }, string>;
  sum: CallOf<"collect", number, number>;
  chat: CallOf<"talk", string, string>;
}> = contract({
  now: call<void, string>(),
  add: call({
    input: z.object({ a: z.number(), b: z.number() }),
    output: z.number(),
    errors: { ERR_TOO_BIG: z.object({ max: z.number() }) },
  }),
  ticks: feed({ input: z.object({ everyMs: z.number() }), output: z.string() }),
  sum: collect<number, number>(),
  chat: talk<string, string>({ timeoutMs: 5000 }),
}, { name: "clock", version: "1.0" });

/** A function may keep the contract to itself, and have a type that is short. */
export function remoteClock(via: CallVia): Caller<typeof clock> {
  return caller(via, clock);
}

/** A schema that does not fit the type. */
// @ts-expect-error "a" is text in the schema
export const wrongInput: Contract<{ add: CallOf<"call", { a: number }, number> }> = contract({
  add: call({ input: z.object({ a: z.string() }), output: z.number() }),
});

/** A call of another kind. */
// @ts-expect-error "ticks" is a feed in the type
export const wrongKind: Contract<{ ticks: CallOf<"feed", void, string> }> = contract({
  ticks: call<void, string>(),
});

/** A call too few. */
// @ts-expect-error "ticks" is missing
export const tooFew: Contract<{ ticks: CallOf<"feed", void, string> }> = contract({});
