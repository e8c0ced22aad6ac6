// blameOf(): whether a handler threw an error of its own, or the one by which its connection ended.
import type { Connection } from "../connection.ts";
import { anyInChain } from "../error_chain.ts";
import { ParleyError } from "../errors.ts";

/**
 * What an error of a handler is counted as. `handler`: an error of its own. `end`: the error by
 * which the connection, or its input, ended. `silence`: the handler's wait for a message timed out.
 */
export type Blame = "handler" | "end" | "silence";

/**
 * Finds out what the handler of a connection threw. A handler may pass on the error by which its
 * connection ended: as it is, as the reason of one of the connection's signals, or as the cause of
 * another error.
 *
 * @param lastTimeout The last error of a wait for a message on this connection that timed out
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
