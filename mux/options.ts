// Options of a session: defaults, reasons, and checks before any I/O.
import { type Clock, systemClock } from "../async/clock.ts";
import type { Resolved } from "../options/resolved.ts";
import type { FloodLimits } from "./flood.ts";
import { type MuxMemory, processMemory } from "./memory.ts";
import { INITIAL_WINDOW_BYTES } from "./credit_window.ts";

/** Which ids a side uses: the one that dialled is usually the client. */
export type MuxRole = "client" | "server";

/** Options of a `MuxSession`. */
export interface MuxSessionOptions {
  /** `"client"` opens odd streams, `"server"` even ones; the two sides must differ. */
  role: MuxRole;
  /**
   * Streams that the peer may have open; more are refused.
   *
   * @default {256} the number that yamux programs expect
   */
  maxStreams?: number | undefined;
  /**
   * Streams that the peer opened and `acceptStream` did not take yet; more are refused.
   *
   * @default {256} the number that yamux programs expect
   */
  maxBacklog?: number | undefined;
  /**
   * Streams of ours that the peer has not answered yet; `openStream` waits for one of them beyond that.
   *
   * @default {256} the backlog of yamux programs
   */
  maxOpening?: number | undefined;
  /**
   * Bytes that all streams may reserve for what they receive. Every stream reserves its window, so
   * that what the peer may send is always kept; once they are used up, further streams are refused.
   *
   * @default {134217728} 128 MiB: 256 streams of the peer and as many of ours, with the 256 KiB
   * that yamux starts with
   */
  maxBufferedBytes?: number | undefined;
  /**
   * Size that the receive window of one stream may grow to; windows grow within half of `maxBufferedBytes`.
   *
   * @default {16777216} 16 MiB: 1 Gbit/s at 130 ms
   */
  maxWindowBytes?: number | undefined;
  /**
   * Time that the peer may take to answer an opened stream before it is reset.
   *
   * @default {75_000} as yamux programs have it
   */
  openTimeoutMs?: number | undefined;
  /**
   * Time without progress that the peer gets to end a stream which the application has closed,
   * before it is reset. A stream that is still read, or whose reader pauses, has no such limit.
   *
   * @default {60_000} a peer that forgot its FIN must not hold a stream for ever
   */
  halfCloseTimeoutMs?: number | undefined;
  /**
   * Time between pings, ± 10 %; 0 for none.
   *
   * @default {15_000} below the 30 s after which some NATs forget a mapping
   */
  keepAliveMs?: number | undefined;
  /**
   * Time without a sign of life after a ping before the session counts as dead.
   *
   * @default {10_000}
   */
  keepAliveTimeoutMs?: number | undefined;
  /** How much noise a peer may make. */
  flood?: FloodLimits | undefined;
  /** Budget shared with other sessions. @default {processMemory} 256 MiB for all sessions of the process */
  memory?: MuxMemory | undefined;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock | undefined;
  /** Randomness for timers, 0 to 1. @default {Math.random} */
  random?: (() => number) | undefined;
}

/** Options after the defaults are in and the checks are done. */
export type ResolvedMuxOptions = Resolved<Omit<MuxSessionOptions, "flood">> & {
  flood: Resolved<FloodLimits>;
};

/** Puts the defaults in and checks the numbers. */
export function resolveMuxOptions(options: MuxSessionOptions): ResolvedMuxOptions {
  const resolved = {
    maxStreams: 256,
    // By default as many as the peer may open, which may be raised.
    maxBacklog: Infinity,
    maxOpening: 256,
    maxBufferedBytes: 128 * 1024 * 1024,
    maxWindowBytes: 16 * 1024 * 1024,
    openTimeoutMs: 75_000,
    halfCloseTimeoutMs: 60_000,
    keepAliveMs: 15_000,
    keepAliveTimeoutMs: 10_000,
    memory: processMemory,
    clock: systemClock,
    random: Math.random,
    ...definedOf(options),
    flood: {
      maxResets: 10_000,
      maxResetsPerSecond: 1000,
      maxPingsPer10s: 100,
      maxEmptyFrames: 100,
      maxDeadFrames: 1000,
      ...definedOf(options.flood ?? {}),
    },
  };
  if (resolved.role !== "client" && resolved.role !== "server") {
    const text =
      `Cannot start a session: "role" must be "client" or "server", current value is ${resolved.role}`;
    throw new TypeError(text);
  }
  const { maxBufferedBytes, maxWindowBytes } = resolved;
  for (const name of ["maxStreams", "maxOpening"] as const) {
    check(name, resolved[name], 1, 1 << 24);
  }
  if (options.maxBacklog !== undefined) check("maxBacklog", options.maxBacklog, 1, 1 << 24);
  for (const name of ["openTimeoutMs", "halfCloseTimeoutMs", "keepAliveTimeoutMs"] as const) {
    check(name, resolved[name], 1, 0x7fffffff);
  }
  check("keepAliveMs", resolved.keepAliveMs, 0, 0x3fffffff);
  check("maxBufferedBytes", maxBufferedBytes, INITIAL_WINDOW_BYTES, 2 ** 40);
  check("maxWindowBytes", maxWindowBytes, INITIAL_WINDOW_BYTES, 2 ** 31);
  for (const [name, value] of Object.entries(resolved.flood)) check(name, value, 1, 2 ** 31);
  return resolved;
}

/** Without the members that are `undefined`, which would overwrite defaults. */
function definedOf<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function check(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot start a session: "${name}" must be ${min} to ${max}, current value is ${value}`,
  );
}
