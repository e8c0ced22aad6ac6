// The plan of a mounted wire: options with their defaults, checked before any I/O.
import { checkOptionNames, type OptionNames } from "../options/names.ts";
import {
  checkBoolean,
  checkDurationMs,
  checkFunction,
  checkInteger,
  checkLogger,
} from "../options/check.ts";
import type { AdmissionOptions } from "../limits/admission_options.ts";
import { type ResolvedListen, resolveListen } from "../accept/listen_options.ts";
import { type MuxSessionOptions, resolveMuxOptions } from "../mux/options.ts";
import { INITIAL_WINDOW_BYTES } from "../mux/credit_window.ts";
import { CONTROL_STREAMS } from "./protocol/frames.ts";
import { JOIN_NAMES, MOUNT_NAMES, type MountOptions, type WireOptions } from "./options.ts";

const ACTION = "Cannot mount";

/** {@linkcode MountOptions}, checked, with the defaults in. */
export interface MountPlan {
  readonly given: MountOptions;
  /** Where and how to listen, and the limits of that. */
  readonly listen: ResolvedListen;
  readonly admission: AdmissionOptions;
  readonly drainDelayMs: number;
  readonly maxHandlers: number;
  /** Time for which a stream waits while `maxHandlers` run, in ms. */
  readonly busyMs: number;
  /** Streams that a hub brings from one peer to another at a time; `undefined` where there is no hub. */
  readonly maxStreamsPerPair: number | undefined;
  /** Streams that a peer may have open, as this side announces it. */
  readonly maxStreams: number;
  /** Memory for a peer whose streams start with the window of yamux, unless the user set it. */
  readonly plainBufferedBytes: number | undefined;
  readonly mux: Omit<MuxSessionOptions, "role">;
}

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError | RangeError} when an option is wrong, or nothing says who may join
 */
export function resolveMount(
  options: MountOptions,
  maxStreamsPerPair?: number,
  names: OptionNames<MountOptions> = MOUNT_NAMES,
): MountPlan {
  const { authorize, insecureAnyone = false, drainDelayMs = 0 } = options;
  checkDurationMs(ACTION, "drainDelayMs", drainDelayMs, { allowOff: true });
  checkBoolean(ACTION, "insecureAnyone", insecureAnyone);
  if (authorize !== undefined) checkFunction(ACTION, "authorize", authorize);
  if ((authorize === undefined) !== insecureAnyone) {
    throw new TypeError(
      `${ACTION}: either "authorize" must say who may join, or "insecureAnyone" that everybody may`,
    );
  }
  const wire = resolveWire(ACTION, options, "server", maxStreamsPerPair, names);
  const listen = resolveListen(ACTION, options);
  return {
    given: options,
    listen,
    admission: { ...options, maxConnections: listen.maxConnections },
    drainDelayMs,
    maxStreamsPerPair,
    busyMs: BUSY_MS,
    ...wire,
  };
}

/** Streams that a peer may have open, and handlers that may run for it, unless more are needed. */
export const MAX_STREAMS = 256;

/**
 * Time for which a stream waits while as many handlers run as may, in ms: below the ten seconds of
 * its opener.
 */
export const BUSY_MS = 5000;

/**
 * Streams for which a session has room beyond what it announces: a peer that knows of no limit, such as a
 * yamux program, is refused by a code and not by a reset, and a hub may allow more.
 */
const ROOM_STREAMS = 1024;

/**
 * Memory that a session may reserve for each of these streams: a quarter of it, 8 KiB, is the
 * window with which a stream starts, as much is for one of ours, and half lets windows grow. By
 * default that is 32 MiB for a session; a process has room for 32 000 streams of a hub.
 */
const BYTES_PER_STREAM = 32 * 1024;

/**
 * Resets that the side of a server may make, without end: a hub passes on those of all its callers, each of
 * which pays for its own at the hub. What they leave running is bounded by `maxHandlers`.
 */
const ANY_RESETS = 2 ** 31;

/**
 * Checks what both sides have, and fills in limits that fit each other.
 *
 * @param atLeast Streams of one peer that a hub lets through, which its own limits must not undo
 */
export function resolveWire(
  action: string,
  options: WireOptions,
  role: "client" | "server",
  atLeast = 0,
  names: OptionNames<WireOptions> = JOIN_NAMES,
): Pick<MountPlan, "maxHandlers" | "maxStreams" | "plainBufferedBytes" | "mux"> {
  checkOptionNames(action, options, names);
  const most = Math.max(MAX_STREAMS, atLeast);
  const { maxHandlers = most, mux = {}, signal } = options;
  checkInteger(action, "maxHandlers", maxHandlers, 1, 1 << 24);
  checkLogger(action, options.logger);
  for (const name of ["onOpen", "onClose", "onOffers", "onError"] as const) {
    if (options[name] !== undefined) checkFunction(action, name, options[name]);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${action}: "signal" must be an AbortSignal, got ${typeof signal}`);
  }
  resolveMuxOptions({ ...mux, role });
  const maxStreams = mux.maxStreams ?? most;
  const room = mux.maxStreams ?? Math.max(most, ROOM_STREAMS);
  const maxBufferedBytes = mux.maxBufferedBytes ?? Math.max(room, ROOM_STREAMS) * BYTES_PER_STREAM;
  // As many streams of the peer as this side announces, and as many of ours.
  const plainBufferedBytes = mux.maxBufferedBytes === undefined
    ? 2 * (maxStreams + CONTROL_STREAMS) * INITIAL_WINDOW_BYTES
    : undefined;
  const plan = { maxHandlers, maxStreams, plainBufferedBytes };
  if (role === "client") {
    const flood = { maxResets: ANY_RESETS, ...mux.flood };
    return { ...plan, mux: { ...mux, maxStreams: room, maxBufferedBytes, flood } };
  }
  // The control stream is none of those that are counted.
  const counted = Math.min(room + CONTROL_STREAMS, 1 << 24);
  return { ...plan, mux: { ...mux, maxStreams: counted, maxBufferedBytes } };
}
