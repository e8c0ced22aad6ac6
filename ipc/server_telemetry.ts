// observeServer(): has the counters of an IPC server exported.
import { observeCounters, telemetryOn } from "../stats/telemetry.ts";
import type { IpcServer } from "./server.ts";

/** Exports the counters until the server has closed; nothing without a provider. */
export function observeServer(server: IpcServer): void {
  if (!telemetryOn()) return;
  const labels = { "parley.protocol": "ipc", "parley.ipc.channel": server.name };
  const unobserve = observeCounters(labels, () => {
    const { clients, clientsTotal, refused, failed } = server.stats();
    return {
      connectionsOpened: clientsTotal,
      connectionsClosed: clientsTotal - clients,
      connectionsRefused: refused,
      handshakeFailures: Object.values(failed).reduce((sum, count) => sum + count, 0),
    };
  });
  void server.closed.then(unobserve);
}
