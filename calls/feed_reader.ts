// FeedReader: the calling side of a call with a stream: sends the inputs, and reads the answers.
import { DeadlineSignal } from "../async/deadline.ts";
import { ignoreRejection } from "../async/rejections.ts";
import { callTimeout, nameFailure } from "./failures.ts";
import { iteratorOf } from "./outputs.ts";
import type { CallStream } from "./ports/port.ts";
import { isValue } from "./protocol/reply.ts";
import type { Feed } from "./types.ts";
import { FramingError, TimeoutError } from "../errors.ts";

/** What a {@linkcode FeedReader} works with. */
export interface FeedReaderParts {
  /** How errors name the call. */
  readonly label: string;
  /** The caller's signal. */
  readonly signal: AbortSignal | undefined;
  /** Time for all of it, in ms; `Infinity` for no limit. */
  readonly timeoutMs: number;
  /** Time until it was accepted, in ms. */
  readonly openMs: number;
  /** Longest wait for a value, in ms. */
  readonly idleMs: number;
  /** What the caller sends, where that is many; `undefined` where the request says all. */
  readonly inputs: unknown;
  /** Makes an item of an input. */
  readonly encode: (input: unknown) => Uint8Array;
  /** Opens the stream; follows the signal until it was accepted. */
  readonly open: (signal: AbortSignal) => Promise<CallStream>;
  /** Makes a value of an item, or throws what it says. */
  readonly read: (item: Uint8Array) => unknown;
}

const DONE: IteratorResult<never, undefined> = { done: true, value: undefined };

/**
 * Reads the answers of one call, each when it is asked for: the window of the stream is all that
 * runs ahead.
 *
 * ```text
 * new ──next──▶ opening ──▶ open ──▶ over: the handler returned, failed, or the caller left
 * ```
 */
export class FeedReader implements Feed<unknown> {
  readonly #parts: FeedReaderParts;
  #deadline: DeadlineSignal | undefined;
  #stream: Promise<CallStream> | undefined;
  /** The stream once it is open. */
  #opened: CallStream | undefined;
  #inputs: AsyncIterator<unknown> | Iterator<unknown> | undefined;
  /** The last `next`; one follows the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isOver = false;
  /** Why it ended by this side. */
  #failure: { readonly error: unknown } | undefined;

  /** Sends nothing before the first `next`. */
  constructor(parts: FeedReaderParts) {
    this.#parts = parts;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    const turn = this.#turn.then(() => this.#pull());
    this.#turn = ignoreRejection(turn).catch(() => {});
    return turn;
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#leave();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** The caller has all that it wanted: the call ends in order. */
  finish(): void {
    if (this.#isOver) return;
    this.#over();
    if (this.#opened !== undefined) ignoreRejection(this.#opened.close());
  }

  /** The caller wants no more: the call is given up. */
  #leave(): void {
    if (this.#isOver) return;
    this.#over();
    this.#cut(undefined);
  }

  async #pull(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#isOver) return this.#ended();
    let item: Uint8Array | null;
    try {
      const stream = await (this.#stream ??= this.#open());
      const { idleMs } = this.#parts;
      item = await stream.readItem(idleMs === Infinity ? undefined : { timeoutMs: idleMs });
    } catch (error) {
      // Where this side ended it, what the stream says of that is of no use.
      this.#fail(this.#name(error));
      return this.#ended();
    }
    if (this.#isOver) return this.#ended();
    if (item !== null) return await this.#value(item);
    this.finish();
    return DONE;
  }

  /** The value of an item. An item that says why the handler failed is the last. */
  async #value(item: Uint8Array): Promise<IteratorResult<unknown, undefined>> {
    const isLast = !isValue(item);
    if (isLast) this.finish();
    try {
      const value = await this.#parts.read(item);
      // The caller may have given up while a schema took its time.
      return this.#isOver ? this.#ended() : { done: false, value };
    } catch (error) {
      this.#fail(error);
      this.#failure = undefined;
      throw error;
    }
  }

  /** What `next` comes to after the end: the error once, as a generator throws it, then nothing. */
  #ended(): IteratorResult<never, undefined> {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
    return DONE;
  }

  #name(error: unknown): unknown {
    const { label, idleMs, signal, timeoutMs, openMs } = this.#parts;
    if (error instanceof TimeoutError && error.code === "ERR_READ_TIMEOUT") {
      return callTimeout(`the next value of ${label}`, idleMs, error);
    }
    return nameFailure(error, label, { signal, timeoutMs: Math.min(timeoutMs, openMs) });
  }

  async #open(): Promise<CallStream> {
    const { signal, timeoutMs, label, inputs, open } = this.#parts;
    const late = (ms: number) => callTimeout(label, ms);
    const deadline = this.#deadline = new DeadlineSignal({ signal, timeoutMs, late });
    if (deadline.signal.aborted) throw deadline.signal.reason;
    deadline.signal.addEventListener("abort", this.#onDeadline, { once: true });
    const stream = await open(deadline.signal);
    if (this.#isOver) {
      stream.abort();
      return stream;
    }
    this.#opened = stream;
    if (inputs !== undefined) void this.#send(stream, inputs);
    return stream;
  }

  readonly #onDeadline = (): void => this.#fail(this.#deadline?.signal.reason);

  /** Sends all inputs, each when the stream has room. Never rejects. */
  async #send(stream: CallStream, inputs: unknown): Promise<void> {
    let isSending = false;
    try {
      const iterator = this.#inputs = iteratorOf(inputs);
      for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
        if (this.#isOver) return;
        const item = this.#parts.encode(step.value);
        isSending = true;
        await stream.writeItem(item);
        isSending = false;
      }
      this.#inputs = undefined;
      isSending = true;
      if (!this.#isOver) await stream.closeWrite();
    } catch (error) {
      // Where the peer takes no more inputs, its answer says what that means. One that is too large
      // was never sent.
      if (!isSending || error instanceof FramingError) this.#fail(error);
      else this.#stopInputs();
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#failure = { error };
    this.#over();
    this.#cut(error);
  }

  /** Gives up the stream, or the opening of one. */
  #cut(reason: unknown): void {
    if (this.#opened !== undefined) this.#opened.abort(reason);
    else void this.#stream?.then((stream) => stream.abort(reason), () => {});
  }

  #over(): void {
    this.#isOver = true;
    this.#deadline?.signal.removeEventListener("abort", this.#onDeadline);
    this.#deadline?.stop();
    this.#stopInputs();
  }

  #stopInputs(): void {
    const inputs = this.#inputs;
    this.#inputs = undefined;
    if (inputs !== undefined) ignoreRejection((async () => await inputs.return?.())());
  }
}
