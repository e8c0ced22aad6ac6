// Answerer: answers the calls of one name: checks, decodes, runs the handler, and replies.
import { CallError } from "./call_error.ts";
import { type CallDefinition, versionsFit } from "./contract.ts";
import { type CallContext, HandlerContext } from "./context.ts";
import { type Middleware, type MiddlewareCall, runThrough } from "./middleware.ts";
import { InputReader } from "./input_reader.ts";
import { sendOutputs } from "./outputs.ts";
import { checkOutputSize, isTooLargeOutput } from "./output_size.ts";
import type { CallAnswerer, CallLink, CallStream, IncomingCall } from "./ports/port.ts";
import type { CallKind } from "./protocol/head.ts";
import { encodeFailure, REPLY_HEAD_BYTES } from "./protocol/reply.ts";
import type { CallReporter } from "./reporter.ts";
import { ValueCodec } from "./values.ts";
import { ClosedError, ProtocolError, SchemaError, TimeoutError } from "../errors.ts";
import { isPromise } from "../codec/schema.ts";
import { telemetryOn } from "../stats/telemetry/telemetry.ts";
import { answerMeasured } from "./telemetry.ts";

/** Who wants to call what. */
export interface CallRequest {
  /** The whole name of the call. */
  readonly name: string;
  /** How many values go in and come out. */
  readonly kind: CallKind;
  /** Who calls, as authenticated; see `CallContext`. */
  readonly peer: string | undefined;
  /** What the call came over. */
  readonly via: CallLink;
}

/** Decides whether a call may be made; what is not `true` refuses with `ERR_FORBIDDEN`. */
export type AuthorizeCall = (request: CallRequest) => boolean | Promise<boolean>;

/** What an {@linkcode Answerer} works with. */
export interface AnswererParts {
  /** The whole name. */
  readonly name: string;
  /** Version of the contract. */
  readonly version: string;
  readonly definition: CallDefinition;
  // deno-lint-ignore no-explicit-any -- its type was checked where the contract is known
  readonly handler: (input: any, context: CallContext) => unknown;
  readonly authorize: AuthorizeCall | undefined;
  readonly middleware: readonly Middleware[];
  readonly reporter: CallReporter;
}

/** A failure that Parley chose, on its way to the caller. */
class Refused {
  readonly code: string;
  readonly message: string;

  constructor(code: string, message: string) {
    this.code = code;
    this.message = message;
  }
}

/** Answers the calls of one name. All methods may be called concurrently. */
export class Answerer implements CallAnswerer {
  readonly #parts: AnswererParts;
  readonly #input: ValueCodec;
  readonly #output: ValueCodec;
  /** Whether nothing stands between the decoded input and the handler. */
  readonly #isPlain: boolean;
  readonly #read: { readonly code: "ERR_INPUT_INVALID"; readonly action: string };

  /** Makes the answerer of one call of a contract. */
  constructor(parts: AnswererParts) {
    const { definition: { input, output }, authorize, middleware, name } = parts;
    this.#parts = parts;
    this.#input = new ValueCodec(input);
    this.#output = new ValueCodec(output);
    this.#isPlain = authorize === undefined && middleware.length === 0;
    this.#read = { code: "ERR_INPUT_INVALID", action: `Cannot call "${name}" with this input` };
  }

  ask(call: IncomingCall): Uint8Array | Promise<Uint8Array> {
    const refused = this.#refuse(call);
    if (refused !== undefined) return refused;
    const context = new HandlerContext(call);
    let output: unknown;
    try {
      output = telemetryOn()
        ? answerMeasured(call, () => this.#invoke(call, context, undefined))
        : this.#invoke(call, context, undefined);
    } catch (error) {
      return this.#fail(error, context);
    }
    if (!isPromise(output)) return this.#reply(output, context);
    context.startClock();
    // What has `then` may be no promise of the platform.
    return Promise.resolve(output).then(
      (value) => this.#reply(value, context),
      (error) => this.#fail(error, context),
    );
  }

  async stream(call: IncomingCall, stream: CallStream): Promise<void> {
    const refused = this.#refuse(call);
    if (refused !== undefined) return await finish(stream, refused);
    const { kind } = this.#parts.definition;
    const context = new HandlerContext(call);
    context.startClock();
    const inputs = kind === "feed"
      ? undefined
      : new InputReader(stream, context, (bytes) => this.#decode(bytes, context));
    const serve = () => this.#serve(call, context, stream, inputs);
    try {
      await (telemetryOn() ? answerMeasured(call, serve) : serve());
    } catch (error) {
      const reply = this.#fail(error, context);
      if (!stream.signal.aborted) await finish(stream, reply);
    } finally {
      inputs?.end();
    }
  }

  /** Runs a handler of a call with a stream, sends its outputs, and ends the stream in order. */
  async #serve(
    call: IncomingCall,
    context: HandlerContext,
    stream: CallStream,
    inputs: InputReader | undefined,
  ): Promise<void> {
    const outputs = await this.#invoke(call, context, inputs);
    const send = (output: unknown) => this.#send(output, stream, context);
    if (this.#parts.definition.kind === "collect") await send(outputs);
    else await sendOutputs(outputs, { signal: context.signal, send });
    context.end();
    await stream.close();
  }

  /** Sends an output. A caller that is gone is no fault of the handler. */
  async #send(output: unknown, stream: CallStream, context: HandlerContext): Promise<void> {
    const item = this.#output.encode(output, REPLY_HEAD_BYTES);
    checkOutputSize(this.#parts.name, item.length, context.maxReplyBytes);
    try {
      await stream.writeItem(item);
    } catch (error) {
      throw error instanceof ClosedError ? context.blame(error) : error;
    }
  }

  /** Refuses a call that is not of this kind, or of another version; `undefined` when it fits. */
  #refuse({ head }: IncomingCall): Uint8Array | undefined {
    const { name, version, definition: { kind } } = this.#parts;
    if (head.kind === kind && versionsFit(version, head.version)) return undefined;
    const what = head.kind === kind
      ? `version "${version}" of its contract is answered, "${head.version}" was called`
      : `it is a ${kind}, and was called as a ${head.kind}`;
    return encodeFailure({
      by: "parley",
      code: "ERR_CONTRACT_MISMATCH",
      message: `Cannot call "${name}": ${what}`,
    });
  }

  /** Runs the handler, within what stands before it. Returns the output, or a promise of it. */
  #invoke(call: IncomingCall, context: HandlerContext, inputs: InputReader | undefined): unknown {
    if (!this.#isPlain) return this.#invokeSlowly(call, context, inputs);
    const { handler } = this.#parts;
    if (inputs !== undefined) return handler(inputs, context);
    const input = this.#decode(call.request, context, call.inputAt);
    if (isPromise(input)) return input.then((value) => handler(value, context));
    return handler(input, context);
  }

  async #invokeSlowly(
    call: IncomingCall,
    context: HandlerContext,
    inputs: InputReader | undefined,
  ): Promise<unknown> {
    const { authorize, middleware, handler, name, definition: { kind } } = this.#parts;
    const { peer, via } = call;
    if (authorize !== undefined && await authorize({ name, kind, peer, via }) !== true) {
      throw new Refused("ERR_FORBIDDEN", `Cannot call "${name}": it is forbidden`);
    }
    const input = inputs ?? await this.#decode(call.request, context, call.inputAt);
    const seen = new AnsweredCall(context, kind, input);
    return await runThrough(
      middleware,
      seen,
      async () => await handler(seen.input, context),
    );
  }

