// Checks what a caller sends or asks: the same for a client, a pair and each client of a server.
import { checkDurationMs, checkInteger } from "../options/check.ts";
import { checkWaitNames } from "../options/names.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import { MAX_TAG } from "./protocol/frames.ts";

/** Takes checked messages and queries: an `IpcLink`, or the `CurrentLink` of a channel. */
export interface Sender {
  /** Sends a message. */
  send(type: number, data: Uint8Array): Promise<void>;
  /** Sends a query, and resolves with its answer. */
  query(data: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** Checks a message and sends it. What is wrong with it rejects. */
export function sendMessage(to: Sender, type: number, data: Uint8Array | string): Promise<void> {
  try {
    return to.send(
      checkInteger("Cannot write", "type", type, 1, MAX_TAG),
      toBytes("Cannot write", data),
    );
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Checks a query and sends it; without `timeoutMs` it waits for `queryTimeoutMs`. What is wrong
 * with it rejects.
 */
export function sendQuery(
  to: Sender,
  data: Uint8Array | string,
  options: IpcQueryOptions,
  queryTimeoutMs: number,
): Promise<Uint8Array> {
  const { timeoutMs = queryTimeoutMs, signal } = options;
  try {
    checkWaitNames("Cannot query", options);
    checkDurationMs("Cannot query", "timeoutMs", timeoutMs);
    return to.query(toBytes("Cannot query", data), timeoutMs, signal);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Data as bytes: a text is UTF-8. */
function toBytes(action: string, data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (typeof data === "string") return new TextEncoder().encode(data);
  throw new TypeError(
    `${action}: "data" must be a Uint8Array or a text, it is ${
      data === null ? "null" : typeof data
    }`,
  );
}
