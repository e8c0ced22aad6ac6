// CallRequest: which call the arguments mean, and with which input.
import { call, contract } from "../../../calls/mod.ts";
import type { Arguments } from "../../command/arguments.ts";
import { parseJson } from "../../command/json_input.ts";
import type { Flag } from "../../command/syntax.ts";
import { asTyped, UsageError } from "../../command/usage.ts";
import { TimeLimit } from "../../flags/time_limit.ts";

/** How many values go in and come out; the options that choose one have the same names. */
const KINDS = ["feed", "collect", "talk"] as const;

/** Time for a call with one answer, in ms, where no other time was typed. */
const CALL_MS = 30_000;

/** Options of a command that makes a call. */
export const CALL_FLAGS: readonly Flag[] = [
  { name: "feed", about: "The call has many answers: print each on a line, as it comes" },
  { name: "collect", about: "Send each line of standard input as JSON; there is one answer" },
  { name: "talk", about: "Send each line of standard input as JSON; there are many answers" },
  { name: "count", value: "COUNT", about: "End after so many answers (default: no end)" },
  {
    name: "timeout",
    value: "TIME",
    about:
      "Longest time for all of it: to connect, to read the input and to get the answers (default: 30s for a call with one answer; no limit for many)",
  },
  {
    name: "contract-version",
    value: "VERSION",
    about: "Version of the contract that we go by (default: any)",
  },
  { name: "pretty", about: "Indent the output" },
  { name: "json", about: "Print objects: an output, an item or an error" },
];

/** What the arguments say of a call. */
export interface CallRequest {
  /** How many values go in and come out. */
  readonly kind: "call" | (typeof KINDS)[number];
  /** The whole name of the call. */
  readonly name: string;
  /** Where the one input comes from; `null` where there are many, on standard input. */
  readonly input: TypedInput | null;
  /** End after so many answers. */
  readonly count: number;
  /** Version of the contract; `undefined` for any. */
  readonly version: string | undefined;
  /** How the answers are printed. */
  readonly output: OutputForm;
}

/** The one input of a call: a value that was typed, or standard input. */
export type TypedInput =
  | { readonly from: "arguments"; readonly value: unknown }
  | { readonly from: "standard input" };

/** How answers are printed. */
export interface OutputForm {
  /** As objects that say what they are. */
  readonly events: boolean;
  /** Spaces of each level; 0 for one line. */
  readonly indent: number;
}

/**
 * What the arguments say.
 *
 * @param json The input as it was typed: JSON, `-` for standard input, or "" for none
 * @throws {UsageError} when they make no sense
 */
export function readRequest(args: Arguments, name: string, json: string): CallRequest {
  const [kind = "call", other] = KINDS.filter((each) => args.has(each));
  if (other !== undefined) throw new UsageError(`--${kind} and --${other} exclude each other`);
  const version = args.text("contract-version");
  // Names and versions that cannot be are reported now.
  asTyped(() => contract({ [name]: call() }, { version }));
  const isOneAnswer = kind === "call" || kind === "collect";
  if (isOneAnswer && args.text("count") !== undefined) {
    throw new UsageError('Option "--count" goes with --feed or --talk');
  }
  return {
    kind,
    name,
    input: kind === "call" || kind === "feed" ? readInput(json) : noInput(kind, json),
    count: args.optionalCount("count", { least: 1, most: 1e12 }) ?? Infinity,
    version,
    output: { events: args.has("json"), indent: args.has("pretty") ? 2 : 0 },
  };
}

/** The time that a request has, from now on. */
export function limitOf(args: Arguments, { kind }: CallRequest): TimeLimit {
  const byDefaultMs = kind === "call" || kind === "collect" ? CALL_MS : Infinity;
  return new TimeLimit(args, { byDefaultMs, code: "ERR_CALL_TIMEOUT", action: "Cannot call" });
}

function readInput(json: string): TypedInput {
  if (json === "-") return { from: "standard input" };
  return { from: "arguments", value: json === "" ? undefined : parseJson(json, "JSON") };
}

function noInput(kind: string, json: string): null {
  if (json === "" || json === "-") return null;
  throw new UsageError(
    `--${kind} reads its inputs from standard input, a line each; leave out JSON`,
  );
}
