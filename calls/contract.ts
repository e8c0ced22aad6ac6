// contract(): the calls that two programs agree on: their names, kinds, values and errors.
import { isCodec } from "../codec/codec.ts";
import { isSchema } from "../codec/schema.ts";
import { checkBoolean, checkDurationMs } from "../options/check.ts";
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import { type CallKind, MAX_NAME_BYTES } from "./protocol/head.ts";
import type { CallTypes, ErrorShapes, NoErrors, PlainTypes, Shape, ShapedTypes } from "./shapes.ts";

/** One call of a contract; {@linkcode call} and its three likes make it. */
export interface CallDefinition<
  Kind extends CallKind = CallKind,
  Types extends CallTypes = CallTypes,
> {
  /** How many values go in and come out. */
  readonly kind: Kind;
  /** What describes the input. */
  readonly input: Shape | undefined;
  /** What describes the output. */
  readonly output: Shape | undefined;
  /** What describes the data of declared errors. */
  readonly errors: ErrorShapes;
  /** Whether it may be done twice without harm. */
  readonly idempotent: boolean;
  /** Time for a call, in ms, where its caller sets none. */
  readonly timeoutMs: number | undefined;
  /** The types of its values; there is nothing here at run time. */
  readonly "~types"?: Types | undefined;
}

/**
 * The type of one call, for contracts whose type must be written out: those that a package on JSR
 * exports, and those of projects with `isolatedDeclarations`. The compiler compares it with what
 * {@linkcode contract} returns.
 *
 * @typeParam Kind `"call"`, `"feed"`, `"collect"` or `"talk"`
 * @typeParam Input each value that the caller sends; `void` for none
 * @typeParam Output each value that the handler returns; `void` for none
 * @typeParam Errors the data of declared errors, by code
 *
 * @example
 * ```ts
 * import { call, type CallOf, type Contract, contract, feed } from "@parley/parley/calls";
 * import { z } from "zod";
 *
 * export const clock: Contract<{
 *   now: CallOf<"call", void, string>;
 *   add: CallOf<"call", { a: number; b: number }, number>;
 *   ticks: CallOf<"feed", void, string>;
 * }> = contract({
 *   now: call<void, string>(),
 *   add: call({ input: z.object({ a: z.number(), b: z.number() }), output: z.number() }),
 *   ticks: feed<void, string>(),
 * });
 * ```
 */
export type CallOf<Kind extends CallKind, Input = void, Output = void, Errors = NoErrors> =
  CallDefinition<Kind, PlainTypes<Input, Output, Errors>>;

/** Options of a call that is described by types alone. */
export interface CallSettings {
  /**
   * Whether the call may be done twice without harm: a pool and a client then try again when a
   * connection is lost.
   *
   * @default {false}
   */
  idempotent?: boolean | undefined;
  /**
   * Time in ms for a call where its caller sets none; `Infinity` for no limit.
   *
   * @default {30000} for kinds with one answer to one input; no limit for the others
   */
  timeoutMs?: number | undefined;
  /** No shape: the types say what goes in. */
  input?: undefined;
  /** No shape: the types say what comes out. */
  output?: undefined;
  /** No shape, no declared errors. */
  errors?: undefined;
}

/** Options of a call whose values are described by schemas or codecs. */
export interface ShapedCallSettings<Input, Output, Errors>
  extends Omit<CallSettings, "input" | "output" | "errors"> {
  /** What describes the input: the answerer validates it. @default {no input} */
  input?: Input | undefined;
  /** What describes the output: the caller validates it. @default {no output} */
  output?: Output | undefined;
  /** Schemas of the data of errors that the handler throws as `CallError`, by code. @default {none} */
  errors?: Errors | undefined;
}

const SETTING_NAMES: OptionNames<CallSettings> = {
  idempotent: true,
  timeoutMs: true,
  input: true,
  output: true,
  errors: true,
};

/** Declares a call of a kind: by types alone, or by what describes its values. */
export interface Declare<Kind extends CallKind> {
  /**
   * Declares it by types alone.
   *
   * @typeParam Input what the caller passes in, or each of many; `void` for nothing
   * @typeParam Output what the handler returns, or each value that it yields; `void` for nothing
   * @throws {TypeError | RangeError} when an option is wrong
   */
  <Input = void, Output = void>(
    settings?: CallSettings,
  ): CallDefinition<Kind, PlainTypes<NoInfer<Input>, NoInfer<Output>>>;
  /** Declares it by schemas or codecs. @throws {TypeError | RangeError} when an option is wrong */
  <
    Input extends Shape | undefined = undefined,
    Output extends Shape | undefined = undefined,
    Errors extends ErrorShapes = NoErrors,
  >(
    settings: ShapedCallSettings<Input, Output, Errors>,
  ): CallDefinition<Kind, ShapedTypes<Input, Output, Errors>>;
}

/** Declares a call: one value in, one value out. */
export const call: Declare<"call"> = declarationOf("call");

/** Declares a feed: one value in, many values out, each when the caller is ready for it. */
export const feed: Declare<"feed"> = declarationOf("feed");

/** Declares a collect: many values in, each when the handler is ready for it, and one value out. */
export const collect: Declare<"collect"> = declarationOf("collect");

/** Declares a talk: many values in and many out, in whatever order both sides like. */
export const talk: Declare<"talk"> = declarationOf("talk");

/** Calls by name. */
export interface Definitions {
  /** A call, which `call`, `feed`, `collect` or `talk` made. */
  readonly [name: string]: CallDefinition;
}

/** What a contract says of itself. */
export interface ContractInfo {
  /** Its name; `""` for none. */
  readonly name: string;
  /** Its version; `""` for none. */
  readonly version: string;
}

