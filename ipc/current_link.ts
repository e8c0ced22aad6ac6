// LinkSlot: what stays the same while links come and go: messages to be read, and what may have been lost.
import { checkWaitNames } from "../options/names.ts";
import { ignoreRejection } from "../async/rejections.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { checkDurationMs } from "../options/check.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import { Inbox, type IpcReceiveOptions } from "./link/inbox.ts";
import type { IpcLink } from "./link/link.ts";
import type { LinkEnd } from "./link/link_types.ts";
import { IpcTally } from "./observe/tally.ts";
import { checkType, type ResolvedIpcOptions, toBytes } from "./options.ts";

/** A received message. */
export interface IpcMessage {
  /** Its type, 1 or more, as its sender chose. */
  readonly type: number;
  /** Its data; it belongs to the receiver and is never overwritten. */
  readonly data: Uint8Array;
}

/** Holds one link at a time. Writers and askers wait for the next when there is none. */
export class LinkSlot {
  /** Messages of all links. */
  readonly inbox: Inbox<IpcMessage>;
  /** What went over all links. */
  readonly tally: IpcTally;
  readonly #options: ResolvedIpcOptions;
  #link: IpcLink | null = null;
  #up: PromiseWithResolvers<void> = quietly();
  #end: { readonly error: Error } | null = null;
  /** Messages written, and how many of them are known to have arrived or been told lost. */
  #written = 0;
  #settled = 0;
  /** What `flush` has to tell. */
  #loss: Error | null = null;

  /** Makes an empty slot. */
  constructor(options: ResolvedIpcOptions) {
    this.#options = options;
    this.tally = new IpcTally(options.reporter);
    this.inbox = new Inbox({
      highWaterBytes: options.link.readAheadBytes,
      toMessage: (type, data) => ({ type, data }),
    });
  }

  /** The current link. */
  get link(): IpcLink | null {
    return this.#link;
  }

  /** Puts a link in; it has been confirmed. */
  attach(link: IpcLink): void {
    this.#link = link;
    this.tally.opened(link, null);
    this.#up.resolve();
  }

  /** Takes the link out, as it has ended. */
  detach(end: LinkEnd): void {
    const link = this.#link;
    if (link === null) return;
    this.#link = null;
    if (this.#end === null) this.#up = quietly();
    if (this.#settled === this.#written) return;
    this.#settled = this.#written;
    this.#loss = new ClosedError(
      "ERR_RESET",
      "Cannot tell whether all that was written has arrived: the connection was lost",
      { cause: end.error ?? undefined, unsentBytes: end.unsentBytes },
    );
  }

  /** Refuses writes and queries from now on; what is under way goes on. */
  refuse(error: Error | null): void {
    if (this.#end !== null) return;
    this.#end = { error: closed(error) };
    this.#up.reject(this.#end.error);
  }

  /** No more links come. */
  end(error: Error | null): void {
    this.refuse(error);
    this.tally.stop();
    this.inbox.end(error);
  }

  /** Writes a message, waiting for a link at most as long as for a write. */
  send(type: number, data: Uint8Array | string): Promise<void> {
    let bytes: Uint8Array;
    try {
      checkType(type);
      bytes = toBytes("Cannot send", data);
    } catch (error) {
      return Promise.reject(error);
    }
    const link = this.#link;
    if (this.#end !== null) return ignoreRejection(Promise.reject(this.#end.error));
    if (link === null || !link.isOpen) return ignoreRejection(this.#writeLater(type, bytes));
    this.#written++;
    return link.write(type, bytes);
  }

  /** Asks, waiting for a link as long as for the answer. */
  query(data: Uint8Array | string, options: IpcQueryOptions = {}): Promise<Uint8Array> {
    const { timeoutMs = this.#options.queryTimeoutMs, signal } = options;
    let bytes: Uint8Array;
    try {
      checkWaitNames("Cannot query", options);
      checkDurationMs("Cannot query", "timeoutMs", timeoutMs);
      bytes = toBytes("Cannot query", data);
    } catch (error) {
      return Promise.reject(error);
    }
    const link = this.#link;
    if (this.#end !== null) return Promise.reject(this.#end.error);
    if (link !== null && link.isOpen) return link.query(bytes, timeoutMs, signal);
    return this.#queryLater(bytes, timeoutMs, signal);
  }

  /** Reads the next message. */
  receive(options?: IpcReceiveOptions): Promise<IpcMessage | null> {
    return this.inbox.read(options);
  }

  /** Resolves when the other process has received all that was written before. */
  async flush(): Promise<void> {
    this.#tellLoss();
    const link = this.#link;
    if (link === null) {
      if (this.#end !== null) throw this.#end.error;
      return;
    }
    const written = this.#written;
    try {
      await link.confirm();
    } catch (error) {
      this.#settled = this.#written;
      this.#loss = null; // told here
      throw error;
    }
    if (this.#link === link) this.#settled = Math.max(this.#settled, written);
    this.#tellLoss();
  }

  /** Waits for a link. */
  async whenLinked(options: IpcReceiveOptions): Promise<void> {
    const { timeoutMs, signal } = options;
    checkWaitNames("Cannot wait", options);
    if (timeoutMs !== undefined) checkDurationMs("Cannot wait", "timeoutMs", timeoutMs);
    if (this.#end !== null) throw this.#end.error;
    if (this.#link?.isOpen) return;
    await this.#waitForLink(timeoutMs, signal, () => noLink(timeoutMs!));
  }

  async #writeLater(type: number, data: Uint8Array): Promise<void> {
    const { writeTimeoutMs } = this.#options.link;
    const link = await this.#waitForLink(
      writeTimeoutMs,
      undefined,
      () =>
        new TimeoutError(
          "ERR_WRITE_TIMEOUT",
          `Cannot send: there was no connection for ${writeTimeoutMs} ms`,
        ),
    );
    this.#written++;
    await link.write(type, data);
  }

  async #queryLater(data: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array> {
    const startedMs = performance.now();
    const link = await this.#waitForLink(timeoutMs, signal, () => noLink(timeoutMs));
    return await link.query(data, Math.max(1, timeoutMs - (performance.now() - startedMs)), signal);
  }

  /** Waits for an open link within a time. */
  async #waitForLink(
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
    makeError: () => Error,
  ): Promise<IpcLink> {
    if (signal?.aborted) throw signal.reason;
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => reject(makeError()), timeoutMs);
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      for (;;) {
        const link = this.#link;
        if (link?.isOpen) return link;
        // A link that is closing makes way for the next one first.
        await Promise.race(link === null ? [this.#up.promise, promise] : [link.closed, promise]);
        if (this.#end !== null) throw this.#end.error;
        if (link !== null && this.#link === link) await Promise.resolve();
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #tellLoss(): void {
    const loss = this.#loss;
    this.#loss = null;
    if (loss !== null) throw loss;
  }
}

function quietly(): PromiseWithResolvers<void> {
  const waiting = Promise.withResolvers<void>();
  ignoreRejection(waiting.promise);
  return waiting;
}

function closed(error: Error | null): Error {
  return error ?? new ClosedError("ERR_CLOSED", "Cannot go on: the connection was closed on this side");
}

function noLink(timeoutMs: number): TimeoutError {
  return new TimeoutError(
    "ERR_CONNECT_TIMEOUT",
    `Cannot go on: no other process was connected for ${timeoutMs} ms`,
  );
}
