// expose(): lets others reach a local port or socket by a name.
import { checkOptionNames, type OptionNames } from "../../options/names.ts";
import { AddressError, RemoteError } from "../../errors.ts";
import { checkDurationMs } from "../../options/check.ts";
import { dial } from "../../net/dial.ts";
import type { Transport } from "../../net/transport/transport.ts";
import { withDeadline } from "../../async/deadline.ts";
import { checkName } from "../protocol/frames.ts";
import { handlersOf, type PreparedHandler } from "../session/handlers.ts";
import type { JoinedWire } from "../join.ts";
import type { MountedWire } from "../mount.ts";
import { cut, joinTunnel } from "./join_tunnel.ts";
import { LOCAL_SOCKETS, type Place, PREFIX, resolvePlace } from "./tunnel.ts";

/** Options of {@linkcode expose}. */
export interface ExposeOptions {
  /** Name or address to connect to. @default {"127.0.0.1"} */
  hostname?: string | undefined;
  /** Port to connect to. Callers have no say in where it goes. */
  port?: number | undefined;
  /** Path of a unix socket to connect to instead. */
  path?: string | undefined;
  /** Time in ms for the local connection. @default {5000} */
  timeoutMs?: number | undefined;
}

const NAMES: OptionNames<ExposeOptions> = {
  hostname: true,
  port: true,
  path: true,
  timeoutMs: true,
};

/**
 * Lets others reach a local TCP port or unix socket under a name: through the hub, those whom its
 * `authorize` allows the stream `tcp:<name>`. Disposing the result ends that; connections that are
 * open go on. Several names may be exposed over one wire.
 *
 * The target is connected to before the stream is accepted: where that fails, the caller's `open`
 * rejects with a {@linkcode RemoteError}, `ERR_TARGET_REFUSED` or, after `timeoutMs`,
 * `ERR_TARGET_TIMEOUT`, and `onError` of the wire learns why. A connection that breaks, here or
 * anywhere on the way, is reset at both ends.
 *
 * @throws {TypeError | RangeError} when the name or an option is wrong
 *
 * @example
 * ```ts ignore
 * import { expose, join } from "@parley/parley/wire";
 *
 * const wire = join({ hostname: "hub.example", port: 7000, tls: {}, identity: "office", token });
 * expose(wire, "web", { port: 8080 });
 * ```
 */
export function expose(
  wire: JoinedWire | MountedWire,
  name: string,
  options: ExposeOptions,
): Disposable {
  const { timeoutMs = 5000 } = options;
  const action = "Cannot expose a port";
  checkOptionNames(action, options, NAMES);
  checkName(action, "name", PREFIX + name);
  const target = resolvePlace(action, options, 1);
  checkDurationMs(action, "timeoutMs", timeoutMs);
  const handler: PreparedHandler<Transport> = {
    prepare: (_info, signal) => dialTarget(target, timeoutMs, signal),
    serve: async (stream, _session, transport) =>
      void await joinTunnel(stream, transport, { role: "served" }),
    abandon: cut,
  };
  const handlers = handlersOf(wire);
  handlers.setPrepared(PREFIX + name, handler);
  return {
    [Symbol.dispose]: () => {
      // A name that was exposed anew belongs to the later call.
      if (handlers.get(PREFIX + name) === handler) handlers.delete(PREFIX + name);
    },
  };
}

/** Connects to a target. Each error has a code that is sent to the caller. */
async function dialTarget(
  target: Place,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Transport> {
  const shown = "path" in target ? `"${target.path}"` : `"${target.hostname}:${target.port}"`;
  const late = () =>
    new RemoteError(
      "ERR_TARGET_TIMEOUT",
      `Cannot reach the exposed ${shown} within ${timeoutMs} ms`,
    );
  try {
    return await withDeadline({ signal, timeoutMs, late }, (signal) => dialInTime(target, signal));
  } catch (cause) {
    if (!(cause instanceof AddressError)) throw cause;
    throw new RemoteError("ERR_TARGET_REFUSED", `Cannot reach what is exposed: ${cause.message}`, {
      cause,
    });
  }
}

/** A connection whose deadline may pass while it is set up. */
async function dialInTime(target: Place, signal: AbortSignal): Promise<Transport> {
  const transport = await dial(target, { ...LOCAL_SOCKETS, signal });
  if (!signal.aborted) return transport;
  cut(transport);
  throw signal.reason;
}
