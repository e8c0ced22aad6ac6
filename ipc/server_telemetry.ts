// observeServer(): has the counters of an IPC server exported.
import { observeCounters, telemetryOn } from "../stats/telemetry.ts";
import type { IpcServer } from "./server.ts";

/** Exports the counters until the server has closed; nothing without a provider. */
export function observeServer(server: IpcServer): void {
  if (!telemetryOn()) return;
  const labels = { "parley.protocol": "ipc", "parley.ipc.channel": server.name };
  const unobserve = observeCounters(labels, () => {
    const { overall } = server.stats();
    return {
      connectionsOpened: overall.connectionsOpened,
      connectionsClosed: overall.connectionsClosed,
      connectionsRefused: overall.connectionsRefused,
      handshakeFailures: overall.handshakeFailures,
      protocolErrors: overall.protocolErrors,
      handlerErrors: overall.handlerErrors,
    };
  });
  void server.closed.then(unobserve);
}
