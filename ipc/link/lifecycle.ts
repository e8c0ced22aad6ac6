// LinkLifecycle: the state of a link, and each step of its way to the end.
import { ignoreRejection } from "../../async/rejections.ts";
import { ClosedError } from "../../errors.ts";
import { ClosingReason, FrameKind, type IpcFrameReader } from "../protocol/frames.ts";
import type { FrameLink } from "../secure/frame_link.ts";
import type { IncomingQueries } from "./incoming_queries.ts";
import { drainTimeout, frameError, linkGone, refusalOf } from "./link_errors.ts";
import type { OutgoingQueries } from "./outgoing_queries.ts";
import type { Outbox } from "./outbox.ts";
import type { Pings } from "./pings.ts";
import type { LinkStreams } from "./streams.ts";
import {
  areBothDone,
  canSend,
  dropsMessages,
  isClosing,
  type LinkEvent,
  type LinkOutcome,
  type LinkState,
  nextLinkState,
  OPEN,
  theirReasonOf,
} from "./state.ts";

const NOTHING: Uint8Array = new Uint8Array(0);

/** The parts of a link that end with it. */
export interface LinkParts {
  readonly frames: FrameLink;
  readonly reader: IpcFrameReader;
  readonly outbox: Outbox;
  readonly outgoing: OutgoingQueries;
  readonly incoming: IncomingQueries;
  readonly pings: Pings;
  readonly streams: LinkStreams;
  /** Time in ms that an orderly end may take. */
  readonly closeTimeoutMs: number;
  /** The link itself: it reads on when its state says that it must not wait for room. */
  readonly link: { resume(): void };
}

/** How {@linkcode LinkLifecycle.close} works. */
export interface CloseLinkOptions {
  /** Longest time in ms until the rest is cut. @default {`closeTimeoutMs`} */
  readonly timeoutMs?: number | undefined;
  /** What our closing frame says. @default {`ClosingReason.done`} */
  readonly reason?: number | undefined;
}

/**
 * The state of one link. {@linkcode LinkState} draws it. `close` may be called any number of times.
 */
export class LinkLifecycle {
  /** Resolves when the link has ended and its descriptor is free. Never rejects. */
  readonly closed: Promise<LinkOutcome>;
  readonly #parts: LinkParts;
  readonly #closed: PromiseWithResolvers<LinkOutcome> = Promise.withResolvers();
  /** Resolves when no query and no stream is under way while this side closes. */
  readonly #idle: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Resolves when the closing frame of the other side has come. */
  readonly #theirClosing: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: LinkState = OPEN;
  /** What every call of `close` returns. */
  #closeResult: Promise<void> | null = null;

