// Checks that imports only point down the layers, that pure code is pure and that files stay short.

import { fail } from "./report.ts";
import { findLibraryFiles, ROOT } from "./source_files.ts";
import { codeOnly, importsOf } from "./source_text.ts";

/**
 * The layer of each file, or of all files in a folder; a file's own line comes before its folder's.
 * `docs/architecture.md` says what each layer is for.
 */
const LAYERS: Readonly<Record<string, number>> = {
  "call_hook.ts": 0,
  "clock.ts": 0,
  "error_chain.ts": 0,
  "errors.ts": 0,
  "log_events.ts": 0,
  "log_text.ts": 0,
  "logger.ts": 0,
  "net/transport.ts": 0,
  "tls/options.ts": 0,

  "framing.ts": 1,
  "framing/": 1,
  "ipc/fifo.ts": 1,
  "ipc/gather.ts": 1,
  "ipc/message.ts": 1,
  "ipc/secure/handshake.ts": 1,
  "ipc/secure/hello.ts": 1,
  "ipc/secure/key_schedule.ts": 1,
  "limits/": 1,
  "mux/header.ts": 1,
  "mux/state.ts": 1,
  "mux/window.ts": 1,
  "net/first_bytes.ts": 1,
  "net/proxy_header.ts": 1,
  "pool/balance.ts": 1,
  "pool/dispatcher.ts": 1,
  "pool/outliers.ts": 1,
  "pool/retry_budget.ts": 1,
  "pool/stats.ts": 1,
  "stats/closed_log.ts": 1,
  "stats/counters.ts": 1,
  "stats/day_ledger.ts": 1,
  "stats/duration_histogram.ts": 1,
  "stats/error_codes.ts": 1,
  "stats/live_sum.ts": 1,
  "stats/metrics.ts": 1,
  "stats/openmetrics.ts": 1,
  "stats/snapshots.ts": 1,
  "stats/trace_context.ts": 1,

  "ipc/channel_lock.ts": 2,
  "ipc/claim.ts": 2,
  "ipc/endpoint.ts": 2,
  "ipc/keys.ts": 2,
  "ipc/network.ts": 2,
  "ipc/pause.ts": 2,
  "ipc/renewable_listener.ts": 2,
  "ipc/secure/frame_link.ts": 2,
  "ipc/secure/records.ts": 2,
  "limits/descriptors.ts": 2,
  "net/": 2,
  "stats/recent_errors.ts": 2,
  "stats/report.ts": 2,
  "stats/telemetry.ts": 2,
  "stats/telemetry_metrics.ts": 2,
  "tls/": 2,

  "connection.ts": 3,
  "connection/": 3,
  "ipc/secure.ts": 3,
  "ipc/secure/provider_link.ts": 3,
  "ipc/secure/sealed_link.ts": 3,

  "mux/": 4,

  "client.ts": 5,
  "client/": 5,
  "ipc/": 5,
  "pool.ts": 5,
  "pool/": 5,
  "server.ts": 5,
  "server/": 5,
  "stats/": 5,
  "wire/": 5,

  "cli/": 6,
  "mod.ts": 6,
};

/** Layer whose files take time and randomness as arguments and never wait. */
const PURE_LAYER = 1;
const IMPURE = /\bDeno\s*\.|\bawait\b|\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/g;

const SOCKET_MODULES = /^node:(?:net|tls|dgram)$/;
const SOCKET_NAMES =
  /\bDeno\s*\.\s*(?:listen|listenTls|listenDatagram|connect|connectTls|startTls|connectQuic|QuicEndpoint|Conn|TcpConn|TlsConn|UnixConn|Listener|TcpListener|TlsListener|UnixListener)\b/g;

/** The most lines that a file may have. */
const MAX_LINES = 400;

function layerOf(path: string): number | undefined {
  const folder = path.slice(0, path.indexOf("/") + 1);
  return LAYERS[path] ?? (folder === "" ? undefined : LAYERS[folder]);
}

/** The path that a relative specifier in the file at `path` means. */
function resolve(specifier: string, path: string): string {
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

/** What is wrong with one file's imports. */
function checkImports(path: string, layer: number, files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const { specifier } of importsOf(files.get(path)!)) {
    if (SOCKET_MODULES.test(specifier) && !path.startsWith("net/")) {
      faults.push(`${path}: imports "${specifier}", which only net/ may`);
    }
    if (specifier.startsWith("@parley/")) faults.push(`${path}: imports "${specifier}", not a file`);
    if (!specifier.startsWith(".")) continue;
    const target = resolve(specifier, path);
    const below = layerOf(target);
    if (!files.has(target)) faults.push(`${path}: imports ${target}, which is no file of the library`);
    else if (below !== undefined && below > layer) {
      faults.push(`${path}: layer ${layer} imports ${target} of layer ${below}`);
    }
  }
  return faults;
}

/** What is wrong with one file's code. */
function checkCode(path: string, layer: number, source: string): string[] {
  const code = codeOnly(source);
  const uses = (pattern: RegExp) =>
    [...new Set(code.match(pattern) ?? [])].map((text) => text.replace(/\s/g, ""));
  const faults: string[] = [];
  if (layer === PURE_LAYER) {
    faults.push(...uses(IMPURE).map((text) => `${path}: uses "${text}" in pure layer ${PURE_LAYER}`));
  }
  if (!path.startsWith("net/")) {
    faults.push(...uses(SOCKET_NAMES).map((text) => `${path}: uses "${text}", which only net/ may`));
  }
  const lines = source.trimEnd().split("\n").length;
  if (lines > MAX_LINES) faults.push(`${path}: ${lines} lines, of at most ${MAX_LINES}`);
  return faults;
}

/** The circles that imports make at run time, each told once, as a path from its first file back to it. */
function findCycles(files: ReadonlyMap<string, string>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      cycles.push([...trail.slice(start), path].join(" -> "));
      return;
    }
    const source = files.get(path);
    if (source === undefined || done.has(path)) return;
    for (const { specifier, typeOnly } of importsOf(source)) {
      if (specifier.startsWith(".") && !typeOnly) visit(resolve(specifier, path), [...trail, path]);
    }
    done.add(path);
  };
  for (const path of files.keys()) visit(path, []);
  return cycles;
}

/** What is wrong in the library, given the text of each of its files by path; empty if nothing is. */
export function checkLayers(files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const [path, source] of files) {
    const layer = layerOf(path);
    if (layer === undefined) {
      faults.push(`${path}: has no layer; give it one in tools/check_layers.ts`);
      continue;
    }
    faults.push(...checkImports(path, layer, files), ...checkCode(path, layer, source));
  }
  return [...faults, ...findCycles(files).map((cycle) => `Cycle: ${cycle}`)];
}

if (import.meta.main) {
  const files = findLibraryFiles().map((path) => [path, Deno.readTextFileSync(new URL(path, ROOT))] as const);
  const faults = checkLayers(new Map(files));
  if (faults.length > 0) fail(faults.join("\n"));
}
