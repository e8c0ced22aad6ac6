// The contract of the tests of calls: every kind of call, described by types, schemas and codecs.
import {
  call,
  type CallDefinition,
  type CallKind,
  type CallTypes,
  collect,
  type Contract,
  contract,
  feed,
  type PlainTypes,
  talk,
} from "@parley/parley/calls";
import { bytes } from "@parley/parley/codec";
import { z } from "zod";

/** What a handler learned of its call. */
export interface Seen {
  /** Who called; `null` for no name. */
  readonly peer: string | null;
  /** The whole name of the call. */
  readonly name: string;
  /** Time in ms until its caller stops waiting; `null` for never. */
  readonly leftMs: number | null;
}

/** What a feed of numbers yields, and how it ends. */
export interface CountInput {
  /** Names it in what the answerer reports. */
  readonly id: string;
  /** Yields 0 to this number, without it; `null` for no end. */
  readonly to: number | null;
  /** Characters of ballast in each item. */
  readonly ballast?: number | undefined;
  /** Fails with a `CallError` in place of the end. */
  readonly fails?: boolean | undefined;
}

/** An item of such a feed. */
export interface CountItem {
  readonly n: number;
  readonly ballast?: string | undefined;
}

/** A call whose values are validated, and do not change by that. */
interface Checked<Input, Output, Errors = Record<never, never>> extends CallTypes {
  readonly input: Input;
  readonly received: Input;
  readonly output: Output;
  readonly result: Output;
  readonly errors: Errors;
}

/** Two numbers. */
interface Terms {
  readonly a: number;
  readonly b: number;
}

/** The data of a refused sum. */
interface TooBig {
  readonly ERR_TOO_BIG: { readonly max: number };
}

type Plain<Kind extends CallKind, Input, Output> = CallDefinition<Kind, PlainTypes<Input, Output>>;

/** The calls of the tests. An exported contract needs its type here, because the project has
 * `isolatedDeclarations`. */
export type TableCalls = {
  readonly seen: Plain<"call", void, Seen>;
  readonly echo: Plain<"call", unknown, unknown>;
  readonly nothing: Plain<"call", void, void>;
  readonly nullable: Plain<"call", null, null>;
  readonly add: CallDefinition<"call", Checked<Terms, number, TooBig>>;
  readonly blob: Plain<"call", Uint8Array, Uint8Array>;
  readonly fails: Plain<"call", string, void>;
  readonly lies: CallDefinition<"call", Checked<string, number>>;
  readonly hangs: Plain<"call", string, void>;
  readonly waits: Plain<"call", { id: string; ms: number }, void>;
  readonly count: Plain<"feed", CountInput, CountItem>;
  readonly checked: CallDefinition<"feed", Checked<{ to: number }, number>>;
  readonly lying: CallDefinition<"feed", Checked<string, number>>;
  readonly sum: CallDefinition<"collect", Checked<number, number>>;
  readonly firstOf: Plain<"collect", number, number>;
  readonly shout: Plain<"talk", string, string>;
};

/** All calls of the tests. */
export const table: Contract<TableCalls> = contract({
  seen: call<void, Seen>(),
  echo: call<unknown, unknown>(),
  nothing: call(),
  nullable: call<null, null>(),
  add: call({
    input: z.object({ a: z.number(), b: z.number() }),
    output: z.number(),
    errors: { ERR_TOO_BIG: z.object({ max: z.number() }) },
    idempotent: true,
    timeoutMs: 20_000,
  }),
  blob: call({ input: bytes(), output: bytes() }),
  fails: call<string, void>(),
  lies: call({ input: z.string(), output: z.number() }),
  hangs: call<string, void>(),
  waits: call<{ id: string; ms: number }, void>(),
  count: feed<CountInput, CountItem>(),
  checked: feed({ input: z.object({ to: z.number() }), output: z.number() }),
  lying: feed({ input: z.string(), output: z.number() }),
  sum: collect({ input: z.number(), output: z.number() }),
  firstOf: collect<number, number>(),
  shout: talk<string, string>(),
}, { name: "table", version: "1.2" });

/** A call and a feed without values. */
type Pair<One extends string, Other extends string> =
  & { readonly [Name in One]: Plain<"call", void, void> }
  & { readonly [Name in Other]: Plain<"feed", void, void> };

/** A contract of the same name that has a call which the other side does not know. */
export const newer: Contract<Pair<"missing", "missingFeed">> = contract({
  missing: call(),
  missingFeed: feed(),
}, { name: "table", version: "1.3" });

/** The same calls, in a version that does not fit. */
export const other: Contract<Pair<"seen", "count">> = contract({
  seen: call(),
  count: feed(),
}, { name: "table", version: "2.0" });

/** A contract whose calls are of other kinds. */
export const crooked: Contract<Pair<"count", "seen">> = contract({
  seen: feed(),
  count: call(),
}, { name: "table", version: "1.2" });
