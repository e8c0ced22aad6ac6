// serverHost(): calls that come in on any connection of a server.
import type { Server } from "../../server.ts";
import { LateHandler } from "../../server/late_handler.ts";
import { CallTable } from "./call_table.ts";
import { ConnectionCalls } from "./connection_calls.ts";
import type { CallHost } from "./port.ts";

/** The answerers of each server that has any. */
const tables = new WeakMap<Server, CallTable>();

/**
 * Takes calls of every connection of a server. A drain lets those that have come finish, and sends
 * their replies.
 *
 * @throws {TypeError} when the server has a handler of its own
 */
export function serverHost(server: Server): CallHost {
  const before = tables.get(server);
  if (before !== undefined) return before;
  const late = LateHandler.of(server);
  if (late === undefined) {
    throw new TypeError(
      "Cannot answer: the server has a handler: leave it out of serve(), or pass each connection to answer()",
    );
  }
  const table = new CallTable();
  late.provide((conn) => {
    const engine = ConnectionCalls.of(conn);
    engine.table.beyond = table;
    return engine.finished;
  });
  tables.set(server, table);
  return table;
}
