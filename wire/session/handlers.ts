// HandlerTable: which handler answers which name, and who must learn of changes.
import { checkFunction } from "../../options/check.ts";
import { checkName, MAX_FRAME_BYTES, namesWithin } from "../protocol/frames.ts";
import type { WireSession } from "./session.ts";
import type { StreamInfo, WireStream } from "./stream.ts";

/**
 * Serves a stream. When it returns the stream is over: what it wrote still arrives, what it did not read
 * is dropped. When it throws the stream is reset, and the opener learns that the handler failed.
 * `stream.signal` fires when the caller gives up.
 */
export type StreamHandler = (stream: WireStream, session: WireSession) => Promise<void> | void;

/** The handlers of each wire and session, by which tunnels and calls add theirs: users cannot reach them. */
const TABLES = new WeakMap<object, HandlerTable>();

/**
 * Returns the handlers of a wire, or those of a session alone, which come before the wire's. For use
 * inside this module.
 */
export function handlersOf(owner: object): HandlerTable {
  return TABLES.get(owner)!;
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

/** Bytes of a frame for the names: the rest is for the identity and the token that travel with them. */
export const MAX_NAMES_BYTES: number = MAX_FRAME_BYTES - 5 * 1024;

/** What a {@linkcode HandlerTable} reports. */
export interface HandlerTableHooks {
  /** The names have changed. */
  onChange(): void;
  /** Not all names fit what is announced to peers: `told` of `all` do. Called once. */
  onCut(told: number, all: number): void;
}

/** Handlers by name. */
export class HandlerTable {
  readonly #handlers = new Map<string, StreamHandler | PreparedHandler>();
  readonly #hooks: HandlerTableHooks;
  #announced: readonly string[] | undefined;
  #hasReportedCut = false;

  /** Makes the empty table of a wire, or of a session that has handlers of its own. */
  constructor(owner: object, hooks: HandlerTableHooks) {
    this.#hooks = hooks;
    TABLES.set(owner, this);
  }

  /** All names. */
  get names(): readonly string[] {
    return [...this.#handlers.keys()];
  }

  /** How many there are. */
  get size(): number {
    return this.#handlers.size;
  }

  /** The names that are announced to peers: as many as fit. Streams of the others work as well. */
  get announced(): readonly string[] {
    if (this.#announced !== undefined) return this.#announced;
    const { names } = this;
    const told = this.#announced = namesWithin(names, MAX_NAMES_BYTES);
    if (told.length < names.length && !this.#hasReportedCut) {
      this.#hasReportedCut = true;
      this.#hooks.onCut(told.length, names.length);
    }
    return told;
  }

  /** The handler of `name`. */
  get(name: string): StreamHandler | PreparedHandler | undefined {
    return this.#handlers.get(name);
  }

  /**
   * Sets the handler of a name, in place of one that was set before.
   *
   * @throws {TypeError} when the name is none, or the handler no function
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
    if (known) this.#changed();
    return known;
  }

  #set(name: string, handler: StreamHandler | PreparedHandler): void {
    const known = this.#handlers.has(name);
    this.#handlers.set(name, handler);
    if (!known) this.#changed();
  }

  #changed(): void {
    this.#announced = undefined;
    this.#hooks.onChange();
  }
}
