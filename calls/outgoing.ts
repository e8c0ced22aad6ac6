// RemoteCall: one call of a contract on its calling side: what it sends, and what it makes of replies.
import { withDeadline } from "../async/deadline.ts";
import { checkDurationMs, checkSignal } from "../options/check.ts";
import { checkOptionNames, checkWaitNames, type OptionNames } from "../options/names.ts";
import { ClosedError } from "../errors.ts";
import { type Measured, telemetryOn } from "../stats/telemetry/telemetry.ts";
import type { CallDefinition } from "./contract.ts";
import type { ContextKey } from "./context.ts";
import { callTimeout, failureOf, nameFailure } from "./failures.ts";
import { FeedReader } from "./feed_reader.ts";
import { type Middleware, type MiddlewareCall, runThrough } from "./middleware.ts";
import { OpenedFeed } from "./opened_feed.ts";
import type { CallPort, OutgoingCall } from "./ports/port.ts";
import { type CallKind, encodeHead, encodeHeadStart } from "./protocol/head.ts";
import { isValue, readFailed, REPLY_HEAD_BYTES } from "./protocol/reply.ts";
import { beginCall, callMeasured, traceOf } from "./telemetry.ts";
import type { CallOptions, Feed, FeedOptions, Inputs } from "./types.ts";
import { ValueCodec } from "./values.ts";

/** Time for a call with one input and one output, in ms. */
const CALL_MS = 30_000;
/** Time until the peer has accepted a call of another kind, in ms. */
const OPEN_MS = 10_000;
/** Longest time that a head can say, in ms. */
const MAX_HEAD_MS = 0xffffffff;

const EMPTY: Uint8Array = new Uint8Array(0);
const NO_OPTIONS: CallOptions = Object.freeze({});

const FEED_NAMES: OptionNames<FeedOptions> = {
  signal: true,
  timeoutMs: true,
  openTimeoutMs: true,
  idleTimeoutMs: true,
};

/** What a {@linkcode RemoteCall} works with. */
export interface RemoteCallParts {
  readonly port: CallPort;
  /** The whole name. */
  readonly name: string;
  /** Version of the contract. */
  readonly version: string;
  readonly definition: CallDefinition;
  readonly middleware: readonly Middleware[];
  /** Time for a call where neither its caller nor the contract sets one. */
  readonly timeoutMs: number | undefined;
}

/** A request on its way. */
class Request implements OutgoingCall {
  readonly kind: CallKind;
  readonly name: string;
  readonly isIdempotent: boolean;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
  readonly #remote: RemoteCall;
  readonly #headMs: number;
  readonly #trace: string;
  readonly #input: Uint8Array;

  constructor(
    remote: RemoteCall,
    wait: { readonly signal?: AbortSignal | undefined; readonly timeoutMs: number },
    body: { readonly input: Uint8Array; readonly trace: string; readonly headMs: number },
  ) {
    this.kind = remote.kind;
    this.name = remote.name;
    this.isIdempotent = remote.isIdempotent;
    this.signal = wait.signal;
    this.timeoutMs = wait.timeoutMs;
    this.#remote = remote;
    this.#headMs = body.headMs;
    this.#trace = body.trace;
    this.#input = body.input;
  }

