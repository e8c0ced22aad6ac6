// HandlerTable: who answers which name, and who wants to know of changes.
import { checkFunction } from "../limits/check.ts";
import { checkName, encodeFrame } from "./frames.ts";
import type { StreamHandler } from "./options.ts";

/** Handlers by name. */
export class HandlerTable {
  readonly #handlers = new Map<string, StreamHandler>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** The names, as the peers are told. */
  get names(): readonly string[] {
    return [...this.#handlers.keys()];
  }

  /** Whoever answers `name`. */
  get(name: string): StreamHandler | undefined {
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
    const known = this.#handlers.has(name);
    // Room for the identity and the token that travel with the names.
    if (!known) encodeFrame({ streams: [...this.names, name], room: "-".repeat(5 * 1024) });
    this.#handlers.set(name, handler);
    if (!known) this.#onChange();
  }

  /** Removes a handler; `false` when there was none. Streams that it serves go on. */
  delete(name: string): boolean {
    const known = this.#handlers.delete(name);
    if (known) this.#onChange();
    return known;
  }
}
