// HandlerTable: which handler answers which name, and who must learn of changes.
import { checkFunction } from "../../options/check.ts";
import { checkName, encodeFrame } from "../protocol/frames.ts";
import type { WireSession } from "./session.ts";
import type { StreamInfo, WireStream } from "./stream.ts";

/**
 * Serves a stream. When it returns the stream is over: what it wrote still arrives, what it did not read
 * is dropped. When it throws the stream is reset, and the opener learns that the handler failed.
 * `stream.signal` fires when the caller gives up.
 */
export type StreamHandler = (stream: WireStream, session: WireSession) => Promise<void> | void;

/** The handlers of each wire, by which tunnels add theirs: users of a wire cannot reach its table. */
const TABLES = new WeakMap<object, HandlerTable>();

/**
 * Returns the handlers of a wire that was made with a {@linkcode HandlerTable}. For use inside this
 * module.
 */
export function handlersOf(wire: object): HandlerTable {
  return TABLES.get(wire)!;
}

/**
 * A handler that does something before its stream is accepted, so that the opener learns whether that
 * worked: `expose` connects to its target. For use inside this module.
 */
export interface PreparedHandler<T = unknown> {
  /**
   * Comes before ACCEPT. An error whose `code` is one of the refusals of a stream refuses with it; any
   * other refuses with `ERR_HANDLER`. The signal fires when the opener gives up.
   */
  prepare(info: StreamInfo, signal: AbortSignal): Promise<T>;
  /**
   * Serves the stream after ACCEPT; as a {@linkcode StreamHandler} it ends the stream by returning or
   * throwing.
   */
  serve(stream: WireStream, session: WireSession, prepared: T): Promise<void>;
  /** The stream was given up before ACCEPT: frees what was prepared. */
  abandon(prepared: T): void;
}

/** Handlers by name. */
export class HandlerTable {
  readonly #handlers = new Map<string, StreamHandler | PreparedHandler>();
  readonly #onChange: () => void;

  /** Makes the empty table of `wire`, with what to call after each change. */
  constructor(wire: object, onChange: () => void) {
    this.#onChange = onChange;
    TABLES.set(wire, this);
  }

  /** The names, as they are announced to peers. */
  get names(): readonly string[] {
    return [...this.#handlers.keys()];
  }

  /** The handler of `name`. */
  get(name: string): StreamHandler | PreparedHandler | undefined {
    return this.#handlers.get(name);
  }

  /**
   * Sets the handler of a name, in place of one that was set before.
   *
   * @throws {TypeError} when the name is none, or the handler no function
   * @throws {RangeError} when the names together no longer fit a frame of 16 KiB
   */
  set(name: string, handler: StreamHandler): void {
    checkName("Cannot handle streams", "name", name);
    checkFunction("Cannot handle streams", "handler", handler);
    this.#set(name, handler);
  }

  /** Sets a handler that prepares before the stream is accepted. @throws as {@linkcode set} does */
  setPrepared<T>(name: string, handler: PreparedHandler<T>): void {
    checkName("Cannot handle streams", "name", name);
    this.#set(name, handler as PreparedHandler);
  }

  /** Removes a handler; `false` when there was none. Streams that it serves go on. */
  delete(name: string): boolean {
    const known = this.#handlers.delete(name);
    if (known) this.#onChange();
    return known;
  }

  #set(name: string, handler: StreamHandler | PreparedHandler): void {
    const known = this.#handlers.has(name);
    // Room for the identity and the token that travel with the names.
    if (!known) encodeFrame({ streams: [...this.names, name], room: "-".repeat(5 * 1024) });
    this.#handlers.set(name, handler);
    if (!known) this.#onChange();
  }
}
