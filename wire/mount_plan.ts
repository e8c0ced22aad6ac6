// The plan of a mounted wire: options with their defaults, checked before any I/O.
import { checkBoolean, checkDurationMs, checkFunction, checkInteger, checkLogger } from "../limits/check.ts";
import { checkDescriptorBudget, descriptorLimit } from "../limits/descriptors.ts";
import type { AdmissionOptions } from "../limits/admission_options.ts";
import { type MuxSessionOptions, resolveMuxOptions } from "../mux/options.ts";
import { planServer } from "../tls/plan.ts";
import type { MountOptions, WireOptions } from "./options.ts";

const ACTION = "Cannot mount";

/** {@linkcode MountOptions}, checked, with the defaults in. */
export interface MountPlan {
  readonly given: MountOptions;
  readonly where:
    | { readonly hostname?: string; readonly port: number }
    | { readonly path: string; readonly mode: number };
  readonly listenOptions: {
    readonly backlog?: number;
    readonly maxWaiting: number;
    readonly noDelay: boolean;
  };
  readonly admission: AdmissionOptions;
  readonly handshakeTimeoutMs: number;
  readonly maxHandlers: number;
  readonly mux: Omit<MuxSessionOptions, "role">;
}

/**
 * Fills in defaults and checks everything.
 *
 * @throws {TypeError | RangeError} when an option is wrong, or nothing says who may join
 */
export function resolveMount(options: MountOptions): MountPlan {
  const { handshakeTimeoutMs = 5000, authorize, insecureAnyone = false, backlog } = options;
  checkDurationMs(ACTION, "handshakeTimeoutMs", handshakeTimeoutMs);
  checkBoolean(ACTION, "insecureAnyone", insecureAnyone);
  if (authorize !== undefined) checkFunction(ACTION, "authorize", authorize);
  if ((authorize === undefined) !== insecureAnyone) {
    throw new TypeError(
      `${ACTION} as either "authorize" must say who may join, or "insecureAnyone" that everybody may`,
    );
  }
  if (options.tls !== undefined) planServer(options.tls);
  const budget = checkDescriptorBudget({
    allowed: descriptorLimit(),
    maxConnections: options.maxConnections,
    backlog,
  });
  return {
    given: options,
    where: resolveWhere(options),
    listenOptions: { backlog, maxWaiting: budget.backlog, noDelay: true },
    admission: { ...options, maxConnections: budget.maxConnections },
    handshakeTimeoutMs,
    ...resolveWire(ACTION, options, "server"),
  };
}

/** Checks what both sides have. */
export function resolveWire(
  action: string,
  options: WireOptions,
  role: "client" | "server",
): Pick<MountPlan, "maxHandlers" | "mux"> {
  const { maxHandlers = 256, mux = {}, signal } = options;
  checkInteger(action, "maxHandlers", maxHandlers, 1, 1 << 24);
  checkLogger(action, options.logger);
  for (const name of ["onOpen", "onClose", "onOffers", "onError"] as const) {
    if (options[name] !== undefined) checkFunction(action, name, options[name]);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`${action} as "signal" must be an AbortSignal: got ${typeof signal}`);
  }
  resolveMuxOptions({ ...mux, role });
  return { maxHandlers, mux };
}

function resolveWhere(options: MountOptions): MountPlan["where"] {
  const { hostname, port, path, mode = 0o600 } = options;
  if (path === undefined) {
    if (port !== undefined) checkInteger(ACTION, "port", port, 0, 65535);
    if (hostname !== undefined && (typeof hostname !== "string" || hostname === "")) {
      throw new TypeError(`${ACTION} as "hostname" must be a name or an address`);
    }
    return { hostname, port: port ?? 0 };
  }
  if (hostname !== undefined || port !== undefined) {
    throw new TypeError(`${ACTION} as "path" excludes "hostname" and "port"`);
  }
  checkInteger(ACTION, "mode", mode, 0, 0o777);
  return { path, mode };
}
