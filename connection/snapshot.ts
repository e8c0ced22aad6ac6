// connectionStats(): the counters of one connection as data.
import { ParleyError } from "../errors.ts";
import type { Address, TlsInfo } from "../net/transport/transport.ts";
import type { ConnectionState, ConnectionStats } from "../stats/data/snapshots.ts";
import type { ConnectionLifecycle } from "./lifecycle.ts";

/** What a connection shows of itself. */
interface Shown {
  readonly id: string;
  readonly status: ConnectionState;
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly tls: TlsInfo | undefined;
}

/** Returns the counters as they are now. */
export function connectionStats(
  { id, status, localAddr, remoteAddr, tls }: Shown,
  lifecycle: ConnectionLifecycle,
  openedAtMs: number,
): ConnectionStats {
  lifecycle.upkeep.reportTraffic();
  const { closedAtMs, error, receiveQueue, writeQueue } = lifecycle;
  return {
    id,
    state: status,
    localAddr,
    remoteAddr,
    tls: tls === undefined ? null : { backend: tls.backend, protocol: tls.protocol },
    openedAtMs,
    closedAtMs,
    onlineMs: Math.max(0, (closedAtMs ?? Date.now()) - openedAtMs),
    idleMs: lifecycle.upkeep.idleMs,
    bytesIn: receiveQueue.bytesIn,
    bytesOut: writeQueue.writtenBytes,
    messagesIn: receiveQueue.messagesIn,
    messagesOut: writeQueue.messagesOut,
    heldBytes: receiveQueue.heldBytes,
    queuedBytes: writeQueue.queuedBytes,
    errorCode: error instanceof ParleyError ? error.code : null,
  };
}
