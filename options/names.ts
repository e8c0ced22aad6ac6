// checkOptionNames(): refuses options that do not exist, and suggests the one that was meant.
import { editDistance } from "./edit_distance.ts";

/** The keys of every member of a union, where `keyof` has only those that all members share. */
type KeysOf<Options> = Options extends unknown ? keyof Options : never;

/** Names of options by name; those of an option that is an object itself are nested. */
interface NameTree {
  readonly [name: string]: true | NameTree;
}

/**
 * The names of all options of a type: the compiler refuses a list that lacks one or has one too
 * many. An option that is an object with options of its own has the names of those in place of
 * `true`.
 */
export type OptionNames<Options> = { readonly [Name in KeysOf<Options> & string]: true | NameTree };

/** Characters of a name that are compared and quoted: a longer one resembles no option. */
const MAX_NAME_CHARACTERS = 64;

/** Share of a name's characters that may differ from the one that was meant. */
const MAX_WRONG_RATIO = 0.4;

/** Characters that may differ in a short name: two that change places count as two. */
const MIN_WRONG = 2;

/** Shortest name that may differ by that much. */
const MIN_NAME_CHARACTERS = 4;

/** Names that a message lists when none resembles what was given. */
const MAX_LISTED = 12;

/**
 * Checks that a caller passed no option that does not exist: a misspelt limit would be no limit.
 *
 * @param action What is tried, such as `Cannot listen`; the error message begins with it
 * @param given The options that the caller passed. Anything but an object passes: the check of its
 * type is elsewhere
 * @param path What stands before the name in the message, such as `tls.`
 * @throws {TypeError} when there is no such option
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * const names: OptionNames<{ port?: number; limits?: { perSource?: number } }> = {
 *   port: true,
 *   limits: { perSource: true },
 * };
 * checkOptionNames("Cannot listen", { port: 5555 }, names);
 * assertThrows(
 *   () => checkOptionNames("Cannot listen", { limits: { perSorce: 5 } }, names),
 *   TypeError,
 *   `Cannot listen: there is no option "limits.perSorce": did you mean "limits.perSource"?`,
 * );
 * ```
 */
export function checkOptionNames(action: string, given: unknown, names: NameTree, path = ""): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return;
  for (const [name, value] of Object.entries(given)) {
    const nested = Object.hasOwn(names, name) ? names[name] : undefined;
    if (nested === undefined) {
      throw new TypeError(complaint(action, name, Object.keys(names), path));
    }
    if (nested !== true) checkOptionNames(action, value, nested, `${path}${name}.`);
  }
}

/** Names of the options that every wait has. */
const WAIT_NAMES = ["signal", "timeoutMs"] as const;

/**
 * Checks that a caller passed a wait no option that does not exist: as
 * {@linkcode checkOptionNames}, for what is called with each message.
 *
 * @throws {TypeError} when there is no such option
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => checkWaitNames("Cannot receive", { timeout: 5 }), TypeError, `did you mean "timeoutMs"?`);
 * ```
 */
export function checkWaitNames(action: string, options: object): void {
  for (const name in options) {
    if (name !== "signal" && name !== "timeoutMs") {
      throw new TypeError(complaint(action, name, WAIT_NAMES, ""));
    }
  }
}

function complaint(action: string, name: string, known: readonly string[], path: string): string {
  const shown = JSON.stringify(path + name.slice(0, MAX_NAME_CHARACTERS));
  const meant = meantName(name, known);
  const hint = meant !== undefined
    ? `: did you mean ${JSON.stringify(path + meant)}?`
    : known.length <= MAX_LISTED
    ? `, there are ${known.map((each) => JSON.stringify(path + each)).join(", ")}`
    : "";
  return `${action}: there is no option ${shown}${hint}`;
}

/**
 * Finds the name that was probably meant; `undefined` when none resembles what was given.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(meantName("timeoutms", ["hostname", "timeoutMs"]), "timeoutMs");
 * assertEquals(meantName("colour", ["hostname", "timeoutMs"]), undefined);
 * ```
 */
export function meantName(given: string, known: readonly string[]): string | undefined {
  if (given.length > MAX_NAME_CHARACTERS) return undefined;
  let nearest: string | undefined;
  let distance = Infinity;
  for (const each of known) {
    const found = editDistance(given.toLowerCase(), each.toLowerCase());
    if (found < distance) [nearest, distance] = [each, found];
  }
  if (nearest === undefined) return undefined;
  const allowed = MAX_WRONG_RATIO * Math.max(given.length, nearest.length);
  const isMeant = distance <= allowed ||
    distance <= MIN_WRONG && given.length >= MIN_NAME_CHARACTERS;
  return isMeant ? nearest : undefined;
}
