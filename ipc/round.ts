// A round: one message of each client, all taken at once or none.
import { type IpcReceiveOptions, refuseWait } from "./link/inbox.ts";
import type { IpcServerClient, IpcServerMessage } from "./server_client.ts";

/** How a round may end early. */
export interface IpcRoundOptions extends IpcReceiveOptions {
  /** Longest wait in ms; then the round is what has come by then. @default {no limit} */
  timeoutMs?: number | undefined;
}

/** Waits for a message of each client, and takes them. */
export async function readRound(
  clients: readonly IpcServerClient[],
  options: IpcRoundOptions,
): Promise<IpcServerMessage[]> {
  const refused = refuseWait(options);
  if (refused !== null) return await refused;
  const { signal, timeoutMs } = options;
  const early = Promise.withResolvers<void>();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => early.resolve(), timeoutMs);
  const onAbort = () => early.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([Promise.all(clients.map((client) => client.inbox.whenSome())), early.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
  return clients.map((client) => client.inbox.take()).filter((message) => message !== undefined);
}
