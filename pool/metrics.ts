// poolMetrics(): a pool's numbers as OpenMetrics text.
import type { BackendCounters, PoolCounters, PoolStats } from "./stats.ts";

const POOL_COUNTERS: Readonly<Record<keyof PoolCounters, string>> = {
  acquires: "Calls of acquire",
  waits: "Calls of acquire that had to wait",
  waitsAborted: "Waits given up by their signal",
  waitTimeouts: "Waits that took too long",
  queueFull: "Calls refused as too many waited",
  dialsExhausted: "Calls that failed as their dials did",
  noBackend: "Calls that failed as no backend was up",
  retries: "Second and later attempts",
  retriesRefused: "Attempts that the budget did not allow",
};

const BACKEND_COUNTERS: Readonly<Record<keyof BackendCounters, string>> = {
  bytesIn: "Bytes read",
  bytesOut: "Bytes written",
  messagesIn: "Messages received",
  messagesOut: "Messages sent",
  leases: "Leases that began",
  leasesReused: "Leases of a connection that was used before",
  leasesFailed: "Leases that ended badly",
  leasesSpoiled: "Leases whose connection was not used again",
  dials: "Dials",
  dialFailures: "Dials that failed",
  idleLost: "Idle connections that the backend ended or spoke on",
  breakerOpened: "Times that the circuit breaker opened",
  ejections: "Times that it was ejected as an outlier",
  healthChecks: "Health checks",
  healthFailures: "Health checks that failed",
};

const LINKS = ["idle", "busy", "dialling", "closing"] as const;

/**
 * A pool's numbers as OpenMetrics text, which Prometheus and others read.
 *
 * @param name tells this pool from others of the process, as the label `pool`
 *
 * @example
 * ```ts
 * import { Pool, poolMetrics } from "@parley/parley/pool";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await using pool = new Pool({ backends: [{ name: "one", port: 5555 }] });
 * assertStringIncludes(poolMetrics(pool.stats(), "orders"), 'parley_pool_backend_up{pool="orders",backend="one"} 1');
 * ```
 */
export function poolMetrics(stats: PoolStats, name: string): string {
  const pool = `pool="${escape(name)}"`;
  const lines = gauge("parley_pool_waiting", "Callers that wait for a connection", [[pool, stats.waiting]]);
  for (const [counter, help] of entries(POOL_COUNTERS)) {
    lines.push(...counterOf(`parley_pool_${snake(counter)}`, help, [[pool, stats[counter]]]));
  }
  const labelled = stats.backends.map((backend) =>
    [backend, `${pool},backend="${escape(backend.name)}"`] as const
  );
  lines.push(...gauge(
    "parley_pool_backend_up",
    "Whether the backend gets work",
    labelled.map(([{ state }, labels]) => [labels, state === "ready" ? 1 : 0]),
  ));
  lines.push(...gauge(
    "parley_pool_connections",
    "Connections, by what they do",
    labelled.flatMap(([backend, labels]) =>
      LINKS.map((link) => [`${labels},state="${link}"`, backend[link]] as const)
    ),
  ));
  for (const [counter, help] of entries(BACKEND_COUNTERS)) {
    const samples = labelled.map(([backend, labels]) => [labels, backend[counter]] as const);
    lines.push(...counterOf(`parley_pool_backend_${snake(counter)}`, help, samples));
  }
  return [...lines, "# EOF", ""].join("\n");
}

type Samples = readonly (readonly [labels: string, value: number])[];

function gauge(name: string, help: string, samples: Samples): string[] {
  return family(name, "gauge", help, samples, name);
}

function counterOf(name: string, help: string, samples: Samples): string[] {
  return family(name, "counter", help, samples, `${name}_total`);
}

function family(name: string, type: string, help: string, samples: Samples, sample: string): string[] {
  return [
    `# TYPE ${name} ${type}`,
    `# HELP ${name} ${help}.`,
    ...samples.map(([labels, value]) => `${sample}{${labels}} ${value}`),
  ];
}

function entries<Key extends string>(record: Readonly<Record<Key, string>>): [Key, string][] {
  return Object.entries(record) as [Key, string][];
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
