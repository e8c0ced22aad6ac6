// LateHandler: the handler of a server that was made without one, until another part of Parley provides it.
import type { Connection } from "../connection.ts";
import type { Handler } from "./options.ts";

/** The handlers of servers that were made without one. */
const handlers = new WeakMap<object, LateHandler>();

/** Serves connections once there is something to serve them by. */
export class LateHandler {
  #handler: Handler | null = null;
  #isReported = false;

  /** Returns that of a server; `undefined` when the server has a handler of its own. */
  static of(server: object): LateHandler | undefined {
    return handlers.get(server);
  }

  /** Notes that it serves the connections of `server`. */
  belongsTo(server: object): void {
    handlers.set(server, this);
  }

  /** Serves later connections by `handler`. */
  provide(handler: Handler): void {
    this.#handler = handler;
  }

  /**
   * Serves a connection.
   *
   * @throws {TypeError} for the first one that nothing serves: it is reported once
   */
  readonly handle: Handler = (connection: Connection): void | Promise<void> => {
    if (this.#handler !== null) return this.#handler(connection);
    if (this.#isReported) return;
    this.#isReported = true;
    throw new TypeError(
      "Cannot serve the connection: the server has no handler: pass one to serve(), or call answer()",
    );
  };
}