  request(leadBytes: number, into?: Uint8Array, leftMs?: number): Uint8Array {
    const timeoutMs = leftMs === undefined ? this.#headMs : headMs(leftMs);
    const head = { timeoutMs, trace: this.#trace };
    return encodeHead(this.#remote.headStart, head, this.#input, { leadBytes, into });
  }

  read(reply: Uint8Array): unknown {
    return this.#remote.read(reply);
  }

  explain(error: unknown): unknown {
    return nameFailure(error, this.#remote.label, this);
  }
}

/** One call of a contract, towards one peer. All methods may be called concurrently. */
export class RemoteCall {
  readonly kind: CallKind;
  /** The whole name. */
  readonly name: string;
  readonly isIdempotent: boolean;
  /** What the head of every such call begins with. */
  readonly headStart: Uint8Array;
  /** How errors name it. */
  readonly label: string;
  readonly #parts: RemoteCallParts;
  readonly #input: ValueCodec;
  readonly #output: ValueCodec;
  readonly #read: { readonly code: "ERR_OUTPUT_INVALID"; readonly action: string };
  readonly #isPlain: boolean;

  /** Makes a call of a contract, ready to be made any number of times. */
  constructor(parts: RemoteCallParts) {
    const { definition, middleware, name, port, version } = parts;
    this.#parts = parts;
    this.kind = definition.kind;
    this.name = name;
    this.isIdempotent = definition.idempotent;
    this.headStart = encodeHeadStart({ kind: definition.kind, name, version });
    this.label = `"${name}" of ${port.peer}`;
    this.#input = new ValueCodec(definition.input);
    this.#output = new ValueCodec(definition.output);
    this.#read = { code: "ERR_OUTPUT_INVALID", action: `Cannot use what ${this.label} returned` };
    this.#isPlain = middleware.length === 0;
  }

  /** The method that users call. */
  method(): (input: never, options?: never) => unknown {
    switch (this.kind) {
      case "call":
        return (input: unknown, options?: CallOptions) => this.#ask(input, options);
      case "feed":
        return (input: unknown, options?: FeedOptions) => this.#feed(input, options);
      case "collect":
        return (inputs: Inputs<unknown>, options?: CallOptions) => this.#collect(inputs, options);
      case "talk":
        return (inputs: Inputs<unknown>, options?: FeedOptions) => this.#feed(inputs, options);
    }
  }

  #ask(input: unknown, options: CallOptions = NO_OPTIONS): Promise<unknown> {
    try {
      const timeoutMs = this.#callTime(options, CALL_MS);
      if (options.signal?.aborted) return Promise.reject(options.signal.reason);
      if (this.#isPlain && !telemetryOn()) return this.#askNow(input, options, timeoutMs, "");
      const late = (ms: number) => callTimeout(this.label, ms);
      return withDeadline({ signal: options.signal, timeoutMs, late }, (signal) => {
        const ask = (sent: unknown, trace: string) =>
          this.#askNow(sent, { signal }, timeoutMs, trace);
        return this.#within(input, signal, ask);
      });
    } catch (mistake) {
      return Promise.reject(mistake);
    }
  }

  #askNow(
    value: unknown,
    { signal }: CallOptions,
    timeoutMs: number,
    trace: string,
  ): Promise<unknown> {
    const input = this.#input.encode(value);
    const body = { input, trace, headMs: headMs(timeoutMs) };
    return this.#parts.port.ask(new Request(this, { signal, timeoutMs }, body));
  }

  /** Returns the value of a reply, or a promise of it. @throws what the call rejects with */
  read(reply: Uint8Array): unknown {
    if (isValue(reply)) return this.#output.decode(reply, this.#read, REPLY_HEAD_BYTES);
    return failureOf(readFailed(reply), this.label, this.#parts.definition).then((error) => {
      throw error;
    });
  }

  #feed(input: unknown, options: FeedOptions = {}): Feed<unknown> {
    this.#checkFeed(options);
    if (this.#isPlain && !telemetryOn()) return this.#open(input, options, "");
    let span: Measured | undefined;
    const open = () => {
      span = telemetryOn() ? beginCall(this.name, this.#parts.port.peer) : undefined;
      const trace = span === undefined ? "" : traceOf(span);
      return this.#through(
        input,
        options.signal,
        (sent) => Promise.resolve(this.#open(sent, options, trace)),
      );
    };
    return new OpenedFeed(open, (error) => span?.end(error));
  }

  #collect(inputs: Inputs<unknown>, options: CallOptions = NO_OPTIONS): Promise<unknown> {
    try {
      const timeoutMs = this.#callTime(options, Infinity);
      const { signal } = options;
      const run = async (sent: unknown, trace: string) => {
        const answers = this.#open(sent, { signal, timeoutMs }, trace);
        const { done, value } = await answers.next();
        if (!done) {
          answers.finish();
          return value;
        }
        throw new ClosedError("ERR_RESET", `Cannot call ${this.label}: it ended without an answer`);
      };
      if (this.#isPlain && !telemetryOn()) return run(inputs, "");
      return this.#within(inputs, signal, run);
    } catch (mistake) {
      return Promise.reject(mistake);
    }
  }

  /** Makes the reader of a call with a stream; nothing is sent before its first `next`. */
  #open(value: unknown, options: FeedOptions, trace: string): FeedReader {
    const { signal, openTimeoutMs = OPEN_MS, idleTimeoutMs } = options;
    const timeoutMs = options.timeoutMs ?? this.#parts.definition.timeoutMs ?? Infinity;
    const isMany = this.kind === "collect" || this.kind === "talk";
    const openMs = Math.min(openTimeoutMs, timeoutMs);
    return new FeedReader({
      label: this.label,
      signal,
      timeoutMs,
      openMs,
      idleMs: idleTimeoutMs ?? Infinity,
      inputs: isMany ? value : undefined,
      encode: (input) => this.#input.encode(input, REPLY_HEAD_BYTES),
      open: (opening) => {
        const input = isMany ? EMPTY : this.#input.encode(value);
        const body = { input, trace, headMs: headMs(timeoutMs) };
        const request = new Request(this, { signal: opening, timeoutMs: openMs }, body);
        return this.#parts.port.stream(request);
      },
      read: (item) => this.read(item),
    });
  }

  /** Runs a call inside its middleware and its span. */
  #within(
    input: unknown,
    signal: AbortSignal | undefined,
    run: (input: unknown, trace: string) => Promise<unknown>,
  ): Promise<unknown> {
    const through = (trace: string) => this.#through(input, signal, (sent) => run(sent, trace));
    return telemetryOn() ? callMeasured(this.name, this.#parts.port.peer, through) : through("");
  }

  /** Runs a call inside its middleware. */
  #through(
    input: unknown,
    signal: AbortSignal | undefined,
    run: (input: unknown) => Promise<unknown>,
  ): Promise<unknown> {
    const seen = new SentCall(this.name, this.kind, input, signal);
    return runThrough(this.#parts.middleware, seen, async () => await run(seen.input));
  }

  #callTime(options: CallOptions, fallbackMs: number): number {
    const agreedMs = this.#parts.definition.timeoutMs ?? this.#parts.timeoutMs ?? fallbackMs;
    if (options === NO_OPTIONS) return agreedMs; // the contract and the caller were checked
    const action = `Cannot call ${this.label}`;
    checkWaitNames(action, options);
    if (options.signal !== undefined) checkSignal(action, options.signal);
    const timeoutMs = options.timeoutMs ?? agreedMs;
    return checkDurationMs(action, "timeoutMs", timeoutMs, { allowInfinity: true });
  }

