// Statuses of a server, a client or a pair, and the feed that publishes them.

/**
 * What a server, a client or a pair is doing.
 * ```
 * server       not-connected ─▶ listening ◀─▶ connected ─▶ closing ─▶ closed | error
 * client       not-connected ─▶ connecting ─▶ connected ◀─▶ reconnecting ─▶ closing ─▶ closed | error | timed-out
 *                                    └─▶ disconnected (lost, and not to be reconnected)
 * pair         not-connected ─▶ connecting ─▶ listening ◀─▶ connected ◀─▶ reconnecting ─▶ closing ─▶ closed | error
 * ```
 */
export type IpcStatus =
  | "not-connected"
  | "listening"
  | "connecting"
  | "connected"
  | "reconnecting"
  | "closing"
  | "closed"
  | "error"
  | "timed-out"
  | "disconnected";

/** A change of status, and what led to it. */
export interface IpcStatusEvent {
  /** The new status. */
  readonly status: IpcStatus;
  /** When it began. */
  readonly at: Date;
  /** Why: what was lost, what failed. */
  readonly error?: unknown | undefined;
  /**
   * Bytes that were accepted for writing and not yet handed to the kernel when a connection was
   * lost. Messages before those may be lost as well: `flush()` reports that.
   */
  readonly unsentBytes?: number | undefined;
}

/** Events that a slow watcher may fall behind; then the oldest are dropped. */
const MAX_BEHIND = 256;

/** Whether nothing comes after a status. */
export function isFinalStatus(status: IpcStatus): boolean {
  return status === "closed" || status === "error" || status === "timed-out" ||
    status === "disconnected";
}

/** Publishes each event to every watcher. */
export class StatusFeed {
  #current: IpcStatusEvent = { status: "not-connected", at: new Date() };
  readonly #watchers = new Set<StatusWatcher>();
  readonly #onEvent: (event: IpcStatusEvent) => void;

  /** Makes a feed. `onEvent` is called before the watchers, and must not throw. */
  constructor(onEvent: (event: IpcStatusEvent) => void = () => {}) {
    this.#onEvent = onEvent;
  }

  /** The current status. */
  get status(): IpcStatus {
    return this.#current.status;
  }

  /** Publishes a new status. Nothing follows a final one. */
  push(
    status: IpcStatus,
    details: { error?: unknown; unsentBytes?: number | undefined } = {},
  ): void {
    if (isFinalStatus(this.#current.status)) return;
    this.#current = { status, at: new Date(), ...details };
    this.#onEvent(this.#current);
    for (const watcher of this.#watchers) watcher.push(this.#current);
  }

  /** Iterates from the current event on, to a final one. */
  watch(): AsyncIterableIterator<IpcStatusEvent, undefined> {
    const watcher = new StatusWatcher(this.#current, () => this.#watchers.delete(watcher));
    this.#watchers.add(watcher);
    return watcher;
  }
}

class StatusWatcher implements AsyncIterableIterator<IpcStatusEvent, undefined> {
  readonly #onReturn: () => void;
  readonly #events: IpcStatusEvent[];
  #left = false;
  readonly #waiting: PromiseWithResolvers<IteratorResult<IpcStatusEvent, undefined>>[] = [];

  constructor(first: IpcStatusEvent, onReturn: () => void) {
    this.#events = [first];
    this.#onReturn = onReturn;
  }

  push(event: IpcStatusEvent): void {
    if (this.#events.length === MAX_BEHIND) this.#events.shift();
    this.#events.push(event);
    if (this.#waiting.length > 0) this.#waiting.shift()!.resolve(this.#take()!);
  }

  next(): Promise<IteratorResult<IpcStatusEvent, undefined>> {
    const result = this.#take();
    if (result !== null) return Promise.resolve(result);
    const waiting = Promise.withResolvers<IteratorResult<IpcStatusEvent, undefined>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  return(): Promise<IteratorResult<IpcStatusEvent, undefined>> {
    this.#leave();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): IteratorResult<IpcStatusEvent, undefined> | null {
    if (this.#left) return { value: undefined, done: true };
    const value = this.#events.shift();
    if (value === undefined) return null;
    if (isFinalStatus(value.status)) this.#leave();
    return { value, done: false };
  }

  #leave(): void {
    this.#left = true;
    this.#onReturn();
    for (const waiting of this.#waiting.splice(0)) {
      waiting.resolve({ value: undefined, done: true });
    }
  }
}
