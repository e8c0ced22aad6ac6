// Checks what a caller sends or asks: the same for a client, a pair and each client of a server.
import { checkDurationMs, checkInteger, checkIterable } from "../options/check.ts";
import { checkWaitNames } from "../options/names.ts";
import type { IpcMessage } from "./link/inbox.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import { MAX_TAG } from "./protocol/frames.ts";

/** Takes checked messages and queries: an `IpcLink`, or the `CurrentLink` of a channel. */
export interface Sender {
  /** Sends a message. */
  send(type: number, data: Uint8Array): Promise<void>;
  /** Sends messages one after the other. */
  sendBatch(messages: readonly IpcMessage[]): Promise<void>;
  /** Sends a query, and resolves with its answer. */
  query(data: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** A message of a batch that is sent: what `send` takes. A received message is one too. */
export interface IpcBatchMessage {
  /** 1 to 4294967295, as both sides agree. */
  readonly type: number;
  /** Its data; a text is UTF-8. */
  readonly data: Uint8Array | string;
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

/** Checks messages and sends them, or none of them. What is wrong with one rejects. */
export function sendMessages(to: Sender, messages: Iterable<IpcBatchMessage>): Promise<void> {
  try {
    checkIterable("Cannot write", "messages", messages);
    const checked: IpcMessage[] = [];
    for (const message of messages) checked.push(toMessage(message));
    return to.sendBatch(checked);
  } catch (error) {
    return Promise.reject(error);
  }
}

function toMessage(message: IpcBatchMessage): IpcMessage {
  if (typeof message !== "object" || message === null) {
    throw new TypeError(
      `Cannot write: a message must be an object with "type" and "data", got ${typeof message}`,
    );
  }
  return {
    type: checkInteger("Cannot write", "type", message.type, 1, MAX_TAG),
    data: toBytes("Cannot write", message.data),
  };
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