/** Any contract. */
export interface AnyContract {
  /** What the contract says of itself. */
  readonly "~contract": ContractInfo;
}

/** Calls that two programs agree on: an object with each call under its name. */
export type Contract<Calls extends Definitions> = Readonly<Calls> & AnyContract;

/** Options of {@linkcode contract}. */
export interface ContractOptions {
  /**
   * Name of the contract: it stands before the name of each call, with a dot between, so that two
   * contracts on one connection may have calls of the same name. @default {none}
   */
  name?: string | undefined;
  /**
   * Version, such as `"1.4"`. Two sides whose versions differ before the first dot cannot call each
   * other: a call rejects with `ERR_CONTRACT_MISMATCH`. A side without a version fits any.
   *
   * @default {none}
   */
  version?: string | undefined;
}

const CONTRACT_NAMES: OptionNames<ContractOptions> = { name: true, version: true };

/** Printable ASCII without spaces, as names of streams are. */
const NAME = /^[!-~]+$/;
/** Names that an object with methods cannot have: it would be taken for a promise, or another object. */
const REFUSED_NAMES: readonly string[] = ["then", "__proto__", "~contract"];

/**
 * Makes a contract of calls by name. Both programs import it: one answers it, the other calls.
 *
 * @throws {TypeError | RangeError} when a name or an option is wrong
 *
 * @example
 * ```ts
 * import { call, contract, feed } from "@parley/parley/calls";
 * import { z } from "zod";
 *
 * const clock = contract({
 *   now: call<void, string>(),
 *   add: call({ input: z.object({ a: z.number(), b: z.number() }), output: z.number() }),
 *   ticks: feed<{ everyMs: number }, string>(),
 * }, { name: "clock", version: "1.0" });
 * ```
 */
export function contract<const Calls extends Definitions>(
  calls: Calls,
  options: ContractOptions = {},
): Contract<Calls> {
  const action = "Cannot make the contract";
  checkOptionNames(action, options, CONTRACT_NAMES);
  const { name = "", version = "" } = options;
  if (name !== "") checkPart(action, "name", name);
  if (version !== "") checkPart(action, "version", version);
  const made: Record<string, CallDefinition> = {};
  for (const [each, definition] of Object.entries(calls)) {
    checkCallName(action, name, each);
    if (typeof definition !== "object" || definition === null || !("kind" in definition)) {
      throw new TypeError(`${action}: "${each}" must be made by call, feed, collect or talk`);
    }
    made[each] = definition;
  }
  Object.defineProperty(made, "~contract", { value: Object.freeze({ name, version }) });
  return Object.freeze(made) as unknown as Contract<Calls>;
}

/** The name of a call as it crosses. */
export function wholeName({ name }: ContractInfo, call: string): string {
  return name === "" ? call : `${name}.${call}`;
}

/** Whether two sides with these versions can call each other. */
export function versionsFit(one: string, other: string): boolean {
  if (one === "" || other === "") return true;
  return one.split(".", 1)[0] === other.split(".", 1)[0];
}

/** What a contract says of itself. @throws {TypeError} when it was not made by {@linkcode contract} */
export function infoOf(action: string, given: unknown): ContractInfo {
  const info = (given as AnyContract | null | undefined)?.["~contract"];
  if (info !== undefined) return info;
  throw new TypeError(`${action}: "contract" must be made by contract()`);
}

/** The calls of a contract, by name. */
export function callsOf(contract: AnyContract): [name: string, definition: CallDefinition][] {
  return Object.entries(contract as unknown as Definitions);
}

/** Settings of either kind. */
type Settings =
  | CallSettings
  | ShapedCallSettings<Shape | undefined, Shape | undefined, ErrorShapes>;

function declarationOf<Kind extends CallKind>(kind: Kind): Declare<Kind> {
  // The types of the values are for the compiler alone.
  return ((settings: Settings = {}) => define(kind, settings)) as Declare<Kind>;
}

function define<Kind extends CallKind>(kind: Kind, settings: Settings): CallDefinition<Kind> {
  const action = `Cannot declare a ${kind}`;
  checkOptionNames(action, settings, SETTING_NAMES);
  const { idempotent = false, timeoutMs, input, output, errors = {} } = settings;
  checkBoolean(action, "idempotent", idempotent);
  if (timeoutMs !== undefined) {
    checkDurationMs(action, "timeoutMs", timeoutMs, { allowInfinity: true });
  }
  if (input !== undefined) checkShape(action, "input", input);
  if (output !== undefined) checkShape(action, "output", output);
  for (const [code, shape] of Object.entries(errors)) checkShape(action, `errors.${code}`, shape);
  return Object.freeze({ kind, input, output, errors, idempotent, timeoutMs });
}

function checkShape(action: string, name: string, value: unknown): void {
  if (isSchema(value) || isCodec(value)) return;
  throw new TypeError(`${action}: "${name}" must be a Standard Schema or a codec`);
}

function checkPart(action: string, what: string, value: string): void {
  if (typeof value === "string" && NAME.test(value) && value.length <= 64) return;
  throw new TypeError(
    `${action}: "${what}" must be 1 to 64 characters of printable ASCII without spaces`,
  );
}

function checkCallName(action: string, contractName: string, name: string): void {
  const whole = wholeName({ name: contractName, version: "" }, name);
  if (NAME.test(name) && whole.length <= MAX_NAME_BYTES && !REFUSED_NAMES.includes(name)) return;
  throw new TypeError(
    `${action}: ${JSON.stringify(name)} cannot name a call: a name is printable ASCII without ` +
      `spaces, at most ${MAX_NAME_BYTES} characters with the contract's, and not "then"`,
  );
}