  /** Decodes an input. What is wrong with it is the caller's fault, and nothing to report. */
  #decode(bytes: Uint8Array, context: HandlerContext, start = 0): unknown {
    try {
      const value = this.#input.decode(bytes, this.#read, start);
      if (!isPromise(value)) return value;
      return value.then(undefined, (error) => {
        throw context.blame(error);
      });
    } catch (error) {
      throw context.blame(error);
    }
  }

  #reply(output: unknown, context: HandlerContext): Uint8Array {
    try {
      const reply = this.#output.encode(output, REPLY_HEAD_BYTES);
      checkOutputSize(this.#parts.name, reply.length, context.maxReplyBytes);
      context.end();
      return reply;
    } catch (error) {
      return this.#fail(error, context);
    }
  }

  /** The reply of a call that failed; reports what its caller does not learn. */
  #fail(error: unknown, context: HandlerContext): Uint8Array {
    const { name } = this.#parts;
    try {
      if (error instanceof Refused) {
        return encodeFailure({ by: "parley", code: error.code, message: error.message });
      }
      if (error instanceof SchemaError && context.isBlamed(error)) {
        const { code, message, issues } = error;
        return encodeFailure({ by: "parley", code, message, issues });
      }
      if (error instanceof CallError) {
        const { code, message, data } = error;
        const reply = encodeFailure({ by: "handler", code, message, data });
        checkOutputSize(name, reply.length, context.maxReplyBytes);
        return reply;
      }
      if (context.isOutcomeOf(error)) {
        const code = error instanceof TimeoutError ? "ERR_CALL_TIMEOUT" : "ERR_CLOSED";
        return encodeFailure({ by: "parley", code, message: `Cannot call "${name}" any longer` });
      }
      if (context.isBlamed(error)) {
        const code = error instanceof ProtocolError ? error.code : "ERR_CLOSED";
        return encodeFailure({ by: "parley", code, message: `Cannot read an input of "${name}"` });
      }
    } catch (unencodable) {
      error = unencodable;
    } finally {
      context.end();
    }
    this.#parts.reporter.report(error, { phase: "call", name, peer: context.peer });
    if (isTooLargeOutput(error)) {
      return encodeFailure({ by: "parley", code: error.code, message: error.message });
    }
    return encodeFailure({
      by: "parley",
      code: "ERR_HANDLER",
      message: `Cannot call "${name}": its handler failed`,
    });
  }
}

/** A call at the answerer, as middleware sees it. */
class AnsweredCall implements MiddlewareCall {
  readonly side = "answerer";
  readonly kind: CallKind;
  input: unknown;
  readonly #context: HandlerContext;

  constructor(context: HandlerContext, kind: CallKind, input: unknown) {
    this.#context = context;
    this.kind = kind;
    this.input = input;
  }

  get name(): string {
    return this.#context.name;
  }

  get peer(): string | undefined {
    return this.#context.peer;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  get via(): CallLink {
    return this.#context.via;
  }

  get: MiddlewareCall["get"] = (key) => this.#context.get(key);
  set: MiddlewareCall["set"] = (key, value) => this.#context.set(key, value);
}

/** Sends the last reply of a stream, and ends it; its caller may be gone. */
async function finish(stream: CallStream, reply: Uint8Array): Promise<void> {
  try {
    await stream.writeItem(reply);
    await stream.close();
  } catch (error) {
    stream.abort(error);
  }
}
