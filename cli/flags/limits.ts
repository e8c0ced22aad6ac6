// Limits of a command that listens: how many connections it takes, and how long they have to end.
import type { Arguments } from "../command/arguments.ts";
import type { Flag } from "../command/syntax.ts";

/** Options of a command that takes connections. */
export const CONNECTION_FLAGS: readonly Flag[] = [
  { name: "max-connections", value: "COUNT", about: "Connections at a time (default: 1000)" },
  {
    name: "max-per-source",
    value: "COUNT",
    about: "Connections at a time from one address (default: all)",
  },
  {
    name: "exempt",
    value: "NETWORK",
    about:
      "Hold no limit per source against this address or network, such as a balancer's; may be given more than once",
    many: true,
  },
  {
    name: "drain-delay",
    value: "TIME",
    about:
      "Work on for so long after a signal, with 503 at /readyz, before it ends in order (default: 0s)",
  },
];

/** Most connections that may be asked for. */
const MOST = 1_000_000;

/** What the options of a command that takes connections say. */
export interface ConnectionLimits {
  /** As `serve` takes it. */
  readonly maxConnections?: number | undefined;
  /** As `serve` takes it. */
  readonly maxConnectionsPerSource?: number | undefined;
  /** As `serve` takes it. */
  readonly exemptSources?: readonly string[] | undefined;
  /** As `serve` takes it. */
  readonly drainDelayMs?: number | undefined;
}

/**
 * What the options say, by the names of the library's options; what is absent is for the library to
 * choose.
 */
export function connectionLimits(args: Arguments): ConnectionLimits {
  const maxConnections = args.optionalCount("max-connections", { least: 1, most: MOST });
  const maxConnectionsPerSource = args.optionalCount("max-per-source", { least: 1, most: MOST });
  const exemptSources = args.all("exempt");
  const drainDelayMs = args.ms("drain-delay", { byDefault: 0, most: 3600e3 });
  return {
    ...maxConnections !== undefined && { maxConnections },
    ...maxConnectionsPerSource !== undefined && { maxConnectionsPerSource },
    ...exemptSources.length > 0 && { exemptSources },
    ...drainDelayMs > 0 && { drainDelayMs },
  };
}

/** Option of a command that ends in order; `what` is what has to. */
export function drainFlag(what: string): Flag {
  return {
    name: "drain-timeout",
    value: "TIME",
    about: `Time that ${what} have to end in order, then they are cut (default: 10s)`,
  };
}

/** Time in ms that they have. */
export function drainTimeout(args: Arguments): number {
  return args.ms("drain-timeout", { byDefault: 10_000, least: 1, most: 3600e3 });
}