  /** Begins as `open`. */
  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.closed = this.#closed.promise;
  }

  /** Whether messages and queries can be sent. */
  get isOpen(): boolean {
    return canSend(this.#state);
  }

  /** Whether our closing frame is yet to come: till then frames of every kind may be sent. */
  get mayStillSend(): boolean {
    return this.#state.kind === "open" || this.#state.kind === "draining";
  }

  /** Whether the link has ended. */
  get hasEnded(): boolean {
    return this.#state.kind === "ended";
  }

  /** Whether the closing frame of the other side came: no message and no query may follow it. */
  get theyClosed(): boolean {
    return theirReasonOf(this.#state) !== null;
  }

  /** Whether messages that come are dropped. */
  get drops(): boolean {
    return dropsMessages(this.#state);
  }

  /**
   * Why writes fail, while what the other side sent before is still read; `null` in other states.
   */
  get writeError(): Error | null {
    return this.#state.kind === "unwritable" ? this.#state.error : null;
  }

  /** Why nothing can be sent any more. */
  get gone(): Error {
    return linkGone(theirReasonOf(this.#state));
  }

  /** Closes in order; see `IpcLink.close`. */
  close(
    { timeoutMs = this.#parts.closeTimeoutMs, reason = ClosingReason.done }: CloseLinkOptions,
  ): Promise<void> {
    if (this.hasEnded) return this.#closeResult ?? Promise.resolve();
    return this.#closeResult ??= this.#close({ type: "close" }, timeoutMs, reason);
  }

  /** Turns the other side away: drops what it sends, and sends it the reason. */
  refuse(reason: number, timeoutMs: number): Promise<void> {
    return this.#closeResult = this.#close({ type: "refuse" }, timeoutMs, reason);
  }

  /** A message came and the inbox is full: it has no reader if this side closes. */
  onInboxFull(): void {
    this.#apply({ type: "inboxFull" });
  }

  /** Takes the closing frame of the other side. */
  onClosing(reason: number): void {
    const before = this.#state;
    if (!this.#apply({ type: "receiveClosing", reason })) {
      throw frameError("Cannot take a second closing frame");
    }
    if (this.hasEnded) return;
    this.#parts.incoming.refuse();
    this.#parts.outgoing.end(this.gone);
    this.#parts.streams.end(this.gone);
    this.#theirClosing.resolve();
    if (!isClosing(before)) void this.#answerClosing();
  }

  /** Lets a close go on once no query and no stream is under way in either direction. */
  checkIdle(): void {
    const { incoming, outgoing, streams } = this.#parts;
    if (!canSend(this.#state) && outgoing.size + incoming.size + streams.size === 0) {
      this.#idle.resolve();
    }
  }

  /** The other side takes no more; what it sent before it went is still read. */
  onWriteFailed(error: Error): void {
    const isTheirs = error instanceof ClosedError && error.code === "ERR_RESET";
    if (!isTheirs || this.hasEnded) return this.finish(error);
    this.#apply({ type: "writeFailed", error });
    this.#parts.outbox.fail(error);
    this.#parts.streams.end(error); // a stream whose other side hears nothing is of no use
    this.#parts.link.resume();
    this.#endAfter(this.#parts.closeTimeoutMs, error);
  }

  /** Ends the link now, with the error of its end or `null`. */
  finish(cause: Error | null): void {
    if (this.hasEnded) return;
    // A side that was refused or turned out gets that error, however the transport ended after it.
    const error = refusalOf(theirReasonOf(this.#state)) ?? cause;
    const unsentBytes = this.#unsentBytes;
    const cutInside = this.writeError === null &&
      (this.#parts.reader.inFrame || this.#parts.frames.inRecord);
    this.#apply({ type: "end" });
    this.#parts.frames.close();
    const gone = error ?? this.gone;
    this.#parts.outbox.fail(gone);
    this.#parts.outgoing.end(gone);
    this.#parts.incoming.end(gone);
    this.#parts.pings.end(gone);
    this.#parts.streams.end(gone);
    this.#parts.link.resume();
    this.#closed.resolve({ error, unsentBytes, cutInside });
  }

  /** What the end of the input means: `null` after an orderly end, else `lost`. */
  errorOfEnd(lost: Error): Error | null {
    const { frames, reader } = this.#parts;
    const hasSaidSo = this.theyClosed || frames.marksItsEnd;
    return hasSaidSo && !reader.inFrame ? null : this.writeError ?? lost;
  }

  /** What a failure of the input means: nothing once both sides are done. */
  errorOfFailure(failure: Error): Error | null {
    const wereDone = areBothDone(this.#state) && !this.#parts.outbox.writing;
    return wereDone ? null : this.writeError ?? failure;
  }

  #close(event: LinkEvent, timeoutMs: number, reason: number): Promise<void> {
    const wasOpen = canSend(this.#state);
    this.#apply(event);
    this.#endAfter(timeoutMs);
    if (wasOpen) void this.#drain(reason);
    return ignoreRejection(this.closed.then(({ error }) => {
      if (error !== null) throw error;
    }));
  }

  /** Waits until no query and no stream is under way, sends our closing frame, and waits for theirs. */
  async #drain(reason: number): Promise<void> {
    try {
      this.#parts.incoming.refuse();
      this.#parts.streams.drain();
      this.#parts.link.resume(); // its answers may stand behind unread messages
      this.checkIdle();
      await Promise.race([this.#idle.promise, this.closed]);
      this.#apply({ type: "drained" });
      if (this.hasEnded) return;
      this.#parts.outbox.add(FrameKind.closing, reason, NOTHING);
      await this.#parts.outbox.emptied();
      await Promise.race([this.#theirClosing.promise, this.closed]);
      if (!this.hasEnded) await this.#parts.frames.end(reason);
    } catch (error) {
      if (theirReasonOf(this.#state) === null) this.finish(error as Error);
    }
  }

  /** The other side closes: sends what is queued, and our closing frame behind it. */
  async #answerClosing(): Promise<void> {
    this.#endAfter(this.#parts.closeTimeoutMs);
    try {
      this.#parts.outbox.add(FrameKind.closing, ClosingReason.done, NOTHING);
      this.#parts.link.resume();
      await this.#parts.outbox.emptied();
      await this.#parts.frames.end(ClosingReason.done);
    } catch {
      // The outbox has ended the link already, or the other side has gone.
      this.finish(null);
    }
  }

  /** Ends the link after a time, unless it has ended by then. */
  #endAfter(timeoutMs: number, error?: Error): void {
    const end = () => this.finish(error ?? drainTimeout(timeoutMs, this.#unsentBytes));
    const timer = setTimeout(end, timeoutMs);
    void this.closed.then(() => clearTimeout(timer));
  }

  /** Moves to the next state; `false` when the other side broke the protocol. */
  #apply(event: LinkEvent): boolean {
    const next = nextLinkState(this.#state, event);
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }

  get #unsentBytes(): number {
    return this.#parts.outbox.queuedBytes + this.#parts.incoming.finishedBytes;
  }
}
