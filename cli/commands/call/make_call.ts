// makeCall(): makes the call that was typed, and prints what comes back.
import { unlessAborted } from "../../../async/deadline.ts";
import { call, caller, collect, contract, feed, talk } from "../../../calls/mod.ts";
import { parseJson } from "../../command/json_input.ts";
import type { TimeLimit } from "../../flags/time_limit.ts";
import { aborted, type StopSignals } from "../../process/stop.ts";
import type { Local } from "../connect/local.ts";
import { openInput, readWhole } from "../connect/standard.ts";
import type { Answers } from "./answers.ts";
import type { CallRequest } from "./request.ts";

/** What a call can go over. */
export type CallVia = Parameters<typeof caller>[0];

/** What {@linkcode makeCall} needs beside the request. */
export interface MakeCallOptions {
  /** The one input, for kinds that have one. */
  readonly input: unknown;
  /** Prints what comes back. */
  readonly answers: Answers;
  /** Ends it when a signal of the system comes. */
  readonly stop: StopSignals;
  /** Ends it when its time is over. */
  readonly limit: TimeLimit;
}

/**
 * Makes a call over `via`; resolves when all answers are printed. A signal of the system ends a call
 * with many answers in order, and any other call with an error.
 *
 * @throws {UsageError} when a line of standard input is no JSON
 * @throws what the call fails with
 */
export async function makeCall(
  via: CallVia,
  request: CallRequest,
  options: MakeCallOptions,
): Promise<void> {
  if (request.kind === "call" || request.kind === "feed") {
    return await (request.kind === "call" ? callOnce : followFeed)(via, request, options);
  }
  using lines = new InputLines(options);
  try {
    await (request.kind === "collect" ? sendMany : talkMany)(via, request, { ...options, lines });
  } catch (error) {
    throw lines.fault ?? error;
  }
}

async function callOnce(
  via: CallVia,
  { name, version }: CallRequest,
  { input, answers, stop, limit }: MakeCallOptions,
): Promise<void> {
  const remote = caller(via, contract({ [name]: call<unknown, unknown>() }, { version }));
  const signal = AbortSignal.any([stop.signal, limit.signal]);
  await answers.result(await remote[name]?.(input, { signal, timeoutMs: limit.lastStepMs }));
}

async function followFeed(
  via: CallVia,
  request: CallRequest,
  { input, ...options }: MakeCallOptions,
): Promise<void> {
  const { name, version } = request;
  const remote = caller(via, contract({ [name]: feed<unknown, unknown>() }, { version }));
  const limits = { signal: options.limit.signal, timeoutMs: options.limit.lastStepMs };
  await printItems(remote[name]?.(input, limits), request, options);
}

async function sendMany(
  via: CallVia,
  { name, version }: CallRequest,
  { lines, answers, stop, limit }: MakeCallOptions & { readonly lines: InputLines },
): Promise<void> {
  const remote = caller(via, contract({ [name]: collect<unknown, unknown>() }, { version }));
  const signal = AbortSignal.any([stop.signal, limit.signal]);
  await answers.result(await remote[name]?.(lines, { signal, timeoutMs: limit.lastStepMs }));
}

async function talkMany(
  via: CallVia,
  request: CallRequest,
  { lines, ...options }: MakeCallOptions & { readonly lines: InputLines },
): Promise<void> {
  const { name, version } = request;
  const remote = caller(via, contract({ [name]: talk<unknown, unknown>() }, { version }));
  const limits = { signal: options.limit.signal, timeoutMs: options.limit.lastStepMs };
  await printItems(remote[name]?.(lines, limits), request, options);
}

/** Prints items until there are enough, a signal of the system comes, or no program reads them. */
async function printItems(
  items: AsyncIterableIterator<unknown> | undefined,
  { count }: CallRequest,
  { answers, stop }: Omit<MakeCallOptions, "input">,
): Promise<void> {
  if (items === undefined) return;
  let left = count;
  const leave = () => void items.return?.();
  void stop.stopped.then(leave);
  void answers.gone.then(leave);
  for await (const item of items) {
    await answers.item(item);
    if (--left <= 0) break;
  }
}

/** The one input of a request: what was typed, or what standard input holds. */
export async function inputOf(
  { input }: CallRequest,
  signal: AbortSignal,
): Promise<unknown> {
  if (input?.from !== "standard input") return input?.value;
  const whole = await unlessAborted(readWhole(openInput({ lines: false })), signal);
  return parseJson(new TextDecoder().decode(whole), "Standard input");
}

/** The values that lines of standard input hold; blank lines hold none. */
class InputLines implements AsyncIterable<unknown>, Disposable {
  readonly #local: Local = openInput({ lines: true });
  readonly #signal: AbortSignal;
  /** What was wrong with a line. */
  fault: unknown;

  constructor({ stop, limit }: MakeCallOptions) {
    this.#signal = AbortSignal.any([stop.signal, limit.signal]);
    void aborted(this.#signal).then(() => this.#local.stopInput());
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    const decoder = new TextDecoder();
    let line = 0;
    for await (const bytes of this.#local.input) {
      line++;
      const text = decoder.decode(bytes);
      if (text.trim() !== "") yield this.#parsed(text, `Line ${line} of standard input`);
    }
    // Lines that were not read must not be taken for lines that do not exist.
    this.#signal.throwIfAborted();
  }

  [Symbol.dispose](): void {
    this.#local.stopInput();
  }

  #parsed(text: string, what: string): unknown {
    try {
      return parseJson(text, what);
    } catch (error) {
      this.fault = error;
      throw error;
    }
  }
}
