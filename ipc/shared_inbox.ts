// SharedInbox: reads the messages of many inboxes as they come, or one of each.
import { systemClock } from "../async/clock.ts";
import { watchWait } from "../async/wait.ts";
import { Fifo } from "../collections/fifo.ts";
import {
  type Inbox,
  type IpcMessage,
  type IpcReceiveBatchOptions,
  type IpcReceiveOptions,
  readTimeout,
  receiveBatch,
  refuseWait,
  type SharedReaders,
  WaitingReads,
} from "./link/inbox.ts";

/** How a round may end early. */
export interface IpcRoundOptions extends IpcReceiveOptions {
  /** Longest wait in ms; then the round is what has come by then. @default {no limit} */
  timeoutMs?: number | undefined;
}

/** Ends a round at its time limit. */
const ROUND_OVER = new Error("The time of the round is over");

/**
 * The messages of all clients of a server. A message goes to a read that waits, without a stay in
 * the inbox of its client. Any number of reads may wait at a time; the first gets the first
 * message.
 */
export class SharedInbox<T extends IpcMessage> implements SharedReaders<T> {
  /** Inboxes that have messages, each once; they take turns. */
  readonly #ready = new Fifo<Inbox<T>>();
  readonly #inReady = new Set<Inbox<T>>();
  readonly #reads = new WaitingReads<T>();
  #ended = false;

  /** Waits for the next message; `null` at the end. See `IpcServer.read`. */
  read(options: IpcReceiveOptions): Promise<T | null> {
    const refused = refuseWait(options);
    if (refused !== null) return refused;
    const message = this.take();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#ended) return Promise.resolve(null);
    if (options.timeoutMs === 0) return Promise.reject(readTimeout(0));
    return this.#reads.wait(options);
  }

  /** Waits for messages and takes all that are here; `null` at the end. See `IpcServer.receiveBatch`. */
  readBatch(options?: IpcReceiveBatchOptions): Promise<T[] | null> {
    return receiveBatch(this, options);
  }

  /** Hands a message to the read that waits longest; `false` when none waits. */
  deliver(message: T): boolean {
    return this.#reads.size > 0 && this.#reads.deliver(message);
  }

  /** Takes note of an inbox that was empty and has a message. */
  announce(inbox: Inbox<T>): void {
    if (this.#inReady.has(inbox)) return;
    this.#inReady.add(inbox);
    this.#ready.push(inbox);
  }

  /** No more messages come: once those here are read, readers get `null`. */
  end(): void {
    this.#ended = true;
    this.#reads.end(null);
  }

  /** One message of the inbox whose turn it is, if there is one. */
  take(): T | undefined {
    for (let inbox = this.#ready.shift(); inbox !== undefined; inbox = this.#ready.shift()) {
      const message = inbox.take();
      if (inbox.size > 0) this.#ready.push(inbox);
      else this.#inReady.delete(inbox);
      if (message !== undefined) return message; // else a reader of its own was faster
    }
    return undefined;
  }
}

/**
 * Waits for a message in each inbox, and takes one of each. Takes nothing before it returns. See
 * `IpcServer.readRound`.
 */
export async function receiveRound<T extends IpcMessage>(
  inboxes: readonly Inbox<T>[],
  options: IpcRoundOptions,
): Promise<T[]> {
  const refused = refuseWait(options);
  if (refused !== null) return await refused;
  const early = Promise.withResolvers<never>();
  const stop = watchWait(options, {
    clock: systemClock,
    cancel: early.reject,
    timeout: () => ROUND_OVER,
  });
  try {
    await Promise.race([Promise.all(inboxes.map((inbox) => inbox.whenSome())), early.promise]);
  } catch (error) {
    if (error !== ROUND_OVER) throw error;
  } finally {
    stop();
  }
  return inboxes.map((inbox) => inbox.take()).filter((message) => message !== undefined);
}
