// observeServer(): has the counters of an IPC server exported.
import { observeCounters, telemetryOn } from "../../stats/telemetry/telemetry.ts";
import type { IpcStats } from "../../stats/data/snapshots.ts";

/** What is observed of a server. */
interface ObservedServer {
  readonly name: string;
  readonly finished: Promise<void>;
  stats(): IpcStats;
}

/** Exports the counters until the server has closed; nothing without a provider. */
export function observeServer(server: ObservedServer): void {
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
  void server.finished.then(unobserve);
}
