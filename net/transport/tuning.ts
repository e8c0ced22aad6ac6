// Checks socket options of the caller, before anything is opened or changed.
import { checkBoolean, checkDurationMs } from "../../options/check.ts";
import type { KeepAlive, SocketTuning } from "./transport.ts";

/** Longest silence before the first probe that Linux takes, in ms. */
const MAX_DELAY_MS = 32_767_000;

/**
 * Checks a `keepAlive` option.
 *
 * @param action the beginning of the error, such as `Cannot listen`
 * @throws {TypeError} when it is neither a boolean nor `{ delayMs }`
 * @throws {RangeError} when `delayMs` is no whole number of seconds, 1000 to 32767000 ms
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * checkKeepAlive("Cannot listen", { delayMs: 30_000 });
 * assertThrows(() => checkKeepAlive("Cannot listen", { delayMs: 1500 }), RangeError, "whole seconds");
 * ```
 */
export function checkKeepAlive(action: string, value: unknown): KeepAlive {
  if (typeof value !== "object" || value === null) return checkBoolean(action, "keepAlive", value);
  const { delayMs } = value as { delayMs?: unknown };
  const number = checkDurationMs(action, "keepAlive.delayMs", delayMs, {
    minMs: 1000,
    maxMs: MAX_DELAY_MS,
  });
  if (number % 1000 !== 0) {
    throw new RangeError(
      `${action}: "keepAlive.delayMs" must be whole seconds, as the kernel counts them, current value is ${number}`,
    );
  }
  return value as KeepAlive;
}

/**
 * Checks the tuning of a live connection.
 *
 * @throws {TypeError} when it has an option that no socket here takes, or one of a wrong type
 * @throws {RangeError} when `keepAlive.delayMs` is out of range
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import type { SocketTuning } from "./transport.ts";
 *
 * assertThrows(() => checkTuning("Cannot tune", { sendBufferBytes: 1 } as SocketTuning), TypeError, "sendBufferBytes");
 * ```
 */
export function checkTuning(action: string, tuning: SocketTuning): void {
  for (const [name, value] of Object.entries(tuning)) {
    if (value === undefined) continue;
    if (name === "noDelay") checkBoolean(action, name, value);
    else if (name === "keepAlive") checkKeepAlive(action, value);
    else {
      throw new TypeError(
        `${action}: ${
          JSON.stringify(name)
        } is no socket option that can be set: "noDelay" and "keepAlive" can. The platform ` +
          "sets neither buffer sizes nor the user timeout of TCP nor cipher suites",
      );
    }
  }
}

/**
 * Refuses a keepalive time where the socket is one of Deno's, which would ignore it.
 *
 * @throws {TypeError} when `keepAlive` has a `delayMs`
 */
export function refuseDelay(action: string, keepAlive: KeepAlive | undefined): void {
  if (typeof keepAlive !== "object") return;
  throw new TypeError(
    `${action}: "keepAlive.delayMs" cannot be set on this socket: Deno's own sockets take true or false only, and wait for the ` +
      'system\'s time, two hours on Linux. TLS with the "node" backend can set it; "receiveTimeoutMs" works everywhere',
  );
}
