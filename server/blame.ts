// blameOf(): whether what a handler threw is its own, or how the peer or the server ended its connection.
import type { Connection } from "../connection.ts";
import { anyInChain } from "../error_chain.ts";
import { ParleyError } from "../errors.ts";

/**
 * Who an error of a handler is counted for. `handler`: it is the handler's own. `end`: it is the end of the
 * connection, or of its input, passed on. `silence`: the handler's own wait for a message was over.
 */
export type Blame = "handler" | "end" | "silence";

/**
 * Finds out what the handler of a connection threw. A handler passes on how its connection ended: as it is,
 * as the reason of one of the connection's signals, or as the cause of another error.
 *
 * @param lastTimeout The last error of a wait for a message on this connection whose time was over
 */
export function blameOf(error: unknown, connection: Connection, lastTimeout: unknown): Blame {
  const { errorCode } = connection.stats();
  const { signal, draining } = connection;
  const isEnd = (error: unknown) =>
    (error instanceof ParleyError && error.code === errorCode) ||
    (signal.aborted && error === signal.reason) ||
    (draining.aborted && error === draining.reason);
  if (anyInChain(error, isEnd)) return "end";
  return lastTimeout !== undefined && anyInChain(error, (error) => error === lastTimeout)
    ? "silence"
    : "handler";
}
