// Statuses of a Client, and the feed that announces them to watchers.
import type { ConnectionEnd } from "../connection/types.ts";
import { ParleyError } from "../errors.ts";
import type { EventLog } from "../log/events.ts";
import type { LinkLoss } from "./send_buffer.ts";

/**
 * Whether a client has a link. A link counts once `onConnect` is done, and the server has sent
 * something or the link has lived for `trialMs`.
 *
 * ```text
 * connecting ──▶ connected ◀──▶ reconnecting
 *      └──────────────┴──────────────┴──▶ closed
 * ```
 */
export type ClientStatus = "connecting" | "connected" | "reconnecting" | "closed";

/** A change of status, and what led to it. */
export interface ClientStatusEvent {
  /** The status since {@linkcode at}. */
  readonly status: ClientStatus;
  /** When it began. */
  readonly at: Date;
  /** Attempts to connect since the last useful link; 0 during the first attempt. See `ReconnectInfo`. */
  readonly attempt: number;
  /** Time in ms before the next attempt, if there will be one. */
  readonly delayMs?: number | undefined;
  /** Why the link was lost, an attempt failed, or the client gave up. */
  readonly error?: unknown | undefined;
  /**
   * How the server left, if the server ended the link or the attempt: `"orderly"` after all that it
   * had sent, `"vanished"` after a reset, or over TLS without the mark of an orderly end. Absent if
   * this side ended the link, for example after a time-out. Over plain TCP and unix sockets the
   * system ends the direction of a killed process in order, unless that process had left bytes
   * unread.
   */
  readonly serverLeft?: "orderly" | "vanished" | undefined;
  /** What became of accepted messages, if a link was lost or closed. */
  readonly loss?: LinkLoss | undefined;
  /**
   * Bytes of unread messages from links that have ended, which are dropped now because they
   * exceeded `maxQueuedBytes`; absent when there are none.
   */
  readonly droppedBytes?: number | undefined;
}

/** Returns how the server left, by the end of a connection; nothing when this side ended it. */
export function howServerLeft({ error }: ConnectionEnd): Pick<ClientStatusEvent, "serverLeft"> {
  if (error === null) return { serverLeft: "orderly" };
  return error instanceof ParleyError && error.code === "ERR_RESET"
    ? { serverLeft: "vanished" }
    : {};
}

/** Logs a new status; `server` names the target. */
export function logStatus(log: EventLog, event: ClientStatusEvent, server: string): void {
  const { status, attempt, error, delayMs, serverLeft, loss, droppedBytes } = event;
  const level = error === undefined ? "info" : "warn";
  const fields = { status, server, attempt, error, delayMs, serverLeft, ...loss, droppedBytes };
  log.tell({ level, kind: status, message: `The client is ${status}`, fields });
}

/** Most events that wait for a slow watcher; then it loses old ones. */
const MAX_BEHIND = 256;

/** Announces each event to every watcher. Any number of watchers at a time. */
export class StatusFeed {
  #current: ClientStatusEvent;
  readonly #watchers = new Set<Watcher>();

  constructor(first: ClientStatusEvent) {
    this.#current = first;
  }

  /** The current event. */
  get current(): ClientStatusEvent {
    return this.#current;
  }

  /** Publishes a new status; none comes after `closed`. */
  push(event: ClientStatusEvent): void {
    this.#current = event;
    for (const watcher of this.#watchers) watcher.push(event);
    if (event.status === "closed") this.#watchers.clear();
  }

  /** Iterates over events from the current one to `closed`. */
  watch(): AsyncIterableIterator<ClientStatusEvent, undefined> {
    const watcher = new Watcher(() => this.#watchers.delete(watcher));
    watcher.push(this.#current);
    if (this.#current.status !== "closed") this.#watchers.add(watcher);
    return watcher;
  }
}

type Result = IteratorResult<ClientStatusEvent, undefined>;

class Watcher implements AsyncIterableIterator<ClientStatusEvent, undefined> {
  readonly #onReturn: () => void;
  #events: ClientStatusEvent[] = [];
  #waiting: PromiseWithResolvers<Result>[] = [];
  /** Whether no more events come. */
  #ended = false;

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(event: ClientStatusEvent): void {
    this.#ended = event.status === "closed";
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      if (this.#events.length === MAX_BEHIND) this.#dropOne();
      this.#events.push(event);
    } else {
      waiting.resolve({ value: event, done: false });
      if (this.#ended) this.#endAll();
    }
  }

  next(): Promise<Result> {
    const value = this.#events.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    const waiting = Promise.withResolvers<Result>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  return(): Promise<Result> {
    this.#ended = true;
    this.#events = [];
    this.#onReturn();
    this.#endAll();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The oldest event goes; an event that reports lost messages goes last. */
  #dropOne(): void {
    const at = this.#events.findIndex(({ loss, droppedBytes }) =>
      loss === undefined && droppedBytes === undefined
    );
    this.#events.splice(Math.max(0, at), 1);
  }

  #endAll(): void {
    for (const { resolve } of this.#waiting) resolve({ value: undefined, done: true });
    this.#waiting = [];
  }
}