  #checkFeed(options: FeedOptions): void {
    const action = `Cannot call ${this.label}`;
    checkOptionNames(action, options, FEED_NAMES);
    checkSignal(action, options.signal);
    for (const name of ["timeoutMs", "openTimeoutMs", "idleTimeoutMs"] as const) {
      const given = options[name];
      if (given !== undefined) checkDurationMs(action, name, given, { allowInfinity: true });
    }
  }
}

/** A call at its caller, as middleware sees it. */
class SentCall implements MiddlewareCall {
  readonly side = "caller";
  readonly name: string;
  readonly kind: CallKind;
  input: unknown;
  readonly peer: undefined;
  readonly via: undefined;
  readonly signal: AbortSignal | undefined;
  readonly #values = new Map<ContextKey<unknown>, unknown>();

  constructor(name: string, kind: CallKind, input: unknown, signal: AbortSignal | undefined) {
    this.name = name;
    this.kind = kind;
    this.input = input;
    this.signal = signal;
  }

  get<T>(key: ContextKey<T>): T | undefined {
    return this.#values.get(key) as T | undefined;
  }

  set<T>(key: ContextKey<T>, value: T): void {
    this.#values.set(key, value);
  }
}

function headMs(timeoutMs: number): number {
  return timeoutMs === Infinity ? 0 : Math.min(MAX_HEAD_MS, Math.ceil(timeoutMs));
}
