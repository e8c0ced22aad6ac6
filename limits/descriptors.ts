// File descriptors: how many the process may have, and whether a server fits into them.
import { checkInteger } from "../options/check.ts";

/** File of the limits of this process on Linux. */
const LIMITS_FILE = "/proc/self/limits";

/** Descriptors for everything that is no connection: runtime, files, listeners, connections to others. */
const RESERVE = 64;

/** Most that can be wished for: more descriptors than any system allows a process. */
const MOST = 2 ** 24;

/** Connections where the user asked for no number. */
const DEFAULT_MAX_CONNECTIONS = 1000;

/**
 * Connections that may hold a descriptor before they are accepted where the user asked for no
 * number. The kernel's own queue, of 511, takes no descriptors of the process.
 */
const DEFAULT_WAITING = 128;

/**
 * Returns how many file descriptors this process may have open. It never asks for a permission:
 * Deno lets only a process with all permissions (`--allow-all`) read the limit, and it is not known
 * otherwise, nor where there is no `/proc`.
 *
 * @returns the limit; `Infinity` when there is none, `null` when it is not known
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const limit = descriptorLimit();
 * assert(limit === null || limit > 0);
 * ```
 */
export function descriptorLimit(): number | null {
  try {
    // Asked first: reading without the permission would stop the program with a question at a terminal.
    const permission = Deno.permissions.querySync({ name: "read", path: LIMITS_FILE });
    if (permission.state !== "granted") return null;
    return parseDescriptorLimit(Deno.readTextFileSync(LIMITS_FILE));
  } catch {
    return null;
  }
}

/**
 * Reads the soft limit of open files from the text of `/proc/self/limits`.
 *
 * @returns the limit; `Infinity` when there is none, `null` when the text does not say
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseDescriptorLimit("Max open files            1024                 4096                 files"), 1024);
 * ```
 */
export function parseDescriptorLimit(text: string): number | null {
  const soft = /^Max open files\s+(unlimited|[0-9]+)\s/m.exec(text)?.[1];
  if (soft === undefined) return null;
  return soft === "unlimited" ? Infinity : Number(soft);
}

/** What a server would like to have; see {@linkcode checkDescriptorBudget}. */
export interface DescriptorWishes {
  /** Descriptors that the process may have; `null` when it is not known. */
  readonly allowed: number | null;
  /** Most connections at a time as the user set it; as many as fit, up to 1000, when absent. */
  readonly maxConnections?: number | undefined;
  /**
   * Connections that may hold a descriptor before the server has accepted them, as it was set; as
   * many as fit, up to 128, when absent.
   */
  readonly backlog?: number | undefined;
  /** Descriptors for everything else. @default {64, at most half of those allowed} */
  readonly reserve?: number | undefined;
}

/** What a server can have. */
export interface DescriptorBudget {
  /** Most connections at a time. */
  readonly maxConnections: number;
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
  /** Descriptors left for everything else. */
  readonly reserve: number;
}

/**
 * Fits a server into the descriptors of its process: backlog, connections and reserve together must
 * not be more than are allowed, or a flood leaves none for files, outgoing connections, or the
 * listener itself. What the user set is kept or refused, options that the user left open shrink to
 * fit.
 *
 * The reserve is 64, or half of what is allowed where that is less, so that a small server runs under
 * `ulimit -n 64` (Deno itself holds more than 20 descriptors before the first connection).
 *
 * @throws {TypeError} when what was set is no number
 * @throws {RangeError} when what was set does not fit, or is out of range
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(checkDescriptorBudget({ allowed: 1024 }), { maxConnections: 832, backlog: 128, reserve: 64 });
 * assertEquals(checkDescriptorBudget({ allowed: 64 }), { maxConnections: 24, backlog: 8, reserve: 32 });
 * assertThrows(() => checkDescriptorBudget({ allowed: 1024, maxConnections: 5000 }), RangeError);
 * ```
 */
export function checkDescriptorBudget(wishes: DescriptorWishes): DescriptorBudget {
  for (const [name, min] of [["maxConnections", 1], ["backlog", 1], ["reserve", 0]] as const) {
    if (wishes[name] !== undefined) checkInteger("Cannot listen", name, wishes[name], min, MOST);
  }
  const allowed = wishes.allowed ?? Infinity;
  const reserve = wishes.reserve ?? Math.min(RESERVE, Math.floor(allowed / 2));
  const room = allowed - reserve;
  const backlog = wishes.backlog ??
    smallerBacklog(room - (wishes.maxConnections ?? 0), wishes.maxConnections);
  const maxConnections = wishes.maxConnections ?? Math.min(DEFAULT_MAX_CONNECTIONS, room - backlog);
  if (maxConnections < 1 || backlog + maxConnections > room) {
    const asked = wishes.maxConnections === undefined
      ? `at least 1 connection`
      : `"maxConnections" of ${maxConnections}`;
    const atMost = Math.max(0, room - backlog);
    throw new RangeError(
      `Cannot listen: ${asked}, ${backlog} that wait to be accepted ("backlog") and a reserve of ${reserve} need more descriptors than ` +
        `the ${allowed} that this process may have: set "maxConnections" to ${atMost} or less, or raise the ` +
        `limit (ulimit -n, LimitNOFILE= in systemd)`,
    );
  }
  return { maxConnections, backlog, reserve };
}

/**
 * A backlog that was not set: 128, or a quarter of the room, or what an explicit number of
 * connections leaves.
 */
function smallerBacklog(left: number, maxConnections: number | undefined): number {
  const share = maxConnections === undefined ? Math.floor(left / 4) : left;
  return Math.max(1, Math.min(DEFAULT_WAITING, share));
}

/**
 * What the owner of a server should read whose limit was lowered for lack of descriptors;
 * `undefined` when it was not.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const wishes = { allowed: 256 };
 * const text = descriptorWarning(wishes, checkDescriptorBudget(wishes));
 * assertEquals(text?.startsWith("Connections are limited to 144 in place of 1000"), true);
 * ```
 */
export function descriptorWarning(
  wishes: DescriptorWishes,
  budget: DescriptorBudget,
): string | undefined {
  if (wishes.maxConnections !== undefined || budget.maxConnections >= DEFAULT_MAX_CONNECTIONS) {
    return undefined;
  }
  return `Connections are limited to ${budget.maxConnections} in place of ${DEFAULT_MAX_CONNECTIONS} as this process may have ` +
    `${wishes.allowed} descriptors: raise that (ulimit -n, LimitNOFILE= in systemd), or set "maxConnections"`;
}
